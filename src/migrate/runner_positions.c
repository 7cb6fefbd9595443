/* runner_positions.c - a migration whose target gives the positions: the sequence kept ahead while the mirror
 * runs, the pairs brought to the control database bit by bit, and the rest of them after the switch. Part of
 * the runner (runner.h); its thread.   Start at: runner_positions(), runner_positions_end(). */
#include "migrate/positions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "migrate/copier.h"
#include "migrate/runner.h"
#include "migrate/subscriptions.h"
#include "sql_embedded.h"

enum {
    RAISE_MS = 1000,
    SHIP_MS = 200, /* between two looks for pairs, where the last one has found few */
};

/* `ended`: nothing is left to do. */
static bool read_state(struct runner *r, bool *ended, struct error *err)
{
    PGresult *result = pg_query(ledger_pg(r->ledger), sql_positions_state, 1, (const char *[]){ r->id }, err);

    if (result == NULL)
        return false;
    *ended = PQntuples(result) == 0 || PQgetvalue(result, 0, 1)[0] == 't';
    r->positions_shipped = PQntuples(result) == 0 ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    r->positions_known = true;
    PQclear(result);
    return true;
}

/* Whose fault is it? A target that cannot be asked is tried again with the next round of the mirror. */
static bool is_ours(const struct runner *r)
{
    return ledger_is_broken(r->ledger) || !r->owned;
}

static bool work(struct runner *r, struct error *err)
{
    bool more, ended;

    if (clock_ms() - r->positions_raised_ms >= RAISE_MS) {
        r->positions_raised_ms = clock_ms();
        if (!copier_move_sequence(&r->m, err))
            return false;
    }
    if (!r->m.settings.position_mapping_enabled || clock_ms() < r->positions_ship_ms)
        return true;
    if (!r->positions_known && !read_state(r, &ended, err))
        return false;
    if (!positions_ship(&r->m, ledger_pg(r->ledger), &r->positions_shipped, &more, err))
        return false;
    r->positions_ship_ms = more ? 0 : clock_ms() + SHIP_MS;
    return true;
}

bool runner_positions(struct runner *r, struct error *err)
{
    if (!positions_assigned(&r->m) || !r->connected || r->m.source_pg == NULL || r->m.target_pg == NULL ||
        pg_is_broken(r->m.source_pg) || pg_is_broken(r->m.target_pg) || r->breaker.state != BREAKER_CLOSED)
        return true;
    if (work(r, err))
        return true;
    if (is_ours(r) || error_is(err, "55000"))
        return false;
    log_error(r->setup->log, LOG_WARN, "positions", err, "migration %s", r->id);
    error_clear(err);
    return true;
}

/* Every step may be done again. */
bool runner_positions_end(struct runner *r, struct error *err)
{
    char epoch[24];
    bool more = true, ended;

    if (!positions_assigned(&r->m))
        return true;
    if (!read_state(r, &ended, err))
        return false;
    if (ended)
        return subscriptions_after(r, err);
    if (!migration_connect(&r->m, err))
        return false;
    while (more && r->m.settings.position_mapping_enabled) {
        if (!positions_ship(&r->m, ledger_pg(r->ledger), &r->positions_shipped, &more, err))
            return false;
    }
    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    return positions_forget(&r->m, err) &&
           pg_run(ledger_pg(r->ledger), sql_positions_ended, 2, (const char *[]){ r->id, epoch }, err) &&
           subscriptions_after(r, err);
}
