/* runner_orders.c - PAUSE, RESUME, and who may ask what when.
 * Owns:   the requests that wait (r->requests, r->pause, r->resume, r->resume_writes).
 * Leaves: ABORT and failures to runner_exit.c, CUTOVER to cutover.c, questions to check.c.
 * Thread: the runner's.   Start at: orders_take(), then orders_serve(). */
#include "migrate/runner_orders.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/cutover.h"
#include "migrate/runner_alter.h"
#include "migrate/runner_resync.h"
#include "migrate/runner_verify.h"
#include "migrate/settings.h"

enum { SLOT_WAIT_MS = 500 }; /* RESUME is answered after this, whether its turn has come or not */

/* --- refusing --- */

static void refuse(struct runner *r, struct control_request *request, const char *detail, const char *hint)
{
    struct error err;

    error_set(&err, "55000", "migration %s is in state %s", r->id, migration_state_name(r->state));
    if (r->abort_requested)
        error_set(&err, "55000", "migration %s is being aborted", r->id);
    else if (r->critical)
        error_set(&err, "55000", "migration %s is in the middle of a cutover", r->id);
    error_detail(&err, "invalid_state_transition: %s", detail);
    error_hint(&err, hint, r->id);
    runner_answer(request, NULL, &err);
}

static void refuse_pause(struct runner *r, struct control_request *request)
{
    static const char detail[] = "a migration can be paused in bulk_copy and dual_write";

    if (r->abort_requested)
        refuse(r, request, detail, "It ends; SHOW MIGRATION '%.8s' tells when.");
    else if (r->pause != NULL)
        refuse(r, request, detail, "It is being paused already; SHOW MIGRATION '%.8s' tells when it rests.");
    else if (r->critical || r->state == MIGRATION_CUTOVER_PAUSED)
        refuse(r, request, detail, "Wait for its end, which SHOW MIGRATION '%.8s' tells, then try again.");
    else if (r->state == MIGRATION_PENDING)
        refuse(r, request, detail, "It has not begun; ABORT MIGRATION '%.8s' ends it.");
    else if (r->state == MIGRATION_PAUSED)
        refuse(r, request, detail, "RESUME MIGRATION '%.8s' lets it go on.");
    else
        refuse(r, request, detail, "SHOW MIGRATION '%.8s' tells how it ended.");
}

/* --- taking in --- */

static void take_abort(struct runner *r, struct control_request *request)
{
    struct error err;

    if (r->abort != NULL) {
        error_set(&err, "55000", "migration %s is being aborted already", r->id);
        runner_answer(request, NULL, &err);
        return;
    }
    r->abort = request;
    r->purge_requested = r->purge_requested || request->purge;
    r->abort_requested = r->interrupted = r->recalled = true;
}

/* What is under way is abandoned: an open batch is rolled back, which leaves the boundary of the last one. A
 * row that is not ours yet may be in another state than we know. */
static void take_pause(struct runner *r, struct control_request *request)
{
    bool may = !r->owned || migration_may_move(r->state, MIGRATION_PAUSED);

    if (r->state == MIGRATION_PAUSED && r->owned) {
        LL_APPEND(r->requests, &request->letter); /* it may be about to go on */
    } else if (r->pause != NULL || r->abort_requested || r->critical || !may) {
        refuse_pause(r, request);
    } else {
        r->pause = request;
        r->interrupted = true;
    }
}

static void take_resume(struct runner *r, struct control_request *request)
{
    if (r->owned && r->state != MIGRATION_PAUSED && r->pause == NULL)
        refuse(r, request, "only a paused migration can be resumed",
               "SHOW MIGRATION '%.8s' tells how far it is.");
    else
        LL_APPEND(r->requests, &request->letter);
}

/* --- RESUME WRITES --- */

