/* runner_verify.c - verification as a migration goes through it: by itself before a cutover, behind the
 * mirror, and as an operator asks for it (VERIFY, REPAIR), also while it is paused and after the switch. Part
 * of the runner (runner.h); its thread. Leaves: comparing to the verifier, RESYNC to runner_resync.c.   Start
 * at: runner_verify_answer(). */
#include "migrate/runner_verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/runner_alter.h"
#include "migrate/ledger_notes.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum {
    VERIFY_BEHIND_MS = 200,
    VERIFY_AGAIN_MS_MIN = 5000, /* after a violation: what differed may be repaired by the next passes */
    VERIFY_AGAIN_MS_MAX = 600000,
    TELL_MS = 2000,
    TOLD_MAX = 10,        /* violations that the operator is told at once; the report has more */
    REPAIR_PASSES = 1000, /* of the mirror until what was captured for it is through, under any load */
};

/* --- telling ------------------------------------------------------------------------------------------ */

static void tell(struct runner *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct runner *r, const char *fmt, ...)
{
    struct news_letter *news;
    va_list args;

    if (r->verify == NULL || r->verify->letter.reply_to == NULL)
        return;
    news = news_letter_new(r->verify->tag);
    if (news == NULL)
        return; /* a notice is no reason to fail */
    va_start(args, fmt);
    vsnprintf(news->text, sizeof news->text, fmt, args);
    va_end(args);
    letter_send(r->verify->letter.reply_to, &news->letter);
}

void runner_verify_progress(void *who, const struct verifier_report *so_far)
{
    struct runner *r = who;
    uint64_t now_ms = clock_ms();

    if (now_ms - r->verify_told_ms < TELL_MS)
        return;
    r->verify_told_ms = now_ms;
    tell(r,
         "%s: %" PRId64 " streams and %" PRId64 " of %" PRId64 " events compared, %" PRId64
         " to look at again",
         verifier_level_name(so_far->level), so_far->streams, so_far->events, so_far->events_total,
         so_far->suspects);
}

static void log_violation(struct runner *r, const char *what)
{
    struct error found;

    error_set(&found, "XX001", "%s", what);
    error_detail(&found, "consistency_error");
    runner_log(r, LOG_ERROR, "Consistency check failed", "verify", r->verification.duration_ms,
               r->verification.events, &found);
}

/* --- reports ------------------------------------------------------------------------------------------ */

static void append_digest(struct buf *json, const struct verifier_report *report, int side)
{
    buf_append_format(json, ", \"%s_digest\": \"", side == 0 ? "source" : "target");
    for (size_t i = 0; i < sizeof report->digest[side]; i++)
        buf_append_format(json, "%02x", report->digest[side][i]);
    buf_append_text(json, "\"");
}

void runner_report_append(const struct verifier_report *report, struct buf *json)
{
    buf_append_format(json,
                      "\"level\": \"%s\", \"sample\": %g, \"streams\": %" PRId64 ", \"events\": %" PRId64
                      ", \"suspects\": %" PRId64 ", \"violations\": %" PRId64 ", \"missing\": %" PRId64
                      ", \"extra\": %" PRId64 ", \"different\": %" PRId64 ", \"reordered\": %" PRId64
                      ", \"all_suspects_settled\": %s, \"duration_ms\": %" PRIu64 ", \"first_violation\": ",
                      verifier_level_name(report->level), report->percent, report->streams, report->events,
                      report->suspects, report->violations, report->kinds[VERIFIER_MISSING],
                      report->kinds[VERIFIER_EXTRA], report->kinds[VERIFIER_DIFFERENT],
                      report->kinds[VERIFIER_REORDERED], report->more ? "false" : "true",
                      report->duration_ms);
    if (report->violations > 0)
        json_text(json, report->first);
    else
        buf_append_text(json, "null");
    if (report->level == VERIFIER_HASH && report->events_total > 0) {
        append_digest(json, report, 0);
        append_digest(json, report, 1);
    }
    if (report->listed_count > 0)
        buf_append_format(json, ", \"listed\": [%.*s]", (int)buf_bytes(&report->listed),
                          buf_at(&report->listed));
}

