/* mirror.c - one pass: entries and the rows they name, read in one snapshot of the source; in one transaction
 * of the target, all keys deleted and the rows that exist inserted; then the entries deleted, exactly those
 * that were read. A crash between any two steps repeats the batch with the same result. Two pipelines keep a
 * pass at three round trips: it is what a cutover's pause is made of. Owns:   struct mirror. Leaves: texts to
 * mirror_sql.c, verify-behind to mirror_keys.c. Thread: the runner's. Start at: mirror_run(), then pass(). */
#include "migrate/mirror.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "migrate/copier.h"
#include "migrate/identity.h"
#include "migrate/positions.h"
#include "migrate/mirror_impl.h"
#include "migrate/sqltext.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum {
    WIDER = 8,       /* a batch that met a unique violation is read again so much wider */
    WIDER_TRIES = 3, /* and then without a bound */
    BEHIND_TRIES = 3,
    LIMIT_NONE = 1000000000,
};

/* --- life --------------------------------------------------------------------------------------------- */

struct mirror *mirror_new(struct migration *m)
{
    struct mirror *mirror = calloc(1, sizeof *mirror);

    if (mirror == NULL)
        return NULL;
    mirror->m = m;
    mirror->keys = mirror_keys_new();
    mirror->writers = mirror_writers_new();
    if (mirror->keys != NULL && mirror->writers != NULL)
        return mirror;
    mirror_free(mirror);
    return NULL;
}

void mirror_reset(struct mirror *mirror)
{
    mirror->source_pid = mirror->target_pid = 0;
    buf_clear(&mirror->forget); /* the source still has those entries: they are mirrored once more */
    free(mirror->tap_fingerprint);
    mirror->tap_fingerprint = NULL;
}

void mirror_free(struct mirror *mirror)
{
    if (mirror == NULL)
        return;
    mirror_reset(mirror);
    mirror_sql_done(&mirror->sql);
    buf_done(&mirror->forget);
    mirror_keys_free(mirror->keys);
    mirror_writers_free(mirror->writers);
    free(mirror);
}

void mirror_know_backend(struct mirror *mirror, int32_t pid)
{
    mirror_writers_know(mirror->writers, pid);
}

size_t mirror_hidden_writers(struct mirror *mirror, struct mirror_hidden *out, size_t max)
{
    return mirror_writers_hidden(mirror->writers, out, max);
}

int64_t mirror_unverified(const struct mirror *mirror)
{
    return (int64_t)mirror_keys_count(mirror->keys);
}

/* --- before the first pass on a connection ------------------------------------------------------------ */

/* Mirroring before the scan is done would put rows in the copier's way; and what was captured by another tap,
 * or in another cluster, is not what this copy lacks. */
static bool check_cursor(struct mirror *mirror, struct error *err)
{
    struct migration *m = mirror->m;
    char now[128];
    PGresult *result =
        pg_query(m->target_pg, buf_text(&mirror->sql.cursor), 1, (const char *[]){ m->id }, err);
    bool good;

    if (result == NULL)
        return false;
    if (PQntuples(result) == 0 || PQgetvalue(result, 0, 0)[0] != 't')
        good = error_set(err, "55000", "the bulk copy of tenant %s is not complete", m->tenant);
    else
        good =
            identity_read(m, now, sizeof now, err) && identity_check(m, PQgetvalue(result, 0, 1), now, err);
    PQclear(result);
    return good;
}

static bool note_tap(struct mirror *mirror, struct error *err)
{
    struct tap_names names;
    struct buf now;
    bool good;

    tap_names_of(mirror->m, &names);
    buf_init(&now);
    good = tap_read_fingerprint(mirror->m->source_pg, &names, &now, err);
    free(mirror->tap_fingerprint);
    mirror->tap_fingerprint = good ? strdup(buf_text(&now)) : NULL;
    buf_done(&now);
    return good && mirror->tap_fingerprint == NULL ? error_no_memory(err) : good;
}

struct statement {
    const char *name, *sql;
};

