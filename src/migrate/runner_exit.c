/* runner_exit.c - the ways out: pause, failure, abort, a row that was changed by hand. Part of the runner
 * (runner.h); its thread. */
#include "migrate/runner.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/cutover.h"
#include "migrate/purge.h"
#include "migrate/settings.h"
#include "migrate/tap.h"

/* --- ways out --- */

void runner_drop_gates(struct runner *r)
{
    struct error err;

    r->gates_made = false;
    if (!r->gates_ordered)
        return; /* those of the loops' own go with the route */
    r->gates_ordered = false;
    if (!runner_order_gates(r, GATE_DROP, clock_ms() + LETTER_TIMEOUT_MS, &err) && !r->stopping)
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: dropping its gates", r->id);
}

bool runner_pause(struct runner *r, const struct error *why, const struct control_request *request,
                  struct error *err)
{
    enum migration_state from = r->state;
    struct buf details;
    bool fine;

    buf_init(&details);
    buf_append_text(&details, "{\"reason\": ");
    if (request == NULL || request->reason == NULL)
        buf_append_text(&details, "null");
    else
        json_text(&details, request->reason);
    buf_append_text(&details, "}");
    fine = !buf_failed(&details) || error_no_memory(err);
    fine = fine && runner_enter(r, MIGRATION_PAUSED, r->m.epoch, "migration_paused",
                                request == NULL ? NULL : request->operator_name, buf_text(&details), why,
                                why == NULL ? NULL : "error", why == NULL ? NULL : "recoverable", err);
    buf_done(&details);
    if (!fine)
        return false;
    r->paused_from = from;
    r->at_rest = false;
    runner_log(r, why == NULL ? LOG_INFO : LOG_WARN, "Migration paused", "pause", 0, r->cursor.events, why);
    return true;
}

/* The route is the source's at once; the gates open; only then the tap, which may take its time. */
static bool abort_begin(struct runner *r, struct error *err)
{
    const char *who = r->abort == NULL ? NULL : r->abort->operator_name;
    const char *reason = r->abort == NULL ? NULL : r->abort->reason;

    if (r->abort_written)
        return true;
    if (!failpoint("runner.before_abort", err) ||
        !ledger_abort(r->ledger, r->id, r->m.epoch, who, reason, &r->routed, err))
        return false;
    r->abort_written = true;
    if (!failpoint("runner.after_abort_written", err))
        return false;
    if (r->state == MIGRATION_FAILED)
        return true; /* its route and its gates are nobody's since, or another migration's */
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
        return false;
    /* A tap that is shut would refuse what an open gate lets through. */
    if (!r->tap_to_open)
        runner_drop_gates(r);
    return true;
}

static bool abort_end(struct runner *r, struct error *err)
{
    const char *who = r->abort == NULL ? NULL : r->abort->operator_name;
    struct rows *rows;
    int64_t purged = 0;

    if (r->state == MIGRATION_FAILED ? !runner_clean_up(r, err)
                                     : !runner_connect_source(r, err) ||
                                           !tap_evict(r->m.source_pg, &r->m, err) || !tap_remove(&r->m, err))
        return false;
    r->over = false;
    if (r->tap_to_open)
        runner_drop_gates(r);
    r->tap_to_open = false;
    if (r->purge_requested && !purge_target(&r->m, &purged, err))
        return false;
    if (!failpoint("runner.before_rolled_back", err) ||
        !runner_enter(r, MIGRATION_ROLLED_BACK, r->m.epoch, "migration_aborted", who, NULL, NULL, NULL, NULL,
                      err))
        return false;
    runner_log(r, LOG_INFO, "Migration rolled back", "abort", 0, r->cursor.events, NULL);
    r->over = true;
    rows = rows_new();
    if (rows != NULL) {
        rows_column(rows, "id", ROWS_TEXT);
        rows_column(rows, "state", ROWS_TEXT);
        rows_text(rows, r->id);
        rows_text(rows, migration_state_name(r->state));
    }
    runner_answer(r->abort, rows, NULL);
    r->abort = NULL;
    return true;
}

/* The operator learns at once that it will take longer; the migration's row says why. */
static void abort_delayed(struct runner *r, const struct error *why)
{
    struct error told = *why, err;

    if (!r->abort_written)
        return;
    ledger_note(r->ledger, r->id, r->m.epoch, why, "error", "transient", &err);
    if (r->abort == NULL)
        return;
    snprintf(told.message, sizeof told.message,
             "the route is at the source, but the tap is not removed yet: %.400s", why->message);
    error_hint(&told, "It is tried until it succeeds; SHOW MIGRATION '%s' tells.", r->id);
    runner_answer(r->abort, NULL, &told);
    r->abort = NULL;
}

/* Nothing has been written down yet: the ABORT has not been. */
static bool refuse_purge(struct runner *r, struct error *err)
{
    if (!error_is(err, "55000"))
        return false;
    r->abort_requested = r->purge_requested = false;
    runner_answer(r->abort, NULL, err);
    r->abort = NULL;
    return true; /* what is left of it is cleaned up */
}

bool runner_abort(struct runner *r, struct error *err)
{
    r->interrupted = r->stopping;
    /* A cutover that was found half done is settled first: it may have been switched. */
    if (r->state == MIGRATION_CUTOVER_PAUSED && !r->tap_to_open && !cutover_settle(r, err))
        return false;
    if (r->state == MIGRATION_MIGRATED) {
        r->abort_requested = false;
        error_set(err, "55000", "migration %s is migrated", r->id);
        error_detail(err, "invalid_state_transition: only an active or failed migration can be aborted");
        runner_answer(r->abort, NULL, err);
        r->abort = NULL;
        return true;
    }
    if (r->state == MIGRATION_FAILED && r->purge_requested && !r->abort_written &&
        !ledger_may_purge(r->ledger, r->id, err))
        return refuse_purge(r, err);
    if (abort_begin(r, err) && abort_end(r, err))
        return true;
    if (!r->stopping)
        abort_delayed(r, err);
    return false;
}
