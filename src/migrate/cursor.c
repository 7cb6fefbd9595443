/* cursor.c - pgshunt.copy_cursor in the target, as functions.
 * Owns:   nothing. Thread: the runner's.   Start at: cursor_claim(). */
#include "migrate/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/positions.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

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
        result = migration_ask_target(m, sql_cursor_schema, 0, NULL, err);
        good = result != NULL && (!positions_assigned(m) || positions_make_schema(m, err)) &&
               pg_run(m->target_pg, "COMMIT", 0, NULL, err);
        PQclear(result);
    }
    if (!good)
        pg_rollback(m->target_pg);
    return good;
}

static void fill(struct cursor *cursor, const PGresult *rows, int row)
{
    cursor->worker = (unsigned)strtoul(PQgetvalue(rows, row, 0), NULL, 10);
    cursor->position = strtoll(PQgetvalue(rows, row, 1), NULL, 10);
    cursor->high = PQgetisnull(rows, row, 2) ? -1 : strtoll(PQgetvalue(rows, row, 2), NULL, 10);
    cursor->events = strtoll(PQgetvalue(rows, row, 3), NULL, 10);
    cursor->bytes = strtoll(PQgetvalue(rows, row, 4), NULL, 10);
    cursor->done = PQgetvalue(rows, row, 5)[0] == 't';
    snprintf(cursor->source_identity, sizeof cursor->source_identity, "%s", PQgetvalue(rows, row, 6));
    snprintf(cursor->target_identity, sizeof cursor->target_identity, "%s", PQgetvalue(rows, row, 7));
}

bool cursor_read(struct migration *m, struct cursor *cursors, size_t *count, struct error *err)
{
    char epoch[24];
    PGresult *result = migration_ask_target(m, sql_cursor_claim_workers, 2,
                                            (const char *[]){ m->id, number(epoch, (int64_t)m->epoch) }, err);
    int rows;

    *count = 0;
    if (result == NULL)
        return false;
    PQclear(result);
    result = migration_ask_target(m, sql_cursor_read, 1, (const char *[]){ m->id }, err);
    rows = PQntuples(result);
    if (result == NULL)
        return false;
    for (int row = 0; row < rows && row < CURSORS_MAX; row++)
        fill(&cursors[(*count)++], result, row);
    PQclear(result);
    return rows > 0 && rows <= CURSORS_MAX && cursors[0].worker == 0
               ? true
               : error_set(err, "55000", "the copy of tenant %s has %d cursors", m->tenant, rows);
}

void cursor_sum(const struct cursor *cursors, size_t count, struct cursor *sum)
{
    *sum = cursors[0];
    for (size_t i = 1; i < count && !sum->done; i++) {
        sum->events += cursors[i].events;
        sum->bytes += cursors[i].bytes;
        if (sum->high < cursors[i].high)
            sum->high = cursors[i].high;
    }
}

bool cursor_claim(struct migration *m, struct cursor *cursor, struct error *err)
{
    char epoch[24], before_first[24];
    struct cursor cursors[CURSORS_MAX];
    size_t count;
    PGresult *result;
    bool good = true;

    if (!sqltext_schema_ok(m->control_schema, err) || !make_schema(m, err))
        return false;
    /* The first worker's row first: who has it can make no others any more. */
    result = migration_ask_target(m, sql_cursor_claim, 4,
                                  (const char *[]){ m->id, m->tenant, number(epoch, (int64_t)m->epoch),
                                                    number(before_first, INT64_MIN) },
                                  err);
    if (result == NULL)
        return false;
    if (PQntuples(result) != 1)
        good = error_set(err, "55000",
                         "the copy belongs to another owner: epoch %" PRIu64 " has been overtaken", m->epoch);
    PQclear(result);
    if (!good)
        return false;
    if (!cursor_read(m, cursors, &count, err))
        return false;
    cursor_sum(cursors, count, cursor);
    return true;
}

bool cursor_add(struct migration *m, const struct cursor *cursors, size_t count, struct error *err)
{
    char epoch[24], worker[24], position[24], high[24];

    number(epoch, (int64_t)m->epoch);
    for (size_t i = 1; i < count; i++) {
        PGresult *result = migration_ask_target(
            m, sql_cursor_add, 7,
            (const char *[]){ m->id, m->tenant, epoch, number(worker, cursors[i].worker),
                              number(position, cursors[i].position), number(high, cursors[i].high),
                              cursors[0].source_identity },
            err);

        if (result == NULL)
            return false;
        PQclear(result);
    }
    return true;
}

bool cursor_advance(struct migration *m, const struct cursor *cursor, struct error *err)
{
    char epoch[24], position[24], high[24], events[24], bytes[24], worker[24];
    PGresult *result;
    bool good;

    result = migration_ask_target(
        m, sql_cursor_advance, 9,
        (const char *[]){ m->id, number(epoch, (int64_t)m->epoch), number(position, cursor->position),
                          cursor->high == -1 ? NULL : number(high, cursor->high),
                          number(events, cursor->events), number(bytes, cursor->bytes),
                          cursor->done ? "true" : "false", cursor->source_identity,
                          number(worker, cursor->worker) },
        err);
    if (result == NULL)
        return false;
    good = PQntuples(result) == 1 ||
           error_set(err, "55000", "the copy belongs to another owner: epoch %" PRIu64 " has been overtaken",
                     m->epoch);
    PQclear(result);
    return good;
}

bool cursor_identify(struct migration *m, const struct cursor *cursor, struct error *err)
{
    char epoch[24];
    PGresult *result =
        migration_ask_target(m, sql_cursor_identify, 4,
                             (const char *[]){ m->id, number(epoch, (int64_t)m->epoch),
                                               cursor->source_identity, cursor->target_identity },
                             err);
    bool ours = result != NULL && strcmp(PQcmdTuples(result), "1") == 0;

    if (result == NULL)
        return false;
    PQclear(result);
    return ours ||
           error_set(err, "55000", "the copy belongs to another owner: epoch %s has been overtaken", epoch);
}

bool cursor_hold(struct migration *m, struct error *err)
{
    char sql[128], epoch[24];

    snprintf(sql, sizeof sql, "SELECT %.60s.cursor_hold($1, $2::bigint)", m->control_schema);
    return pg_run(m->target_pg, sql, 2, (const char *[]){ m->id, number(epoch, (int64_t)m->epoch) }, err);
}

bool cursor_hold_worker(struct migration *m, unsigned worker, struct error *err)
{
    char sql[128], epoch[24], worker_text[24];

    snprintf(sql, sizeof sql, "SELECT %.60s.cursor_hold_worker($1, $2::bigint, $3::integer)",
             m->control_schema);
    return pg_run(m->target_pg, sql, 3,
                  (const char *[]){ m->id, number(epoch, (int64_t)m->epoch), number(worker_text, worker) },
                  err);
}

bool cursor_remove(struct migration *m, struct error *err)
{
    char epoch[24];
    PGresult *result;

    result = migration_ask_target(m, sql_cursor_remove, 2,
                                  (const char *[]){ m->id, number(epoch, (int64_t)m->epoch) }, err);
    PQclear(result);
    return result != NULL;
}