static bool prepare(struct pg *pg, const struct statement *statements, size_t count, struct error *err)
{
    bool good = pg_run(pg, "DEALLOCATE ALL", 0, NULL, err) && pg_pipe_begin(pg, err);

    if (!good)
        return false;
    for (size_t i = 0; good && i < count; i++)
        good = pg_pipe_prepare(pg, statements[i].name, statements[i].sql, err);
    good = good && pg_pipe_sync(pg, err);
    for (size_t i = 0; good && i < count; i++)
        good = pg_pipe_done(pg, err);
    return pg_pipe_end(pg, good ? err : &(struct error){ 0 }) && good;
}

enum { COMMON_MAX = 8 };

/* The statements of all tables, and their names. */
struct statements {
    size_t count;
    struct statement all[COMMON_MAX + 2 * MOVED_TABLES_MAX];
    struct mirror_name names[2 * MOVED_TABLES_MAX];
    size_t name_count;
};

static void add_statement(struct statements *list, const char *name, struct buf *sql, size_t table)
{
    struct mirror_name *kept = &list->names[list->name_count++];

    *kept = mirror_name(name, table);
    list->all[list->count++] = (struct statement){ kept->text, buf_text(sql) };
}

static bool prepare_source(struct mirror *mirror, struct error *err)
{
    struct mirror_sql *sql = &mirror->sql;
    struct statements list = { .count = 6,
                               .all = {
                                   { "m_begin", buf_text(&sql->begin) },
                                   { "m_table", sql_relation_fingerprint },
                                   { "m_tap", sql_tap_fingerprint },
                                   { "m_entries", buf_text(&sql->entries) },
                                   { "m_flushed", sql_mirror_flushed },
                                   { "m_forget", buf_text(&sql->forget) },
                               } };

    for (size_t i = 0; i < mirror->m->table_count; i++) {
        add_statement(&list, "rows", &sql->tables[i].rows, i);
        if (buf_bytes(&sql->tables[i].children) > 0)
            add_statement(&list, "children", &sql->tables[i].children, i);
    }
    return prepare(mirror->m->source_pg, list.all, list.count, err);
}

static bool prepare_target(struct mirror *mirror, struct error *err)
{
    struct mirror_sql *sql = &mirror->sql;
    struct statements list = { .count = 1, .all = { { "m_hold", buf_text(&sql->hold) } } };

    for (size_t i = 0; i < mirror->m->table_count; i++) {
        add_statement(&list, "delete", &sql->tables[i].delete, i);
        add_statement(&list, "insert", &sql->tables[i].insert, i);
    }
    if (positions_assigned(mirror->m))
        list.all[list.count++] = (struct statement){ "m_settle", buf_text(&sql->tables[0].settle) };
    return prepare(mirror->m->target_pg, list.all, list.count, err);
}

static bool get_ready(struct mirror *mirror, struct error *err)
{
    struct migration *m = mirror->m;

    if (m->source_pg == NULL || m->target_pg == NULL || pg_is_broken(m->source_pg) ||
        pg_is_broken(m->target_pg)) {
        mirror_reset(mirror);
        return error_set(err, "08003", "the mirror of tenant %s is not connected", m->tenant);
    }
    if (mirror->source_pid == pg_backend_pid(m->source_pg) &&
        mirror->target_pid == pg_backend_pid(m->target_pg))
        return true;
    mirror_reset(mirror);
    if (!mirror_sql_make(m, &mirror->sql, err) || !migration_plan_by_index(m, err) || !tap_claim(m, err) ||
        !check_cursor(mirror, err) || !note_tap(mirror, err) || !prepare_source(mirror, err) ||
        !prepare_target(mirror, err))
        return false;
    mirror->source_pid = pg_backend_pid(m->source_pg);
    mirror->target_pid = pg_backend_pid(m->target_pg);
    return true;
}

/* --- the target's half -------------------------------------------------------------------------------- */

static bool send_table_delete(struct mirror *mirror, struct mirror_batch *batch, size_t table,
                              struct error *err)
{
    struct migration *m = mirror->m;
    const size_t columns = m->tables[table].source.key_count;
    const char *values[1 + MIRROR_KEY_COLUMNS_MAX] = { m->tenant };
    const struct mirror_name name = mirror_name("delete", table);

    for (size_t i = 0; i < columns; i++)
        values[1 + i] = buf_text(&batch->tables[table].arrays[i]);
    return pg_pipe_call(m->target_pg, &(struct pg_call){ name.text, (int)(1 + columns), values }, err);
}

