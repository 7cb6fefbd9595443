/* cutover_back.c - how a cutover ends: held writes go to the new store, or it is taken back.
 * Leaves: whether it was switched to the control database (ledger_take_back()).
 * Thread: the runner's.   Start at: cutover_release(), cutover_revert(). */
#include <string.h>

#include "base/failpoint.h"
#include "migrate/cutover_impl.h"

enum {
    SETTLE_MS = 10000
}; /* an operator hears of an outcome that is not known after this; the runner goes on */

bool cutover_open_gates(struct cutover *cut, struct error *err)
{
    struct gate_summary sum;
    bool fine = runner_order_gates(cut->r, GATE_OPEN, clock_ms() + CUTOVER_OPEN_MS, err);

    cut->opened_us = clock_us();
    gatekeeper_sum(&cut->r->gates, &sum);
    cut->held_count += sum.held_count;
    if (sum.held_ms_longest > cut->held_ms_longest)
        cut->held_ms_longest = sum.held_ms_longest;
    return fine;
}

/* --- 7: held writes go to the new store --- */

/* Beyond the switch nothing can fail any more, only take longer. false: pgshunt is being stopped. */
static bool tell_everybody(struct runner *r)
{
    struct error err;

    while (!runner_publish(r, clock_ms() + CUTOVER_PUBLISH_MS, &err)) {
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: publishing the switched route",
                  r->id);
        if (ledger_is_broken(r->ledger) && !runner_ledger_open(r, &err))
            log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s", r->id);
        pg_nap(&r->m.wake, 50);
    }
    return true;
}

static bool drop_gates(struct runner *r)
{
    struct error err;

    while (!runner_order_gates(r, GATE_DROP, clock_ms() + CUTOVER_OPEN_MS, &err)) {
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: opening its gates", r->id);
    }
    r->gates_made = false;
    return true;
}

/* A tenant that comes home: the store's entry that it lives elsewhere goes before any held write does. */
static bool let_in(struct runner *r)
{
    struct error err;

    while (!runner_let_in(r, &err)) {
        runner_letters(r);
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err,
                  "migration %s: store \"%s\" does not let the tenant in yet", r->id, r->m.target->name);
        pg_nap(&r->m.wake, 50);
    }
    return true;
}

bool cutover_release(struct cutover *cut)
{
    uint64_t begun_us = clock_us();
    struct gate_summary sum;
    struct error err;

    if (!failpoint("cutover.before_release", &err))
        log_error(cut->r->setup->log, LOG_WARN, "runner", &err, "migration %s", cut->r->id);
    if (!let_in(cut->r) || !tell_everybody(cut->r) || !drop_gates(cut->r))
        return false;
    cut->opened_us = clock_us();
    cut->step_us[STEP_RELEASE] = cut->opened_us - begun_us;
    gatekeeper_sum(&cut->r->gates, &sum);
    cut->held_count += sum.held_count;
    if (sum.held_ms_longest > cut->held_ms_longest)
        cut->held_ms_longest = sum.held_ms_longest;
    if (cut->lock != NULL)
        tap_unlock(cut->lock, &err); /* closing it does the same */
    cut->r->over = true;
    if (!failpoint("cutover.after_release", &err))
        log_error(cut->r->setup->log, LOG_WARN, "runner", &err, "migration %s", cut->r->id);
    return true;
}

/* --- the way back --- */

bool cutover_settle(struct runner *r, struct error *err)
{
    const struct error *why = error_is_set(&r->taken_back_for) ? &r->taken_back_for : NULL;
    uint64_t epoch = r->m.epoch;
    bool switched;

    r->settling = true;
    if (!runner_ledger_open(r, err) || !failpoint("cutover.before_settle", err))
        return false;
    if (!ledger_take_back(r->ledger, r->id, NULL, why, &epoch, &switched, &r->routed, err)) {
        /* Changed by hand, or by a successor: the row is read anew. */
        if (error_is(err, "55000"))
            r->settling = r->owned = false;
        return false;
    }
    r->settling = false;
    r->owned = true;
    r->m.epoch = epoch;
    if (switched)
        r->state = MIGRATION_MIGRATED;
    r->tap_to_open = !switched;
    r->guards_checked = false;
    return failpoint("cutover.after_settle", err);
}

/* Evicts whoever else may still have the lock, and claims the tap for our epoch, even if it turns out to be
 * open. */
bool cutover_open_tap(struct runner *r, struct error *err)
{
    struct tap_lock *lock = NULL;
    enum tap_state state;
    uint64_t epoch;
    bool present, fine;

    if (!runner_connect_source(r, err) || !tap_read(r->m.source_pg, &r->m, &present, &state, &epoch, err))
        return false;
    if (!present)
        return true; /* check_tap() says what that means */
    fine = tap_lock_open(&r->m, &lock, err) &&
           tap_read(r->m.source_pg, &r->m, &present, &state, &epoch, err) &&
           (state == TAP_OPEN || tap_open(lock, r->m.epoch, err));
    tap_lock_close(lock);
    return fine;
}

