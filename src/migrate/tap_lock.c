/* tap_lock.c - the cutover's own session at the source: the tenant's lock, and the tap's state, which only
 * its holder may change (DESIGN §4.6 steps 3 and 5). And what others may ask about both. Owns:   the session
 * of a struct tap_lock. Thread: the runner's.   Start at: tap_lock_open(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/tap.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum {
    CONNECT_MS = 5000,
    ANSWER_MS =
        3000, /* beyond what a statement may wait for a lock: a frozen source holds up a pause no longer */
    EVICT_MS = 5000,              /* an ended backend has let its lock go by then */
    REOPEN_MS = 30000,            /* how long tap_open() fights for the lock */
    IDLE_TIMEOUTS_SINCE = 140000, /* idle_session_timeout */
};

struct tap_lock {
    struct migration *m;
    struct pg *pg;
    bool held;
    uint64_t wait_ms; /* lock_timeout as the session has it */
};

static PGresult *ask(struct pg *pg, const struct migration *m, const char *text, int count,
                     const char *const *values, struct error *err)
{
    struct buf sql;
    PGresult *result;

    buf_init(&sql);
    tap_text_expand(m, text, &sql);
    result = pg_query(pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    return result;
}

/* SELECT schema.function(key, epoch) */
static bool call(struct tap_lock *lock, const char *function, uint64_t epoch, const char *more,
                 struct error *err)
{
    struct tap_names names;
    char sql[200], epoch_text[24];

    tap_names_of(lock->m, &names);
    pg_set_deadline(lock->pg, clock_ms() + ANSWER_MS);
    snprintf(sql, sizeof sql, "SELECT %.60s.%s($1::bigint, $2::bigint%s)", lock->m->control_schema, function,
             more);
    snprintf(epoch_text, sizeof epoch_text, "%" PRIu64, epoch);
    return pg_run(lock->pg, sql, 2, (const char *[]){ names.key_text, epoch_text }, err);
}

/* --- the session -------------------------------------------------------------------------------------- */

/* A session that is forgotten (its process stopped, its link cut) gives the lock back by itself. */
static bool set_timeouts(struct tap_lock *lock, struct error *err)
{
    char sql[256];
    int64_t idle_ms = lock->m->settings.cutover_timeout_ms + 1000;

    snprintf(
        sql, sizeof sql,
        "SET synchronous_commit = on; SET idle_in_transaction_session_timeout = %" PRId64 "; %s %" PRId64,
        idle_ms,
        PQserverVersion(pg_raw(lock->pg)) >= IDLE_TIMEOUTS_SINCE ? "SET idle_session_timeout =" : "SELECT",
        idle_ms);
    return pg_run(lock->pg, sql, 0, NULL, err);
}

static bool record(struct tap_lock *lock, struct error *err)
{
    struct tap_names names;
    char epoch[24];
    PGresult *result;

    tap_names_of(lock->m, &names);
    snprintf(epoch, sizeof epoch, "%" PRIu64, lock->m->epoch);
    result = ask(lock->pg, lock->m, sql_tap_hold, 2, (const char *[]){ names.key_text, epoch }, err);
    PQclear(result);
    return result != NULL;
}

bool tap_lock_open(struct migration *m, struct tap_lock **opened, struct error *err)
{
    struct tap_lock *lock = calloc(1, sizeof *lock);
    char what[96], application[64];

    *opened = NULL;
    if (lock == NULL)
        return error_no_memory(err);
    lock->m = m;
    snprintf(what, sizeof what, "store \"%s\"", m->source->name);
    snprintf(application, sizeof application, "pgshunt cutover %.8s", m->id);
    /* The claim comes first: it refuses an earlier owner, which must not end a later one's session. */
    if (pg_open(m->source->conninfo, what, application, &m->wake, CONNECT_MS, &lock->pg, err) &&
        set_timeouts(lock, err) && call(lock, "tap_claim", m->epoch, "", err) &&
        tap_evict(lock->pg, m, err) && record(lock, err)) {
        *opened = lock;
        return true;
    }
    tap_lock_close(lock);
    return false;
}

void tap_lock_close(struct tap_lock *lock)
{
    if (lock == NULL)
        return;
    pg_close(lock->pg);
    free(lock);
}

int32_t tap_lock_pid(const struct tap_lock *lock)
{
    return pg_backend_pid(lock->pg);
}

/* --- the lock ----------------------------------------------------------------------------------------- */

static bool set_lock_timeout(struct tap_lock *lock, uint64_t wait_ms, struct error *err)
{
    char sql[64];

    if (wait_ms == lock->wait_ms)
        return true;
    snprintf(sql, sizeof sql, "SET lock_timeout = %" PRIu64,
             wait_ms == 0 ? 1 : wait_ms); /* 0 would mean for ever */
    if (!pg_run(lock->pg, sql, 0, NULL, err))
        return false;
    lock->wait_ms = wait_ms;
    return true;
}

bool tap_lock_try(struct tap_lock *lock, uint64_t wait_ms, bool *got, struct error *err)
{
    struct tap_names names;
    struct error ignored;

    *got = lock->held;
    if (lock->held)
        return true;
    tap_names_of(lock->m, &names);
    pg_set_deadline(lock->pg, clock_ms() + wait_ms + ANSWER_MS);
    if (!set_lock_timeout(lock, wait_ms, err))
        return false;
    if (pg_run(lock->pg, "SELECT pg_advisory_lock($1::bigint)", 1, (const char *[]){ names.key_text }, err)) {
        lock->held = *got = true;
        return true;
    }
    if (error_is(err, "55P03")) {
        error_clear(err);
        return true;
    }
    if (!pg_is_broken(lock->pg)) /* it may have been granted at the moment of the interruption */
        pg_run(lock->pg, "SELECT pg_advisory_unlock_all()", 0, NULL, &ignored);
    return false;
}

bool tap_unlock(struct tap_lock *lock, struct error *err)
{
    if (!lock->held)
        return true;
    lock->held = false;
    pg_set_deadline(lock->pg, clock_ms() + ANSWER_MS);
    return pg_run(lock->pg, "SELECT pg_advisory_unlock_all()", 0, NULL, err);
}

/* --- the state ---------------------------------------------------------------------------------------- */

bool tap_shut(struct tap_lock *lock, struct error *err)
{
    if (!lock->held)
        return error_set(err, "55000", "the tap is shut only under the tenant's lock");
    /* One statement, one transaction: the answer is the answer to its commit. */
    return failpoint("tap.before_shut", err) && call(lock, "tap_shut", lock->m->epoch, "", err) &&
           failpoint("tap.after_shut", err);
}

bool tap_lock_probe(struct tap_lock *lock, struct error *err)
{
    return call(lock, "tap_claim", lock->m->epoch, "", err);
}

bool tap_open(struct tap_lock *lock, uint64_t epoch, struct error *err)
{
    uint64_t until_ms = clock_ms() + REOPEN_MS;
    uint64_t wait_ms = (uint64_t)lock->m->settings.cutover_lock_ms;
    bool got = lock->held;

    while (!got) {
        if (!tap_lock_try(lock, wait_ms, &got, err))
            return false;
        if (!got && clock_ms() > until_ms)
            return error_set(err, "55P03", "the lock of tenant %s could not be had to open its tap",
                             lock->m->tenant);
        if (!got && !pg_nap(&lock->m->wake, wait_ms))
            return error_set(err, "57014", "opening the tap was interrupted");
    }
    return call(lock, "tap_set", epoch, ", 0", err);
}

bool tap_read(struct pg *pg, const struct migration *m, bool *present, enum tap_state *state, uint64_t *epoch,
              struct error *err)
{
    struct tap_names names;
    PGresult *result;
    long long value;

    tap_names_of(m, &names);
    result = pg_query(pg, "SELECT pg_sequence_last_value(to_regclass($1))", 1,
                      (const char *[]){ names.qualified_state }, err);
    if (result == NULL)
        return false;
    *present = !PQgetisnull(result, 0, 0);
    value = atoll(PQgetvalue(result, 0, 0));
    *state = (value & 3) == 0 ? TAP_OPEN : TAP_SHUT;
    *epoch = (uint64_t)(value >> 2);
    PQclear(result);
    return true;
}

/* --- questions ---------------------------------------------------------------------------------------- */

static void fill_holder(struct tap_holder *holder, const PGresult *result, int row)
{
    holder->pid = atoi(PQgetvalue(result, row, 0));
    holder->age_ms = strtoull(PQgetvalue(result, row, 1), NULL, 10);
    holder->prepared = PQgetvalue(result, row, 2)[0] == 't';
    snprintf(holder->query, sizeof holder->query, "%s", PQgetvalue(result, row, 3));
    snprintf(holder->user, sizeof holder->user, "%s", PQgetvalue(result, row, 4));
    snprintf(holder->application, sizeof holder->application, "%s", PQgetvalue(result, row, 5));
}

bool tap_holders(struct pg *pg, const struct migration *m, struct tap_holder *holders, size_t max,
                 size_t *count, struct error *err)
{
    struct tap_names names;
    PGresult *result;

    tap_names_of(m, &names);
    *count = 0;
    result = pg_query(pg, sql_tap_holders, 1, (const char *[]){ names.key_text }, err);
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result) && *count < max; row++)
        fill_holder(&holders[(*count)++], result, row);
    PQclear(result);
    return true;
}

