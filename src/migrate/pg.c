/* pg.c - one libpq connection: opened, waited for, asked, interrupted.
 * Owns:   its PGconn. Leaves: COPY, rows one by one and pipelines to pg_stream.c.
 * Thread: its owner's. A cancel request runs on a thread of its own for its length, because PQcancel() blocks
 * for as long as a frozen server likes.   Start at: pg_open(), then pg_query(). */
#include "migrate/pg.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "migrate/pg_fault.h"

enum {
    CANCEL_MS = 1000, /* a cancelled statement that has not ended by then costs the connection */
};

/* What every runner's session sets, whatever role, database and postgresql.conf say (DESIGN §4.3): both ends
 * must write a value in the same way, and see all rows. (jit: compiling costs more than any of our
 * statements.) `pgshunt.copier` goes with the login: see sql/tap_function.sql. */
static const char session_settings[] =
    "SELECT pg_catalog.set_config(s, v, false) FROM (VALUES"
    " ('search_path', ''), ('row_security', 'off'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'),"
    " ('IntervalStyle', 'postgres'), ('extra_float_digits', '3'), ('bytea_output', 'hex'),"
    " ('lc_monetary', 'C'), ('standard_conforming_strings', 'on'), ('xmloption', 'content'), ('jit', 'off'),"
    " ('statement_timeout', '0'), ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),"
    " ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),"
    " ('default_transaction_deferrable', 'off'), ('pgshunt.copier', 'on')) AS t (s, v)";

/* --- errors ------------------------------------------------------------------------------------------- */

static void trim_newline(char *text)
{
    size_t bytes = strlen(text);

    while (bytes > 0 && (text[bytes - 1] == '\n' || text[bytes - 1] == ' '))
        text[--bytes] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        if (*at == '\n')
            *at = ' ';
    }
}

bool pg_lost(struct pg *pg, struct error *err)
{
    char reason[400];

    snprintf(reason, sizeof reason, "%s", pg->conn == NULL ? "closed" : PQerrorMessage(pg->conn));
    trim_newline(reason);
    pg->broken = true;
    return error_set(err, "08006", "lost the connection to %s: %s", pg->what,
                     reason[0] == '\0' ? "closed" : reason);
}

/* "Failing row contains (…)" is an event's payload: it must not reach a log. */
static bool detail_may_be_shown(const char *sqlstate)
{
    return strcmp(sqlstate, "23502") != 0 && strcmp(sqlstate, "23514") != 0 && strcmp(sqlstate, "44000") != 0;
}

bool pg_failed(struct pg *pg, const PGresult *result, struct error *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

    if (sqlstate == NULL) /* libpq's own: the connection is gone, or we have misused it */
        return pg_lost(pg, err);
    snprintf(pg->context, sizeof pg->context, "%s", context == NULL ? "" : context);
    if (PQstatus(pg->conn) == CONNECTION_BAD)
        pg->broken = true;
    error_set(err, sqlstate, "%s", message == NULL ? "" : message);
    if (detail != NULL && detail_may_be_shown(sqlstate))
        error_detail(err, "%s", detail);
    if (hint != NULL)
        error_hint(err, "%s", hint);
    return false;
}

/* --- waiting ------------------------------------------------------------------------------------------ */

static int poll_ms(uint64_t until_ms)
{
    uint64_t now_ms = clock_ms();

    if (until_ms == 0)
        return -1;
    if (until_ms <= now_ms)
        return 0;
    return until_ms - now_ms > 60000 ? 60000 : (int)(until_ms - now_ms);
}

static bool wake_says_stop(const struct pg_wake *wake)
{
    return wake->stop != NULL && wake->stop(wake->who);
}

enum awaited { AWAITED_SOCKET, AWAITED_STOP, AWAITED_TIME, AWAITED_FAILURE };

/* Polls the socket for `events` (and the wake-up, if `wake` is not NULL) until until_ms (0: for ever). */
static enum awaited await(int socket, short events, const struct pg_wake *wake, uint64_t until_ms)
{
    struct pollfd fds[2] = { { socket, events, 0 }, { wake == NULL ? -1 : wake->fd, POLLIN, 0 } };