/* The highest position of the tenant on one side; left out where it cannot be asked. */
static void append_position(struct runner *r, bool of_target, struct buf *json)
{
    const struct moved_table *table = &r->m.tables[0];
    struct buf sql, tenant, position;
    PGresult *result = NULL;
    struct error ignored;

    if (table->names->position[0] == '\0')
        return;
    buf_init(&sql);
    buf_init(&tenant);
    buf_init(&position);
    relation_append_identifier(&tenant, table->names->tenant);
    relation_append_identifier(&position, table->names->position);
    sqltext_expand(&sql, sql_copy_high, r->m.control_schema,
                   (const struct sqltext_value[]){
                       { "table", of_target ? table->target.qualified : table->source.qualified },
                       { "tenant_column", buf_text(&tenant) },
                       { "position_column", buf_text(&position) } },
                   3);
    if (!buf_failed(&sql) && !buf_failed(&tenant) && !buf_failed(&position))
        result = pg_query(of_target ? r->m.target_pg : r->m.source_pg, buf_text(&sql), 1,
                          (const char *[]){ r->m.tenant }, &ignored);
    if (result != NULL && !PQgetisnull(result, 0, 0)) {
        buf_append_format(json, ", \"%s_position\": ", of_target ? "target" : "source");
        json_text(json, PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    buf_done(&sql);
    buf_done(&tenant);
    buf_done(&position);
}

void runner_report_positions(struct runner *r, struct buf *json)
{
    append_position(r, false, json);
    append_position(r, true, json);
}

static bool write_started(struct runner *r, const struct verifier_order *order, const char *who,
                          const char *what, struct error *err)
{
    char details[96];

    snprintf(details, sizeof details, "{\"level\": \"%s\", \"sample\": %g, \"for\": \"%s\"}",
             verifier_level_name(order->level), order->percent, what);
    return ledger_event(r->ledger, r->id, "verification_started", who, details, err);
}

/* `why`: it could not be run. */
static bool write_verification(struct runner *r, const struct verifier_report *report, const char *who,
                               bool switched, const struct error *why, struct error *err)
{
    struct buf json;
    bool passed = why == NULL && report->violations == 0, fine;

    buf_init(&json);
    buf_append_format(&json, "{\"result\": \"%s\", ",
                      why != NULL               ? "not run"
                      : report->violations == 0 ? "passed"
                                                : "violations");
    runner_report_append(report, &json);
    if (switched)
        buf_append_text(
            &json, ", \"compared\": \"the source's rows, as they were at the switch, with those of the same "
                   "key in the target\"");
    if (why != NULL) {
        buf_append_text(&json, ", \"error\": ");
        json_text(&json, why->message);
    } else {
        runner_report_positions(r, &json);
    }
    buf_append_text(&json, "}");
    fine = buf_failed(&json) ? error_no_memory(err)
                             : ledger_report(r->ledger, r->id, LEDGER_VERIFICATION,
                                             passed ? "verification_completed" : "verification_failed",
                                             buf_text(&json), who, err);
    buf_done(&json);
    return fine;
}

/* --- by itself ---------------------------------------------------------------------------------------- */

static bool is_ours(const struct control_request *request)
{
    return request->verb == CONTROL_VERIFY || request->verb == CONTROL_REPAIR ||
           request->verb == CONTROL_RESYNC;
}

/* What has been asked is answered from memory, so that nobody waits for the verification; but CUTOVER … FORCE
 * goes first. */
static bool clear_requests(struct runner *r)
{
    struct letter *letter, *next;

    alter_run_waiting(r);
    LL_FOREACH_SAFE(r->requests, letter, next) {
        struct control_request *request = (struct control_request *)letter;

        if (request->verb == CONTROL_CUTOVER && request->force)
            return false;
        if (is_ours(request))
            continue;
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        if (!check_answer_quickly(r, request))
            runner_answer(request, NULL, &(struct error){ "55000", "the verification is running", "", "" });
    }
    return true;
}

/* What a verification of all streams has found is what a cutover goes by. */
static void take_result(struct runner *r, struct verifier_report *report)
{
    verifier_report_done(&r->verification);
    r->verification = *report;
    memset(report, 0, sizeof *report);
    r->verified = r->verification.violations == 0;
    if (r->verified) {
        r->verify_behind_violation[0] = '\0';
        r->verify_needed = false;
        r->verify_wait_ms = 0;
        log_line(r->setup->log, LOG_INFO, "runner",
                 "migration %s: verified (%s), %" PRId64 " events in %" PRId64 " streams, %" PRIu64 " ms",
                 r->id, verifier_level_name(r->verification.level), r->verification.events,
                 r->verification.streams, r->verification.duration_ms);
        return;
    }
    log_violation(r, r->verification.first);
    r->verify_wait_ms = r->verify_wait_ms == 0 ? VERIFY_AGAIN_MS_MIN : r->verify_wait_ms * 2;
    if (r->verify_wait_ms > VERIFY_AGAIN_MS_MAX)
        r->verify_wait_ms = VERIFY_AGAIN_MS_MAX;
    r->verify_next_ms = clock_ms() + r->verify_wait_ms;
}

bool runner_verify_is_off(const struct runner *r)
{
    return !r->verify_needed && strcmp(r->m.settings.verify_consistency, "off") == 0;
}

bool runner_verify_all(struct runner *r, struct error *err)
{
    struct verifier_order order = {
        .level = VERIFIER_HASH, .percent = 100, .tell = runner_verify_progress, .who = r
    };
    struct verifier_report report = { 0 };
    bool fine;

    if (r->verified || runner_verify_is_off(r) || clock_ms() < r->verify_next_ms ||
        r->breaker.state != BREAKER_CLOSED)
        return true;
    verifier_level_parse(r->m.settings.verify_consistency, &order.level); /* "on", "off": hash */
    r->verifying = true;
    fine = clear_requests(r);
    if (!fine) {
        r->verifying = false;
        return true;
    }
    fine = failpoint("runner.before_verify", err) && write_started(r, &order, NULL, "cutover", err) &&
           verifier_run(&r->m, r->mirror, &order, &report, err);
    r->verifying = false;
    if (fine) {
        take_result(r, &report);
        fine = write_verification(r, &r->verification, NULL, false, NULL, err);
    }
    verifier_report_done(&report);
    return fine;
}

/* What the mirror has applied is compared by key soon after, so that a cutover has little left to compare. */
bool runner_verify_behind(struct runner *r, struct error *err)
{
    uint64_t now_ms = clock_ms();

    if (mirror_unverified(r->mirror) == 0 || now_ms - r->verify_behind_ms < VERIFY_BEHIND_MS)
        return true;
    r->verify_behind_ms = now_ms;
    if (mirror_verify_behind(r->mirror, err))
        return true;
    if (!error_is(err, "XX001"))
        return false;
    snprintf(r->verify_behind_violation, sizeof r->verify_behind_violation, "%.250s", err->message);
    log_violation(r, err->message);
    r->verified = false; /* only another full verification takes that back */
    r->verify_needed = true;
    r->verify_next_ms = now_ms + VERIFY_AGAIN_MS_MIN;
    return true;
}

/* --- as it is asked for ------------------------------------------------------------------------------- */

static bool read_percent(const char *text, double *percent, struct error *err)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !isfinite(value) || value <= 0 || value > 100)
        return error_set(err, "22023", "SAMPLE must be a percentage above 0 and up to 100, not \"%.40s\"",
                         text);
    *percent = value;
    return true;
}

