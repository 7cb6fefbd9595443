/* companion.c - see companion.h. A companion has no position to go by: its rows are copied in the order of
 * their keys, a batch in a snapshot of its own, and the last key stands in the target with the rows. Whatever
 * changes meanwhile is captured, since the tap was there before.   Start at: companion_copy(). */
#include "migrate/companion.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/companion_sql.h"
#include "migrate/copyrow.h"
#include "migrate/ddl.h"
#include "migrate/identity.h"
#include "migrate/sqltext.h"
#include "migrate/tap.h"
#include "sql_embedded.h"

enum { NAP_MS_MAX = 500 };

/* One table's copy, as committed. */
struct progress {
    int64_t rows;
    bool done;
    PGresult *key; /* of the last row: one row per element; NULL: nothing was copied yet */
};

static bool make_schema(struct migration *m, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    sqltext_expand(&sql, sql_companion_schema, m->control_schema, NULL, 0);
    good = ddl_setup(m->target_pg, &sql, err);
    buf_done(&sql);
    return good;
}

static bool read_progress(struct migration *m, const struct moved_table *table, struct progress *progress,
                          struct error *err)
{
    PGresult *result = migration_ask_target(m, sql_companion_cursor, 2,
                                            (const char *[]){ m->id, table->source.qualified }, err);

    *progress = (struct progress){ 0 };
    if (result == NULL)
        return false;
    if (PQntuples(result) > 0) {
        progress->rows = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        progress->done = PQgetvalue(result, 0, 1)[0] == 't';
        if (!PQgetisnull(result, 0, 2)) {
            progress->key = result;
            return true;
        }
    }
    PQclear(result);
    return true;
}

/* --- one batch ---------------------------------------------------------------------------------------- */

struct batch {
    struct migration *m;
    const struct moved_table *table;
    struct companion_sql sql;
    struct buf last_key; /* a text array */
    int64_t rows;        /* up to last_key, captured ones among them */
    int64_t copied;
};

/* Opens the snapshot; the source has flushed what it can see. */
static bool begin_source(struct batch *batch, struct error *err)
{
    struct migration *m = batch->m;
    const struct relation *rel = &batch->table->source;
    char begin[400];
    PGresult *result;
    uint64_t lsn;

    snprintf(begin, sizeof begin,
             "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE %.280s IN ACCESS SHARE MODE",
             rel->qualified);
    if (!pg_run(m->source_pg, begin, 0, NULL, err))
        return false;
    result = pg_query(m->source_pg, sql_copy_begin, 0, NULL, err);
    if (result == NULL)
        return false;
    lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    PQclear(result);
    return relation_unchanged(m->source_pg, rel, batch->table->names, err) &&
           identity_wait_flushed(m, lsn, true, err);
}

/* Finds where the batch ends, and says so to the statement that reads it. */
static bool find_upper(struct batch *batch, struct error *err)
{
    PGresult *result = pg_query(batch->m->source_pg, buf_text(&batch->sql.upper), 0, NULL, err);

    if (result == NULL)
        return false;
    batch->rows = PQntuples(result) == 0 ? 0 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    for (int i = 1; batch->rows > 0 && i < PQnfields(result); i++)
        sqltext_array_add(&batch->last_key, PQgetvalue(result, 0, i));
    if (batch->rows > 0) {
        sqltext_array_end(&batch->last_key);
        companion_sql_rows(batch->m, batch->table, result, &batch->sql);
    }
    PQclear(result);
    return buf_failed(&batch->last_key) || buf_failed(&batch->sql.rows) ? error_no_memory(err) : true;
}

static bool pass_rows(struct batch *batch, struct error *err)
{
    struct migration *m = batch->m;
    struct slice row;
    bool first = true, end = false;

    if (!pg_copy_out(m->source_pg, buf_text(&batch->sql.rows), 0, NULL, err))
        return false;
    for (;;) {
        if (!pg_copy_row(m->source_pg, &row, &end, err))
            return false;
        if (end)
            return true;
        if (first && !copyrow_skip_header(&row))
            return error_set(err, "08P01", "a COPY of store \"%s\" begins with no header", m->source->name);
        first = false;
        if (row.bytes == 0 || copyrow_is_trailer(row))
            continue;
        batch->copied++;
        if (!pg_copy_put(m->target_pg, row, err))
            return false;
    }
}

