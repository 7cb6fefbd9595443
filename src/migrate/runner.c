/* runner.c - the thread that carries one migration through its states.
 * Owns:   one migration: its connections, its gates' orders, its row while it holds the lock and the epoch.
 * Leaves: letters and publishing to runner_post.c, claim, connections, gates and tap to runner_own.c, mirror
 * and verification to runner_mirror.c, orders to runner_orders.c, abort and failure to runner_exit.c; the
 * checks of START to start.c, CHECK CUTOVER and LAG to check.c, the cutover to cutover.c. Thread: its own;
 * everything reaches it by letter. Start at: steps[], then carry_on(). */
#include "migrate/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/companion.h"
#include "migrate/copier.h"
#include "migrate/cutover.h"
#include "migrate/deferred.h"
#include "migrate/failure.h"
#include "migrate/positions.h"
#include "migrate/runner_orders.h"
#include "migrate/runner_resync.h"
#include "migrate/runner_verify.h"

enum {
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 10000,
    MIRROR_GAP_MS = 10, /* passes closer together than this would only make more, smaller transactions */
};

/* --- the states' steps --- */

bool runner_enter(struct runner *r, enum migration_state to, uint64_t new_epoch, const char *event,
                  const char *operator_name, const char *details, const struct error *why,
                  const char *severity, const char *recoverability, struct error *err)
{
    struct migration_move move = { .from = r->state,
                                   .to = to,
                                   .epoch = r->m.epoch,
                                   .new_epoch = new_epoch,
                                   .event = event,
                                   .operator_name = operator_name,
                                   .details = details,
                                   .error = why,
                                   .severity = severity,
                                   .recoverability = recoverability };

    if (!migration_enter(r->ledger, r->id, &move, &r->routed, err)) {
        r->owned = false; /* it may have been committed all the same: the row is read again */
        return false;
    }
    r->state = to;
    r->m.epoch = new_epoch;
    return true;
}

/* Moves on within the epoch. */
static bool enter_next(struct runner *r, enum migration_state to, const char *event, struct error *err)
{
    return runner_enter(r, to, r->m.epoch, event, NULL, NULL, NULL, NULL, NULL, err);
}

/* Questions are answered meanwhile. */
static bool await_slot(struct runner *r, struct error *err)
{
    if (!r->slot_asked && !runner_tell_control(r, RUNNER_SLOT, NULL, err))
        return false;
    r->slot_asked = true;
    orders_serve(r);
    if (!r->slot && !r->interrupted && !r->look)
        pg_nap(&r->m.wake, 1000);
    return true;
}

/* The gates' way: the route says bulk_copy everywhere before the tap is put in; the state does when it
 * stands. */
static bool step_pending(struct runner *r, struct error *err)
{
    if (!r->slot)
        return await_slot(r, err);
    if (!failpoint("runner.before_bulk_copy", err) ||
        !ledger_announce(r->ledger, r->id, r->m.epoch, &r->routed, err))
        return false;
    r->announced = true;
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err) || !runner_prepare(r, err) ||
        !enter_next(r, MIGRATION_BULK_COPY, "phase_changed", err))
        return false;
    runner_log(r, LOG_INFO, "Migration started", "start", 0, 0, NULL);
    return failpoint("runner.after_bulk_copy_entered", err) &&
           runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err);
}

static bool step_bulk_copy(struct runner *r, struct error *err)
{
    struct copier_hook hook = { runner_on_copied, r };
    uint64_t begun_ms = clock_ms();
    int64_t bytes;
    bool companions;

    if (!runner_prepare(r, err))
        return false;
    if (r->total_events == 0 && !copier_estimate(&r->m, &r->total_events, &bytes, err))
        return false;
    if (!companion_copy(&r->m, &r->cursor, &hook, &companions, err))
        return false;
    if (!companions)
        return true; /* interrupted at a batch's boundary */
    if (!copier_run(&r->m, &r->cursor, &hook, err))
        return false;
    if (!r->cursor.done)
        return true; /* interrupted at a batch's boundary */
    runner_log(r, LOG_INFO, "Bulk copy complete", "copy", clock_ms() - begun_ms, r->cursor.events, NULL);
    if (!deferred_build(r, err))
        return false;
    if (!runner_mirror_up(r, err) || r->interrupted)
        return r->interrupted;
    if (!positions_sweep(&r->m, err))
        return false;
    r->progress_written_ms = 0;
    if (!runner_read_lag(r, err) || !runner_write_progress(r, err) ||
        !failpoint("runner.before_dual_write", err) ||
        !enter_next(r, MIGRATION_DUAL_WRITE, "phase_changed", err))
        return false;
    r->dual_write_since_ms = clock_ms();
    return failpoint("runner.after_dual_write_entered", err) &&
           runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err);
}

