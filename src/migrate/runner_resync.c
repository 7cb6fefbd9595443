/* runner_resync.c - see runner_resync.h. The order matters: first a tap that stands, then snapshots of both
 * sides, then whom the cursor speaks of; so that what is not compared is captured. The wish is in the row: a
 * crash at any place begins it again, with the same result. Thread: the runner's.   Start at: resync_step().
 */
#include "migrate/failure.h"
#include "migrate/runner_resync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/identity.h"
#include "migrate/ledger_notes.h"
#include "migrate/runner_verify.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "migrate/tap.h"
#include "migrate/tap_key.h"
#include "sql_embedded.h"

/* --- the wish ----------------------------------------------------------------------------------------- */

static PGresult *ask(struct pg *pg, struct runner *r, const char *text, struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;
    char tap[24];

    snprintf(tap, sizeof tap, "%" PRId64, tap_key(r->m.control_schema, r->m.tenant));
    buf_init(&sql);
    sqltext_expand(&sql, text, r->m.control_schema, (const struct sqltext_value[]){ { "tap", tap } }, 1);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    return result;
}

static bool highest_position(struct runner *r, int64_t *position, struct error *err)
{
    const struct moved_table *table = &r->m.tables[0];
    struct buf sql, tenant, column;
    PGresult *result = NULL;

    buf_init(&sql);
    buf_init(&tenant);
    buf_init(&column);
    relation_append_identifier(&tenant, table->names->tenant);
    relation_append_identifier(&column, table->names->position);
    sqltext_expand(&sql, sql_copy_high, r->m.control_schema,
                   (const struct sqltext_value[]){ { "table", table->source.qualified },
                                                   { "tenant_column", buf_text(&tenant) },
                                                   { "position_column", buf_text(&column) } },
                   3);
    if (!buf_failed(&sql) && !buf_failed(&tenant) && !buf_failed(&column))
        result = pg_query(r->m.source_pg, buf_text(&sql), 1, (const char *[]){ r->m.tenant }, err);
    else
        error_no_memory(err);
    if (result != NULL)
        *position = PQgetisnull(result, 0, 0) ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    buf_done(&sql);
    buf_done(&tenant);
    buf_done(&column);
    return result != NULL;
}

static const char *option(const struct control_request *request, const char *name)
{
    for (size_t i = 0; i < request->option_count; i++) {
        if (strcmp(request->options[i].name, name) == 0)
            return request->options[i].value;
    }
    return NULL;
}

/* 0: everything. */
static bool read_from(struct runner *r, const struct control_request *request, int64_t *from,
                      struct error *err)
{
    const char *text = option(request, "position");
    int64_t last;
    char *end;

    *from = 0;
    if (text == NULL)
        return true;
    errno = 0;
    *from = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno == ERANGE || *from < 0)
        return error_set(err, "22023", "a position is a whole number from 0 on, not \"%.40s\"", text);
    if (r->m.names->position[0] == '\0')
        return error_set(err, "0A000", "the events have no position_column");
    if (strcmp(r->m.settings.position_mode, "assign") == 0) {
        error_set(err, "0A000", "the target has positions of its own (position_mode = assign)");
        return error_hint(err, "RESYNC MIGRATION '%.8s' without FROM POSITION compares everything.", r->id);
    }
    if (!runner_connect_source(r, err) || !highest_position(r, &last, err))
        return false;
    if (*from <= last)
        return true;
    error_set(err, "22023", "position %" PRId64 " is beyond the tenant's last event, which is at %" PRId64,
              *from, last);
    return error_hint(err, "Nothing would be compared. Without FROM POSITION everything is.");
}

static bool write_wish(struct runner *r, const struct control_request *request, int64_t from,
                       struct error *err)
{
    char epoch[24], position[24];

    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    snprintf(position, sizeof position, "%" PRId64, from);
    return pg_run(ledger_pg(r->ledger), "SELECT migration_want_resync($1, $2, $3, $4)", 4,
                  (const char *[]){ r->id, epoch, position, request->operator_name }, err);
}

static void wish(struct runner *r, int64_t from, const char *who)
{
    r->resync.looked = r->resync.wanted = true;
    r->resync.from = from;
    r->resync.begun_ms = clock_ms();
    snprintf(r->resync.operator_name, sizeof r->resync.operator_name, "%s", who);
}

void resync_begin(struct runner *r, struct control_request *request)
{
    struct error err;
    int64_t from;

    if (r->resync.wanted) {
        error_set(&err, "55000", "migration %s is being resynchronised already", r->id);
        runner_answer(request, NULL, &err);
        return;
    }
    if (!read_from(r, request, &from, &err) || !failpoint("resync.before_wish", &err) ||
        !write_wish(r, request, from, &err) || !failpoint("resync.after_wish", &err) ||
        (r->state != MIGRATION_PAUSED && !runner_pause(r, NULL, request, &err))) {
        runner_answer(request, NULL, &err);
        return;
    }
    wish(r, from, request->operator_name);
    r->resync.request = request;
}

