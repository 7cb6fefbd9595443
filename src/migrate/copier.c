/* copier.c - bulk copy: rows pass from one COPY to the other; the position is all that is looked at.
 * A scan is one snapshot of the source, at most copy_segment_seconds old; a batch is one transaction of the
 * target, with the cursor in it. A crash anywhere leaves the cursor and the rows it speaks of, or neither.
 * Owns:   nothing beyond a call. Leaves: what is captured to the mirror. Thread: the runner's.
 * Start at: copier_run(), then run_scan(). */
#include "migrate/copier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/copy_team.h"
#include "migrate/copyrow.h"
#include "migrate/identity.h"
#include "migrate/positions_copy.h"
#include "migrate/sqltext.h"
#include "migrate/tap.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum {
    FIRST_SCAN_BATCHES = 50, /* until the copy's speed is known */
    PROGRESS_MS = 500,
};

struct scan {
    struct migration *m;
    struct cursor *cursor; /* as committed */
    const struct copier_hook *hook;
    struct copy_pace *pace;
    struct buf copy_in;                /* SQL of the target */
    struct positions_copy *positions;  /* NULL: they are kept as they are */
    unsigned columns, position_column; /* of a row */
    int64_t last_position;             /* of the row put last */
    int64_t batch_events, batch_bytes, scan_events;
    uint64_t scan_begin_ms, progress_ms;
    double events_per_ms; /* measured; 0: not yet */
    bool batch_open, stopped;
};

/* --- SQL ---------------------------------------------------------------------------------------------- */

/* Expands a text that names one side's table. */
static bool expand(const struct migration *m, const struct relation *rel, const char *sql, struct buf *out,
                   struct error *err)
{
    struct buf tenant, position, sequence;

    buf_init(&tenant);
    buf_init(&position);
    buf_init(&sequence);
    sqltext_literal(&sequence, rel->sequence == NULL ? "" : rel->sequence);
    relation_append_identifier(&tenant, m->names->tenant);
    relation_append_identifier(&position, m->names->position);
    sqltext_expand(out, sql, m->control_schema,
                   (const struct sqltext_value[]){ { "table", rel->qualified },
                                                   { "tenant_column", buf_text(&tenant) },
                                                   { "position_column", buf_text(&position) },
                                                   { "sequence", rel->sequence == NULL ? "" : rel->sequence },
                                                   { "sequence_text", buf_text(&sequence) } },
                   5);
    buf_done(&tenant);
    buf_done(&position);
    buf_done(&sequence);
    return buf_failed(out) ? error_no_memory(err) : true;
}

static PGresult *ask(struct migration *m, bool source, const char *text, int count, const char *const *values,
                     struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    if (expand(m, source ? &m->tables[0].source : &m->tables[0].target, text, &sql, err))
        result = pg_query(source ? m->source_pg : m->target_pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    return result;
}

static void append_key(const struct relation *rel, struct buf *out)
{
    buf_append_text(out, "ARRAY[");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(out, i == 0 ? "e." : ", e.");
        relation_append_identifier(out, rel->key_names[i]);
        buf_append_text(out, "::text");
    }
    buf_append_text(out, "]");
}

/* Binary, unless a value's binary form means something else in another cluster. */
static const char *format_of(const struct migration *m)
{
    return m->tables[0].source.as_text ? "text" : "binary";
}

static int64_t scan_limit(const struct scan *scan)
{
    const struct migration_settings *settings = &scan->m->settings;
    double limit = scan->events_per_ms * (double)settings->copy_segment_seconds * 800;

    if (scan->events_per_ms <= 0)
        limit = (double)settings->batch_size * FIRST_SCAN_BATCHES;
    if (limit < (double)settings->batch_size)
        limit = (double)settings->batch_size;
    return limit > 1e9 ? 1000000000 : (int64_t)limit;
}

