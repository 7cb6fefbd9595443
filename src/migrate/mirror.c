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
#include "migrate/identity.h"
#include "migrate/mirror_impl.h"
#include "migrate/sqltext.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum {
    WIDER = 8,       /* a batch that met a unique violation is read again so much wider */
    WIDER_TRIES = 3, /* and then without a bound */
    LIMIT_NONE = 1000000000,
};

/* Up to which id captured is known to be settled: all transactions that were handed a lower id have ended. An
 * id is handed out to a transaction that has an xid (it has changed a row). So: remember the last id
 * (mark_id); then an xid that is higher than all of those transactions' (mark_xid: that of our own next
 * transaction that deletes entries; a snapshot's xmax would not do, for it is only the last completed xid +
 * 1); and once a snapshot's xmin is beyond it, what it does not see below mark_id will never come. */
struct floor {
    int64_t settled, mark_id;
    uint64_t mark_xid;
    enum { MARK_NONE, MARK_ID, MARK_XID } mark;
};

struct batch {
    int64_t *ids;
    size_t count, capacity;
    int64_t first_id;
    uint64_t insert_lsn, flush_lsn, xmin;
    int64_t last_id;
    struct buf arrays[MIRROR_KEY_COLUMNS_MAX];
    PGresult *entries; /* kept until the keys have been noted for verify-behind */
    int64_t rows_put, keys_deleted;
    bool target_begun, committed, conflict;
};

