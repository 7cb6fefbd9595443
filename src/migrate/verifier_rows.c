/* verifier_rows.c - the second look: a suspect's rows, one by one and column by column, between two passes of
 * the mirror. Nothing but this thread writes the target, so that meanwhile it is what the entries not
 * captured any more have made it. The target may be read after the source or before it: a row that changes in
 * between is captured. Thread: the runner's.   Start at: verifier_settle(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/sqltext.h"
#include "migrate/verifier_impl.h"
#include "sql_embedded.h"

enum { REPAIR_KEYS = 1000, COLUMN_NAMES_BYTES = 200 };
enum { AT_KEY, AT_CAPTURED, AT_VERSION, AT_COLUMNS }; /* of verify_rows.sql */

struct suspect *verifier_suspect_new(size_t columns, const char *const *values)
{
    struct suspect *suspect;
    size_t bytes = 1, at = 0;

    for (size_t i = 0; i < columns; i++)
        bytes += values[i] == NULL ? 0 : strlen(values[i]) + 1;
    suspect = calloc(1, sizeof *suspect + bytes);
    if (suspect == NULL)
        return NULL;
    suspect->columns = columns < VERIFIER_STREAM_COLUMNS_MAX ? columns : VERIFIER_STREAM_COLUMNS_MAX;
    for (size_t i = 0; i < suspect->columns; i++) {
        if (values[i] == NULL)
            continue;
        suspect->values[i] = memcpy(suspect->text + at, values[i], strlen(values[i]) + 1);
        at += strlen(values[i]) + 1;
    }
    return suspect;
}

/* --- one event on both sides -------------------------------------------------------------------------- */

/* The names of the columns that differ; `version`: that one does. */
static size_t compare_columns(const struct relation *rel, const PGresult *source, const PGresult *target,
                              char names[COLUMN_NAMES_BYTES], bool *version)
{
    size_t count = 0, used = 0;
    int at = AT_COLUMNS;

    names[0] = '\0';
    *version = false;
    for (size_t i = 0; i < rel->column_count; i++) {
        const struct relation_column *column = &rel->columns[i];

        if (!column->copied || column->assigned)
            continue;
        if (PQgetisnull(source, 0, at) != PQgetisnull(target, 0, at) ||
            strcmp(PQgetvalue(source, 0, at), PQgetvalue(target, 0, at)) != 0) {
            *version = *version || column->is_version;
            if (used < COLUMN_NAMES_BYTES)
                used += (size_t)snprintf(names + used, COLUMN_NAMES_BYTES - used, "%s%s",
                                         count == 0 ? "" : ", ", column->name);
            count++;
        }
        at++;
    }
    return count;
}

/* --- keys for the mirror ------------------------------------------------------------------------------ */

static bool aside(struct verifier_run *run, struct error *err)
{
    return (run->aside != NULL && !pg_is_broken(run->aside)) ||
           verifier_open(run, run->m->source, &run->aside, err);
}

static PGresult *ask_aside(struct verifier_run *run, const char *text, const char *value, struct error *err)
{
    struct verifier_scope scope = { .order = run->order, .table = run->table, .segments = 1 };
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    if (aside(run, err) && verifier_expand(run->m, text, &scope, &sql, err))
        result = pg_query(run->aside, buf_text(&sql), 1, &value, err);
    buf_done(&sql);
    return result;
}