static void answer_writes(struct runner *r, struct control_request *request, double pause_ms,
                          uint32_t held_count, uint64_t held_ms_longest)
{
    struct rows *rows = rows_new();
    struct error err;

    error_no_memory(&err);
    if (rows != NULL) {
        rows_column(rows, "tenant_id", ROWS_TEXT);
        rows_column(rows, "migration_id", ROWS_UUID);
        rows_column(rows, "state", ROWS_TEXT);
        rows_column(rows, "pause_ms", ROWS_FLOAT8);
        rows_column(rows, "blocked_writers", ROWS_INT8);
        rows_column(rows, "longest_hold_ms", ROWS_INT8);
        rows_text(rows, r->m.tenant);
        rows_text(rows, r->id);
        rows_text(rows, migration_state_name(r->state));
        rows_format(rows, "%.3f", pause_ms);
        rows_number(rows, held_count);
        rows_number(rows, (int64_t)held_ms_longest);
    }
    runner_answer(request, rows, rows == NULL ? &err : NULL);
}

void orders_writes_resumed(struct runner *r, double pause_ms, uint32_t held_count, uint64_t held_ms_longest)
{
    struct control_request *request = r->resume_writes;
    struct error err;

    r->recalled = false;
    r->resume_writes = NULL;
    if (request == NULL)
        return;
    if (r->state != MIGRATION_CUTOVER_PAUSED) {
        answer_writes(r, request, pause_ms, held_count, held_ms_longest);
        return;
    }
    error_set(&err, "08007", "whether migration %s was switched is not known yet", r->id);
    error_detail(&err, "The tenant's writes stay held until the control database has answered.");
    error_hint(&err, "SHOW MIGRATION '%.8s' tells as soon as it is known.", r->id);
    runner_answer(request, NULL, &err);
}

/* A cutover under way is called off, up to its point of return; else nothing is held. */
static void take_resume_writes(struct runner *r, struct control_request *request)
{
    struct error err;

    if (r->resume_writes != NULL || (r->state == MIGRATION_CUTOVER_PAUSED && !r->critical)) {
        error_set(&err, "55000", "the cutover of migration %s is being taken back already", r->id);
        error_hint(&err, "SHOW MIGRATION '%.8s' tells how far it is.", r->id);
        runner_answer(request, NULL, &err);
    } else if (r->critical) {
        r->resume_writes = request;
        r->recalled = true;
    } else {
        answer_writes(r, request, 0, 0, 0);
    }
}

void orders_take(struct runner *r, struct control_request *request)
{
    switch (request->verb) {
    case CONTROL_ABORT:
        take_abort(r, request);
        return;
    case CONTROL_PAUSE:
        take_pause(r, request);
        return;
    case CONTROL_RESUME:
        take_resume(r, request);
        return;
    case CONTROL_CANCEL:
        if (runner_verify_cancel(r, request->tag))
            r->verify_cancelled = r->interrupted = true;
        letter_drop(&request->letter);
        return;
    case CONTROL_RESUME_WRITES:
        take_resume_writes(r, request);
        return;
    case CONTROL_ALTER:
        if (r->owned && !migration_is_active(r->state)) {
            refuse(r, request, "this is for a migration that is under way",
                   "SHOW MIGRATION '%.8s' tells how it ended.");
            return;
        }
        break;
    case CONTROL_CUTOVER:
        if (request->force && r->verifying) {
            r->interrupted = true;
            break;
        }
        if (check_answer_quickly(r, request))
            return;
        break;
    default:
        if (check_answer_quickly(r, request))
            return;
    }
    LL_APPEND(r->requests, &request->letter);
}

/* --- PAUSE --- */

static struct rows *state_rows(struct runner *r)
{
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "id", ROWS_UUID);
    rows_column(rows, "tenant_id", ROWS_TEXT);
    rows_column(rows, "state", ROWS_TEXT);
    rows_column(rows, "paused_from", ROWS_TEXT);
    rows_column(rows, "events_copied", ROWS_INT8);
    rows_text(rows, r->id);
    rows_text(rows, r->m.tenant);
    rows_text(rows, migration_state_name(r->state));
    rows_text(rows, r->state == MIGRATION_PAUSED ? migration_state_name(r->paused_from) : NULL);
    rows_number(rows, r->cursor.events);
    return rows;
}

static void answer_state(struct runner *r, struct control_request **request)
{
    struct rows *rows = state_rows(r);
    struct error err;

    error_no_memory(&err);
    runner_answer(*request, rows, rows == NULL ? &err : NULL);
    *request = NULL;
}