    for (;;) {
        int wait_ms = poll_ms(until_ms);
        int ready = poll(fds, 2, wait_ms);

        if (ready < 0 && errno != EINTR)
            return AWAITED_FAILURE;
        if (ready > 0 && fds[1].revents != 0 && wake_says_stop(wake))
            return AWAITED_STOP;
        if (ready > 0 && fds[0].revents != 0)
            return AWAITED_SOCKET;
        if (until_ms != 0 && clock_ms() >= until_ms)
            return AWAITED_TIME;
    }
}

static bool interrupted(struct pg *pg, enum awaited why, struct error *err)
{
    if (why == AWAITED_FAILURE)
        return pg_lost(pg, err);
    pg_abandon(pg);
    if (why == AWAITED_TIME)
        return error_set(err, "57014", "a statement on %s was given up: its time was over", pg->what);
    return error_set(err, "57014", "a statement on %s was interrupted", pg->what);
}

/* Waits for input, or for room to write if `write`; takes in what has come. */
static bool wait_socket(struct pg *pg, bool write, struct error *err)
{
    uint64_t until_ms = pg->silence_ms == 0 ? 0 : clock_ms() + pg->silence_ms;
    enum awaited why;

    if (until_ms == 0 || (pg->deadline_ms != 0 && pg->deadline_ms < until_ms))
        until_ms = pg->deadline_ms;
    why = await(PQsocket(pg->conn), (short)(POLLIN | (write ? POLLOUT : 0)), &pg->wake, until_ms);

    if (why != AWAITED_SOCKET)
        return interrupted(pg, why, err);
    if (PQconsumeInput(pg->conn) == 0)
        return pg_lost(pg, err);
    return true;
}

bool pg_await_input(struct pg *pg, struct error *err)
{
    return wait_socket(pg, false, err);
}

bool pg_flush(struct pg *pg, struct error *err)
{
    int left;

    while ((left = PQflush(pg->conn)) == 1) {
        if (!wait_socket(pg, true, err))
            return false;
    }
    if (left < 0)
        return pg_lost(pg, err);
    pg->queued_bytes = 0;
    return true;
}

bool pg_await_result(struct pg *pg, PGresult **result, struct error *err)
{
    *result = NULL;
    if (!pg_flush(pg, err))
        return false;
    while (PQisBusy(pg->conn)) {
        if (!wait_socket(pg, false, err))
            return false;
    }
    *result = PQgetResult(pg->conn);
    return true;
}

/* --- giving up ---------------------------------------------------------------------------------------- */

static void *cancel_thread(void *cancel)
{
    char unused[256];

    PQcancel(cancel, unused, sizeof unused); /* its failure shows as a statement that does not end */
    PQfreeCancel(cancel);
    return NULL;
}

/* Sends a cancel request and waits until the server has taken it, so that it cannot hit the next statement.
 */
