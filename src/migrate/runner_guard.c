/* runner_guard.c - the guards of both stores in a migration's life: put in at START, told at the switch, and
 * left alone in the source when the shut tap is taken away. Part of the runner (runner.h); its thread. Start
 * at: runner_check_guards(), runner_let_in(), runner_hand_over(). */
#include "migrate/runner.h"
#include "migrate/runner_verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/guard.h"
#include "migrate/tap.h"
#include "sql_embedded.h"

enum {
    CONNECT_MS = 5000,
    LOOK_MS_MIN = 50, /* between two looks at who has an old snapshot */
    LOOK_MS_MAX = 5000,
    RETRY_MS_MAX = 60000, /* between two tries of a hand-over that fails */
    COMPLAIN_MS = 60000,
    TARGET_PATIENCE_MS = 60000, /* then the START's runner tries again, with its own back-off */
};

/* --- before and in dual_write ------------------------------------------------------------------------- */

/* `home`: where the tenant lives by the routing table; its generation, 0 without a row. */
static bool read_route(struct runner *r, char home[STORE_NAME_BYTES_MAX], uint64_t *generation,
                       struct error *err)
{
    const char *tenant = r->m.tenant;
    PGresult *result =
        pg_query(ledger_pg(r->ledger), "SELECT store_id, generation FROM tenant_routing WHERE tenant_id = $1",
                 1, &tenant, err);
    bool there;

    if (result == NULL)
        return false;
    there = PQntuples(result) == 1;
    snprintf(home, STORE_NAME_BYTES_MAX, "%s", there ? PQgetvalue(result, 0, 0) : r->m.default_store->name);
    *generation = there ? strtoull(PQgetvalue(result, 0, 1), NULL, 10) : 0;
    PQclear(result);
    return true;
}