/* Nothing of the migration is in anybody's way while it rests, but the tap, which goes on capturing. The row
 * has been written; every part may be done again. */
static bool come_to_rest(struct runner *r, struct error *err)
{
    if (r->at_rest)
        return true;
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
        return false;
    runner_drop_gates(r);
    if (r->mirror != NULL)
        mirror_free(r->mirror);
    r->mirror = NULL;
    migration_disconnect(&r->m);
    r->connected = false;
    r->slot = r->slot_asked = false;
    r->rung = false;
    r->rung_count = 0;
    r->at_rest = runner_tell_control(r, RUNNER_REST, NULL, err);
    return r->at_rest;
}

bool orders_pause(struct runner *r, struct error *err)
{
    if (r->state != MIGRATION_PAUSED) {
        if (!migration_may_move(r->state, MIGRATION_PAUSED)) {
            refuse_pause(r, r->pause);
            r->pause = NULL;
            return true;
        }
        if (!failpoint("runner.before_pause", err) || !runner_pause(r, NULL, r->pause, err) ||
            !failpoint("runner.after_pause", err))
            return false;
    }
    if (!come_to_rest(r, err))
        return false;
    answer_state(r, &r->pause);
    return true;
}

/* --- RESUME --- */

static bool ask_for_slot(struct runner *r, struct error *err)
{
    if (r->slot_asked)
        return true;
    r->slot = false;
    r->slot_asked = runner_tell_control(r, RUNNER_SLOT, NULL, err);
    return r->slot_asked;
}

static void begin_resume(struct runner *r, struct control_request *request)
{
    struct error err;

    if (r->resume != NULL)
        answer_state(r, &r->resume); /* one of two who want the same */
    if (!ask_for_slot(r, &err)) {
        runner_answer(request, NULL, &err);
        return;
    }
    r->resume = request;
    r->resume_wanted = true;
    r->resume_asked_ms = clock_ms();
    snprintf(r->resume_operator, sizeof r->resume_operator, "%s", request->operator_name);
    snprintf(r->resume_reason, sizeof r->resume_reason, "%s", request->reason == NULL ? "" : request->reason);
}

/* All slots are taken: the wish is written down, and done when its turn comes. */
static void answer_waiting(struct runner *r)
{
    struct error err;

    if (clock_ms() - r->resume_asked_ms >= SLOT_WAIT_MS)
        resync_answer(r); /* its wish to go on is in the row already */
    if (r->resume == NULL || clock_ms() - r->resume_asked_ms < SLOT_WAIT_MS)
        return;
    if (!ledger_want_resume(r->ledger, r->id, r->m.epoch, r->resume_operator, r->resume_reason, &err)) {
        runner_answer(r->resume, NULL, &err);
        r->resume = NULL;
        return;
    }
    snprintf(r->resume->notice, sizeof r->resume->notice,
             "max_concurrent_migrations are under way: it goes on by itself when its turn comes");
    answer_state(r, &r->resume);
}

/* PAUSE of what waits for its turn. */
static void withdraw_resume(struct runner *r, struct control_request *request)
{
    struct error err;

    if (!r->resume_wanted) {
        refuse_pause(r, request);
        return;
    }
    if (!ledger_unwant_resume(r->ledger, r->id, r->m.epoch, request->operator_name, request->reason, &err) ||
        !runner_tell_control(r, RUNNER_REST, NULL, &err)) {
        runner_answer(request, NULL, &err);
        return;
    }
    r->resume_wanted = r->slot = r->slot_asked = false;
    if (r->resume != NULL)
        answer_state(r, &r->resume);
    answer_state(r, &request);
}

/* Everything that may have changed meanwhile, or that an operator has mended, is looked at again. */
static void forget_what_was_known(struct runner *r)
{
    r->at_rest = r->resume_wanted = false;
    r->tap_checked = r->guards_checked = false;
    r->verified = false; /* the keys that were mirrored and not compared are forgotten */
    r->verify_next_ms = r->verify_wait_ms = 0;
    r->verify_behind_violation[0] = '\0';
    r->progress_written_ms = r->lag_read_ms = 0;
    migration_forget_tables(&r->m);
    runner_reset_breaker(r);
}