/* In the target's transaction, behind cursor_hold(). */
static bool advance(struct migration *m, const struct moved_table *table, const char *key, int64_t rows,
                    bool done, struct error *err)
{
    char rows_text[24];
    PGresult *result;

    snprintf(rows_text, sizeof rows_text, "%" PRId64, rows);
    result = migration_ask_target(
        m, sql_companion_advance, 5,
        (const char *[]){ m->id, table->source.qualified, key, rows_text, done ? "true" : "false" }, err);
    PQclear(result);
    return result != NULL;
}

static bool write_batch(struct batch *batch, int64_t rows_before, struct error *err)
{
    struct migration *m = batch->m;

    if (!pg_run(m->target_pg, "BEGIN", 0, NULL, err) || !cursor_hold(m, err) ||
        !pg_copy_in(m->target_pg, buf_text(&batch->sql.copy_in), err) ||
        !pg_copy_put(m->target_pg, copyrow_header, err) || !pass_rows(batch, err) ||
        !pg_copy_put(m->target_pg, copyrow_trailer, err))
        return false;
    if (!pg_copy_end(m->target_pg, NULL, err)) {
        if (error_is(err, "23505"))
            error_hint(err,
                       "A row of %s is in the target already: ABORT MIGRATION '%.8s' PURGE TARGET, or "
                       "move the row that is in the way.",
                       batch->table->target.qualified, m->id);
        return false;
    }
    return advance(m, batch->table, buf_text(&batch->last_key), rows_before + batch->copied, false, err) &&
           pg_run(m->target_pg, "COMMIT", 0, NULL, err);
}

/* `more` false: there was nothing beyond what has been copied. */
static bool copy_batch(struct migration *m, const struct moved_table *table, const struct progress *progress,
                       int64_t *copied, bool *more, struct error *err)
{
    struct batch batch = { .m = m, .table = table };
    bool good;

    companion_sql_make(m, table, progress->key, &batch.sql);
    good = companion_sql_good(&batch.sql, err) && begin_source(&batch, err) && find_upper(&batch, err) &&
           (batch.rows == 0 || write_batch(&batch, progress->rows, err));
    if (!good) {
        pg_abandon(m->source_pg);
        pg_abandon(m->target_pg);
        pg_rollback(m->target_pg);
    }
    pg_rollback(m->source_pg); /* it has read only */
    *more = batch.rows > 0;
    *copied = batch.copied;
    companion_sql_done(&batch.sql);
    buf_done(&batch.last_key);
    return good;
}

/* --- one table ---------------------------------------------------------------------------------------- */

