/* mirror_read.c - the source's half of a pass, as one pipeline: entries that are settled are deleted, and the
 * next are read with the rows they name, all in one snapshot; and the floor below which nothing can come any
 * more. Thread: the runner's.   Start at: mirror_send_read(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/identity.h"
#include "migrate/mirror_impl.h"
#include "migrate/sqltext.h"
#include "migrate/tap_text.h"

/* Deleting entries need not be durable at once: what comes back after a crash is mirrored once more. */
bool mirror_send_forget(struct mirror *mirror, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;

    sqltext_array_end(&mirror->forget);
    return pg_pipe_exec(pg, "BEGIN", err) && pg_pipe_exec(pg, "SET LOCAL synchronous_commit = off", err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_forget", 1, (const char *[]){ buf_text(&mirror->forget) } },
                        err) &&
           pg_pipe_exec(pg, "COMMIT", err);
}

bool mirror_read_forget(struct mirror *mirror, struct error *err)
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

bool mirror_send_read(struct mirror *mirror, int64_t limit, struct error *err)
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
    snprintf(lock, sizeof lock, "LOCK TABLE %.280s IN ACCESS SHARE MODE", m->tables[0].source.qualified);
    return pg_pipe_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
           pg_pipe_exec(pg, lock, err) && pg_pipe_call(pg, &(struct pg_call){ "m_begin" }, err) &&
           pg_pipe_call(pg,
                        &(struct pg_call){ "m_table", 1, (const char *[]){ m->tables[0].source.qualified } },
                        err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_tap", 1, (const char *[]){ names.qualified_function } },
                        err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_entries", 2, range }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_rows", 3, range, .binary_result = true }, err) &&
           pg_pipe_call(pg, &(struct pg_call){ "m_flushed" }, err) && pg_pipe_exec(pg, "COMMIT", err) &&
           pg_pipe_sync(pg, err);
}

bool mirror_read_begin(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
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

bool mirror_read_fingerprints(struct mirror *mirror, struct error *err)
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
    good = good && relation_same_fingerprint(m->tables[0].source.qualified, m->tables[0].source.fingerprint,
                                             buf_text(&now), err);
    if (good && (PQntuples(tap) == 0 || strcmp(PQgetvalue(tap, 0, 0), mirror->tap_fingerprint) != 0)) {
        error_set(err, "55000", "the tap on %s has changed under the migration",
                  m->tables[0].source.qualified);
        good = error_hint(
            err, "Changes may be missing: RESYNC MIGRATION compares both sides and mends the target.");
    }
    buf_done(&now);
    PQclear(table);
    PQclear(tap);
    return good;
}

static bool add_entry(struct mirror *mirror, struct mirror_batch *batch, int row, struct error *err)
{
    const PGresult *entries = batch->entries;
    size_t columns = mirror->m->tables[0].source.key_count;

    if (PQgetvalue(entries, row, 1)[0] == 'T') {
        error_set(err, "55000", "table %s was truncated", mirror->m->tables[0].source.qualified);
        return error_hint(err, "RESYNC MIGRATION compares both sides and mends the target.");
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

bool mirror_read_entries(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    size_t columns = mirror->m->tables[0].source.key_count;
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

bool mirror_read_end(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    struct pg *pg = mirror->m->source_pg;
    PGresult *result = pg_pipe_next(pg, err);

    if (result == NULL)
        return false;
    batch->flush_lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    PQclear(result);
    return pg_pipe_done(pg, err); /* COMMIT */
}

void mirror_raise_floor(struct mirror_floor *floor, const struct mirror_batch *batch)
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