static bool go_on(struct runner *r, struct error *err)
{
    const char *reason = r->resume_reason;
    struct buf details;
    bool fine;

    buf_init(&details);
    buf_append_text(&details, "{\"reason\": ");
    if (reason[0] == '\0')
        buf_append_text(&details, "null");
    else
        json_text(&details, reason);
    buf_append_text(&details, "}");
    fine = !buf_failed(&details) || error_no_memory(err);
    fine = fine && failpoint("runner.before_resume", err) &&
           runner_enter(r, r->paused_from, r->m.epoch, "migration_resumed",
                        r->resume_operator[0] == '\0' ? NULL : r->resume_operator, buf_text(&details), NULL,
                        NULL, NULL, err);
    buf_done(&details);
    if (!fine)
        return false;
    forget_what_was_known(r);
    if (r->state == MIGRATION_DUAL_WRITE)
        r->dual_write_since_ms = clock_ms();
    runner_log(r, LOG_INFO, "Migration resumed", "resume", 0, r->cursor.events, NULL);
    if (r->resume != NULL)
        answer_state(r, &r->resume);
    resync_answer(r);
    return failpoint("runner.after_resume", err) && runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err);
}

bool orders_step_paused(struct runner *r, struct error *err)
{
    if (!come_to_rest(r, err))
        return false;
    orders_serve(r);
    if (!resync_step(r, err) || (r->resume_wanted && !ask_for_slot(r, err)))
        return false;
    if (r->interrupted || r->look)
        return true;
    if (r->resume_wanted && r->slot)
        return go_on(r, err);
    answer_waiting(r);
    pg_nap(&r->m.wake, r->resume == NULL && r->resync.request == NULL ? 1000 : 50);
    return true;
}

/* --- serving --- */

/* Both ways of a cutover end with a publication that every loop has applied, and open gates. */
static void end_move(struct runner *r)
{
    if (r->state == MIGRATION_DUAL_WRITE && !r->tap_to_open && !r->settling)
        cutover_end_move(r);
}

static void serve_one(struct runner *r, struct control_request *request)
{
    switch (request->verb) {
    case CONTROL_PAUSE:
        withdraw_resume(r, request);
        return;
    case CONTROL_ALTER:
        alter_run(r, request);
        return;
    case CONTROL_RESUME:
        if (r->state == MIGRATION_PAUSED)
            begin_resume(r, request);
        else
            take_resume(r, request);
        return;
    default:
        break;
    }
    if (check_answer_quickly(r, request))
        return;
    if (request->verb == CONTROL_CUTOVER)
        cutover_run(r, request);
    else if (request->verb == CONTROL_REHEARSE)
        cutover_rehearse(r, request);
    else if (request->verb == CONTROL_VERIFY || request->verb == CONTROL_REPAIR)
        runner_verify_answer(r, request);
    else if (request->verb == CONTROL_RESYNC)
        resync_begin(r, request);
    else
        check_answer(r, request);
    end_move(r);
}

void orders_serve(struct runner *r)
{
    struct letter *letter;

    while ((letter = r->requests) != NULL && !r->interrupted && !r->over) {
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        serve_one(r, (struct control_request *)letter);
    }
}

static void refuse_one(struct control_request **request, const struct error *err)
{
    if (*request != NULL)
        runner_answer(*request, NULL, err);
    *request = NULL;
}

void orders_refuse(struct runner *r, const struct error *err)
{
    struct letter *letter, *next;

    LL_FOREACH_SAFE(r->requests, letter, next) {
        if (r->state == MIGRATION_MIGRATED && !r->stopping &&
            ((struct control_request *)letter)->verb == CONTROL_VERIFY)
            continue; /* another runner answers it */
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        runner_answer((struct control_request *)letter, NULL, err);
    }
    refuse_one(&r->abort, err);
    refuse_one(&r->pause, err);
    refuse_one(&r->resume, err);
    refuse_one(&r->resync.request, err);
    refuse_one(&r->resume_writes, err);
    refuse_one(&r->start, err);
}
