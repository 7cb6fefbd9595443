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

/* The lock comes before the snapshot: a TRUNCATE in between would show an empty table to an older snapshot.
 */
static bool send_snapshot(struct mirror *mirror, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->source_pg;
    struct tap_names names;
    bool good = pg_pipe_exec(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err) &&
                pg_pipe_exec(pg, buf_text(&mirror->sql.lock), err) &&
                pg_pipe_call(pg, &(struct pg_call){ "m_begin" }, err);

    tap_names_of(m, &names);
    for (size_t i = 0; good && i < m->table_count; i++)
        good = pg_pipe_call(
            pg, &(struct pg_call){ "m_table", 1, (const char *[]){ m->tables[i].source.qualified } }, err);
    return good &&
           pg_pipe_call(pg, &(struct pg_call){ "m_tap", 1, (const char *[]){ names.qualified_function } },
                        err);
}

bool mirror_send_read(struct mirror *mirror, int64_t limit, struct error *err)
{
    struct migration *m = mirror->m;
    struct pg *pg = m->source_pg;
    char floor_text[24], limit_text[24];
    const char *const range[] = { floor_text, limit_text, m->tenant };
    bool good;

    snprintf(floor_text, sizeof floor_text, "%" PRId64, mirror->floor.settled);
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    good = send_snapshot(mirror, err) && pg_pipe_call(pg, &(struct pg_call){ "m_entries", 2, range }, err);
    for (size_t i = 0; good && i < m->table_count; i++) {
        const struct mirror_name name = mirror_name("children", i);

        if (m->tables[i].names->parent != NULL)
            good = pg_pipe_call(pg, &(struct pg_call){ name.text, 2, range }, err);
    }
    for (size_t i = 0; good && i < m->table_count; i++) {
        const struct mirror_name name = mirror_name("rows", i);

        good = pg_pipe_call(
            pg, &(struct pg_call){ name.text, 3, range, .binary_result = !m->tables[i].source.as_text }, err);
    }
    return good && pg_pipe_call(pg, &(struct pg_call){ "m_flushed" }, err) &&
           pg_pipe_exec(pg, "COMMIT", err) && pg_pipe_sync(pg, err);
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

static bool read_fingerprint(struct mirror *mirror, const struct relation *rel, struct error *err)
{
    PGresult *table = pg_pipe_next(mirror->m->source_pg, err);
    struct buf now;
    bool good = table != NULL;

    buf_init(&now);
    for (int i = 0; good && i < PQnfields(table); i++)
        buf_append_format(&now, "%s\n", PQgetvalue(table, 0, i));
    if (good && buf_failed(&now))
        good = error_no_memory(err);
    good = good && relation_same_fingerprint(rel->qualified, rel->fingerprint, buf_text(&now), err);
    buf_done(&now);
    PQclear(table);
    return good;
}

bool mirror_read_fingerprints(struct mirror *mirror, struct error *err)
{
    struct migration *m = mirror->m;
    PGresult *tap;
    bool good = true;

    for (size_t i = 0; good && i < m->table_count; i++)
        good = read_fingerprint(mirror, &m->tables[i].source, err);
    tap = good ? pg_pipe_next(m->source_pg, err) : NULL;
    if (tap == NULL)
        return false;
    if (PQntuples(tap) == 0 || strcmp(PQgetvalue(tap, 0, 0), mirror->tap_fingerprint) != 0) {
        error_set(err, "55000", "the tap on %s has changed under the migration",
                  m->tables[0].source.qualified);
        good = error_hint(
            err, "Changes may be missing: RESYNC MIGRATION compares both sides and mends the target.");
    }
    PQclear(tap);
    return good;
}

/* --- keys --------------------------------------------------------------------------------------------- */

int mirror_entry_field(const struct mirror_sql *sql, bool old, size_t column)
{
    return ENTRY_KEY + (int)((old ? sql->key_max : 0) + column);
}

bool mirror_entry_table(const struct mirror *mirror, const PGresult *entries, int row, size_t *table,
                        struct error *err)
{
    const struct migration *m = mirror->m;
    unsigned long oid = strtoul(PQgetvalue(entries, row, ENTRY_RELATION), NULL, 10);

    for (*table = 0; *table < m->table_count; ++*table) {
        if (m->tables[*table].source.oid == oid)
            return true;
    }
    error_set(err, "55000", "the tap of tenant %s has captured a change of table %lu, which does not move",
              m->tenant, oid);
    return error_hint(err,
                      "[events] has been changed, or the table made anew: RESYNC MIGRATION compares both "
                      "sides and mends the target.");
}

static bool add_entry(struct mirror *mirror, struct mirror_batch *batch, int row, struct error *err)
{
    const PGresult *entries = batch->entries;
    struct mirror_table_batch *of;
    size_t table;

    if (!mirror_entry_table(mirror, entries, row, &table, err))
        return false;
    if (PQgetvalue(entries, row, ENTRY_OP)[0] == 'T') {
        error_set(err, "55000", "table %s was truncated", mirror->m->tables[table].source.qualified);
        return error_hint(err, "RESYNC MIGRATION compares both sides and mends the target.");
    }
    of = &batch->tables[table];
    of->keys++;
    batch->ids[batch->count++] = strtoll(PQgetvalue(entries, row, ENTRY_ID), NULL, 10);
    mirror_writers_saw(mirror->writers, atoi(PQgetvalue(entries, row, ENTRY_PID)),
                       PQgetvalue(entries, row, ENTRY_APPLICATION));
    for (int old = 0; old < 2; old++) { /* the new one, then the old one, if there is one */
        for (size_t i = 0; i < mirror->m->tables[table].source.key_count; i++) {
            int field = mirror_entry_field(&mirror->sql, old != 0, i);

            if (!PQgetisnull(entries, row, field))
                sqltext_array_add(&of->arrays[i], PQgetvalue(entries, row, field));
        }
    }
    return true;
}

/* Rows of companions that have become the tenant's, or ceased to be, because their parent has changed. */
static bool read_children(struct mirror *mirror, struct mirror_table_batch *of, struct error *err)
{
    of->children = pg_pipe_next(mirror->m->source_pg, err);
    if (of->children == NULL)
        return false;
    for (int row = 0; row < PQntuples(of->children); row++) {
        of->keys++;
        for (int i = 0; i < PQnfields(of->children); i++)
            sqltext_array_add(&of->arrays[i], PQgetvalue(of->children, row, i));
    }
    return true;
}

static bool end_arrays(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
    for (size_t table = 0; table < mirror->m->table_count; table++) {
        for (size_t i = 0; i < mirror->m->tables[table].source.key_count; i++) {
            sqltext_array_end(&batch->tables[table].arrays[i]);
            if (buf_failed(&batch->tables[table].arrays[i]))
                return error_no_memory(err);
        }
    }
    return true;
}

bool mirror_read_entries(struct mirror *mirror, struct mirror_batch *batch, struct error *err)
{
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
    for (size_t i = 0; i < mirror->m->table_count; i++) {
        if (mirror->m->tables[i].names->parent != NULL && !read_children(mirror, &batch->tables[i], err))
            return false;
    }
    return end_arrays(mirror, batch, err);
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
