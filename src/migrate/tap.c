/* tap.c - puts a tap on a tenant's rows, looks after it, takes it off.
 * Owns:   nothing. Leaves: names and texts to tap_text.c, the cutover's lock and state to tap_lock.c, the
 * try-out to tap_try.c. Thread: the runner's.   Start at: tap_install(). */
#include "migrate/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/sqltext.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum {
    LOCK_PATIENCE_MS = 60000, /* then the caller decides whether to go on trying */
    LOCK_NAP_MS_MIN = 150,    /* between two tries, plus as much again by chance: writers go on meanwhile */
    LOCK_NAP_MS_MAX = 2000,
};

/* One lock for making shared objects: CREATE … IF NOT EXISTS by two sessions at once can fail. "pgshunt" in
 * ASCII. */
#define SETUP_LOCK "31636337386087028"

/* --- short locks -------------------------------------------------------------------------------------- */

/* An ordinary autovacuum worker would step aside after deadlock_timeout, for which our waiting is too short.
 */
static void cancel_vacuum(struct migration *m, const char *pid)
{
    struct error err;

    log_line(m->log, LOG_INFO, "tap", "cancelling autovacuum worker %s on %s", pid, m->source_rel.qualified);
    if (!pg_run(m->source_pg, "SELECT pg_cancel_backend($1::int)", 1, &pid, &err))
        log_error(m->log, LOG_DEBUG, "tap", &err, "could not cancel autovacuum worker %s", pid);
}

/* Logs who is in the way; `who` gets the first of them as text. */
static void name_blockers(struct migration *m, char *who, size_t who_bytes)
{
    char oid[16];
    struct error err;
    PGresult *result;

    snprintf(who, who_bytes, "somebody who has gone meanwhile");
    snprintf(oid, sizeof oid, "%u", m->source_rel.oid);
    result = pg_query(m->source_pg, sql_tap_blockers, 1, (const char *[]){ oid }, &err);
    for (int row = 0; result != NULL && row < PQntuples(result); row++) {
        const char *pid =
            PQgetisnull(result, row, 0) ? "0 (prepared transaction)" : PQgetvalue(result, row, 0);
        const char *note = PQgetvalue(result, row, 5)[0] == 't' ? ", autovacuum against wraparound" : "";

        log_line(m->log, LOG_WARN, "tap",
                 "%s of tenant %s waits for pid %s (user %s, application %s, transaction %s ms%s)",
                 m->source_rel.qualified, m->tenant, pid, PQgetvalue(result, row, 1),
                 PQgetvalue(result, row, 2), PQgetvalue(result, row, 3), note);
        if (row == 0)
            snprintf(who, who_bytes, "pid %s (user %s, application %s, transaction %s ms%s)", pid,
                     PQgetvalue(result, row, 1), PQgetvalue(result, row, 2), PQgetvalue(result, row, 3),
                     note);
        if (PQgetvalue(result, row, 4)[0] == 't')
            cancel_vacuum(m, pid);
    }
    PQclear(result);
}

static bool try_once(struct migration *m, const char *sql,
                     bool (*inside)(struct migration *m, void *who, struct error *err), void *who,
                     struct error *err)
{
    static const char begin[] = "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL synchronous_commit = on";

