/* cursor.c - pgshunt.copy_cursor in the target, as functions.
 * Owns:   nothing. Thread: the runner's.   Start at: cursor_claim(). */
#include "migrate/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/sqltext.h"
#include "sql_embedded.h"

static PGresult *ask(struct migration *m, const char *text, int count, const char *const *values,
                     struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    sqltext_expand(&sql, text, m->control_schema, NULL, 0);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(m->target_pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    return result;
}

static const char *number(char text[24], int64_t value)
{
    snprintf(text, 24, "%" PRId64, value);
    return text;
}

static bool make_schema(struct migration *m, struct error *err)
{
    PGresult *result;
    bool good = pg_run(m->target_pg, "BEGIN", 0, NULL, err);

    if (good) {
        result = ask(m, sql_cursor_schema, 0, NULL, err);
        good = result != NULL && pg_run(m->target_pg, "COMMIT", 0, NULL, err);
        PQclear(result);
    }
    if (!good)
        pg_rollback(m->target_pg);
    return good;
}

static void fill(struct cursor *cursor, const PGresult *row)
{
    cursor->position = strtoll(PQgetvalue(row, 0, 0), NULL, 10);
    cursor->high = PQgetisnull(row, 0, 1) ? -1 : strtoll(PQgetvalue(row, 0, 1), NULL, 10);
    cursor->events = strtoll(PQgetvalue(row, 0, 2), NULL, 10);
    cursor->bytes = strtoll(PQgetvalue(row, 0, 3), NULL, 10);
    cursor->done = PQgetvalue(row, 0, 4)[0] == 't';
    snprintf(cursor->source_identity, sizeof cursor->source_identity, "%s", PQgetvalue(row, 0, 5));
}

bool cursor_claim(struct migration *m, struct cursor *cursor, struct error *err)
{
    char epoch[24], before_first[24];
    PGresult *result;
    bool good = true;

    if (!sqltext_schema_ok(m->control_schema, err) || !make_schema(m, err))
        return false;
    result = ask(m, sql_cursor_claim, 4,
                 (const char *[]){ m->id, m->tenant, number(epoch, (int64_t)m->epoch),
                                   number(before_first, INT64_MIN) },
                 err);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 1)
        fill(cursor, result);
    else
        good = error_set(err, "55000",
                         "the copy belongs to another owner: epoch %" PRIu64 " has been overtaken", m->epoch);
    PQclear(result);
    return good;
}

bool cursor_advance(struct migration *m, const struct cursor *cursor, struct error *err)
{
    char epoch[24], position[24], high[24], events[24], bytes[24];
    PGresult *result;
    bool good;

    result = ask(m, sql_cursor_advance, 8,
                 (const char *[]){
                     m->id, number(epoch, (int64_t)m->epoch), number(position, cursor->position),
                     cursor->high == -1 ? NULL : number(high, cursor->high), number(events, cursor->events),
                     number(bytes, cursor->bytes), cursor->done ? "true" : "false", cursor->source_identity },
                 err);
    if (result == NULL)
        return false;
    good = PQntuples(result) == 1 ||
           error_set(err, "55000", "the copy belongs to another owner: epoch %" PRIu64 " has been overtaken",
                     m->epoch);
    PQclear(result);
    return good;
}

bool cursor_hold(struct migration *m, struct error *err)
{
    char sql[128], epoch[24];

    snprintf(sql, sizeof sql, "SELECT %.60s.cursor_hold($1, $2::bigint)", m->control_schema);
    return pg_run(m->target_pg, sql, 2, (const char *[]){ m->id, number(epoch, (int64_t)m->epoch) }, err);
}

bool cursor_remove(struct migration *m, struct error *err)
{
    char epoch[24];
    PGresult *result;

    result = ask(m, sql_cursor_remove, 2, (const char *[]){ m->id, number(epoch, (int64_t)m->epoch) }, err);
    PQclear(result);
    return result != NULL;
}