/* `left`: recorded sessions that are still there; each of them has been told to end. */
static bool evict_once(struct pg *pg, const struct migration *m, int *left, struct error *err)
{
    struct tap_names names;
    char epoch[24];
    PGresult *result;

    tap_names_of(m, &names);
    snprintf(epoch, sizeof epoch, "%" PRIu64, m->epoch);
    result = ask(pg, m, sql_tap_evict, 2, (const char *[]){ names.key_text, epoch }, err);
    if (result == NULL)
        return error_is(err, "42P01") ||
               error_is(err, "3F000"); /* nothing of ours in this store: nobody to end */
    *left = PQntuples(result);
    PQclear(result);
    return true;
}

bool tap_evict(struct pg *pg, const struct migration *m, struct error *err)
{
    uint64_t until_ms = clock_ms() + EVICT_MS;
    int left = 0;

    for (;;) {
        if (!evict_once(pg, m, &left, err))
            return false;
        if (left == 0) {
            error_clear(err);
            return true;
        }
        if (clock_ms() > until_ms)
            return error_set(err, "55006", "an earlier owner's session at the source does not end");
        if (!pg_nap(&m->wake, 20))
            return error_set(err, "57014", "ending an earlier owner's session was interrupted");
    }
}

bool tap_lag(struct pg *pg, const struct migration *m, int64_t *entries, int64_t *oldest_ms,
             struct error *err)
{
    struct tap_names names;
    PGresult *result;

    tap_names_of(m, &names);
    result = ask(pg, m, sql_tap_lag, 1, (const char *[]){ names.key_text }, err);
    if (result == NULL)
        return false;
    *entries = atoll(PQgetvalue(result, 0, 0));
    *oldest_ms = atoll(PQgetvalue(result, 0, 1));
    PQclear(result);
    return true;
}