/* Until the doorbell rings, somebody asks for something, or the timer for hidden writers is over. */
static void rest(struct runner *r, uint64_t since_ms)
{
    uint64_t until_ms = clock_ms() + (uint64_t)r->m.settings.mirror_poll_ms;
    uint64_t gap_until_ms = since_ms + MIRROR_GAP_MS;

    runner_letters(r);
    while (!r->interrupted && r->requests == NULL && !r->look) {
        uint64_t now_ms = clock_ms();
        uint64_t wake_ms = r->rung ? gap_until_ms : until_ms;

        if (now_ms >= wake_ms)
            return;
        pg_nap(&r->m.wake, wake_ms - now_ms);
    }
}

static bool too_long(struct runner *r, struct error *err)
{
    struct error why;

    if (clock_ms() - r->dual_write_since_ms < (uint64_t)r->m.settings.dual_write_timeout_minutes * 60000)
        return true;
    error_set(&why, "57014", "dual write has gone on for more than %" PRId64 " minutes",
              r->m.settings.dual_write_timeout_minutes);
    error_hint(&why, "RESUME MIGRATION '%.8s' gives it that time again; or CUTOVER earlier, or ABORT.",
               r->id);
    return runner_pause(r, &why, NULL, err);
}

/* The data plane's part of a round; a failure of the target is the breaker's business. */
static bool mirror_round(struct runner *r, struct error *err)
{
    return runner_prepare(r, err) && runner_mirror_up(r, err) &&
           (r->interrupted || (runner_verify_all(r, err) && runner_verify_behind(r, err)));
}

/* Is what failed the target, and will it pass? Then the source's tap still stands and captures. What somebody
 * must correct pauses the migration instead. */
static bool target_is_to_blame(const struct runner *r, const struct error *err)
{
    if (r->m.source_pg == NULL || pg_is_broken(r->m.source_pg) || ledger_is_broken(r->ledger))
        return false;
    return !error_is(err, "55000") && failure_is_transient(err);
}

static bool step_dual_write(struct runner *r, struct error *err)
{
    uint64_t begun_ms = clock_ms();

    breaker_set(&r->breaker, (unsigned)r->m.settings.breaker_failures,
                (uint64_t)r->m.settings.breaker_open_ms, (unsigned)r->m.settings.breaker_trials);
    /* The answer to the last step of the way back was lost: held writes wait for it, whatever the target is
     * doing. */
    if (r->tap_to_open && !(runner_make_gates(r, err) && cutover_reopen(r, err)))
        return false;
    if (!resync_take_up(r, err) || r->state != MIGRATION_DUAL_WRITE)
        return r->state != MIGRATION_DUAL_WRITE;
    if (breaker_allows(&r->breaker, begun_ms) && !mirror_round(r, err)) {
        if (r->interrupted || !target_is_to_blame(r, err))
            return false;
        runner_target_failed(r, err);
        if (!pg_nap(&r->m.wake, 200)) /* five failures in a row are not five in a millisecond */
            return true;
    }
    if (r->interrupted)
        return true;
    if (!runner_positions(r, err))
        return false;
    if ((r->m.source_pg != NULL && !pg_is_broken(r->m.source_pg) && !runner_read_lag(r, err)) ||
        !runner_write_progress(r, err))
        return false;
    orders_serve(r);
    if (r->over || r->interrupted || r->state != MIGRATION_DUAL_WRITE)
        return true;
    if (!too_long(r, err))
        return false;
    rest(r, begun_ms);
    return true;
}

/* Found so at start: was it switched? If not, the tap may be shut, and the gates are closed. */
static bool step_cutover_paused(struct runner *r, struct error *err)
{
    /* A gate that this process has made open, for an earlier state, would let writes run into a tap that is
     * shut. */
    return runner_make_gates(r, err) &&
           runner_order_gates(r, GATE_CLOSE, clock_ms() + LETTER_TIMEOUT_MS, err) && cutover_recover(r, err);
}

static bool step_ended(struct runner *r, struct error *err)
{
    (void)err;
    r->over = true;
    return true;
}