/* The target under our epoch: an earlier owner that wakes up is refused by the cursor. */
static bool say_in_target(struct runner *r, bool here, uint64_t generation, struct error *err)
{
    struct guard_end target = guard_target(&r->m);

    if (pg_run(r->m.target_pg, "BEGIN", 0, NULL, err) && cursor_hold(&r->m, err) &&
        guard_say(&r->m, &target, here, generation, err) && pg_run(r->m.target_pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(r->m.target_pg);
    return false;
}

/* Both stores know what the routing table says of this tenant; a cutover that was taken back leaves a target
 * that still lets it in. */
static bool tell_stores(struct runner *r, struct error *err)
{
    struct guard_end source = guard_source(&r->m), target = guard_target(&r->m);
    struct pg *control = ledger_pg(r->ledger);
    char home[STORE_NAME_BYTES_MAX];
    uint64_t generation;

    if (!guard_prepare(&r->m, &target, err) || !guard_learn(&r->m, &target, control, err) ||
        !guard_prepare(&r->m, &source, err) || !guard_learn(&r->m, &source, control, err) ||
        !read_route(r, home, &generation, err))
        return false;
    if (strcmp(home, r->m.source->name) != 0)
        return true; /* the runner finds out by itself */
    return say_in_target(r, false, generation, err) && guard_say(&r->m, &source, true, generation, err);
}

/* The migration with its ends exchanged: for the tap in what is its target. Borrows everything. */
static struct migration seen_from_target(const struct migration *m)
{
    struct migration seen = *m;

    seen.source = m->target;
    seen.source_pg = m->target_pg;
    for (size_t i = 0; i < seen.table_count; i++)
        seen.tables[i].source = m->tables[i].target;
    return seen;
}

static bool await_old_snapshots(struct runner *r, struct pg *pg, uint64_t until_ms, struct error *err)
{
    uint64_t nap_ms = LOOK_MS_MIN, complained_ms = 0;
    char limit[24] = "", who[200];

    for (;;) {
        runner_letters(r);
        if (r->stopping || r->interrupted)
            return error_set(err, "57014", "waiting for older snapshots was interrupted");
        if (!guard_old_snapshots(pg, limit, who, sizeof who, err))
            return false;
        if (who[0] == '\0')
            return true;
        if (until_ms != 0 && clock_ms() > until_ms) {
            error_set(err, "55P03", "the shut tap of tenant \"%s\" cannot be taken away yet", r->m.tenant);
            error_detail(err, "A snapshot from before the tenant's last move is still in use: %s.", who);
            return error_hint(err, "It goes on by itself when that has ended.");
        }
        if (complained_ms == 0 || clock_ms() - complained_ms > COMPLAIN_MS) {
            complained_ms = clock_ms();
            log_line(r->setup->log, LOG_INFO, "guard",
                     "migration %s: the shut tap of tenant %s stays until %s has ended", r->id, r->m.tenant,
                     who);
        }
        pg_nap(&r->m.wake, nap_ms);
        nap_ms = nap_ms * 2 > LOOK_MS_MAX ? LOOK_MS_MAX : nap_ms * 2;
    }
}

/* A tenant comes back to a store that it has left: the tap that was shut then would refuse it when it has
 * arrived. Where there is a guard it has been told already that the tenant does not live there. */
static bool clear_target(struct runner *r, struct error *err)
{
    struct migration seen = seen_from_target(&r->m);
    struct guard_end target = guard_target(&r->m);
    char whose[UUID_TEXT_BYTES];
    bool sound;

    if (!tap_find(&seen, whose, err) || !guard_is_sound(&r->m, &target, &sound, err))
        return false;
    if (whose[0] == '\0')
        return true;
    if (strcmp(whose, r->id) == 0)
        return error_set(err, "55000", "this migration's own tap stands in its target");
    return (!sound || await_old_snapshots(r, r->m.target_pg, clock_ms() + TARGET_PATIENCE_MS, err)) &&
           tap_remove(&seen, err);
}

static bool install(struct runner *r, struct error *err)
{
    struct guard_end source = guard_source(&r->m), target = guard_target(&r->m);

    return !r->m.settings.guard || (guard_install(&r->m, &target, err) && guard_install(&r->m, &source, err));
}

bool runner_check_guards(struct runner *r, struct error *err)
{
    if (r->guards_checked)
        return true;
    if (!tell_stores(r, err))
        return false;
    if (r->state == MIGRATION_PENDING) {
        if (!install(r, err) || !clear_target(r, err))
            return false;
    } else if (!install(r, err)) {
        /* One that has gone meanwhile is no reason to stop a copy; the tap is not taken away without it. */
        if (r->interrupted || pg_is_broken(r->m.source_pg) || pg_is_broken(r->m.target_pg))
            return false;
        log_error(r->setup->log, LOG_WARN, "guard", err, "migration %s: its guards", r->id);
        error_clear(err);
    }
    r->guards_checked = true;
    return true;
}

/* --- between the switch and the release --------------------------------------------------------------- */

/* Nothing of ours in that store, so no guard either. */
static bool has_none(const struct error *err)
{
    return error_is(err, "3F000") || error_is(err, "42P01") || error_is(err, "42883");
}

static bool connect_target(struct runner *r, struct error *err)
{
    char what[STORE_NAME_BYTES_MAX + 16];

    runner_drop_broken(r);
    if (r->m.target_pg != NULL)
        return true;
    snprintf(what, sizeof what, "store \"%s\"", r->m.target->name);
    return pg_open(r->m.target->conninfo, what, "pgshunt runner", &r->m.wake, CONNECT_MS, &r->m.target_pg,
                   err);
}

bool runner_let_in(struct runner *r, struct error *err)
{
    struct guard_end target;

    /* Any other store was told in step 4, by a commit that the switch waited for; the default store by the
     * switch itself, where the control tables are in it. Elsewhere: not before the switch, when somebody past
     * pgshunt could still put a row where the tenant does not live; so a crash right here costs errors until
     * the next start. */
    if (r->m.target != r->m.default_store || r->setup->ledger->in_default_store)
        return true;
    if (!failpoint("guard.before_let_in", err) || !connect_target(r, err))
        return false;
    target = guard_target(&r->m);
    if (!pg_run(r->m.target_pg, "SET synchronous_commit = on", 0, NULL, err) ||
        (!guard_say(&r->m, &target, true, r->routed.generation, err) && !has_none(err)))
        return false;
    error_clear(err);
    return failpoint("guard.after_let_in", err);
}

/* --- after the release -------------------------------------------------------------------------------- */

/* `generation` 0: it lives at the source, for all that is known. */
static bool read_handover(struct runner *r, bool *settled, uint64_t *generation, struct error *err)
{
    const char *id = r->id;
    PGresult *result = pg_query(ledger_pg(r->ledger), sql_look_handover, 1, &id, err);

    if (result == NULL)
        return false;
    *settled = PQntuples(result) == 0 || PQgetvalue(result, 0, 0)[0] == 't';
    *generation = *settled || PQgetisnull(result, 0, 1) ? 0 : strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    PQclear(result);
    return true;
}

/* The entry, the guard, the last old snapshot, and only then the tap. Every step may be done again. */
static bool give_way(struct runner *r, uint64_t generation, struct error *err)
{
    struct guard_end source = guard_source(&r->m);
    char whose[UUID_TEXT_BYTES];
    bool sound = false;

    if (!failpoint("guard.before_entry", err) || !guard_prepare(&r->m, &source, err) ||
        !guard_learn(&r->m, &source, ledger_pg(r->ledger), err) ||
        !guard_say(&r->m, &source, false, generation, err) || !failpoint("guard.after_entry", err))
        return false;
    if (!migration_read_source(&r->m, err) || (r->m.settings.guard && !guard_install(&r->m, &source, err)))
        return false;
    if (!guard_is_sound(&r->m, &source, &sound, err) || !tap_find(&r->m, whose, err))
        return false;
    if (!sound || strcmp(whose, r->id) != 0)
        return true; /* guard = off, and nobody else's guard: the shut tap stays; or the tap has gone already
                      */
    return await_old_snapshots(r, r->m.source_pg, 0, err) && failpoint("guard.before_tap_gone", err) &&
           tap_remove_of(&r->m, r->id, err) && failpoint("guard.after_tap_gone", err);
}

static bool hand_over(struct runner *r, struct error *err)
{
    uint64_t generation;
    bool settled;

    if (!runner_ledger_open(r, err) || !read_handover(r, &settled, &generation, err))
        return false;
    if (settled)
        return true;
    if (generation > 0) {
        if (r->routed.generation < generation)
            r->routed.generation = generation;
        if (!runner_let_in(r, err) || !runner_connect_source(r, err) || !give_way(r, generation, err))
            return false;
        log_line(r->setup->log, LOG_INFO, "guard", "migration %s: the guard of \"%s\" keeps tenant %s out",
                 r->id, r->m.source->name, r->m.tenant);
    }
    return runner_positions_end(r, err) && ledger_settled(r->ledger, r->id, err);
}

void runner_hand_over(struct runner *r)
{
    uint64_t nap_ms = LOOK_MS_MIN;
    struct error err;

    if (r->m.source == NULL || r->m.target == NULL || !runner_tell_control(r, RUNNER_SWITCHED, NULL, &err))
        return;
    r->interrupted = r->stopping;
    error_clear(&err);
    while (!r->stopping && !hand_over(r, &err)) {
        if (!r->stopping && nap_ms > LOOK_MS_MIN) /* a first failure is the connection that an end has cost */
            log_error(r->setup->log, LOG_WARN, "guard", &err, "migration %s: its shut tap stays", r->id);
        runner_verify_after(r);
        runner_refuse_requests(r);
        pg_nap(&r->m.wake, nap_ms);
        nap_ms = nap_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : nap_ms * 2;
        r->interrupted = r->stopping;
        error_clear(&err);
    }
}