static bool read_order(const struct control_request *request, struct verifier_order *order, struct error *err)
{
    for (size_t i = 0; i < request->option_count; i++) {
        const struct control_option *option = &request->options[i];

        if (strcmp(option->name, "level") == 0 && !verifier_level_parse(option->value, &order->level))
            return error_set(err, "22023", "LEVEL must be count, hash or full, not \"%.40s\"", option->value);
        if (strcmp(option->name, "sample") == 0 && !read_percent(option->value, &order->percent, err))
            return false;
        if (strcmp(option->name, "stream") == 0) {
            if (order->stream_count == VERIFIER_STREAM_COLUMNS_MAX)
                return error_set(err, "22023", "a stream is named by at most %d values",
                                 VERIFIER_STREAM_COLUMNS_MAX);
            order->stream[order->stream_count++] = option->value;
        }
    }
    return true;
}

bool runner_verify_refuse(struct runner *r, struct control_request *request)
{
    struct error err;
    bool allowed = r->state == MIGRATION_DUAL_WRITE ||
                   (r->state == MIGRATION_PAUSED && request->verb != CONTROL_REPAIR) ||
                   (r->state == MIGRATION_MIGRATED && request->verb == CONTROL_VERIFY);

    if (allowed && !r->abort_requested &&
        (r->state != MIGRATION_DUAL_WRITE || request->verb == CONTROL_RESYNC ||
         (r->connected && r->breaker.state != BREAKER_OPEN)))
        return false;
    if (r->abort_requested)
        error_set(&err, "55000", "migration %s is being aborted", r->id);
    else if (allowed)
        error_set(&err, "55000", "migration %s cannot be verified now: a store cannot be reached", r->id);
    else
        error_set(&err, "55000", "migration %s is in state %s", r->id, migration_state_name(r->state));
    error_detail(&err, "invalid_state_transition: %s",
                 request->verb == CONTROL_VERIFY
                     ? "what is verified is complete: dual_write, paused or migrated"
                 : request->verb == CONTROL_REPAIR ? "the mirror repairs, which runs in dual_write"
                                                   : "a resynchronisation begins in dual_write or paused");
    error_hint(&err, "SHOW MIGRATION '%s' tells how far it is.", r->id);
    runner_answer(request, NULL, &err);
    return true;
}