static bool make_copy_out(struct scan *scan, int64_t limit, struct buf *sql, struct error *err)
{
    const struct migration *m = scan->m;
    struct buf columns, key, tenant, once;
    char from[24], to[24], limit_text[24], tap[24], relation[16];

    buf_init(&columns);
    buf_init(&key);
    buf_init(&tenant);
    buf_init(&once);
    relation_column_list(&m->tables[0].source, "e.", &columns);
    append_key(&m->tables[0].source, &key);
    sqltext_literal(&tenant, m->tenant);
    snprintf(from, sizeof from, "%" PRId64, scan->cursor->position);
    snprintf(to, sizeof to, "%" PRId64, scan->cursor->high);
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    snprintf(tap, sizeof tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
    snprintf(relation, sizeof relation, "%u", m->tables[0].source.oid);
    expand(m, &m->tables[0].source, scan->positions == NULL ? sql_copy_rows : sql_copy_rows_assign, &once,
           err);
    sqltext_expand(sql, buf_text(&once), m->control_schema,
                   (const struct sqltext_value[]){ { "columns", buf_text(&columns) },
                                                   { "key", buf_text(&key) },
                                                   { "tenant", buf_text(&tenant) },
                                                   { "from", from },
                                                   { "to", to },
                                                   { "limit", limit_text },
                                                   { "tap", tap },
                                                   { "relation", relation },
                                                   { "format", format_of(m) } },
                   9);
    if (buf_failed(&columns) || buf_failed(&key) || buf_failed(&tenant) || buf_failed(&once))
        sql->failed = true;
    buf_done(&columns);
    buf_done(&key);
    buf_done(&tenant);
    buf_done(&once);
    return buf_failed(sql) ? error_no_memory(err) : true;
}

static bool make_copy_in(struct scan *scan, struct error *err)
{
    struct migration *m = scan->m;

    buf_append_format(&scan->copy_in, "COPY %s (", m->tables[0].target.qualified);
    relation_column_list(&m->tables[0].source, "", &scan->copy_in);
    buf_append_format(&scan->copy_in, ") FROM STDIN (FORMAT %s)", format_of(m));
    return buf_failed(&scan->copy_in) ? error_no_memory(err) : true;
}

/* --- one batch ---------------------------------------------------------------------------------------- */

static bool batch_begin(struct scan *scan, struct error *err)
{
    struct migration *m = scan->m;

    scan->batch_events = scan->batch_bytes = 0;
    if (!pg_run(m->target_pg, "BEGIN", 0, NULL, err))
        return false;
    scan->batch_open = true;
    return cursor_hold_worker(m, scan->cursor->worker, err) &&
           (scan->positions == NULL || positions_copy_begin(scan->positions, err)) &&
           pg_copy_in(m->target_pg, buf_text(&scan->copy_in), err) &&
           (m->tables[0].source.as_text || pg_copy_put(m->target_pg, copyrow_header, err));
}

static bool batch_commit(struct scan *scan, struct error *err)
{
    struct migration *m = scan->m;
    struct cursor next = *scan->cursor;

    next.position = scan->last_position;
    next.events += scan->batch_events;
    next.bytes += scan->batch_bytes;
    if ((!m->tables[0].source.as_text && !pg_copy_put(m->target_pg, copyrow_trailer, err)) ||
        !pg_copy_end(m->target_pg, NULL, err)) {
        if (error_is(err, "23505"))
            error_hint(err, "Rows are in the target already: ABORT MIGRATION '%.8s' PURGE TARGET.", m->id);
        return false;
    }
    if ((scan->positions != NULL && !positions_copy_end(scan->positions, err)) ||
        !cursor_advance(m, &next, err) || !failpoint("copier.before_commit", err) ||
        !pg_run(m->target_pg, "COMMIT", 0, NULL, err))
        return false;
    scan->batch_open = false;
    *scan->cursor = next;
    return failpoint("copier.after_commit", err);
}

static void tell(struct scan *scan)
{
    scan->progress_ms = clock_ms();
    if (!scan->stopped && scan->hook != NULL && !scan->hook->progress(scan->hook->who, scan->cursor))
        scan->stopped = true;
}

/* A bucket of one batch, for all workers: what was copied too fast is slept off between two transactions of
 * the target. */
static bool throttle(struct scan *scan, struct error *err)
{
    int64_t rate = scan->m->settings.max_bulk_copy_rate;
    uint64_t until_ms = copy_pace_take(scan->pace, scan->batch_events, rate);
    uint64_t now_ms;

    while (!scan->stopped && (now_ms = clock_ms()) < until_ms) {
        if (scan->m->settings.max_bulk_copy_rate != rate) { /* ALTER MIGRATION */
            copy_pace_forget(scan->pace);
            break;
        }
        uint64_t left_ms = until_ms - now_ms;

        if (!pg_nap(&scan->m->wake, left_ms > PROGRESS_MS ? PROGRESS_MS : left_ms))
            return error_set(err, "57014", "the copy was interrupted");
        if (clock_ms() - scan->progress_ms >= PROGRESS_MS)
            tell(scan);
    }
    return true;
}

static bool batch_end(struct scan *scan, struct error *err)
{
    if (!batch_commit(scan, err))
        return false;
    tell(scan);
    return throttle(scan, err);
}

/* --- one scan ----------------------------------------------------------------------------------------- */

/* Changes may be missing. RESYNC compares two whole copies; of half a one there is nothing to keep. */
static bool begin_anew(const struct migration *m, struct error *err)
{
    if (error_is(err, "55000"))
        error_hint(err, "ABORT MIGRATION '%.8s' PURGE TARGET, then START again.", m->id);
    return false;
}

/* As the transaction that has made it wrote it down: from then on every change has been captured. */
static bool check_tap(struct migration *m, struct error *err)
{
    bool sound;

    if (!tap_is_sound(m, &sound, err))
        return false;
    return sound || error_set(err, "55000", "the tap on %s has changed under the migration",
                              m->tables[0].source.qualified);
}

static bool check_table(struct migration *m, struct error *err)
{
    return (relation_unchanged(m->source_pg, &m->tables[0].source, m->names, err) && check_tap(m, err)) ||
           begin_anew(m, err);
}

/* Opens the snapshot. Nothing of the target is written before the source has flushed what the snapshot can
 * see. */
static bool scan_begin(struct scan *scan, struct error *err)
{
    struct migration *m = scan->m;
    char begin[400];
    PGresult *result;
    uint64_t lsn;

    /* The lock comes before the snapshot: a TRUNCATE in between would show an empty table to an older
     * snapshot. */
    snprintf(begin, sizeof begin,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE %.280s IN ACCESS SHARE MODE",
             m->tables[0].source.qualified);
    if (!pg_run(m->source_pg, begin, 0, NULL, err))
        return false;
    result = pg_query(m->source_pg, sql_copy_begin, 0, NULL, err);
    if (result == NULL)
        return false;
    lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    PQclear(result);
    scan->scan_begin_ms = clock_ms();
    scan->scan_events = 0;
    return check_table(m, err) && identity_wait_flushed(m, lsn, true, err);
}

static bool find_row_position(const struct scan *scan, struct slice row, int64_t *position)
{
    struct slice field;

    if (scan->m->tables[0].source.as_text)
        return copyrow_text_field(row, scan->columns, scan->position_column, &field) &&
               copyrow_text_integer(field, position);
    return copyrow_field(row, scan->columns + (scan->positions != NULL), scan->position_column, &field) &&
           copyrow_integer(field, position);
}

/* Takes one row; `cut`: the scan has to end here, at a batch's boundary. */
static bool take_row(struct scan *scan, struct slice row, bool *cut, struct error *err)
{
    const struct migration_settings *settings = &scan->m->settings;
    int64_t position;
    bool put = true;

    *cut = false;
    if (!find_row_position(scan, row, &position))
        return error_set(err, "08P01", "a row of store \"%s\" is not readable", scan->m->source->name);
    /* Rows of one position must not be parted: the cursor is a position. */
    if (scan->batch_open && scan->batch_events >= settings->batch_size && position != scan->last_position) {
        if (!batch_end(scan, err))
            return false;
        *cut = scan->stopped ||
               clock_ms() - scan->scan_begin_ms > (uint64_t)settings->copy_segment_seconds * 1000;
        if (*cut)
            return true;
    }
    if (!scan->batch_open && !batch_begin(scan, err))
        return false;
    scan->last_position = position;
    if (scan->positions != NULL) {
        if (!positions_copy_put(scan->positions, row, position, &put, err))
            return false;
    } else if (!pg_copy_put(scan->m->target_pg, row, err)) {
        return false;
    }
    scan->batch_events += put;
    scan->scan_events++;
    scan->batch_bytes += (int64_t)row.bytes;
    return true;
}

/* Passes rows until the scan's end or a cut. `end`: the source had no more. */
static bool pass_rows(struct scan *scan, bool *end, struct error *err)
{
    struct slice row;
    const bool binary = !scan->m->tables[0].source.as_text;
    bool first = binary, cut = false;

    *end = false;
    while (!cut) {
        if (!pg_copy_row(scan->m->source_pg, &row, end, err))
            return false;
        if (*end)
            break;
        if (first && !copyrow_skip_header(&row))
            return error_set(err, "08P01", "a COPY of store \"%s\" begins with no header",
                             scan->m->source->name);
        first = false;
        if (row.bytes == 0 || (binary && copyrow_is_trailer(row)))
            continue;
        if (!take_row(scan, row, &cut, err))
            return false;
    }
    if (cut)
        pg_abandon(scan->m->source_pg);
    return !scan->batch_open || batch_end(scan, err);
}

/* One snapshot's worth. `complete`: the scan has reached `high`. */
static bool run_scan(struct scan *scan, bool *complete, struct error *err)
{
    struct migration *m = scan->m;
    struct buf sql;
    int64_t limit = scan_limit(scan);
    uint64_t elapsed_ms;
    bool end = false, good;

    buf_init(&sql);
    good = scan_begin(scan, err) && make_copy_out(scan, limit, &sql, err) &&
           pg_copy_out(m->source_pg, buf_text(&sql), 0, NULL, err) && pass_rows(scan, &end, err);
    buf_done(&sql);
    if (!good) {
        pg_abandon(m->source_pg);
        pg_abandon(m->target_pg);
        pg_rollback(m->target_pg);
        scan->batch_open = false;
    }
    pg_rollback(m->source_pg); /* it has read only */
    elapsed_ms = clock_ms() - scan->scan_begin_ms;
    if (good && scan->scan_events > 0)
        scan->events_per_ms = (double)scan->scan_events / (double)(elapsed_ms + 1);
    *complete = good && end && scan->scan_events < limit;
    return good;
}

/* --- the whole copy ----------------------------------------------------------------------------------- */

static bool find_position(struct scan *scan, struct error *err)
{
    const struct relation *rel = &scan->m->tables[0].source;
    bool found = false;

    for (size_t i = 0; i < rel->column_count; i++) {
        if (!rel->columns[i].copied)
            continue;
        if (rel->columns[i].is_position) {
            scan->position_column = scan->columns;
            found = true;
        }
        scan->columns++;
    }
    return found ||
           error_set(err, "0A000", "table %s has no position column: there is no order to copy it in",
                     rel->qualified);
}

static bool make_positions(struct scan *scan, struct error *err)
{
    if (!positions_assigned(scan->m))
        return true;
    scan->positions =
        positions_copy_new(scan->m, scan->columns, scan->position_column, buf_text(&scan->copy_in));
    return scan->positions != NULL || error_no_memory(err);
}

/* Fixes where the scan ends. The tap was committed before: what comes above is captured. */
static bool fix_high(struct migration *m, struct cursor *cursor, struct error *err)
{
    PGresult *result = ask(m, true, sql_copy_high, 1, (const char *[]){ m->tenant }, err);

    if (result == NULL)
        return false;
    cursor->high = PQgetisnull(result, 0, 0) ? INT64_MIN : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}

static bool check_source(struct migration *m, struct cursor *cursor, struct error *err)
{
    char now[sizeof cursor->source_identity];

    /* In this order: a tap that is found sound afterwards was so when its identity was read. */
    if (!identity_read(m, now, sizeof now, err) || !check_tap(m, err) ||
        (cursor->source_identity[0] != '\0' && !identity_check(m, cursor->source_identity, now, err)))
        return begin_anew(m, err);
    memcpy(cursor->source_identity, now, sizeof now);
    return true;
}

static bool finish(struct migration *m, struct cursor *cursor, struct error *err)
{
    struct cursor last = *cursor;

    last.done = true;
    if (last.position < last.high)
        last.position = last.high;
    if (!pg_run(m->target_pg, "BEGIN", 0, NULL, err) || !cursor_hold(m, err) ||
        !cursor_advance(m, &last, err) || !failpoint("copier.before_done", err) ||
        !pg_run(m->target_pg, "COMMIT", 0, NULL, err)) {
        pg_rollback(m->target_pg);
        return false;
    }
    *cursor = last;
    return failpoint("copier.after_done", err);
}

bool copier_run_part(struct migration *m, struct cursor *cursor, struct copy_pace *pace,
                     const struct copier_hook *hook, bool *complete, struct error *err)
{
    struct scan scan = { .m = m, .cursor = cursor, .hook = hook, .pace = pace };
    bool good = find_position(&scan, err) && make_copy_in(&scan, err) && make_positions(&scan, err);

    *complete = good && cursor->position >= cursor->high;
    while (good && !*complete && !scan.stopped)
        good = run_scan(&scan, complete, err);
    *complete = *complete && good && !scan.stopped;
    buf_done(&scan.copy_in);
    positions_copy_free(scan.positions);
    return good;
}

/* The parts, if this is the first time; else those that were made then, whatever copy_workers is now. */
static bool plan(struct migration *m, struct cursor *parts, size_t *count, struct error *err)
{
    PGresult *result;
    int64_t low;

    if (!cursor_read(m, parts, count, err) || !check_source(m, &parts[0], err))
        return false;
    if (parts[0].high != -1)
        return true;
    if (!fix_high(m, &parts[0], err))
        return false;
    /* Positions that the target gives are given in the order of the source's: by one. */
    if (m->settings.copy_workers <= 1 || positions_assigned(m) || parts[0].high == INT64_MIN)
        return true;
    result = ask(m, true, sql_copy_low, 1, (const char *[]){ m->tenant }, err);
    if (result == NULL)
        return false;
    low = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    *count = copy_team_divide(low, (size_t)m->settings.copy_workers, parts);
    if (*count > 1 && (!pg_run(m->target_pg, "BEGIN", 0, NULL, err) || !cursor_hold(m, err) ||
                       !cursor_advance(m, &parts[0], err) || !cursor_add(m, parts, *count, err) ||
                       !pg_run(m->target_pg, "COMMIT", 0, NULL, err))) {
        pg_rollback(m->target_pg);
        return false;
    }
    return true;
}

bool copier_run(struct migration *m, struct cursor *cursor, const struct copier_hook *hook, struct error *err)
{
    struct cursor parts[CURSORS_MAX];
    bool complete = false, good;
    size_t count = 0;

    error_clear(err);
    if (cursor->done)
        return true;
    good = migration_plan_by_index(m, err) && tap_claim(m, err) && plan(m, parts, &count, err) &&
           copier_move_sequence(m, err) && copy_team_run(m, parts, count, hook, &complete, err);
    if (count > 0)
        cursor_sum(parts, count, cursor);
    return good && (!complete || finish(m, cursor, err));
}

bool copier_estimate(struct migration *m, int64_t *events, int64_t *bytes, struct error *err)
{
    PGresult *result = ask(m, true, sql_copy_estimate, 1, (const char *[]){ m->tenant }, err);

    if (result == NULL)
        return false;
    *events = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    *bytes = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    PQclear(result);
    return true;
}

bool copier_check_target(struct migration *m, const struct cursor *cursor, struct error *err)
{
    PGresult *result;
    int64_t there;

    if (cursor->done)
        return true; /* the mirror has been at work: the verifier compares what is there */
    result = ask(m, false, sql_copy_count, 1, (const char *[]){ m->tenant }, err);
    if (result == NULL)
        return false;
    there = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    if (there == cursor->events)
        return true;
    error_set(err, "55000", "store \"%s\" holds %" PRId64 " events of tenant %s, %" PRId64 " were expected",
              m->target->name, there, m->tenant, cursor->events);
    return error_hint(
        err,
        "They are left over from something else, as of an attempt that was aborted without PURGE TARGET: "
        "delete them there as pgshunt's login, which the guard lets pass after SET pgshunt.copier = on, then "
        "START again.");
}

/* What the source's positions have reached, or may have: "0" if nothing has been given yet. */
static bool read_highest(struct migration *m, char highest[24], struct error *err)
{
    PGresult *result =
        ask(m, true, m->tables[0].source.sequence != NULL ? sql_copy_sequence : sql_copy_max, 0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(highest, 24, "%s", PQgetisnull(result, 0, 0) ? "0" : PQgetvalue(result, 0, 0));
    PQclear(result);
    if (strtoll(highest, NULL, 10) < 1)
        snprintf(highest, 24, "0");
    return true;
}

bool copier_move_sequence(struct migration *m, struct error *err)
{
    PGresult *result;
    char highest[24];

    if (m->tables[0].target.sequence == NULL)
        return true;
    if (!read_highest(m, highest, err))
        return false;
    if (strcmp(highest, "0") == 0)
        return true;           /* nothing has been given yet */
    if (positions_assigned(m)) /* others draw from it meanwhile */
        return positions_raise(m, strtoll(highest, NULL, 10), true, err);
    result = ask(m, false, sql_copy_move_sequence, 1, (const char *[]){ highest }, err);
    PQclear(result);
    return result != NULL;
}

bool copier_finish(struct migration *m, uint64_t generation, bool let_in, struct error *err)
{
    char highest[24] = "0", epoch[24], generation_text[24];
    const char *const values[] = { highest,   m->id,
                                   epoch,     generation_text,
                                   m->tenant, let_in && m->target != m->default_store ? "t" : "f" };
    bool sequence = m->tables[0].target.sequence != NULL, ours;
    PGresult *result;

    if (sequence && !read_highest(m, highest, err))
        return false;
    snprintf(epoch, sizeof epoch, "%" PRIu64, m->epoch);
    snprintf(generation_text, sizeof generation_text, "%" PRIu64, generation);
    sequence = sequence && strcmp(highest, "0") != 0;
    if (sequence && positions_assigned(m)) { /* high enough already: runner_positions() has seen to that */
        if (!positions_raise(m, strtoll(highest, NULL, 10), false, err))
            return false;
        sequence = false;
    }
    result = ask(m, false, sequence ? sql_copy_finish : sql_copy_finish_only, 6, values, err);
    if (result == NULL)
        return false;
    ours = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return ours ||
           error_set(err, "55000", "the copy belongs to another owner: epoch %s has been overtaken", epoch);
}