    if (pg_run(m->source_pg, begin, 0, NULL, err) && pg_run(m->source_pg, sql, 0, NULL, err) &&
        (inside == NULL || inside(m, who, err)) && pg_run(m->source_pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(m->source_pg);
    return false;
}

bool tap_with_short_locks(struct migration *m, const char *sql,
                          bool (*inside)(struct migration *m, void *who, struct error *err), void *who,
                          struct error *err)
{
    uint64_t until_ms = clock_ms() + LOCK_PATIENCE_MS;
    uint64_t nap_ms = LOCK_NAP_MS_MIN;
    char blocker[256];

    while (!try_once(m, sql, inside, who, err)) {
        if (!error_is(err, "55P03") && !error_is(err, "40P01"))
            return false;
        name_blockers(m, blocker, sizeof blocker);
        if (clock_ms() > until_ms) {
            error_set(err, "55P03", "table %s could not be locked for an instant", m->source_rel.qualified);
            error_detail(err, "In the way: %s.", blocker);
            return error_hint(err, "End the long transaction that has written the table, then try again.");
        }
        if (!pg_nap(&m->wake, nap_ms + clock_us() % nap_ms))
            return error_set(err, "57014", "waiting for table %s was interrupted", m->source_rel.qualified);
        nap_ms = nap_ms * 2 > LOCK_NAP_MS_MAX ? LOCK_NAP_MS_MAX : nap_ms * 2;
    }
    return true;
}

/* --- what stands already ------------------------------------------------------------------------------ */

bool tap_read_fingerprint(struct pg *pg, const struct tap_names *names, struct buf *fingerprint,
                          struct error *err)
{
    PGresult *result =
        pg_query(pg, sql_tap_fingerprint, 1, (const char *[]){ names->qualified_function }, err);

    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        buf_append_text(fingerprint, PQgetvalue(result, 0, 0));
    PQclear(result);
    return buf_failed(fingerprint) ? error_no_memory(err) : true;
}

struct standing {
    bool registered, ours, whole; /* of this migration; as it was made */
    char definition[20];
};

static bool table_exists(struct migration *m, const char *table, bool *exists, struct error *err)
{
    char qualified[128];
    PGresult *result;

    snprintf(qualified, sizeof qualified, "%.60s.%s", m->control_schema, table);
    result =
        pg_query(m->source_pg, "SELECT to_regclass($1) IS NOT NULL", 1, (const char *[]){ qualified }, err);
    if (result == NULL)
        return false;
    *exists = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static PGresult *read_row(struct migration *m, const struct tap_names *names, struct error *err)
{
    struct buf sql;
    PGresult *result;

    buf_init(&sql);
    tap_text_expand(m, sql_tap_read, &sql);
    result = pg_query(m->source_pg, buf_text(&sql), 1, (const char *[]){ names->key_text }, err);
    buf_done(&sql);
    return result;
}

static bool look(struct migration *m, const struct tap_names *names, struct standing *standing,
                 struct error *err)
{
    PGresult *result;
    struct buf now;
    bool good = true, exists;

    memset(standing, 0, sizeof *standing);
    if (!table_exists(m, "tap", &exists, err) || !exists)
        return !error_is_set(err);
    result = read_row(m, names, err);
    if (result == NULL)
        return false;
    buf_init(&now);
    if (PQntuples(result) > 0) {
        standing->registered = true;
        standing->ours = strcmp(PQgetvalue(result, 0, 1), m->id) == 0;
        snprintf(standing->definition, sizeof standing->definition, "%s", PQgetvalue(result, 0, 2));
        good = strcmp(PQgetvalue(result, 0, 0), m->tenant) == 0
                   ? tap_read_fingerprint(m->source_pg, names, &now, err)
                   : error_set(err, "42710", "tap %s belongs to another tenant with the same key",
                               names->function);
        standing->whole = good && strcmp(PQgetvalue(result, 0, 3), buf_text(&now)) == 0;
    }
    buf_done(&now);
    PQclear(result);
    return good;
}

/* --- putting it on ------------------------------------------------------------------------------------ */

static bool read_login(struct migration *m, char *login, size_t bytes, struct error *err)
{
    PGresult *result = pg_query(m->source_pg, "SELECT session_user", 0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(login, bytes, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

static bool run_setup(struct migration *m, const struct buf *sql, struct error *err)
{
    if (pg_run(m->source_pg, "BEGIN; SELECT pg_advisory_xact_lock(" SETUP_LOCK ")", 0, NULL, err) &&
        pg_run(m->source_pg, buf_text((struct buf *)sql), 0, NULL, err) &&
        pg_run(m->source_pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(m->source_pg);
    return false;
}

static bool make_schema(struct migration *m, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    tap_text_expand(m, sql_tap_schema, &sql);
    good = buf_failed(&sql) ? error_no_memory(err) : run_setup(m, &sql, err);
    buf_done(&sql);
    return good;
}

static bool register_tap(struct migration *m, void *who, struct error *err)
{
    const struct tap_text *text = who;
    struct buf sql, fingerprint;
    char oid[16];
    PGresult *result = NULL;
    bool good = false;

    buf_init(&sql);
    buf_init(&fingerprint);
    snprintf(oid, sizeof oid, "%u", m->source_rel.oid);
    tap_text_expand(m, sql_tap_register, &sql);
    if (tap_read_fingerprint(m->source_pg, &text->names, &fingerprint, err))
        result = pg_query(m->source_pg, buf_text(&sql), 7,
                          (const char *[]){ text->names.key_text, m->tenant, oid, m->id, text->definition,
                                            buf_text(&fingerprint), text->names.qualified_function },
                          err);
    if (result != NULL)
        good = strcmp(PQgetvalue(result, 0, 0), "0") == 0 ||
               error_set(err, "55000", "%s triggers of the tap on %s could not be enabled",
                         PQgetvalue(result, 0, 0), m->source_rel.qualified);
    PQclear(result);
    buf_done(&sql);
    buf_done(&fingerprint);
    return good;
}

static bool make_tap(struct migration *m, struct tap_text *text, struct error *err)
{
    return failpoint("tap.before_install", err) && make_schema(m, err) &&
           run_setup(m, &text->sequences, err) && run_setup(m, &text->function, err) &&
           tap_with_short_locks(m, buf_text(&text->triggers), register_tap, text, err) &&
           failpoint("tap.after_install", err) && tap_try(m, &text->names, err);
}

bool tap_claim(struct migration *m, struct error *err)
{
    struct tap_names names;
    char sql[160], epoch[24];

    tap_names_of(m, &names);
    snprintf(sql, sizeof sql, "SELECT %.60s.tap_claim($1::bigint, $2::bigint)", m->control_schema);
    snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)m->epoch);
    return pg_run(m->source_pg, sql, 2, (const char *[]){ names.key_text, epoch }, err);
}

static bool install(struct migration *m, struct tap_text *text, struct error *err)
{
    struct standing standing;

    error_clear(err);
    if (!look(m, &text->names, &standing, err))
        return false;
    if (standing.ours && standing.whole && strcmp(standing.definition, text->definition) == 0)
        return tap_claim(m, err);
    if (standing.ours) {
        error_set(err, "55000", "the tap on %s has been changed since it was put on: changes may be missing",
                  m->source_rel.qualified);
        return error_hint(err, "ABORT MIGRATION, then START again.");
    }
    if (!tap_remove(m, err)) /* of an earlier migration, or half made: nothing depends on it any more */
        return false;
    if (make_tap(m, text, err))
        return true;
    if (!pg_is_broken(m->source_pg)) {
        struct error ignored;

        tap_remove(m, &ignored); /* one that fails would fail its tenant's writes */
    }
    return false;
}

bool tap_install(struct migration *m, struct error *err)
{
    char login[128];
    struct tap_text text;
    bool good;

    if (!read_login(m, login, sizeof login, err) || !tap_text_make(m, login, &text, err))
        return false;
    good = install(m, &text, err);
    tap_text_done(&text);
    return good;
}

/* --- taking it off ------------------------------------------------------------------------------------ */

static bool run_text(struct migration *m, const char *text, bool short_locks, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    tap_text_expand(m, text, &sql);
    if (buf_failed(&sql))
        good = error_no_memory(err);
    else if (short_locks)
        good = tap_with_short_locks(m, buf_text(&sql), NULL, NULL, err);
    else
        good = run_setup(m, &sql, err);
    buf_done(&sql);
    return good;
}

bool tap_remove(struct migration *m, struct error *err)
{
    return sqltext_schema_ok(m->control_schema, err) && run_text(m, sql_tap_disable, true, err) &&
           run_text(m, sql_tap_drop, true, err) && run_text(m, sql_tap_forget, false, err);
}

bool tap_is_sound(struct migration *m, bool *sound, struct error *err)
{
    struct tap_names names;
    struct standing standing;

    *sound = false;
    error_clear(err);
    tap_names_of(m, &names);
    if (!sqltext_schema_ok(m->control_schema, err) || !look(m, &names, &standing, err))
        return false;
    *sound = standing.ours && standing.whole;
    return true;
}