static bool connect(struct runner *r, struct error *err)
{
    if (r->state == MIGRATION_DUAL_WRITE)
        return true; /* as the mirror has them */
    runner_drop_broken(r);
    return migration_connect(&r->m, err);
}

/* It has ended what was under way; what is written down of it must not be ended, too. */
static void forget_cancel(struct runner *r)
{
    if (r->verify_cancelled)
        r->interrupted = r->stopping || r->abort_requested;
    r->verify_cancelled = false;
}

static bool verify(struct runner *r, struct control_request *request, struct verifier_report *report,
                   struct error *err)
{
    struct verifier_order order = { .level = VERIFIER_HASH,
                                    .percent = 100,
                                    .switched = r->state == MIGRATION_MIGRATED,
                                    .tell = runner_verify_progress,
                                    .who = r };
    struct error ignored;
    bool fine;

    if (!read_order(request, &order, err) || !connect(r, err) ||
        !write_started(r, &order, request->operator_name, "operator", err))
        return false;
    fine = failpoint("runner.before_verify", err) &&
           verifier_run(&r->m, r->state == MIGRATION_DUAL_WRITE ? r->mirror : NULL, &order, report, err);
    forget_cancel(r);
    if (!fine)
        write_verification(r, report, request->operator_name, order.switched, err, &ignored);
    return fine && write_verification(r, report, request->operator_name, order.switched, NULL, err);
}

/* Until everything that was captured when this began is in the target. */
static bool mirror_through(struct runner *r, struct error *err)
{
    bool more = true;

    for (int passes = 0; more && passes < REPAIR_PASSES; passes++) {
        if (!runner_mirror(r, &more, err))
            return false;
        if (runner_letters(r))
            return error_set(err, "57014", "the repair was interrupted");
    }
    return true;
}