bool cutover_reopen(struct runner *r, struct error *err)
{
    const struct error *why = error_is_set(&r->taken_back_for) ? &r->taken_back_for : NULL;

    if (!failpoint("cutover.before_reopen", err) || !cutover_open_tap(r, err))
        return false;
    if (r->state == MIGRATION_CUTOVER_PAUSED &&
        !runner_enter(r, MIGRATION_DUAL_WRITE, r->m.epoch, "cutover_rolled_back", NULL, NULL, why, "warning",
                      "recoverable", err))
        return false;
    if (!runner_publish_here(r, clock_ms() + CUTOVER_PUBLISH_MS, err) ||
        !runner_order_gates(r, GATE_OPEN, clock_ms() + CUTOVER_OPEN_MS, err))
        return false;
    r->tap_to_open = false;
    error_clear(&r->taken_back_for);
    log_line(r->setup->log, LOG_INFO, "runner",
             "migration %s: its cutover is taken back, the tenant lives in \"%s\"", r->id, r->m.source->name);
    return failpoint("cutover.after_reopen", err);
}

static void log_completed(struct runner *r)
{
    runner_log(r, LOG_INFO, "Migration completed", "cutover", 0, r->cursor.events, NULL);
}

bool cutover_recover(struct runner *r, struct error *err)
{
    if (!r->moves)
        lease_resume_move(r->setup->lease);
    r->moves = true;
    /* Settling comes first: it fences whoever had it, also if the source cannot be reached. */
    if (!r->tap_to_open && !cutover_settle(r, err))
        return false;
    if (r->state == MIGRATION_MIGRATED) {
        r->over = let_in(r) && tell_everybody(r) && drop_gates(r);
        log_completed(r);
        return true;
    }
    return cutover_reopen(r, err);
}

/* Nothing but gates and lock: the lock is let go, the state written, and only then the gates open. `why`
 * NULL: a rehearsal that came to its end. */
static bool revert_simply(struct cutover *cut, const struct error *why, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us = clock_us(), written_us;

    tap_lock_close(cut->lock);
    cut->lock = NULL;
    if (!runner_enter(r, MIGRATION_DUAL_WRITE, r->m.epoch, "cutover_rolled_back", cut->request->operator_name,
                      cut->rehearsal ? "{\"rehearsal\": true}" : NULL, why, why == NULL ? NULL : "warning",
                      why == NULL ? NULL : "recoverable", err))
        return false;
    written_us = clock_us();
    /* The source is where everybody still writes: nobody has to wait for the other instances. */
    if (!runner_publish_here(r, clock_ms() + CUTOVER_PUBLISH_MS, err) || !cutover_open_gates(cut, err))
        return false;
    if (cut->rehearsal) { /* its switch and its release */
        cut->step_us[STEP_SWITCH] = written_us - begun_us;
        cut->step_us[STEP_RELEASE] = cut->opened_us - written_us;
    }
    return true;
}

/* The tap may be shut and the switch may have been committed: the control database decides, then the tap
 * opens. */
static bool revert_by_route(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t until_ms = clock_ms() + SETTLE_MS;

    tap_lock_close(cut->lock);
    cut->lock = NULL;
    while (!cutover_settle(r, err)) {
        if (r->stopping || !r->settling || clock_ms() > until_ms)
            return false; /* the runner goes on with it */
        pg_nap(&r->m.wake, 50);
    }
    if (r->state == MIGRATION_MIGRATED)
        return cutover_release(cut);
    return cutover_reopen(r, err);
}

/* Writes stay held until the way back has come to its end; what cannot be done now, the runner does as soon
 * as it can. */
void cutover_revert(struct cutover *cut, struct error *why)
{
    struct runner *r = cut->r;
    struct error err = *why;
    bool fine;

    if (r->state != MIGRATION_CUTOVER_PAUSED && r->state != MIGRATION_MIGRATED)
        return; /* nothing was changed yet */
    r->taken_back_for = *why;
    r->guards_checked =
        false; /* the target may have let the tenant in: the next round of the mirror says no */
    if (error_is(why, "57014"))
        runner_log(r, LOG_WARN, cut->rehearsal ? "Rehearsal blocked" : "Cutover timeout", "cutover",
                   cut->closed_us == 0 ? 0 : (clock_us() - cut->closed_us) / 1000, 0, why);
    fine = r->state == MIGRATION_MIGRATED ? cutover_release(cut)
           : cut->tap_touched             ? revert_by_route(cut, &err)
                                          : revert_simply(cut, why, &err);
    if (fine)
        error_clear(&r->taken_back_for);
    if (!fine && !r->over && r->state == MIGRATION_CUTOVER_PAUSED && !r->tap_to_open)
        r->settling = true;
    if (!fine && !r->stopping)
        log_error(r->setup->log, LOG_ERROR, "runner", &err,
                  "migration %s: its cutover is not rolled back yet", r->id);
}

void cutover_end_rehearsal(struct cutover *cut, struct error *why)
{
    struct runner *r = cut->r;
    struct error err;

    if (why != NULL || r->state != MIGRATION_CUTOVER_PAUSED) {
        cutover_revert(cut, why);
        return;
    }
    if (revert_simply(cut, NULL, &err) || r->stopping)
        return;
    error_set(&r->taken_back_for, "57014", "a rehearsal of the cutover did not find its way back by itself");
    r->settling = r->state == MIGRATION_CUTOVER_PAUSED;
    log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: its rehearsal is not rolled back yet",
              r->id);
}