struct mirror {
    struct migration *m;
    struct mirror_sql sql;
    struct floor floor;
    struct mirror_keys *keys;
    struct mirror_writers *writers;
    char *tap_fingerprint;
    int32_t source_pid, target_pid; /* the backends that our statements are prepared in; 0: none */
    struct buf forget;              /* ids the target has committed and the source still holds */
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

static bool prepare_source(struct mirror *mirror, struct error *err)
{
    struct mirror_sql *sql = &mirror->sql;
    const struct statement statements[] = {
        { "m_begin", buf_text(&sql->begin) },   { "m_table", sql_relation_fingerprint },
        { "m_tap", sql_tap_fingerprint },       { "m_entries", buf_text(&sql->entries) },
        { "m_rows", buf_text(&sql->rows) },     { "m_flushed", sql_mirror_flushed },
        { "m_forget", buf_text(&sql->forget) },
    };

    return prepare(mirror->m->source_pg, statements, sizeof statements / sizeof statements[0], err);
}

static bool prepare_target(struct mirror *mirror, struct error *err)
{
    struct mirror_sql *sql = &mirror->sql;
    const struct statement statements[] = {
        { "m_hold", buf_text(&sql->hold) },
        { "m_delete", buf_text(&sql->delete) },
        { "m_insert", buf_text(&sql->insert) },
    };

    return prepare(mirror->m->target_pg, statements, sizeof statements / sizeof statements[0], err);
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
    if (!mirror_sql_make(m, &mirror->sql, err) || !check_cursor(mirror, err) || !note_tap(mirror, err) ||
        !prepare_source(mirror, err) || !prepare_target(mirror, err))
        return false;
    mirror->source_pid = pg_backend_pid(m->source_pg);
    mirror->target_pid = pg_backend_pid(m->target_pg);
    return true;
}

/* --- the source's half -------------------------------------------------------------------------------- */

/* Deleting entries need not be durable at once: what comes back after a crash is mirrored once more. */
static bool send_forget(struct mirror *mirror, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;

    sqltext_array_end(&mirror->forget);
    return pg_pipe_exec(pg, "BEGIN", err) && pg_pipe_exec(pg, "SET LOCAL synchronous_commit = off", err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_forget", 1, (const char *[]){ buf_text(&mirror->forget) } },
                        err) &&
           pg_pipe_exec(pg, "COMMIT", err);
}

static bool read_forget(struct mirror *mirror, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    PGresult *result = NULL;
    bool good = pg_pipe_done(pg, err) && pg_pipe_done(pg, err) && (result = pg_pipe_next(pg, err)) != NULL;

    if (good && mirror->floor.mark == MARK_ID) {
        mirror->floor.mark_xid = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        mirror->floor.mark = MARK_XID;
    }
    PQclear(result);
    good = good && pg_pipe_done(pg, err);
    if (good)
        buf_clear(&mirror->forget);
    return good;
}

static bool send_read(struct mirror *mirror, int64_t limit, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->source_pg;
    struct tap_names names;
    char floor_text[24], limit_text[24], lock[320];
    const char *const range[] = { floor_text, limit_text, m->tenant };

    tap_names_of(m, &names);
    snprintf(floor_text, sizeof floor_text, "%" PRId64, mirror->floor.settled);
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    /* The lock comes before the snapshot: a TRUNCATE in between would show an empty table to an older
     * snapshot. */
    snprintf(lock, sizeof lock, "LOCK TABLE %.280s IN ACCESS SHARE MODE", m->source_rel.qualified);
    return pg_pipe_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
           pg_pipe_exec(pg, lock, err) && pg_pipe_call(pg, &(struct pg_call){ "m_begin" }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_table", 1, (const char *[]){ m->source_rel.qualified } },
                        err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_tap", 1, (const char *[]){ names.qualified_function } },
                        err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_entries", 2, range }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_rows", 3, range, .binary_result = true }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_flushed" }, err) && pg_pipe_exec(pg, "COMMIT", err) &&
           pg_pipe_sync(pg, err);
}

static bool read_begin(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    PGresult *result;

    if (!pg_pipe_done(pg, err) || !pg_pipe_done(pg, err))
        return false;
    result = pg_pipe_next(pg, err);
    if (result == NULL)
        return false;
    batch->insert_lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    batch->xmin = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    batch->last_id = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    PQclear(result);
    return true;
}

static bool read_fingerprints(struct mirror *mirror, struct error *err)
{
    struct migration *m = mirror->m;
    PGresult *table = pg_pipe_next(m->source_pg, err);
    PGresult *tap = table == NULL ? NULL : pg_pipe_next(m->source_pg, err);
    struct buf now;
    bool good = tap != NULL;

    buf_init(&now);
    for (int i = 0; good && i < PQnfields(table); i++)
        buf_append_format(&now, "%s\n", PQgetvalue(table, 0, i));
    if (good && buf_failed(&now))
        good = error_no_memory(err);
    good = good &&
           relation_same_fingerprint(m->source_rel.qualified, m->source_rel.fingerprint, buf_text(&now), err);
    if (good && (PQntuples(tap) == 0 || strcmp(PQgetvalue(tap, 0, 0), mirror->tap_fingerprint) != 0)) {
        error_set(err, "55000", "the tap on %s has changed under the migration", m->source_rel.qualified);
        good = error_hint(err, "Changes may be missing: ABORT MIGRATION and START again.");
    }
    buf_done(&now);
    PQclear(table);
    PQclear(tap);
    return good;
}

static bool add_entry(struct mirror *mirror, struct batch *batch, int row, struct error *err)
{
    const PGresult *entries = batch->entries;
    size_t columns = mirror->m->source_rel.key_count;

    if (PQgetvalue(entries, row, 1)[0] == 'T') {
        error_set(err, "55000", "table %s was truncated", mirror->m->source_rel.qualified);
        return error_hint(err, "ABORT MIGRATION, then START again.");
    }
    batch->ids[batch->count++] = strtoll(PQgetvalue(entries, row, 0), NULL, 10);
    mirror_writers_saw(mirror->writers, atoi(PQgetvalue(entries, row, 2)), PQgetvalue(entries, row, 3));
    for (size_t key = 0; key < 2; key++) { /* the new one, then the old one, if there is one */
        for (size_t i = 0; i < columns; i++) {
            int field = (int)(4 + key * columns + i);

            if (!PQgetisnull(entries, row, field))
                sqltext_array_add(&batch->arrays[i], PQgetvalue(entries, row, field));
        }
    }
    return true;
}

static bool read_entries(struct mirror *mirror, struct batch *batch, struct error *err)
{
    size_t columns = mirror->m->source_rel.key_count;
    int rows;

    batch->entries = pg_pipe_next(mirror->m->source_pg, err);
    if (batch->entries == NULL)
        return false;
    rows = PQntuples(batch->entries);
    batch->ids = calloc((size_t)rows + 1, sizeof *batch->ids);
    if (batch->ids == NULL)
        return error_no_memory(err);
    for (int row = 0; row < rows; row++) {
        if (!add_entry(mirror, batch, row, err))
            return false;
    }
    batch->first_id = rows > 0 ? batch->ids[0] : INT64_MAX;
    for (size_t i = 0; i < columns; i++) {
        sqltext_array_end(&batch->arrays[i]);
        if (buf_failed(&batch->arrays[i]))
            return error_no_memory(err);
    }
    return true;
}

static bool read_end(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    PGresult *result = pg_pipe_next(pg, err);

    if (result == NULL)
        return false;
    batch->flush_lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    PQclear(result);
    return pg_pipe_done(pg, err); /* COMMIT */
}

static void raise_floor(struct floor *floor, const struct batch *batch)
{
    int64_t below_first = batch->first_id - 1;

    if (floor->mark == MARK_XID && batch->xmin > floor->mark_xid) {
        int64_t settled = below_first < floor->mark_id ? below_first : floor->mark_id;

        if (settled > floor->settled)
            floor->settled = settled;
        floor->mark = MARK_NONE;
    }
    if (floor->mark == MARK_NONE) {
        floor->mark_id = batch->last_id;
        floor->mark = MARK_ID;
    }
}

/* --- the target's half -------------------------------------------------------------------------------- */

static bool send_delete(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->target_pg;
    char epoch[24];
    const char *values[1 + MIRROR_KEY_COLUMNS_MAX] = { m->tenant };

    snprintf(epoch, sizeof epoch, "%" PRIu64, m->epoch);
    for (size_t i = 0; i < m->source_rel.key_count; i++)
        values[1 + i] = buf_text(&batch->arrays[i]);
    if (!pg_pipe_begin(pg, err))
        return false;
    batch->target_begun = true;
    return pg_pipe_exec(pg, "BEGIN", err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_hold", 2, (const char *[]){ m->id, epoch } }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_delete", (int)(1 + m->source_rel.key_count), values }, err);
}