static bool (*const steps[MIGRATION_STATES])(struct runner *r, struct error *err) = {
    [MIGRATION_PENDING] = step_pending,       [MIGRATION_BULK_COPY] = step_bulk_copy,
    [MIGRATION_DUAL_WRITE] = step_dual_write, [MIGRATION_CUTOVER_PAUSED] = step_cutover_paused,
    [MIGRATION_MIGRATED] = step_ended,        [MIGRATION_FAILED] = runner_clean_up,
    [MIGRATION_ROLLED_BACK] = step_ended,     [MIGRATION_PAUSED] = orders_step_paused,
};

/* --- the story --- */

static bool still_ours(struct runner *r, struct error *err)
{
    struct migration_record record;
    bool found;

    if (!ledger_look(r->ledger, r->id, &record, &found, err))
        return true; /* not known: the ledger is opened again, which asks again */
    r->look = r->look || (found && record.state != r->state);
    return found && record.epoch == r->m.epoch;
}

/* Growing waits, with some jitter so that runners do not march in step. */
static void back_off(struct runner *r)
{
    uint64_t wait_ms = r->retry_wait_ms == 0 ? RETRY_MS_MIN : r->retry_wait_ms * 2;
    uint64_t until_ms;

    r->retry_wait_ms = wait_ms > RETRY_MS_MAX ? RETRY_MS_MAX : wait_ms;
    until_ms = clock_ms() + r->retry_wait_ms * 3 / 4 + clock_us() % (r->retry_wait_ms / 4 + 1);
    while (!r->interrupted && !r->stopping && clock_ms() < until_ms)
        pg_nap(&r->m.wake, until_ms - clock_ms());
}

static void on_failure(struct runner *r, struct error *err)
{
    struct error ignored, why = *err;

    runner_letters(r);
    runner_drop_broken(r);
    if (r->over || r->stopping || (r->interrupted && error_is(err, "57014")))
        return;
    log_error(r->setup->log, LOG_WARN, "runner", err, "migration %s in %s", r->id,
              migration_state_name(r->state));
    if (ledger_is_broken(r->ledger) || !r->owned) {
        back_off(r);
        return;
    }
    if (error_is(err, "55000") && !still_ours(r, &ignored)) {
        log_line(r->setup->log, LOG_WARN, "runner", "migration %s has another owner, or was changed", r->id);
        runner_drop_gates(r);
        r->over = true;
        return;
    }
    if (r->look)
        return; /* somebody has changed it: that is obeyed first */
    failure_explain(&why);
    if (failure_is_transient(err) || r->abort_requested || r->state == MIGRATION_CUTOVER_PAUSED ||
        r->state == MIGRATION_PAUSED || r->state == MIGRATION_FAILED) {
        if (r->owned && r->state != MIGRATION_FAILED) /* that keeps what it has failed for */
            ledger_note(r->ledger, r->id, r->m.epoch, &why, failure_classify(err)->severity,
                        failure_kind_name(failure_classify(err)->kind), &ignored);
        back_off(r);
        return;
    }
    if (failure_classify(err)->kind == FAILURE_RECOVERABLE && migration_may_move(r->state, MIGRATION_PAUSED)
            ? !runner_pause(r, &why, NULL, err)
            : !runner_fail(r, &why, err))
        back_off(r);
}

static void carry_on(struct runner *r)
{
    struct error err;

    while (!r->over && !r->stopping) {
        bool fine;

        r->interrupted = r->stopping; /* an ABORT stays remembered in abort_requested */
        error_clear(&err);
        fine = runner_own(r, &err);
        if (fine && r->over)
            return;
        if (fine && r->abort_requested)
            fine = runner_abort(r, &err);
        else if (fine && r->look)
            fine = runner_obey(r, &err);
        else if (fine && r->pause != NULL)
            fine = orders_pause(r, &err);
        else if (fine)
            fine = steps[r->state](r, &err);
        runner_letters(r);
        if (r->state == MIGRATION_DUAL_WRITE && !r->tap_to_open && !r->settling)
            cutover_end_move(r); /* a way back has come to its end */
        if (fine) {
            r->retry_wait_ms = 0;
        } else {
            on_failure(r, &err);
        }
    }
}

void runner_refuse_requests(struct runner *r)
{
    struct error err;

    error_set(&err, "57P01", "the migration's runner has ended in state %s", migration_state_name(r->state));
    runner_letters(r);
    orders_refuse(r, &err);
}

