/* cutover_rehearse.c - REHEARSE CUTOVER (DESIGN §4.8): steps 1 to 4 and the way back, as often as wanted.
 * Writers are held exactly as they would be; the tap stays open, the route stays the source's, the target's
 * guard lets nobody in. Where the real one shuts the tap and switches, a rehearsal makes commits of the same
 * kind: the lock's session claims the tap once more, and the state goes back to dual_write. Thread: the
 * runner's.   Start at: cutover_rehearse(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "migrate/cutover_impl.h"
#include "migrate/runner_orders.h"
#include "migrate/settings.h"
#include "sql_embedded.h"

enum { REST_MS = 100 /* between two: who was held has caught up */ };

struct rehearsals {
    struct runner *r;
    struct rows *rows;
    size_t count, blocked;
    double pause_ms[CUTOVER_REHEARSALS_MAX]; /* of those that came to their end */
    uint64_t longest_hold_ms;
};

/* Step 5 as far as it goes: a commit at the source, by the same session. */
static bool try_shut(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = clock_us();
    bool fine = tap_lock_probe(cut->lock, err);

    cut->step_us[STEP_SHUT] = clock_us() - begun_us;
    return fine;
}

static bool rehearse(struct cutover *cut, struct error *err)
{
    return cutover_pause(cut, err) && cutover_close_gates(cut, err) && cutover_drain(cut, err) &&
           cutover_catch_up(cut, err) && try_shut(cut, err);
}

static void add_ms(struct rows *rows, uint64_t us)
{
    rows_format(rows, "%.3f", (double)us / 1000);
}

static void add_row(struct rehearsals *all, const struct cutover *cut, const struct error *why)
{
    struct rows *rows = all->rows;

    rows_number(rows, (int64_t)all->count);
    rows_text(rows, why == NULL ? "ok" : "would be rolled back");
    rows_format(rows, "%.3f", cutover_pause_ms(cut));
    rows_number(rows, cut->held_count);
    rows_number(rows, (int64_t)cut->held_ms_longest);
    for (size_t step = 0; step < CUTOVER_STEPS; step++)
        add_ms(rows, cut->step_us[step]);
    rows_text(rows, cut->blockers[0] != '\0' ? cut->blockers : why == NULL ? NULL : why->message);
}

static void begin_rows(struct rows *rows)
{
    char name[40];

    rows_column(rows, "n", ROWS_INT8);
    rows_column(rows, "result", ROWS_TEXT);
    rows_column(rows, "pause_ms", ROWS_FLOAT8);
    rows_column(rows, "held_writes", ROWS_INT8);
    rows_column(rows, "longest_hold_ms", ROWS_INT8);
    for (size_t step = 0; step < CUTOVER_STEPS; step++) {
        snprintf(name, sizeof name, "%s_ms", cutover_step_names[step]);
        rows_column(rows, name, ROWS_FLOAT8);
    }
    rows_column(rows, "blocked_by", ROWS_TEXT);
}

/* One of them. false: it is not over (the way back is the runner's now), or nothing more can be rehearsed. */
static bool rehearse_once(struct rehearsals *all, const struct control_request *request, struct error *err)
{
    struct runner *r = all->r;
    struct cutover cut = { .r = r, .request = request, .rehearsal = true };
    struct error why;
    bool fine;

    error_clear(&why);
    if (!failpoint("cutover.before_rehearsal", err) || !cutover_begin_move(r, err))
        return false;
    r->critical = r->revocable = true;
    r->recalled = false;
    fine = rehearse(&cut, &why);
    r->revocable = false;
    if (!fine && r->recalled)
        cutover_called_off(r, &why);
    cutover_end_rehearsal(&cut, fine ? NULL : &why);
    tap_lock_close(cut.lock);
    orders_writes_resumed(r, cutover_pause_ms(&cut), cut.held_count, cut.held_ms_longest);
    r->critical = false;
    if (r->state != MIGRATION_DUAL_WRITE || r->settling || r->tap_to_open) {
        *err = why;
        return error_is_set(err) ||
               error_set(err, "08007", "the rehearsal of migration %s is not over yet", r->id);
    }
    cutover_end_move(r);
    if (!fine && !error_is(&why, "57014")) {
        *err = why;
        return false;
    }
    all->count++;
    if (fine)
        all->pause_ms[all->count - all->blocked - 1] = cutover_pause_ms(&cut);
    else
        all->blocked++;
    if (cut.held_ms_longest > all->longest_hold_ms)
        all->longest_hold_ms = cut.held_ms_longest;
    add_row(all, &cut, fine ? NULL : &why);
    return failpoint("cutover.after_rehearsal", err);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Written down and audited: else it has not been. */
static bool write_summary(struct rehearsals *all, const struct control_request *request, struct error *err)
{
    struct runner *r = all->r;
    size_t done = all->count - all->blocked;
    char json[300], epoch[24];
    const char *const values[] = { r->id, epoch, json,
                                   request->operator_name[0] == '\0' ? NULL : request->operator_name };

    qsort(all->pause_ms, done, sizeof all->pause_ms[0], compare);
    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    snprintf(json, sizeof json,
             "{\"rehearsals\": %zu, \"blocked\": %zu, \"pause_ms_median\": %.3f, \"pause_ms_max\": %.3f, "
             "\"longest_hold_ms\": %" PRIu64 "}",
             all->count, all->blocked, done == 0 ? 0 : all->pause_ms[done / 2],
             done == 0 ? 0 : all->pause_ms[done - 1], all->longest_hold_ms);
    return pg_run(ledger_pg(r->ledger), sql_write_rehearsal, 4, values, err);
}

/* Between two: the mirror goes on, letters are read. false: somebody wants something else. */
static bool rest(struct runner *r, struct error *err)
{
    bool more = true;

    if (r->interrupted || r->stopping || r->look)
        return error_set(err, "57014", "the rehearsals were interrupted");
    pg_nap(&r->m.wake, REST_MS);
    while (more) {
        if (!runner_mirror(r, &more, err))
            return false;
    }
    return true;
}

void cutover_rehearse(struct runner *r, struct control_request *request)
{
    struct rehearsals all = { .r = r, .rows = rows_new() };
    int64_t times = request->times < 1 ? 1 : request->times;
    struct error err;
    bool fine = all.rows != NULL || error_no_memory(&err);

    error_clear(&err);
    if (fine)
        begin_rows(all.rows);
    for (int64_t i = 0; fine && i < times; i++)
        fine = (i == 0 || rest(r, &err)) && rehearse_once(&all, request, &err);
    if (all.count > 0 && r->owned && !ledger_is_broken(r->ledger)) {
        struct error unwritten;

        if (!write_summary(&all, request, &unwritten) && fine) {
            err = unwritten;
            fine = false;
        }
    }
    if (!fine) {
        rows_free(all.rows);
        all.rows = NULL;
    }
    runner_answer(request, all.rows, fine ? NULL : &err);
}