static bool cancel(struct pg *pg, uint64_t until_ms)
{
    PGcancel *request = PQgetCancel(pg->conn);
    pthread_t thread;
    struct timespec until;
    uint64_t now_ms = clock_ms();
    uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;

    if (request == NULL)
        return false;
    if (pthread_create(&thread, NULL, cancel_thread, request) != 0) {
        PQfreeCancel(request);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(left_ms / 1000);
    until.tv_nsec += (long)(left_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (pthread_timedjoin_np(thread, NULL, &until) == 0)
        return true;
    pthread_detach(thread); /* ends when the server answers or the link breaks */
    return false;
}

/* Takes in the rows of a COPY … TO STDOUT that have come. true: its end has come, too. */
static bool drain_rows(struct pg *pg)
{
    char *row = NULL;
    int bytes;

    while ((bytes = PQgetCopyData(pg->conn, &row, 1)) > 0) {
        PQfreemem(row);
        row = NULL;
    }
    return bytes < 0;
}

/* Reads what has come. `idle`: nothing is under way any more; else it has to be waited for input. */
static bool drain_come(struct pg *pg, bool *idle)
{
    PGresult *result;
    ExecStatusType status;

    *idle = false;
    while (!PQisBusy(pg->conn)) {
        if (PQstatus(pg->conn) == CONNECTION_BAD)
            return false;
        result = PQgetResult(pg->conn);
        if (result == NULL && pg->syncs == 0) {
            *idle = true;
            return true;
        }
        status = PQresultStatus(result);
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC)
            pg->syncs--;
        if (status == PGRES_COPY_OUT && !drain_rows(pg))
            return true;
        if (status == PGRES_COPY_IN && PQputCopyEnd(pg->conn, "given up") < 0)
            return false;
    }
    return true;
}

static bool drain(struct pg *pg, uint64_t until_ms)
{
    bool idle;
    int left;

    for (;;) {
        if (!drain_come(pg, &idle))
            return false;
        if (idle)
            return true;
        left = PQflush(pg->conn);
        if (left < 0)
            return false;
        if (await(PQsocket(pg->conn), (short)(POLLIN | (left == 1 ? POLLOUT : 0)), NULL, until_ms) !=
            AWAITED_SOCKET)
            return false;
        if (PQconsumeInput(pg->conn) == 0)
            return false;
    }
}

void pg_abandon(struct pg *pg)
{
    uint64_t until_ms = clock_ms() + CANCEL_MS;

    PQfreemem(pg->row);
    pg->row = NULL;
    if (pg->broken)
        return;
    if (PQtransactionStatus(pg->conn) == PQTRANS_IDLE && PQpipelineStatus(pg->conn) == PQ_PIPELINE_OFF)
        return;
    if (pg->copying_in) {
        pg->copying_in = false;
        PQputCopyEnd(pg->conn, "given up");
    }
    if (PQpipelineStatus(pg->conn) != PQ_PIPELINE_OFF && PQpipelineSync(pg->conn) == 1)
        pg->syncs++; /* the statements queued without one need an end to be read up to */
    if (!cancel(pg, until_ms) || !drain(pg, until_ms) ||
        (PQpipelineStatus(pg->conn) != PQ_PIPELINE_OFF && PQexitPipelineMode(pg->conn) == 0))
        pg->broken = true;
    pg->syncs = 0;
}

void pg_rollback(struct pg *pg)
{
    struct error ignored;
    struct pg_wake wake;
    uint64_t deadline_ms;

    if (pg == NULL || pg->broken || PQtransactionStatus(pg->conn) == PQTRANS_IDLE)
        return;
    /* The way back must not be interrupted by what has made it necessary. */
    wake = pg->wake;
    deadline_ms = pg->deadline_ms;
    pg->wake = (struct pg_wake){ .fd = -1 };
    pg->deadline_ms = clock_ms() + CANCEL_MS;
    if (!pg_run(pg, "ROLLBACK", 0, NULL, &ignored))
        pg->broken = true; /* whoever uses it next must not find an old transaction */
    pg->wake = wake;
    pg->deadline_ms = deadline_ms;
}

/* --- one statement ------------------------------------------------------------------------------------ */

bool pg_ready_for_work(struct pg *pg, struct error *err)
{
    if (pg == NULL)
        return error_set(err, "08003", "not connected");
    if (pg->broken || PQstatus(pg->conn) == CONNECTION_BAD)
        return pg_lost(pg, err);
    pg->context[0] = '\0';
    return true;
}

bool pg_collect(struct pg *pg, PGresult **last, struct error *err)
{
    PGresult *result = NULL, *kept = NULL;
    bool good = true;

    for (;;) {
        if (!pg_await_result(pg, &result, err)) {
            good = false;
            break;
        }
        if (result == NULL)
            break;
        PQclear(kept);
        kept = result;
        switch (PQresultStatus(result)) {
        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
            pg_abandon(pg);
            good = error_set(err, "08P01", "a COPY was not expected from %s", pg->what);
            break;
        case PGRES_FATAL_ERROR:
        case PGRES_BAD_RESPONSE:
            if (good)
                good = pg_failed(pg, result, err);
            break;
        default:
            break;
        }
    }
    if (good && last != NULL)
        *last = kept;
    else
        PQclear(kept);
    return good;
}

PGresult *pg_query(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = NULL;
    int sent;

    if (!pg_ready_for_work(pg, err) || !pg_fault_before(pg, sql, err))
        return NULL;
    sent = count == 0 ? PQsendQuery(pg->conn, sql)
                      : PQsendQueryParams(pg->conn, sql, count, NULL, values, NULL, NULL, 0);
    if (sent == 0) {
        pg_lost(pg, err);
        return NULL;
    }
    if (!pg_collect(pg, &result, err))
        return NULL;
    if (result == NULL)
        error_set(err, "08P01", "%s gave no answer", pg->what);
    if (pg_fault_after(pg, err))
        return result;
    PQclear(result);
    return NULL;
}

bool pg_run(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err)
{
    PGresult *result = pg_query(pg, sql, count, values, err);

    PQclear(result);
    return result != NULL;
}

/* --- opening and closing ------------------------------------------------------------------------------ */

static void ignore_notice(void *who, const char *message)
{
    (void)who;
    (void)message; /* "schema exists already, skipping" and the like */
}

static PGconn *start_connection(const char *conninfo, const char *application_name)
{
    /* A later keyword wins over the same one inside dbname. */
    const char *const keywords[] = { "dbname",           "application_name", "client_encoding",
                                     "keepalives",       "keepalives_idle",  "keepalives_interval",
                                     "keepalives_count", "tcp_user_timeout", NULL };
    const char *const values[] = { conninfo, application_name, "UTF8", "1", "5", "2", "3", "15000", NULL };

    return PQconnectStartParams(keywords, values, 1);
}

static bool finish_connection(struct pg *pg, uint64_t until_ms, struct error *err)
{
    char reason[400];
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    enum awaited why = AWAITED_SOCKET;

    while (PQstatus(pg->conn) != CONNECTION_BAD && status != PGRES_POLLING_OK &&
           status != PGRES_POLLING_FAILED) {
        why = await(PQsocket(pg->conn), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, &pg->wake,
                    until_ms);
        if (why != AWAITED_SOCKET)
            break;
        status = PQconnectPoll(pg->conn);
    }
    if (status == PGRES_POLLING_OK)
        return true;
    if (why == AWAITED_STOP)
        return error_set(err, "57014", "connecting to %s was interrupted", pg->what);
    if (why == AWAITED_TIME)
        return error_set(err, "08001", "could not connect to %s in time", pg->what);
    snprintf(reason, sizeof reason, "%s", PQerrorMessage(pg->conn));
    trim_newline(reason);
    return error_set(err, "08001", "could not connect to %s: %s", pg->what, reason);
}

bool pg_open(const char *conninfo, const char *what, const char *application_name, const struct pg_wake *wake,
             uint64_t timeout_ms, struct pg **opened, struct error *err)
{
    uint64_t until_ms = clock_ms() + timeout_ms;
    struct pg *pg = calloc(1, sizeof *pg);

    *opened = NULL;
    if (pg == NULL)
        return error_no_memory(err);
    snprintf(pg->what, sizeof pg->what, "%s", what);
    pg->wake = wake != NULL ? *wake : (struct pg_wake){ .fd = -1 };
    pg->conn = start_connection(conninfo, application_name);
    if (pg->conn == NULL) {
        free(pg);
        return error_no_memory(err);
    }
    pg->deadline_ms = until_ms;
    if (!finish_connection(pg, until_ms, err)) {
        pg_close(pg);
        return false;
    }
    PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    if (PQsetnonblocking(pg->conn, 1) != 0 || !pg_run(pg, session_settings, 0, NULL, err)) {
        pg_close(pg);
        return error_is_set(err) ? false : error_no_memory(err);
    }
    pg->deadline_ms = 0;
    *opened = pg;
    return true;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    PQfreemem(pg->row);
    PQfinish(pg->conn);
    free(pg);
}

PGconn *pg_raw(struct pg *pg)
{
    return pg->conn;
}

int32_t pg_backend_pid(const struct pg *pg)
{
    return PQbackendPID(pg->conn);
}

bool pg_is_broken(const struct pg *pg)
{
    return pg == NULL || pg->broken || PQstatus(pg->conn) == CONNECTION_BAD;
}

void pg_set_deadline(struct pg *pg, uint64_t until_ms)
{
    pg->deadline_ms = until_ms;
}

void pg_set_silence(struct pg *pg, uint64_t silence_ms)
{
    pg->silence_ms = silence_ms;
}

const char *pg_last_context(const struct pg *pg)
{
    return pg->context;
}

bool pg_nap(const struct pg_wake *wake, uint64_t ms)
{
    struct pollfd fd = { wake->fd, POLLIN, 0 };
    uint64_t until_ms = clock_ms() + ms;
    int ready;

    do {
        ready = poll(&fd, 1, poll_ms(until_ms));
        if (ready > 0)
            return !wake_says_stop(wake);
    } while (clock_ms() < until_ms);
    return true;
}
