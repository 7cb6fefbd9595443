/* cutover_report.c - a cutover in words and numbers: who is in the way, what it has cost.
 * Thread: the runner's.   Start at: cutover_blocked(), cutover_report(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "migrate/cutover_impl.h"
#include "migrate/others.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { HOLDERS_MAX = 8 };

const char *const cutover_step_names[CUTOVER_STEPS] = { "close_gates", "others", "lock",
                                                        "mirror",      "verify", "target",
                                                        "shut_tap",    "switch", "release" };

/* --- who is in the way --- */

static void describe_holders(struct cutover *cut, const struct tap_holder *holders, size_t count,
                             size_t *used)
{
    for (size_t i = 0; i < count && *used < sizeof cut->blockers; i++) {
        char who[24] = "prepared transaction";

        if (!holders[i].prepared)
            snprintf(who, sizeof who, "pid %d", (int)holders[i].pid);
        *used +=
            (size_t)snprintf(cut->blockers + *used, sizeof cut->blockers - *used,
                             "%s%s (%s, %s), %" PRIu64 " ms: %s", *used == 0 ? "" : "; ", who,
                             holders[i].user, holders[i].application, holders[i].age_ms, holders[i].query);
    }
}

static bool is_described(const struct tap_holder *holders, size_t count, int32_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (holders[i].pid == pid)
            return true;
    }
    return false;
}

static PGresult *ask_backends(struct cutover *cut, const struct gate_summary *sum)
{
    struct runner *r = cut->r;
    struct buf pids;
    struct error ignored;
    PGresult *result = NULL;
    char text[16];

    buf_init(&pids);
    for (uint32_t i = 0; i < sum->blocker_count; i++) {
        snprintf(text, sizeof text, "%d", (int)sum->blocker_pids[i]);
        sqltext_array_add(&pids, text);
    }
    sqltext_array_end(&pids);
    if (!buf_failed(&pids) && sum->blocker_count > 0)
        result =
            pg_query(r->m.source_pg, sql_describe_backends, 1, (const char *[]){ buf_text(&pids) }, &ignored);
    buf_done(&pids);
    return result;
}

/* Transactions in flight that only lock rows hold no lock of the tenant's: the loops know them. */
static void describe_in_flight(struct cutover *cut, const struct tap_holder *holders, size_t count,
                               size_t *used)
{
    struct gate_summary sum;
    struct error ignored;
    PGresult *result;

    if (!runner_order_gates(cut->r, GATE_ASK, clock_ms() + 200, &ignored))
        return;
    gatekeeper_sum(&cut->r->gates, &sum);
    result = ask_backends(cut, &sum);
    for (int row = 0; result != NULL && row < PQntuples(result) && *used < sizeof cut->blockers; row++) {
        if (!is_described(holders, count, atoi(PQgetvalue(result, row, 0))))
            *used += (size_t)snprintf(cut->blockers + *used, sizeof cut->blockers - *used,
                                      "%spid %s through pgshunt (%s, %s), %s ms: %.100s",
                                      *used == 0 ? "" : "; ", PQgetvalue(result, row, 0),
                                      PQgetvalue(result, row, 3), PQgetvalue(result, row, 4),
                                      PQgetvalue(result, row, 1), PQgetvalue(result, row, 2));
    }
    PQclear(result);
}

static void describe_others(struct cutover *cut, size_t used)
{
    struct error ignored;
    char who[400];
    bool all;

    if (cut->others && !cut->others_drained && used < sizeof cut->blockers &&
        others_have(cut->r, true, &all, who, &ignored) && !all)
        snprintf(cut->blockers + used, sizeof cut->blockers - used, "%s%s", used == 0 ? "" : "; ", who);
}

/* cutover_timeout, with pid, age and query of everyone in the way. Always false. */
bool cutover_blocked(struct cutover *cut, const char *what, struct error *err)
{
    struct runner *r = cut->r;
    struct tap_holder holders[HOLDERS_MAX];
    struct error ignored;
    size_t count = 0, used = 0;

    cut->blockers[0] = '\0';
    pg_set_deadline(r->m.source_pg, clock_ms() + 500);
    if (!tap_holders(r->m.source_pg, &r->m, holders, HOLDERS_MAX, &count, &ignored))
        count = 0;
    describe_holders(cut, holders, count, &used);
    describe_in_flight(cut, holders, count, &used);
    pg_set_deadline(r->m.source_pg, 0);
    describe_others(cut, used);
    error_set(err, "57014", "the %s was rolled back: %s did not end within %" PRId64 " ms",
              cut->rehearsal ? "rehearsal" : "cutover", what, r->m.settings.cutover_timeout_ms);
    error_detail(err, "cutover_timeout: blocked by %s",
                 cut->blockers[0] == '\0' ? "nobody who can be named" : cut->blockers);
    return error_hint(
        err, "Wait for them or end them, or CUTOVER MIGRATION '%.8s' WITH (cutover_timeout_ms = …).", r->id);
}

/* --- what it cost --- */

double cutover_pause_ms(const struct cutover *cut)
{
    return cut->opened_us > cut->closed_us && cut->closed_us > 0
               ? (double)(cut->opened_us - cut->closed_us) / 1000
               : 0;
}

void cutover_report(struct cutover *cut, const struct error *why)
{
    struct runner *r = cut->r;
    struct buf json;
    struct error err;

    buf_init(&json);
    buf_append_format(&json,
                      "{\"pause_ms\": %.3f, \"held_writes\": %" PRIu32 ", \"longest_hold_ms\": %" PRIu64
                      ", \"cutover_tries\": %u, \"cutover_result\": \"%s\"",
                      cutover_pause_ms(cut), cut->held_count, cut->held_ms_longest, cut->tries,
                      r->state == MIGRATION_MIGRATED ? "switched" : "rolled back");
    for (size_t i = 0; i < CUTOVER_STEPS; i++)
        buf_append_format(&json, ", \"cutover_%s_us\": %" PRIu64, cutover_step_names[i], cut->step_us[i]);
    if (cut->blockers[0] != '\0') {
        buf_append_text(&json, ", \"cutover_blockers\": ");
        json_text(&json, cut->blockers);
    }
    if (why != NULL) {
        buf_append_text(&json, ", \"cutover_error\": ");
        json_text(&json, why->message);
    }
    buf_append_text(&json, "}");
    if (!buf_failed(&json) && !ledger_is_broken(r->ledger) &&
        !ledger_report(r->ledger, r->id, LEDGER_CUTOVER, "cutover_report", buf_text(&json),
                       cut->request->operator_name, &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down its cutover", r->id);
    buf_done(&json);
}

struct rows *cutover_rows(const struct cutover *cut)
{
    static const struct {
        const char *name;
        enum rows_type type;
    } columns[] = { { "id", ROWS_UUID },           { "tenant_id", ROWS_TEXT },
                    { "state", ROWS_TEXT },        { "pause_ms", ROWS_FLOAT8 },
                    { "held_writes", ROWS_INT8 },  { "longest_hold_ms", ROWS_INT8 },
                    { "events_copied", ROWS_INT8 } };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i].name, columns[i].type);
    rows_text(rows, cut->r->id);
    rows_text(rows, cut->r->m.tenant);
    rows_text(rows, migration_state_name(cut->r->state));
    rows_format(rows, "%.3f", cutover_pause_ms(cut));
    rows_number(rows, cut->held_count);
    rows_number(rows, (int64_t)cut->held_ms_longest);
    rows_number(rows, cut->r->cursor.events);
    return rows;
}