static bool finish_table(struct migration *m, const struct moved_table *table, int64_t rows,
                         struct error *err)
{
    if (pg_run(m->target_pg, "BEGIN", 0, NULL, err) && cursor_hold(m, err) &&
        advance(m, table, NULL, rows, true, err) && pg_run(m->target_pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(m->target_pg);
    return false;
}

static bool throttle(struct migration *m, int64_t rows, struct error *err)
{
    const int64_t rate = m->settings.max_bulk_copy_rate;
    int64_t left_ms = rate <= 0 ? 0 : rows * 1000 / rate;

    for (; left_ms > 0; left_ms -= NAP_MS_MAX) {
        if (!pg_nap(&m->wake, (uint64_t)(left_ms > NAP_MS_MAX ? NAP_MS_MAX : left_ms)))
            return error_set(err, "57014", "the copy was interrupted");
    }
    return true;
}

static bool check_tap(struct migration *m, struct error *err)
{
    bool sound;

    if (!tap_is_sound(m, &sound, err))
        return false;
    if (sound)
        return true;
    error_set(err, "55000", "the tap of tenant %s has changed under the migration", m->tenant);
    return error_hint(err, "RESYNC MIGRATION '%.8s' compares both sides and mends the target.", m->id);
}

/* `done` false: the hook said stop. */
static bool copy_table(struct migration *m, const struct moved_table *table, const struct cursor *events,
                       const struct copier_hook *hook, bool *done, struct error *err)
{
    struct progress progress;
    bool more = true, good = read_progress(m, table, &progress, err);
    int64_t copied;

    *done = true;
    if (good && progress.done)
        return true;
    while (good && more && *done) {
        good = check_tap(m, err) && copy_batch(m, table, &progress, &copied, &more, err);
        if (good && more) {
            PQclear(progress.key);
            good = read_progress(m, table, &progress, err) && throttle(m, copied, err);
            *done = !good || hook == NULL || hook->progress(hook->who, events);
        }
    }
    good = good && (!*done || finish_table(m, table, progress.rows, err));
    PQclear(progress.key);
    return good;
}

/* --- sequences ---------------------------------------------------------------------------------------- */

static const char *source_sequence(const struct moved_table *table, const char *column)
{
    for (size_t i = 0; i < table->source.sequence_count; i++) {
        if (strcmp(table->source.sequences[i].column, column) == 0)
            return table->source.sequences[i].sequence;
    }
    return NULL;
}

static bool move_sequence(struct migration *m, const struct moved_table *table,
                          const struct relation_sequence *to, struct error *err)
{
    const char *from = source_sequence(table, to->column);
    struct buf sql;
    PGresult *result = NULL;
    char highest[24];

    buf_init(&sql);
    companion_sql_highest(m, table, to->column, from, &sql);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(m->source_pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    if (result == NULL)
        return false;
    snprintf(highest, sizeof highest, "%s", PQgetisnull(result, 0, 0) ? "0" : PQgetvalue(result, 0, 0));
    PQclear(result);
    if (strtoll(highest, NULL, 10) < 1)
        return true; /* nothing has been given yet */
    companion_sql_move(m, to->sequence, &sql);
    result =
        buf_failed(&sql) ? NULL : pg_query(m->target_pg, buf_text(&sql), 1, (const char *[]){ highest }, err);
    if (buf_failed(&sql))
        error_no_memory(err);
    buf_done(&sql);
    PQclear(result);
    return result != NULL;
}

bool companion_move_sequences(struct migration *m, struct error *err)
{
    for (size_t i = 1; i < m->table_count; i++) {
        const struct moved_table *table = &m->tables[i];

        for (size_t k = 0; k < table->target.sequence_count; k++) {
            if (!move_sequence(m, table, &table->target.sequences[k], err))
                return false;
        }
    }
    return true;
}

/* --- for others --------------------------------------------------------------------------------------- */

bool companion_copy(struct migration *m, const struct cursor *events, const struct copier_hook *hook,
                    bool *done, struct error *err)
{
    bool good;

    *done = true;
    if (m->table_count == 1 || events->done)
        return true;
    good = make_schema(m, err) && migration_plan_by_index(m, err) && companion_move_sequences(m, err);
    for (size_t i = 1; good && *done && i < m->table_count; i++)
        good = copy_table(m, &m->tables[i], events, hook, done, err);
    return good;
}

static bool count_target(struct migration *m, const struct moved_table *table, int64_t *rows,
                         struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    companion_sql_count(m, table, &sql);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(m->target_pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    if (result == NULL)
        return false;
    *rows = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}

bool companion_check_target(struct migration *m, struct error *err)
{
    for (size_t i = 1; i < m->table_count; i++) {
        const struct moved_table *table = &m->tables[i];
        int64_t there;

        if (!count_target(m, table, &there, err))
            return false;
        if (there == 0)
            continue;
        error_set(err, "55000", "store \"%s\" holds %" PRId64 " rows of tenant %s in %s, none were expected",
                  m->target->name, there, m->tenant, table->target.qualified);
        return error_hint(
            err, "They are left over from something else, as of an attempt that was aborted without "
                 "PURGE TARGET: delete them there as pgshunt's login, after SET pgshunt.copier = on.");
    }
    return true;
}

bool companion_unchanged(struct migration *m, struct error *err)
{
    for (size_t i = 1; i < m->table_count; i++) {
        if (!relation_unchanged(m->target_pg, &m->tables[i].target, m->tables[i].names, err))
            return false;
    }
    return true;
}

static bool purge_table(struct migration *m, const struct moved_table *table, int64_t *rows,
                        struct error *err)
{
    struct buf sql;
    long deleted = 1;

    buf_init(&sql);
    companion_sql_purge(m, table, &sql);
    while (deleted > 0 && !buf_failed(&sql)) {
        PGresult *result = pg_query(m->target_pg, buf_text(&sql), 0, NULL, err);

        if (result == NULL) {
            buf_done(&sql);
            return false;
        }
        deleted = atol(PQcmdTuples(result));
        *rows += deleted;
        PQclear(result);
    }
    deleted = buf_failed(&sql);
    buf_done(&sql);
    return deleted == 0 || error_no_memory(err);
}

/* Companions without a tenant column go before the parent that says whose they are. */
bool companion_purge(struct migration *m, int64_t *rows, struct error *err)
{
    PGresult *result;

    if (m->table_count == 1)
        return true;
    for (size_t i = m->table_count; i-- > 1;) {
        if (!purge_table(m, &m->tables[i], rows, err))
            return false;
    }
    if (!make_schema(m, err))
        return false;
    result = migration_ask_target(m, "DELETE FROM pgshunt.copy_companion WHERE migration_id = $1", 1,
                                  (const char *[]){ m->id }, err);
    PQclear(result);
    return result != NULL;
}
