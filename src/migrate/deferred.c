/* deferred.c - see deferred.h. An index is made by a plain CREATE INDEX and not concurrently: it goes with
 * the row that remembers it, or not at all, so that nothing invalid is ever left behind. Whoever else writes
 * the target's table waits so long; its tenants would have had the index by then, as CREATE TARGET SCHEMA
 * leaves out only indexes of tables that it makes. Start at: deferred_build(). */
#include "migrate/deferred.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { ID, NAME, STATEMENT, TAKEN, MADE, LEFT };

static bool expand_and_ask(struct runner *r, const char *text, int count, const char *const *values,
                           PGresult **result, struct error *err)
{
    struct buf sql;

    buf_init(&sql);
    sqltext_expand(&sql, text, r->m.control_schema, NULL, 0);
    *result = buf_failed(&sql) ? NULL : pg_query(r->m.target_pg, buf_text(&sql), count, values, err);
    if (buf_failed(&sql))
        error_no_memory(err);
    buf_done(&sql);
    return *result != NULL;
}

static bool has_any(struct runner *r, bool *any, struct error *err)
{
    PGresult *result;

    if (!expand_and_ask(r, "SELECT to_regclass('pgshunt.deferred_index') IS NOT NULL", 0, NULL, &result, err))
        return false;
    *any = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool make(struct runner *r, const PGresult *next, struct error *err)
{
    if (PQgetvalue(next, 0, MADE)[0] == 't')
        return true; /* somebody has made it by hand */
    if (PQgetvalue(next, 0, TAKEN)[0] == 't') {
        error_set(err, "55000", "store \"%s\" has another object of the name %s, which an index shall have",
                  r->m.target->name, PQgetvalue(next, 0, NAME));
        return error_hint(err, "Rename or drop it, then RESUME MIGRATION '%.8s'.", r->id);
    }
    return pg_run(r->m.target_pg, PQgetvalue(next, 0, STATEMENT), 0, NULL, err);
}

static bool tell(struct runner *r, const PGresult *next, uint64_t begun_ms, struct error *err)
{
    struct buf json;
    bool fine;

    log_line(r->setup->log, LOG_INFO, "runner",
             "migration %s: index %s is made after %" PRIu64 " ms, %ld to go", r->id,
             PQgetvalue(next, 0, NAME), clock_ms() - begun_ms,
             strtol(PQgetvalue(next, 0, LEFT), NULL, 10) - 1);
    buf_init(&json);
    buf_append_text(&json, "{\"index\": ");
    json_text(&json, PQgetvalue(next, 0, NAME));
    buf_append_format(&json, ", \"duration_ms\": %" PRIu64 ", \"indexes_left\": %ld}", clock_ms() - begun_ms,
                      strtol(PQgetvalue(next, 0, LEFT), NULL, 10) - 1);
    fine = buf_failed(&json)
               ? error_no_memory(err)
               : ledger_event(r->ledger, r->id, "progress_checkpoint", NULL, buf_text(&json), err);
    buf_done(&json);
    return fine;
}

/* `done`: there was none left. */
static bool build_one(struct runner *r, bool *done, struct error *err)
{
    uint64_t begun_ms = clock_ms();
    PGresult *next = NULL, *gone = NULL;
    bool fine = pg_run(r->m.target_pg, "BEGIN", 0, NULL, err) &&
                expand_and_ask(r, sql_deferred_next, 0, NULL, &next, err);

    *done = fine && PQntuples(next) == 0;
    if (fine && !*done)
        fine = make(r, next, err) &&
               expand_and_ask(r, "DELETE FROM pgshunt.deferred_index WHERE id = $1", 1,
                              (const char *[]){ PQgetvalue(next, 0, ID) }, &gone, err) &&
               tell(r, next, begun_ms, err);
    fine = fine && pg_run(r->m.target_pg, "COMMIT", 0, NULL, err);
    if (!fine)
        pg_rollback(r->m.target_pg);
    PQclear(gone);
    PQclear(next);
    return fine;
}

bool deferred_build(struct runner *r, struct error *err)
{
    bool any, done = false;

    if (!has_any(r, &any, err))
        return false;
    while (any && !done) {
        if (r->interrupted)
            return error_set(err, "57014", "making the target's indexes was interrupted");
        if (!build_one(r, &done, err))
            return false;
    }
    return true;
}
