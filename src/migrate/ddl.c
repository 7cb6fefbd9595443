/* ddl.c - see ddl.h.   Start at: ddl_short(). */
#include "migrate/ddl.h"

#include <stdio.h>

#include "base/clock.h"
#include "sql_embedded.h"

enum {
    LOCK_PATIENCE_MS = 60000, /* then the caller decides whether to go on trying */
    LOCK_NAP_MS_MIN = 150,    /* between two tries, plus as much again by chance: writers go on meanwhile */
    LOCK_NAP_MS_MAX = 2000,
};

/* One lock for making shared objects: CREATE … IF NOT EXISTS by two sessions at once can fail. "pgshunt" in
 * ASCII. */
#define SETUP_LOCK "31636337386087028"

/* An ordinary autovacuum worker would step aside after deadlock_timeout, for which our waiting is too short.
 */
static void cancel_vacuum(const struct ddl_table *t, const char *pid)
{
    struct error err;

    log_line(t->log, LOG_INFO, "ddl", "cancelling autovacuum worker %s on %s", pid, t->rel->qualified);
    if (!pg_run(t->pg, "SELECT pg_cancel_backend($1::int)", 1, &pid, &err))
        log_error(t->log, LOG_DEBUG, "ddl", &err, "could not cancel autovacuum worker %s", pid);
}

/* Logs who is in the way; `who` gets the first of them as text. */
static void name_blockers(const struct ddl_table *t, char *who, size_t who_bytes)
{
    char oid[16];
    struct error err;
    PGresult *result;

    snprintf(who, who_bytes, "somebody who has gone meanwhile");
    snprintf(oid, sizeof oid, "%u", t->rel->oid);
    result = pg_query(t->pg, sql_tap_blockers, 1, (const char *[]){ oid }, &err);
    for (int row = 0; result != NULL && row < PQntuples(result); row++) {
        const char *pid =
            PQgetisnull(result, row, 0) ? "0 (prepared transaction)" : PQgetvalue(result, row, 0);
        const char *note = PQgetvalue(result, row, 5)[0] == 't' ? ", autovacuum against wraparound" : "";

        log_line(t->log, LOG_WARN, "ddl",
                 "%s of tenant %s waits for pid %s (user %s, application %s, transaction %s ms%s)",
                 t->rel->qualified, t->tenant, pid, PQgetvalue(result, row, 1), PQgetvalue(result, row, 2),
                 PQgetvalue(result, row, 3), note);
        if (row == 0)
            snprintf(who, who_bytes, "pid %s (user %s, application %s, transaction %s ms%s)", pid,
                     PQgetvalue(result, row, 1), PQgetvalue(result, row, 2), PQgetvalue(result, row, 3),
                     note);
        if (PQgetvalue(result, row, 4)[0] == 't')
            cancel_vacuum(t, pid);
    }
    PQclear(result);
}

static bool try_once(const struct ddl_table *t, const char *sql, bool (*inside)(void *who, struct error *err),
                     void *who, struct error *err)
{
    static const char begin[] = "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL synchronous_commit = on";

    if (pg_run(t->pg, begin, 0, NULL, err) && pg_run(t->pg, sql, 0, NULL, err) &&
        (inside == NULL || inside(who, err)) && pg_run(t->pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(t->pg);
    return false;
}

bool ddl_short(const struct ddl_table *t, const char *sql, bool (*inside)(void *who, struct error *err),
               void *who, struct error *err)
{
    uint64_t until_ms = clock_ms() + LOCK_PATIENCE_MS;
    uint64_t nap_ms = LOCK_NAP_MS_MIN;
    char blocker[256];

    while (!try_once(t, sql, inside, who, err)) {
        if (!error_is(err, "55P03") && !error_is(err, "40P01"))
            return false;
        name_blockers(t, blocker, sizeof blocker);
        if (clock_ms() > until_ms) {
            error_set(err, "55P03", "table %s could not be locked for an instant", t->rel->qualified);
            error_detail(err, "In the way: %s.", blocker);
            return error_hint(err, "End the long transaction that has written the table, then try again.");
        }
        if (!pg_nap(t->wake, nap_ms + clock_us() % nap_ms))
            return error_set(err, "57014", "waiting for table %s was interrupted", t->rel->qualified);
        nap_ms = nap_ms * 2 > LOCK_NAP_MS_MAX ? LOCK_NAP_MS_MAX : nap_ms * 2;
    }
    return true;
}

bool ddl_setup(struct pg *pg, struct buf *sql, struct error *err)
{
    if (buf_failed(sql))
        return error_no_memory(err);
    if (pg_run(pg, "BEGIN; SELECT pg_advisory_xact_lock(" SETUP_LOCK ")", 0, NULL, err) &&
        pg_run(pg, buf_text(sql), 0, NULL, err) && pg_run(pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(pg);
    return false;
}