/* However it ended: no gate of ours stays. */
static void leave(struct runner *r)
{
    if (r->stopping || !r->gates_made)
        return;
    runner_drop_gates(r);
}

static void *runner_main(void *who)
{
    struct runner *r = who;
    struct error err;

    error_clear(&err);
    if (r->start != NULL && errand_is(r->start->verb)) {
        struct control_request *errand = r->start;

        r->start = NULL;
        errand_run(r, errand);
    } else if (r->start != NULL && !runner_begin(r, &err)) {
        runner_answer(r->start, NULL, &err);
        r->start = NULL;
    } else {
        carry_on(r);
        leave(r);
    }
    cutover_end_move(r);
    if (r->state == MIGRATION_MIGRATED && !r->stopping)
        runner_verify_after(r);
    runner_refuse_requests(r);
    if (r->state == MIGRATION_MIGRATED && !r->stopping) {
        runner_hand_over(r);
        runner_verify_after(r);
        runner_refuse_requests(r);
    }
    if (r->mirror != NULL)
        mirror_free(r->mirror);
    verifier_report_done(&r->verification);
    migration_disconnect(&r->m);
    migration_forget_tables(&r->m);
    ledger_close(r->ledger);
    if (!runner_tell_control(r, RUNNER_ENDED, NULL, &err))
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "telling control that migration %s has ended",
                  r->id);
    return NULL;
}

/* --- for control --- */

struct letter *runner_left(struct runner *r)
{
    struct letter *letter = r->requests;

    if (letter != NULL) {
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        return letter;
    }
    while (r->mailbox != NULL && (letter = mailbox_next(r->mailbox)) != NULL &&
           letter->kind != LETTER_CONTROL)
        letter_drop(letter);
    return letter;
}

static void runner_free(struct runner *r)
{
    struct letter *left;

    while ((left = runner_left(r)) != NULL)
        letter_drop(left);
    gatekeeper_done(&r->gates);
    if (r->mailbox != NULL)
        mailbox_close(r->mailbox); /* loops may still hold it as a doorbell */
    mailbox_give(r->mailbox);
    config_give(r->kept.config);
    free(r);
}

void runner_reset_breaker(struct runner *r)
{
    breaker_init(&r->breaker, 1, 1000, 1); /* the settings come with the migration's row */
}

static void runner_init(struct runner *r, const struct runner_setup *setup, const char *id)
{
    r->kept = *setup;
    config_take(r->kept.config);
    r->setup = &r->kept;
    snprintf(r->id, sizeof r->id, "%s", id);
    snprintf(r->m.id, sizeof r->m.id, "%s", id);
    migration_declare(&r->m, setup->names);
    r->m.control_schema = setup->ledger->schema;
    r->m.default_store = stores_default(setup->stores);
    r->m.log = setup->log;
    r->m.wake = (struct pg_wake){ mailbox_fd(r->mailbox), runner_letters, r };
    r->cursor.high = -1;
    runner_reset_breaker(r);
}

bool runner_start(const struct runner_setup *setup, const char *id, struct control_request *request,
                  struct runner **started, struct error *err)
{
    struct runner *r = calloc(1, sizeof *r);

    *started = NULL;
    if (r != NULL)
        r->mailbox = mailbox_new();
    if (r == NULL || r->mailbox == NULL || !gatekeeper_init(&r->gates, setup->switchboard, r->mailbox)) {
        error_no_memory(err);
        runner_answer(request, NULL, err);
        if (r != NULL)
            runner_free(r);
        return false;
    }
    runner_init(r, setup, id);
    if (request != NULL && request->verb == CONTROL_ABORT) {
        r->abort = request;
        r->purge_requested = request->purge;
        r->abort_requested = true;
    } else if (request != NULL && request->verb == CONTROL_VERIFY) {
        LL_APPEND(r->requests, &request->letter); /* of a migration that is migrated */
    } else {
        r->start = request;
    }
    if (pthread_create(&r->thread, NULL, runner_main, r) != 0) {
        error_set(err, "53000", "could not start a thread");
        runner_answer(request, NULL, err);
        runner_free(r);
        return false;
    }
    *started = r;
    return true;
}

const char *runner_id(const struct runner *r)
{
    return r->id;
}

struct mailbox *runner_mailbox(struct runner *r)
{
    return r->mailbox;
}

void runner_join(struct runner *r)
{
    pthread_join(r->thread, NULL);
    runner_free(r);
}