/* Passes one row on, as the binary values it came in. */
static bool send_row(struct mirror *mirror, const PGresult *row, struct error *err)
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
        formats[i] = 1;
    }
    return pg_pipe_call(mirror->m->target_pg,
                        &(struct pg_call){ "m_insert", columns, values, lengths, formats }, err);
}

static bool pass_rows(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    PGresult *row;
    bool end = false, good = true;

    if (!pg_pipe_stream(pg, err))
        return false;
    while (good && (row = pg_pipe_row(pg, &end, err)) != NULL) {
        good = send_row(mirror, row, err);
        batch->rows_put++;
        PQclear(row);
    }
    return good && end;
}

/* Reads what the target says to BEGIN, hold, delete and the inserts. */
static bool read_target(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->target_pg;
    PGresult *deleted;
    bool good = pg_pipe_done(pg, err) && pg_pipe_done(pg, err);

    deleted = good ? pg_pipe_next(pg, err) : NULL;
    if (deleted == NULL)
        return false;
    batch->keys_deleted = strtoll(PQcmdTuples(deleted), NULL, 10);
    PQclear(deleted);
    for (int64_t i = 0; good && i < batch->rows_put; i++)
        good = pg_pipe_done(pg, err);
    return good;
}

/* COMMIT goes along when the source has flushed what was read; else it waits for that. */
static bool commit_target(struct mirror *mirror, struct batch *batch, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->target_pg;
    bool flushed = batch->flush_lsn >= batch->insert_lsn;
    bool good = failpoint("mirror.before_commit", err) && (!flushed || pg_pipe_exec(pg, "COMMIT", err)) &&
                pg_pipe_sync(pg, err) && read_target(mirror, batch, err) &&
                (!flushed || pg_pipe_done(pg, err));

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

static void batch_done(struct batch *batch)
{
    PQclear(batch->entries);
    free(batch->ids);
    for (size_t i = 0; i < MIRROR_KEY_COLUMNS_MAX; i++)
        buf_done(&batch->arrays[i]);
}

static bool transfer(struct mirror *mirror, int64_t limit, struct batch *batch, struct error *err)
{
    struct pg *source = mirror->m->source_pg;
    bool forget = buf_bytes(&mirror->forget) > 0;

    return pg_pipe_begin(source, err) && (!forget || send_forget(mirror, err)) &&
           send_read(mirror, limit, err) && (!forget || read_forget(mirror, err)) &&
           read_begin(mirror, batch, err) && read_fingerprints(mirror, err) &&
           read_entries(mirror, batch, err) && (batch->count == 0 || send_delete(mirror, batch, err)) &&
           pass_rows(mirror, batch, err) && read_end(mirror, batch, err) && pg_pipe_end(source, err) &&
           (batch->count == 0 || commit_target(mirror, batch, err));
}

/* Leaves both connections outside a pipeline and a transaction, or broken. */
static void clean_up(struct mirror *mirror, struct batch *batch)
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

static bool note_keys(struct mirror *mirror, const struct batch *batch, struct error *err)
{
    size_t columns = mirror->m->source_rel.key_count;
    const char *values[MIRROR_KEY_COLUMNS_MAX];

    for (int row = 0; row < PQntuples(batch->entries); row++) {
        for (size_t key = 0; key < 2; key++) {
            bool there = true;

            for (size_t i = 0; i < columns; i++) {
                int field = (int)(4 + key * columns + i);

                there = there && !PQgetisnull(batch->entries, row, field);
                values[i] = PQgetvalue(batch->entries, row, field);
            }
            if (there && !mirror_keys_add(mirror->keys, columns, values))
                return error_no_memory(err);
        }
    }
    return true;
}

static void note_forget(struct mirror *mirror, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        buf_append_format(&mirror->forget, "%s%" PRId64, buf_bytes(&mirror->forget) == 0 ? "{" : ",",
                          batch->ids[i]);
    if (buf_failed(&mirror->forget))
        buf_clear(&mirror->forget); /* no memory: they stay, and are mirrored once more */
}

/* Reads and mirrors at most `limit` entries. The entries themselves are deleted by the next transfer, or
 * forget_now(). */
static bool pass(struct mirror *mirror, int64_t limit, struct batch *batch, struct error *err)
{
    memset(batch, 0, sizeof *batch);
    if (!transfer(mirror, limit, batch, err)) {
        clean_up(mirror, batch);
        return false;
    }
    raise_floor(&mirror->floor, batch);
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
static bool pass_widening(struct mirror *mirror, struct batch *batch, struct error *err)
{
    int64_t limit = mirror->m->settings.batch_size;

    for (int tries = 0;; tries++) {
        if (pass(mirror, limit, batch, err))
            return true;
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
    good = pg_pipe_begin(pg, err) && send_forget(mirror, err) && pg_pipe_sync(pg, err) &&
           read_forget(mirror, err) && pg_pipe_end(pg, err) && failpoint("mirror.after_entries", err);
    if (!good)
        clean_up(mirror, &(struct batch){ 0 });
    return good;
}

bool mirror_run(struct mirror *mirror, struct mirror_pass *report, struct error *err)
{
    struct batch batch = { 0 };
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
        struct batch batch = { 0 };

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
