/* runner_mirror.c - what goes on while the mirror runs: progress written down, target failures.
 * Part of the runner (runner.h); its thread. */
#include "migrate/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/failure.h"
#include "migrate/runner_alter.h"
#include "migrate/settings.h"
#include "migrate/tap.h"

enum {
    PROGRESS_MS = 1000,
    TARGET_SILENCE_MS = 15000, /* a batch's answers come at its end */
    TREND_MS = 3000,
};

/* --- progress --- */

bool runner_write_progress(struct runner *r, struct error *err)
{
    uint64_t now_ms = clock_ms();

    if (now_ms - r->progress_written_ms < PROGRESS_MS)
        return true;
    r->progress_written_ms = now_ms;
    if (r->cursor.done || r->total_events < r->cursor.events)
        r->total_events = r->cursor.events; /* it was an estimate */
    r->progress.total_events = r->total_events;
    r->progress.events_copied = r->cursor.events;
    r->progress.source_position = r->cursor.position;
    r->progress.sync_lag_events = r->lag_entries;
    r->progress.percentage =
        r->state != MIGRATION_BULK_COPY || r->cursor.done || r->progress.total_events == 0
            ? 100.0
            : 100.0 * (double)r->cursor.events / (double)r->progress.total_events;
    return ledger_progress(r->ledger, r->id, r->m.epoch, &r->progress, err);
}

/* One look says nothing under load: the number swings from pass to pass. */
static void note_trend(struct runner *r)
{
    if (clock_ms() - r->lag_then_ms < TREND_MS)
        return;
    r->lag_trend = r->lag_entries < r->lag_then ? -1 : r->lag_entries > r->lag_then;
    r->lag_then = r->lag_entries;
    r->lag_then_ms = clock_ms();
}

bool runner_read_lag(struct runner *r, struct error *err)
{
    if (clock_ms() - r->lag_read_ms < PROGRESS_MS)
        return true;
    r->lag_read_ms = clock_ms();
    if (!tap_lag(r->m.source_pg, &r->m, &r->lag_entries, &r->lag_oldest_ms, err))
        return false;
    note_trend(r);
    return true;
}

bool runner_on_copied(void *who, const struct cursor *cursor)
{
    struct runner *r = who;
    struct error err;
    uint64_t before_ms = r->progress_written_ms;

    r->cursor = *cursor;
    runner_letters(r);
    if (!failpoint("runner.bulk_copy", &err))
        return false;
    alter_run_waiting(r);
    if (!runner_write_progress(r, &err))
        return false; /* the next round opens the ledger again */
    if (r->progress_written_ms != before_ms)
        runner_log(r, LOG_INFO, "Bulk copy progress", "copy", 0, cursor->events, NULL);
    return !r->interrupted;
}

/* --- the mirror --- */

void runner_target_failed(struct runner *r, const struct error *why)
{
    struct error err, explained = *why;

    failure_explain(&explained);
    breaker_failure(&r->breaker, clock_ms());
    if (!r->write_failing || r->breaker.state == BREAKER_OPEN)
        runner_log(r, LOG_WARN, "Target write failed", "mirror", 0, r->lag_entries, why);
    r->write_failing = true;
    r->last_error = explained;
    if (!ledger_write_failed(r->ledger, r->id, r->lag_entries, why, &err) ||
        !ledger_note(r->ledger, r->id, r->m.epoch, &explained, failure_classify(why)->severity,
                     failure_kind_name(failure_classify(why)->kind), &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down a target failure",
                  r->id);
}

static void target_recovered(struct runner *r)
{
    struct error err;

    breaker_success(&r->breaker);
    if (!r->write_failing || r->breaker.state != BREAKER_CLOSED)
        return;
    r->write_failing = false;
    log_line(r->setup->log, LOG_INFO, "runner", "migration %s: the target is back", r->id);
    if (!ledger_write_recovered(r->ledger, r->id, &err) ||
        !ledger_note(r->ledger, r->id, r->m.epoch, NULL, NULL, NULL, &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down a recovery", r->id);
}

bool runner_mirror(struct runner *r, bool *more, struct error *err)
{
    struct mirror_pass pass = { 0 };
    bool fine;

    *more = false;
    r->rung = false;
    for (size_t i = 0; i < r->rung_count; i++)
        mirror_know_backend(r->mirror, r->rung_pids[i]);
    r->rung_count = 0;
    r->target_since_ms = clock_ms();
    pg_set_silence(r->m.target_pg, TARGET_SILENCE_MS);
    fine = mirror_run(r->mirror, &pass, err);
    if (r->m.target_pg != NULL)
        pg_set_silence(r->m.target_pg, 0);
    r->target_since_ms = 0;
    if (!fine)
        return false;
    *more = pass.more;
    if (pass.entries > 0 || r->breaker.state != BREAKER_CLOSED)
        target_recovered(r);
    return true;
}

/* Until a pass finds less than a batch: under load there is always something. */
bool runner_mirror_up(struct runner *r, struct error *err)
{
    bool more = true;

    while (more && !r->interrupted) {
        if (!failpoint("runner.mirror", err) || !runner_mirror(r, &more, err))
            return false;
    }
    return true;
}