static bool write_repair(struct runner *r, struct control_request *request,
                         const struct verifier_order *order, const struct verifier_report *before,
                         const struct verifier_report *after, struct error *err)
{
    struct buf json;
    bool fine;

    buf_init(&json);
    buf_append_format(&json, "{\"result\": \"%s\", \"repaired\": %" PRId64 ", ",
                      after->violations == 0 ? "repaired" : "violations", before->captured);
    if (order->stream_count > 0) {
        buf_append_text(&json, "\"stream\": [");
        for (size_t i = 0; i < order->stream_count; i++) {
            buf_append_text(&json, i == 0 ? "" : ", ");
            json_text(&json, order->stream[i]);
        }
        buf_append_text(&json, "], ");
    }
    buf_append_text(&json, "\"before\": {");
    runner_report_append(before, &json);
    buf_append_text(&json, "}, ");
    runner_report_append(after, &json);
    runner_report_positions(r, &json);
    buf_append_text(&json, "}");
    fine = buf_failed(&json) ? error_no_memory(err)
                             : ledger_report(r->ledger, r->id, LEDGER_REPAIR, "repair_completed",
                                             buf_text(&json), request->operator_name, err);
    buf_done(&json);
    return fine;
}

/* What differs is captured, so that the mirror brings it under its own ownership; then both sides are
 * compared again. */
static bool repair(struct runner *r, struct control_request *request, struct verifier_report *before,
                   struct verifier_report *after, struct error *err)
{
    struct verifier_order order = {
        .level = VERIFIER_HASH, .percent = 100, .repair = true, .tell = runner_verify_progress, .who = r
    };

    if (!read_order(request, &order, err) ||
        (order.stream_count > 0 && !verifier_check_stream(&r->m, order.stream_count, err)) ||
        !write_started(r, &order, request->operator_name, "repair", err) ||
        !failpoint("repair.before_capture", err) || !verifier_run(&r->m, r->mirror, &order, before, err) ||
        !failpoint("repair.after_capture", err) || !mirror_through(r, err))
        return false;
    order.repair = false;
    return verifier_run(&r->m, r->mirror, &order, after, err) &&
           write_repair(r, request, &order, before, after, err);
}

/* --- answers ------------------------------------------------------------------------------------------ */

static void tell_violations(struct runner *r, const struct verifier_report *report)
{
    if (report->violations > 0)
        tell(r, "%s", report->first);
    if (report->violations > 1)
        tell(r, "%" PRId64 " more; SHOW REPORT '%.8s' JSON lists the first %d", report->violations - 1, r->id,
             VERIFIER_LISTED_MAX);
}

static struct rows *report_rows(struct runner *r, const struct verifier_report *report, const char *result,
                                int64_t repaired)
{
    struct rows *rows = rows_new();
    char percent[32];

    if (rows == NULL)
        return NULL;
    snprintf(percent, sizeof percent, "%g", report->percent);
    rows_column(rows, "migration_id", ROWS_UUID);
    rows_column(rows, "level", ROWS_TEXT);
    rows_column(rows, "sample", ROWS_FLOAT8);
    rows_column(rows, "streams", ROWS_INT8);
    rows_column(rows, "events", ROWS_INT8);
    rows_column(rows, "suspects", ROWS_INT8);
    if (repaired >= 0)
        rows_column(rows, "repaired", ROWS_INT8);
    rows_column(rows, "violations", ROWS_INT8);
    rows_column(rows, "duration_ms", ROWS_INT8);
    rows_column(rows, "result", ROWS_TEXT);
    rows_column(rows, "first_violation", ROWS_TEXT);
    rows_text(rows, r->id);
    rows_text(rows, verifier_level_name(report->level));
    rows_text(rows, percent);
    rows_number(rows, report->streams);
    rows_number(rows, report->events);
    rows_number(rows, report->suspects);
    if (repaired >= 0)
        rows_number(rows, repaired);
    rows_number(rows, report->violations);
    rows_number(rows, (int64_t)report->duration_ms);
    rows_text(rows, result);
    rows_text(rows, report->violations > 0 ? report->first : NULL);
    return rows;
}

