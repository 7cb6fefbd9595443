/* others.c - see others.h. */
#include "migrate/others.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql_embedded.h"

enum { ASK_AGAIN_MS = 2, ASK_SELDOM_MS = 10, SELDOM_AFTER = 20 };

static void describe(const PGresult *result, char who[400])
{
    size_t used = 0;

    who[0] = '\0';
    for (int row = 0; row < PQntuples(result) && used < 400; row++) {
        const char *comma = row == 0 ? "" : "; ", *name = PQgetvalue(result, row, 0);

        if (PQgetvalue(result, row, 1)[0] != 't')
            used +=
                (size_t)snprintf(who + used, 400 - used, "%sinstance %s has not answered (silent for %s ms)",
                                 comma, name, PQgetvalue(result, row, 4));
        else
            used += (size_t)snprintf(who + used, 400 - used, "%sinstance %s: %s transactions in flight%s%s",
                                     comma, name, PQgetvalue(result, row, 2),
                                     PQgetvalue(result, row, 3)[0] == '\0' ? "" : ", ",
                                     PQgetvalue(result, row, 3));
    }
}

bool others_have(struct runner *r, bool drained, bool *all, char who[400], struct error *err)
{
    char generation[24];
    const char *const values[] = { r->setup->ledger->instance, r->m.tenant, generation, drained ? "t" : "f" };
    PGresult *result;

    *all = false;
    who[0] = '\0';
    snprintf(generation, sizeof generation, "%" PRIu64, r->routed.generation);
    result = pg_query(ledger_pg(r->ledger), sql_instances_behind, 4, values, err);
    if (result == NULL)
        return false;
    *all = PQntuples(result) == 0;
    describe(result, who);
    PQclear(result);
    return true;
}

bool others_await(struct runner *r, bool drained, uint64_t until_ms, struct error *err)
{
    char who[400];
    bool all;

    for (unsigned asked = 0;; asked++) {
        if (!others_have(r, drained, &all, who, err))
            return false;
        if (all)
            return true;
        if (r->stopping || runner_is_called_off(r) || (until_ms != 0 && clock_ms() >= until_ms)) {
            error_set(err, "57014", "another instance has not applied generation %" PRIu64 " of the route",
                      r->routed.generation);
            error_detail(err, "%s", who);
            return error_hint(err,
                              "SHOW INSTANCES lists them. One that is gone is no longer waited for when its "
                              "lease has run out.");
        }
        pg_nap(&r->m.wake, asked < SELDOM_AFTER ? ASK_AGAIN_MS : ASK_SELDOM_MS);
    }
}

bool others_have_it(struct runner *r, struct error *err)
{
    char epoch[24];
    const char *const values[] = { r->id, r->setup->ledger->instance, epoch };
    PGresult *result;
    bool taken;

    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    result = pg_query(ledger_pg(r->ledger), sql_look_owner, 3, values, err);
    if (result == NULL)
        return false;
    taken = PQntuples(result) == 1;
    if (taken) {
        error_set(err, "55000", "instance %s has taken migration %s over", PQgetvalue(result, 0, 0), r->id);
        error_hint(err, "SHOW MIGRATION '%s' tells its state; give it orders there.", r->id);
        r->settling = r->owned = r->tap_to_open = false;
        r->over = true;
        log_error(r->setup->log, LOG_WARN, "runner", err, "migration %s", r->id);
    }
    PQclear(result);
    return taken;
}