/* Companions first: what a row of one belongs to may be deleted with the next. */
static bool send_delete(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->target_pg;
    char epoch[24];
    bool good;

    snprintf(epoch, sizeof epoch, "%" PRIu64, m->epoch);
    if (!pg_pipe_begin(pg, err))
        return false;
    batch->target_begun = true;
    good = pg_pipe_exec(pg, "BEGIN", err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_hold", 2, (const char *[]){ m->id, epoch } }, err);
    for (size_t i = m->table_count; good && i-- > 0;)
        good = batch->tables[i].keys == 0 || send_table_delete(mirror, batch, i, err);
    return good;
}

/* Passes one row on, as the values came in. */
static bool send_row(struct mirror *mirror, const char *insert, const PGresult *row, struct error *err)
{
    enum { COLUMNS_MAX = 1600 }; /* MaxHeapAttributeNumber */
    const char *values[COLUMNS_MAX];
    int lengths[COLUMNS_MAX], formats[COLUMNS_MAX];
    int columns = PQnfields(row);

    if (columns > COLUMNS_MAX)
        return error_set(err, "54011", "a row has %d columns", columns);
    for (int i = 0; i < columns; i++) {
        values[i] = PQgetisnull(row, 0, i) ? NULL : PQgetvalue(row, 0, i);
        lengths[i] = PQgetlength(row, 0, i);
        formats[i] = PQfformat(row, i);
    }
    return pg_pipe_call(mirror->m->target_pg, &(struct pg_call){ insert, columns, values, lengths, formats },
                        err);
}

static bool pass_table(struct mirror *mirror, struct mirror_batch *batch, size_t table, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    const struct mirror_name insert = mirror_name("insert", table);
    PGresult *row;
    bool end = false, good = true;

    if (!pg_pipe_stream(pg, err))
        return false;
    while (good && (row = pg_pipe_row(pg, &end, err)) != NULL) {
        good = send_row(mirror, insert.text, row, err);
        batch->rows_put++;
        PQclear(row);
    }
    return good && end;
}

/* Parents first. */
static bool pass_rows(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    for (size_t i = 0; i < mirror->m->table_count; i++) {
        if (!pass_table(mirror, batch, i, err))
            return false;
    }
    return true;
}

/* Where the target gives the positions, and something may have been deleted. */
static bool has_settle(const struct mirror *mirror, const struct mirror_batch *batch)
{
    return positions_assigned(mirror->m) && batch->tables[0].keys > 0;
}

/* Pairs of positions whose row has gone. */
static bool send_settle(struct mirror *mirror, const struct mirror_batch *batch, struct error *err)
{
    const char *tenant = mirror->m->tenant;

    return !has_settle(mirror, batch) ||
           pg_pipe_call(mirror->m->target_pg, &(struct pg_call){ "m_settle", 1, &tenant }, err);
}

static bool read_deletes(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    for (size_t i = 0; i < mirror->m->table_count; i++) {
        PGresult *deleted;

        if (batch->tables[i].keys == 0)
            continue;
        deleted = pg_pipe_next(mirror->m->target_pg, err);
        if (deleted == NULL)
            return false;
        batch->keys_deleted += strtoll(
            has_settle(mirror, batch) && i == 0 ? PQgetvalue(deleted, 0, 0) : PQcmdTuples(deleted), NULL, 10);
        PQclear(deleted);
    }
    return true;
}

/* Reads what the target says to BEGIN, hold, delete and the inserts. */
static bool read_target(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->target_pg;
    bool good = pg_pipe_done(pg, err) && pg_pipe_done(pg, err) && read_deletes(mirror, batch, err);

    for (int64_t i = 0; good && i < batch->rows_put; i++)
        good = pg_pipe_done(pg, err);
    return good && (!has_settle(mirror, batch) || pg_pipe_done(pg, err));
}

/* COMMIT goes along when the source has flushed what was read; else it waits for that. */
static bool commit_target(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->target_pg;
    bool flushed = batch->flush_lsn >= batch->insert_lsn;
    bool good = failpoint("mirror.before_commit", err) && send_settle(mirror, batch, err) &&
                (!flushed || pg_pipe_exec(pg, "COMMIT", err)) && pg_pipe_sync(pg, err) &&
                read_target(mirror, batch, err) && (!flushed || pg_pipe_done(pg, err));

    batch->conflict = !good && error_is(err, "23505");
    if (!pg_pipe_end(pg, good ? err : &(struct error){ 0 }) || !good)
        return false;
    batch->target_begun = false;
    if (!flushed &&
        (!identity_wait_flushed(m, batch->insert_lsn, false, err) || !pg_run(pg, "COMMIT", 0, NULL, err))) {
        batch->conflict = error_is(err, "23505");
        return false;
    }
    batch->committed = true;
    return true;
}

/* --- one pass ----------------------------------------------------------------------------------------- */

static void batch_done(struct mirror_batch *batch)
{
    PQclear(batch->entries);
    free(batch->ids);
    for (size_t i = 0; i < MOVED_TABLES_MAX; i++) {
        PQclear(batch->tables[i].children);
        for (size_t k = 0; k < MIRROR_KEY_COLUMNS_MAX; k++)
            buf_done(&batch->tables[i].arrays[k]);
    }
}

static bool transfer(struct mirror *mirror, int64_t limit, struct mirror_batch *batch, struct error *err)
{
    struct pg *source = mirror->m->source_pg;
    bool forget = buf_bytes(&mirror->forget) > 0;

    return pg_pipe_begin(source, err) && (!forget || mirror_send_forget(mirror, err)) &&
           mirror_send_read(mirror, limit, err) && (!forget || mirror_read_forget(mirror, err)) &&
           mirror_read_begin(mirror, batch, err) && mirror_read_fingerprints(mirror, err) &&
           mirror_read_entries(mirror, batch, err) &&
           (batch->count == 0 || send_delete(mirror, batch, err)) && pass_rows(mirror, batch, err) &&
           mirror_read_end(mirror, batch, err) && pg_pipe_end(source, err) &&
           (batch->count == 0 || commit_target(mirror, batch, err));
}

/* Leaves both connections outside a pipeline and a transaction, or broken. */
static void clean_up(struct mirror *mirror, struct mirror_batch *batch)
{
    struct migration *m = mirror->m;
    struct error ignored;

    if (!pg_is_broken(m->source_pg)) {
        pg_pipe_end(m->source_pg, &ignored);
        pg_rollback(m->source_pg);
    }
    if (batch->target_begun && !pg_is_broken(m->target_pg))
        pg_pipe_end(m->target_pg, &ignored);
    pg_rollback(m->target_pg);
    buf_clear(&mirror->forget); /* if they were not deleted, they are mirrored once more */
}

static bool note_entry(struct mirror *mirror, const PGresult *entries, int row, struct error *err)
{
    const char *values[MIRROR_KEY_COLUMNS_MAX];
    size_t table, columns;

    if (!mirror_entry_table(mirror, entries, row, &table, err))
        return false;
    columns = mirror->m->tables[table].source.key_count;
    for (int old = 0; old < 2; old++) {
        bool there = true;

        for (size_t i = 0; i < columns; i++) {
            int field = mirror_entry_field(&mirror->sql, old != 0, i);

            there = there && !PQgetisnull(entries, row, field);
            values[i] = PQgetvalue(entries, row, field);
        }
        if (there && !mirror_keys_add(mirror->keys, table, columns, values))
            return error_no_memory(err);
    }
    return true;
}

static bool note_children(struct mirror *mirror, const PGresult *children, size_t table, struct error *err)
{
    const char *values[MIRROR_KEY_COLUMNS_MAX];
    size_t columns = mirror->m->tables[table].source.key_count;

    for (int row = 0; row < PQntuples(children); row++) {
        for (size_t i = 0; i < columns; i++)
            values[i] = PQgetvalue(children, row, (int)i);
        if (!mirror_keys_add(mirror->keys, table, columns, values))
            return error_no_memory(err);
    }
    return true;
}

static bool note_keys(struct mirror *mirror, const struct mirror_batch *batch, struct error *err)
{
    for (int row = 0; row < PQntuples(batch->entries); row++) {
        if (!note_entry(mirror, batch->entries, row, err))
            return false;
    }
    for (size_t i = 0; i < mirror->m->table_count; i++) {
        if (batch->tables[i].children != NULL && !note_children(mirror, batch->tables[i].children, i, err))
            return false;
    }
    return true;
}

static void note_forget(struct mirror *mirror, const struct mirror_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        buf_append_format(&mirror->forget, "%s%" PRId64, buf_bytes(&mirror->forget) == 0 ? "{" : ",",
                          batch->ids[i]);
    if (buf_failed(&mirror->forget))
        buf_clear(&mirror->forget); /* no memory: they stay, and are mirrored once more */
}

/* Reads and mirrors at most `limit` entries. The entries themselves are deleted by the next transfer, or
 * forget_now(). */
static bool pass(struct mirror *mirror, int64_t limit, struct mirror_batch *batch, struct error *err)
{
    memset(batch, 0, sizeof *batch);
    if (!transfer(mirror, limit, batch, err)) {
        clean_up(mirror, batch);
        return false;
    }
    mirror_raise_floor(&mirror->floor, batch);
    if (batch->count == 0)
        return true;
    /* First what must not be lost if we fail here, then what may. */
    if (!note_keys(mirror, batch, err) || !failpoint("mirror.after_commit", err))
        return false;
    note_forget(mirror, batch);
    return true;
}

/* On a unique violation the rows in the way must be captured, too: their entries join the batch by making it
 * wider. With all of them, the target becomes what the source's snapshot was: then only a row that is not
 * ours can be in the way. */
static bool pass_widening(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    int64_t limit = mirror->m->settings.batch_size;

    for (int tries = 0;; tries++) {
        if (pass(mirror, limit, batch, err))
            return true;
        if (error_is(err, POSITIONS_BEHIND) && tries < BEHIND_TRIES) {
            batch_done(batch);
            if (!copier_move_sequence(mirror->m, err))
                return false;
            continue;
        }
        if (!batch->conflict || limit == LIMIT_NONE)
            return false;
        log_line(mirror->m->log, LOG_DEBUG, "mirror",
                 "a batch of tenant %s meets rows that have changed, too: wider", mirror->m->tenant);
        batch_done(batch);
        limit = tries < WIDER_TRIES && limit < LIMIT_NONE / WIDER ? limit * WIDER : LIMIT_NONE;
        error_clear(err);
    }
}

static bool forget_now(struct mirror *mirror, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    bool good;

    if (buf_bytes(&mirror->forget) == 0)
        return true;
    good = pg_pipe_begin(pg, err) && mirror_send_forget(mirror, err) && pg_pipe_sync(pg, err) &&
           mirror_read_forget(mirror, err) && pg_pipe_end(pg, err) && failpoint("mirror.after_entries", err);
    if (!good)
        clean_up(mirror, &(struct mirror_batch){ 0 });
    return good;
}

bool mirror_run(struct mirror *mirror, struct mirror_pass *report, struct error *err)
{
    struct mirror_batch batch = { 0 };
    bool good = get_ready(mirror, err) && pass_widening(mirror, &batch, err) && forget_now(mirror, err);

    *report = (struct mirror_pass){ 0 };
    if (good) {
        report->entries = (int64_t)batch.count;
        report->rows_put = batch.rows_put;
        report->keys_deleted = batch.keys_deleted;
        report->more = batch.count >= (size_t)mirror->m->settings.batch_size;
    }
    batch_done(&batch);
    if (good && mirror_keys_count(mirror->keys) > MIRROR_UNVERIFIED_MAX)
        good = mirror_verify_behind(mirror, err);
    return good;
}

bool mirror_drain(struct mirror *mirror, struct error *err)
{
    bool good = get_ready(mirror, err), empty = false;

    while (good && !empty) {
        struct mirror_batch batch = { 0 };

        /* The entries of one pass are deleted on the way of the next: its snapshot, behind that, must see
         * none. */
        good = pass_widening(mirror, &batch, err);
        empty = good && batch.count == 0;
        batch_done(&batch);
    }
    return good;
}

bool mirror_verify_behind(struct mirror *mirror, struct error *err)
{
    return get_ready(mirror, err) && mirror_keys_verify(mirror->keys, mirror->m, &mirror->sql, err);
}