static void answer_rows(struct control_request *request, struct rows *rows)
{
    struct error err;

    error_no_memory(&err);
    runner_answer(request, rows, rows == NULL ? &err : NULL);
}

static void answer_verify(struct runner *r, struct control_request *request)
{
    struct verifier_report report = { 0 };
    struct error err;
    bool fine = verify(r, request, &report, &err), whole = report.percent >= 100;

    r->verifying = false;
    r->verify = NULL;
    if (!fine) {
        runner_answer(request, NULL, &err);
    } else {
        r->verify = request;
        tell_violations(r, &report);
        r->verify = NULL;
        answer_rows(request, report_rows(r, &report, report.violations == 0 ? "passed" : "violations", -1));
        /* A sample or a count that passes proves too little; what it finds is a violation all the same. */
        if (r->state == MIGRATION_DUAL_WRITE &&
            (report.violations > 0 || (whole && report.level != VERIFIER_COUNT))) {
            r->verify_needed = r->verify_needed || report.violations > 0;
            take_result(r, &report);
        } else if (report.violations > 0) {
            log_violation(r, report.first);
        }
    }
    verifier_report_done(&report);
}

static void answer_repair(struct runner *r, struct control_request *request)
{
    struct verifier_report before = { 0 }, after = { 0 };
    struct error err, ignored;
    bool fine = repair(r, request, &before, &after, &err),
         whole = after.events_total > 0 || after.streams != 1;

    r->verifying = false;
    forget_cancel(r);
    if (!fine) {
        r->verify = NULL;
        ledger_event(r->ledger, r->id, "repair_failed", request->operator_name, NULL, &ignored);
        runner_answer(request, NULL, &err);
        r->verify_next_ms = 0;
    } else {
        tell_violations(r, &after);
        r->verify = NULL;
        runner_log(r, LOG_INFO, "Streams repaired", "repair", before.duration_ms + after.duration_ms,
                   before.captured, NULL);
        answer_rows(request, report_rows(r, &after, after.violations == 0 ? "repaired" : "violations",
                                         before.captured));
        if (whole || after.violations > 0) {
            take_result(r, &after);
        } else {
            r->verify_needed = r->verify_needed || !r->verified;
            r->verify_next_ms = 0; /* whether that was all, a verification tells at once */
        }
    }
    verifier_report_done(&before);
    verifier_report_done(&after);
}

void runner_verify_answer(struct runner *r, struct control_request *request)
{
    r->verify = request;
    r->verify_told_ms = clock_ms();
    r->verifying = true;
    if (request->verb == CONTROL_VERIFY)
        answer_verify(r, request);
    else
        answer_repair(r, request);
    if (r->state == MIGRATION_PAUSED)
        migration_disconnect(&r->m); /* it rests */
}

bool runner_verify_cancel(struct runner *r, uint64_t tag)
{
    struct letter *letter, *next;
    struct error err;

    if (r->verify != NULL && r->verify->tag == tag)
        return true;
    error_set(&err, "57014", "canceled before it began");
    LL_FOREACH_SAFE(r->requests, letter, next) {
        struct control_request *request = (struct control_request *)letter;

        if (!is_ours(request) || request->tag != tag)
            continue;
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        runner_answer(request, NULL, &err);
    }
    return false;
}

void runner_verify_after(struct runner *r)
{
    struct letter *letter, *next;

    runner_letters(r);
    LL_FOREACH_SAFE(r->requests, letter, next) {
        struct control_request *request = (struct control_request *)letter;

        if (r->stopping || r->m.source == NULL || r->m.target == NULL || request->verb != CONTROL_VERIFY)
            continue;
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        r->interrupted = false;
        runner_verify_answer(r, request);
    }
}