/* What an operator of an earlier process wished for. */
static bool look_for_wish(struct runner *r, struct error *err)
{
    const char *id = r->id;
    PGresult *result;

    if (r->resync.looked)
        return true;
    result = pg_query(ledger_pg(r->ledger), sql_look_resync, 1, &id, err);
    if (result == NULL)
        return false;
    r->resync.looked = true;
    if (PQntuples(result) == 1)
        wish(r, strtoll(PQgetvalue(result, 0, 0), NULL, 10), PQgetvalue(result, 0, 1));
    PQclear(result);
    return true;
}

bool resync_take_up(struct runner *r, struct error *err)
{
    return look_for_wish(r, err) && (!r->resync.wanted || runner_pause(r, NULL, NULL, err));
}

/* --- the tap ------------------------------------------------------------------------------------------ */

static bool run(struct runner *r, const char *text, struct error *err)
{
    PGresult *result = ask(r->m.source_pg, r, text, err);

    PQclear(result);
    return result != NULL;
}

/* A TRUNCATE that was captured is no key: with everything compared it says nothing more, else too much. */
static bool forget_truncate(struct runner *r, struct error *err)
{
    PGresult *result = ask(r->m.source_pg, r, sql_resync_truncated, err);
    bool truncated;

    if (result == NULL)
        return false;
    truncated = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    if (!truncated)
        return true;
    if (r->resync.from == 0)
        return run(r, sql_resync_forget, err);
    error_set(err, "55000", "table %s was truncated", r->m.tables[0].source.qualified);
    return error_hint(err, "RESYNC MIGRATION '%.8s' without FROM POSITION compares everything.", r->id);
}

/* Does a tap stand that has stood since the copy began, and is the source the one it speaks of? 55000 with no
 * hope: another cluster. */
static bool tap_is_known(struct runner *r, bool *known, struct error *err)
{
    const char *before = r->cursor.source_identity;
    const char *slash = strchr(before, '/');
    size_t bytes = slash == NULL ? 0 : (size_t)(slash - before);
    const char *system = r->m.tables[0].source.system_identifier;
    char now[sizeof r->cursor.source_identity];
    struct error ignored;

    *known = false;
    if (bytes > 0 && (strlen(system) != bytes || memcmp(before, system, bytes) != 0)) {
        error_set(err, "55000", "store \"%s\" is another cluster than the copy was made of",
                  r->m.source->name);
        return error_hint(err, "ABORT MIGRATION '%.8s' PURGE TARGET, then START again.", r->id);
    }
    if (!tap_is_sound(&r->m, known, err))
        return false;
    if (*known)
        *known =
            identity_read(&r->m, now, sizeof now, &ignored) && identity_check(&r->m, before, now, &ignored);
    return !pg_is_broken(r->m.source_pg) || error_set(err, "08006", "lost the connection to the source");
}

static bool stand_tap(struct runner *r, struct error *err)
{
    bool known;

    if (!tap_is_known(r, &known, err))
        return false;
    r->resync.tap_reinstalled = r->resync.tap_reinstalled || !known;
    if (known)
        return run(r, sql_resync_restore, err) && forget_truncate(r, err);
    /* What it has captured below the position to begin at is not compared. */
    if (r->resync.from > 0 && (!forget_truncate(r, err) || !run(r, sql_resync_keep, err)))
        return false;
    return failpoint("resync.before_tap", err) && tap_remove(&r->m, err) && tap_install(&r->m, err) &&
           failpoint("resync.after_tap", err) && run(r, sql_resync_restore, err);
}

/* --- comparing ---------------------------------------------------------------------------------------- */

static bool connect(struct runner *r, struct error *err)
{
    migration_disconnect(&r->m);
    migration_forget_tables(&r->m); /* what they look like now */
    if (!migration_connect(&r->m, err) || !cursor_claim(&r->m, &r->cursor, err))
        return false;
    if (r->cursor.done)
        return true;
    error_set(err, "55000", "the bulk copy of tenant %s is not complete", r->m.tenant);
    return error_hint(err, "ABORT MIGRATION '%.8s' PURGE TARGET, then START again.", r->id);
}

static bool identify(struct runner *r, const char *source, struct error *err)
{
    const struct relation *target = &r->m.tables[0].target;

    snprintf(r->cursor.source_identity, sizeof r->cursor.source_identity, "%s", source);
    snprintf(r->cursor.target_identity, sizeof r->cursor.target_identity, "%s/%s", target->system_identifier,
             target->timeline);
    return cursor_identify(&r->m, &r->cursor, err);
}

static bool compare(struct runner *r, struct verifier_report *report, struct error *err)
{
    struct verifier_order order = { .level = VERIFIER_HASH,
                                    .percent = 100,
                                    .repair = true,
                                    .from = r->resync.from,
                                    .tell = runner_verify_progress,
                                    .who = r };
    char now[sizeof r->cursor.source_identity];
    bool fine;

    if (!connect(r, err) || !stand_tap(r, err) || !identity_read(&r->m, now, sizeof now, err))
        return false;
    r->verify = r->resync.request;
    fine = verifier_run(&r->m, NULL, &order, report, err);
    r->verify = NULL;
    return fine && failpoint("resync.after_compare", err) && identify(r, now, err) &&
           failpoint("resync.after_identity", err);
}

