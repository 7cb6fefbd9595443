/* cutover.c - the few milliseconds in which a tenant changes its store (DESIGN §4.6).
 * Owns:   one cutover from its order to its answer.
 * Leaves: its steps to cutover_steps.c, how it ends to cutover_back.c, words and numbers to cutover_report.c.
 * Thread: the runner's.   Start at: go(), which is the runbook. */
#include "migrate/cutover.h"

#include "base/clock.h"
#include "migrate/cutover_impl.h"
#include "migrate/runner_orders.h"

static void answer(struct cutover *cut, struct control_request *request, struct error *why)
{
    struct runner *r = cut->r;

    if (r->state == MIGRATION_FAILED) {
        error_set(why, "55000", "migration %s was stopped in the middle of its cutover", r->id);
        error_detail(why, "The tenant lives in store \"%s\".", r->m.source->name);
        error_hint(why, "SHOW MIGRATION '%.8s' and SHOW AUDIT '%.8s' tell by whom.", r->id, r->id);
    }
    if (r->state == MIGRATION_CUTOVER_PAUSED) {
        error_set(why, "08007", "whether migration %s was switched is not known yet", r->id);
        error_detail(why, "The control database does not answer; the tenant's writes stay held.");
        error_hint(why, "SHOW MIGRATION '%s' tells as soon as it is known.", r->id);
    }
    if (r->state == MIGRATION_MIGRATED)
        runner_answer(request, cutover_rows(cut), NULL);
    else
        runner_answer(request, NULL, why);
}

/* --- the runbook --- */

static bool go(struct cutover *cut, struct error *err)
{
    return cutover_check(cut, err)          /* 1  preconditions */
           && cutover_pause(cut, err)       /* 2  the new epoch, written down and published; */
           && cutover_close_gates(cut, err) /*    every loop holds the tenant's writes; those in flight end */
           && cutover_drain(cut, err)       /* 3  the tap's lock: nobody past the proxy is left */
           && cutover_catch_up(cut, err)    /* 4  last pass of the mirror, last keys verified */
           && cutover_shut_tap(cut, err)    /* 5  the source refuses the tenant's rows */
           && cutover_switch(cut, err)      /* 6  the one conditional commit */
           && cutover_release(cut);         /* 7  held writes go to the new store */
}

/* No other process of this instance has clients, and none will until the cutover has ended. */
bool cutover_begin_move(struct runner *r, struct error *err)
{
    r->moves = lease_begin_move(r->setup->lease);
    if (r->moves)
        return true;
    error_set(err, "55006", "an earlier process of this instance still serves clients");
    error_detail(err, "Their writes are not this process's to hold, so no cutover can begin.");
    return error_hint(err,
                      "It ends when their transactions have ended, or shutdown_timeout_seconds after its "
                      "successor began; then try again.");
}

void cutover_end_move(struct runner *r)
{
    if (r->moves)
        lease_end_move(r->setup->lease);
    r->moves = false;
}

void cutover_called_off(struct runner *r, struct error *err)
{
    error_set(err, "57014", "the cutover of migration %s was called off", r->id);
    error_detail(err, "cutover_rolled_back: by %s",
                 r->abort_requested         ? "ABORT MIGRATION"
                 : r->resume_writes != NULL ? "RESUME WRITES"
                                            : "a change by hand, or EMERGENCY STOP");
}

void cutover_run(struct runner *r, struct control_request *request)
{
    struct cutover cut = { .r = r, .request = request };
    struct migration_settings kept = r->m.settings;
    uint64_t begun_us = clock_us();
    struct error err, ignored;
    bool fine, begun;

    error_clear(&err);
    if (!cutover_begin_move(r, &err)) {
        runner_answer(request, NULL, &err);
        return;
    }
    r->critical = r->revocable = true;
    r->recalled = false;
    fine = go(&cut, &err);
    begun = r->state != MIGRATION_DUAL_WRITE;
    r->revocable = false; /* the way back is not to be called off */
    if (!fine && r->recalled)
        cutover_called_off(r, &err);
    if (!fine && !r->stopping)
        cutover_revert(&cut, &err);
    tap_lock_close(cut.lock);
    if (!fine && !begun && !(request->patient && error_is(&err, "55000")))
        runner_log(r, LOG_WARN, "Cutover not begun", "cutover", 0, r->cursor.events, &err);
    if (begun && r->owned && !r->stopping)
        cutover_report(&cut, fine ? NULL : &err);
    if (r->state == MIGRATION_MIGRATED)
        runner_log(r, LOG_INFO, "Migration completed", "cutover", (clock_us() - begun_us) / 1000,
                   r->cursor.events, NULL);
    if (r->look && r->state == MIGRATION_CUTOVER_PAUSED && !r->stopping && !runner_obey(r, &ignored))
        log_error(r->setup->log, LOG_ERROR, "runner", &ignored, "migration %s: what was changed by hand",
                  r->id);
    answer(&cut, request, &err);
    orders_writes_resumed(r, cutover_pause_ms(&cut), cut.held_count, cut.held_ms_longest);
    r->m.settings = kept;
    r->critical = false;
    r->verify_behind_ms = 0;
}