/* What the target alone has may have been deleted in the source a moment ago. */
static bool is_captured(struct verifier_run *run, const char *key, bool *captured, struct error *err)
{
    PGresult *result = ask_aside(run, sql_verify_captured, key, err);

    if (result == NULL)
        return false;
    *captured = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool put_keys(struct verifier_run *run, struct error *err)
{
    PGresult *result;

    if (run->key_count == 0)
        return true;
    sqltext_array_end(&run->keys);
    if (buf_failed(&run->keys))
        return error_no_memory(err);
    result = ask_aside(run, sql_verify_repair, buf_text(&run->keys), err);
    if (result == NULL)
        return false;
    PQclear(result);
    run->report->captured += (int64_t)run->key_count;
    run->key_count = 0;
    buf_clear(&run->keys);
    return true;
}

static bool add(struct verifier_run *run, struct verifier_found found, const PGresult *row, struct error *err)
{
    found.key = PQgetvalue(row, 0, AT_KEY);
    found.version = PQgetvalue(row, 0, AT_VERSION);
    found.table = run->table == run->m->tables ? NULL : run->table->names->table;
    verifier_add(run->report, &found);
    if (!run->order->repair)
        return true;
    sqltext_array_add(&run->keys, found.key);
    run->key_count++;
    return run->key_count < REPAIR_KEYS || put_keys(run, err);
}

/* --- two lists of rows -------------------------------------------------------------------------------- */

static bool compare_row(struct verifier_run *run, const struct suspect *suspect, const PGresult *source,
                        const PGresult *target, int order, struct error *err)
{
    char names[COLUMN_NAMES_BYTES];
    bool captured = false, version;

    if (order <= 0 && PQgetvalue(source, 0, AT_CAPTURED)[0] == 't')
        return true; /* not mirrored yet, and compared behind the mirror */
    if (order < 0)
        return add(run, (struct verifier_found){ .kind = VERIFIER_MISSING, .suspect = suspect }, source, err);
    if (order > 0) {
        if (run->order->switched) /* it was written there */
            return true;
        return is_captured(run, PQgetvalue(target, 0, AT_KEY), &captured, err) &&
               (captured ||
                add(run, (struct verifier_found){ .kind = VERIFIER_EXTRA, .suspect = suspect }, target, err));
    }
    if (compare_columns(&run->table->source, source, target, names, &version) == 0)
        return true;
    return add(run,
               (struct verifier_found){ .kind = version ? VERIFIER_REORDERED : VERIFIER_DIFFERENT,
                                        .suspect = suspect,
                                        .columns = names },
               source, err);
}

static bool merge(struct verifier_run *run, const struct suspect *suspect, struct verifier_side *source,
                  struct verifier_side *target, struct error *err)
{
    if (!verifier_side_next(source, err) || !verifier_side_next(target, err))
        return false;
    while (source->row != NULL || target->row != NULL) {
        int order = verifier_compare(source, target, 1);

        if (!compare_row(run, suspect, source->row, target->row, order, err) ||
            (order <= 0 && !verifier_side_next(source, err)) ||
            (order >= 0 && !verifier_side_next(target, err)))
            return false;
    }
    return true;
}

static bool send(struct verifier_run *run, const struct suspect *suspect, bool of_target,
                 struct verifier_side *side, struct error *err)
{
    struct verifier_scope scope = { .order = run->order,
                                    .table = run->table,
                                    .of_target = of_target,
                                    .captured = !of_target && !run->order->switched,
                                    .segments = 1 };
    const char *values[1 + VERIFIER_STREAM_COLUMNS_MAX] = { run->m->tenant };
    struct buf sql;
    bool good;

    memcpy(values + 1, suspect->values, sizeof suspect->values);
    buf_init(&sql);
    good = verifier_expand(run->m, sql_verify_rows, &scope, &sql, err) &&
           pg_rows_send(side->pg, buf_text(&sql), (int)(1 + suspect->columns), values, err);
    side->ended = !good;
    buf_done(&sql);
    return good;
}

bool verifier_settle(struct verifier_run *run, const struct suspect *suspect, struct error *err)
{
    struct migration *m = run->m;
    struct verifier_side source = { .pg = m->source_pg, .ended = true },
                         target = { .pg = m->target_pg, .ended = true };
    bool good = send(run, suspect, false, &source, err) && send(run, suspect, true, &target, err) &&
                merge(run, suspect, &source, &target, err);

    verifier_side_done(&source);
    verifier_side_done(&target);
    return good && put_keys(run, err);
}