/* Report, the wish fulfilled, and that the migration shall go on: one transaction. */
static bool write_done(struct runner *r, const struct verifier_report *report, struct error *err)
{
    struct buf json;
    char epoch[24];
    bool fine;

    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    buf_init(&json);
    buf_append_format(&json,
                      "{\"result\": \"resynchronised\", \"from_position\": %" PRId64
                      ", \"repaired\": %" PRId64 ", \"tap_reinstalled\": %s, ",
                      r->resync.from, report->captured, r->resync.tap_reinstalled ? "true" : "false");
    runner_report_append(report, &json);
    runner_report_positions(r, &json);
    buf_append_text(&json, "}");
    fine = buf_failed(&json)
               ? error_no_memory(err)
               : pg_run(ledger_pg(r->ledger), "SELECT migration_resync_done($1, $2, $3, $4)", 4,
                        (const char *[]){ r->id, epoch, buf_text(&json), r->resync.operator_name }, err);
    buf_done(&json);
    return fine;
}

static bool give_up(struct runner *r, const struct error *why, struct error *err)
{
    struct buf json;
    char epoch[24];
    bool fine;

    snprintf(epoch, sizeof epoch, "%" PRIu64, r->m.epoch);
    buf_init(&json);
    buf_append_format(&json,
                      "{\"result\": \"failed\", \"from_position\": %" PRId64 ", \"error\": ", r->resync.from);
    json_text(&json, why->message);
    buf_append_text(&json, "}");
    fine = buf_failed(&json)
               ? error_no_memory(err)
               : pg_run(ledger_pg(r->ledger), "SELECT migration_resync_failed($1, $2, $3, $4)", 4,
                        (const char *[]){ r->id, epoch, buf_text(&json), r->resync.operator_name }, err);
    buf_done(&json);
    if (!fine)
        return false;
    log_error(r->setup->log, LOG_ERROR, "runner", why, "migration %s: its resynchronisation", r->id);
    r->resync.wanted = false;
    runner_answer(r->resync.request, NULL, why);
    r->resync.request = NULL;
    return true;
}

bool resync_step(struct runner *r, struct error *err)
{
    struct verifier_report report = { 0 };
    struct error why;
    bool fine;

    if (!look_for_wish(r, err))
        return false;
    if (!r->resync.wanted || r->interrupted)
        return true;
    fine = compare(r, &report, err) && write_done(r, &report, err);
    migration_disconnect(&r->m); /* it rests until it goes on */
    if (fine) {
        r->resync.streams = report.streams;
        r->resync.events = report.events;
        r->resync.different = report.violations;
        r->resync.wanted = false;
        r->verify_needed = true;
        r->resume_wanted = true;
        r->resume_asked_ms = clock_ms();
        snprintf(r->resume_operator, sizeof r->resume_operator, "%s", r->resync.operator_name);
        snprintf(r->resume_reason, sizeof r->resume_reason, "resynchronised");
        runner_log(r, LOG_INFO, "Migration resynchronised", "resync", report.duration_ms, report.events,
                   NULL);
    }
    verifier_report_done(&report);
    if (fine)
        return true;
    why = *err;
    if (r->interrupted || r->stopping || ledger_is_broken(r->ledger) || failure_is_transient(err) ||
        error_is(err, "XX000"))
        return false; /* it is done again */
    return give_up(r, &why, err);
}

void resync_answer(struct runner *r)
{
    struct rows *rows;
    struct error err;

    if (r->resync.request == NULL)
        return;
    rows = rows_new();
    if (rows != NULL) {
        rows_column(rows, "migration_id", ROWS_UUID);
        rows_column(rows, "state", ROWS_TEXT);
        rows_column(rows, "from_position", ROWS_INT8);
        rows_column(rows, "streams", ROWS_INT8);
        rows_column(rows, "events", ROWS_INT8);
        rows_column(rows, "different", ROWS_INT8);
        rows_column(rows, "tap_reinstalled", ROWS_BOOL);
        rows_column(rows, "duration_ms", ROWS_INT8);
        rows_text(rows, r->id);
        rows_text(rows, migration_state_name(r->state));
        rows_number(rows, r->resync.from);
        rows_number(rows, r->resync.streams);
        rows_number(rows, r->resync.events);
        rows_number(rows, r->resync.different);
        rows_flag(rows, r->resync.tap_reinstalled);
        rows_number(rows, (int64_t)(clock_ms() - r->resync.begun_ms));
    }
    error_no_memory(&err);
    runner_answer(r->resync.request, rows, rows == NULL ? &err : NULL);
    r->resync.request = NULL;
    r->resync.tap_reinstalled = false;
}
