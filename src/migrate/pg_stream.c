/* pg_stream.c - what does not fit in one answer: COPY, rows one by one, pipelines. The other half of pg.c,
 * for the same struct pg and thread. */
#include <stdio.h>
#include <string.h>

#include "migrate/pg_fault.h"

/* --- COPY --------------------------------------------------------------------------------------------- */

/* Reads the answer that begins a COPY; anything else is collected as an error. */
static bool begin_copy(struct pg *pg, ExecStatusType wanted, struct error *err)
{
    PGresult *result;
    ExecStatusType status;
    bool good = true;

    if (!pg_await_result(pg, &result, err))
        return false;
    status = PQresultStatus(result);
    if (status == wanted) {
        PQclear(result);
        return true;
    }
    if (status == PGRES_FATAL_ERROR)
        good = pg_failed(pg, result, err);
    PQclear(result);
    if (good) {
        pg_abandon(pg);
        return error_set(err, "08P01", "a COPY was expected from %s", pg->what);
    }
    pg_collect(pg, NULL, &(struct error){ 0 });
    return false;
}

bool pg_copy_out(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err)
{
    int sent;

    if (!pg_ready_for_work(pg, err) || !pg_fault_before(pg, sql, err))
        return false;
    sent = count == 0 ? PQsendQuery(pg->conn, sql)
                      : PQsendQueryParams(pg->conn, sql, count, NULL, values, NULL, NULL, 0);
    if (sent == 0)
        return pg_lost(pg, err);
    return begin_copy(pg, PGRES_COPY_OUT, err);
}

bool pg_copy_row(struct pg *pg, struct slice *row, bool *end, struct error *err)
{
    int bytes;

    PQfreemem(pg->row);
    pg->row = NULL;
    *end = false;
    while ((bytes = PQgetCopyData(pg->conn, &pg->row, 1)) == 0) {
        if (!pg_await_input(pg, err))
            return false;
    }
    if (bytes > 0) {
        *row = (struct slice){ pg->row, (size_t)bytes };
        return true;
    }
    *end = bytes == -1;
    return pg_collect(pg, NULL, err) && pg_fault_after(pg, err); /* -2 has its error in the result, too */
}

bool pg_copy_in(struct pg *pg, const char *sql, struct error *err)
{
    if (!pg_ready_for_work(pg, err) || !pg_fault_before(pg, sql, err))
        return false;
    if (PQsendQuery(pg->conn, sql) == 0)
        return pg_lost(pg, err);
    if (!begin_copy(pg, PGRES_COPY_IN, err))
        return false;
    pg->copying_in = true;
    return true;
}

/* After `bytes` more have been queued: waits for the socket when much is queued. */
static bool queued(struct pg *pg, size_t bytes, struct error *err)
{
    pg->queued_bytes += bytes;
    return pg->queued_bytes < PG_FLUSH_BYTES || pg_flush(pg, err);
}

bool pg_copy_put(struct pg *pg, struct slice bytes, struct error *err)
{
    int put;

    while ((put = PQputCopyData(pg->conn, bytes.at, (int)bytes.bytes)) == 0) {
        if (!pg_flush(pg, err))
            return false;
    }
    return put < 0 ? pg_lost(pg, err) : queued(pg, bytes.bytes, err);
}

bool pg_copy_end(struct pg *pg, const char *why_fail, struct error *err)
{
    int put;

    while ((put = PQputCopyEnd(pg->conn, why_fail)) == 0) {
        if (!pg_flush(pg, err))
            return false;
    }
    pg->copying_in = false;
    return put < 0 ? pg_lost(pg, err) : pg_collect(pg, NULL, err) && pg_fault_after(pg, err);
}

/* --- rows one by one ---------------------------------------------------------------------------------- */

bool pg_rows_send(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err)
{
    if (!pg_ready_for_work(pg, err) || !pg_fault_before(pg, sql, err))
        return false;
    if (PQsendQueryParams(pg->conn, sql, count, NULL, values, NULL, NULL, 0) == 0 ||
        PQsetSingleRowMode(pg->conn) == 0)
        return pg_lost(pg, err);
    return pg_flush(pg, err);
}

bool pg_rows_wait(struct pg *pg, uint64_t wait_ms, bool *ready, struct error *err)
{
    if (PQisBusy(pg->conn)) {
        if (!pg_nap(&(struct pg_wake){ .fd = PQsocket(pg->conn) }, wait_ms)) /* no stop: only a poll */
            return pg_lost(pg, err);
        if (PQconsumeInput(pg->conn) == 0)
            return pg_lost(pg, err);
    }
    *ready = !PQisBusy(pg->conn);
    return true;
}

/* Sorts one answer of a statement in single-row mode: a row, its end, or its failure. */
static PGresult *sort_row(struct pg *pg, PGresult *result, bool *end, struct error *err)
{
    ExecStatusType status = PQresultStatus(result);

    *end = false;
    if (status == PGRES_SINGLE_TUPLE)
        return result;
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        *end = true; /* libpq closes the rows with an empty result */
    else if (status == PGRES_PIPELINE_ABORTED)
        error_set(err, "25P02", "an earlier statement of the pipeline failed on %s", pg->what);
    else
        pg_failed(pg, result, err);
    PQclear(result);
    return NULL;
}

PGresult *pg_rows_next(struct pg *pg, bool *end, struct error *err)
{
    PGresult *result;

    *end = false;
    if (!pg_await_result(pg, &result, err))
        return NULL;
    if (result == NULL) {
        *end = true;
        return NULL;
    }
    result = sort_row(pg, result, end, err);
    if (result == NULL &&
        (!pg_collect(pg, NULL, *end ? err : &(struct error){ 0 }) || (*end && !pg_fault_after(pg, err))))
        *end = false;
    return result;
}

/* --- pipelines ---------------------------------------------------------------------------------------- */

bool pg_pipe_begin(struct pg *pg, struct error *err)
{
    if (!pg_ready_for_work(pg, err))
        return false;
    pg->syncs = 0;
    pg_fault_forget(pg);
    return PQenterPipelineMode(pg->conn) == 1 ? true : pg_lost(pg, err);
}

bool pg_pipe_prepare(struct pg *pg, const char *name, const char *sql, struct error *err)
{
    if (!pg_fault_queued(pg, sql, err))
        return false;
    return PQsendPrepare(pg->conn, name, sql, 0, NULL) == 1 ? queued(pg, strlen(sql), err) : pg_lost(pg, err);
}

bool pg_pipe_exec(struct pg *pg, const char *sql, struct error *err)
{
    if (!pg_fault_queued(pg, sql, err))
        return false;
    return PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1 ? queued(pg, strlen(sql), err)
                                                                               : pg_lost(pg, err);
}

bool pg_pipe_call(struct pg *pg, const struct pg_call *call, struct error *err)
{
    size_t bytes = 64;

    for (int i = 0; i < call->count; i++) {
        if (call->values[i] != NULL)
            bytes += call->formats != NULL && call->formats[i] == 1 ? (size_t)call->lengths[i]
                                                                    : strlen(call->values[i]);
    }
    if (!pg_fault_queued(pg, call->name, err))
        return false;
    if (PQsendQueryPrepared(pg->conn, call->name, call->count, call->values, call->lengths, call->formats,
                            call->binary_result) == 0)
        return pg_lost(pg, err);
    return queued(pg, bytes, err);
}

bool pg_pipe_sync(struct pg *pg, struct error *err)
{
    if (PQpipelineSync(pg->conn) == 0)
        return pg_lost(pg, err);
    pg->syncs++;
    return pg_flush(pg, err);
}

/* The next answer that is not the NULL between two statements. A sync belongs to pg_pipe_end: it is an error
 * here. */
static PGresult *next_answer(struct pg *pg, struct error *err)
{
    PGresult *result = NULL;

    for (int tries = 0; result == NULL && tries < 3; tries++) {
        if (!pg_await_result(pg, &result, err))
            return NULL;
    }
    if (result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
        pg->syncs--;
        PQclear(result);
        result = NULL;
    }
    if (result == NULL)
        error_set(err, "08P01", "%s owes no more answers", pg->what);
    return result;
}

/* Reads the NULL behind a statement's last answer, so that the next one may be streamed. */
static bool end_of_statement(struct pg *pg, struct error *err)
{
    PGresult *result;

    if (!pg_await_result(pg, &result, err))
        return false;
    if (result == NULL)
        return true;
    PQclear(result);
    return error_set(err, "08P01", "%s gave two answers to one statement", pg->what);
}

PGresult *pg_pipe_next(struct pg *pg, struct error *err)
{
    PGresult *result = next_answer(pg, err);
    ExecStatusType status;
    struct error ignored;

    if (result == NULL)
        return NULL;
    status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        if (end_of_statement(pg, err) && pg_fault_answered(pg, err))
            return result;
        PQclear(result);
        return NULL;
    }
    if (status == PGRES_PIPELINE_ABORTED)
        error_set(err, "25P02", "an earlier statement of the pipeline failed on %s", pg->what);
    else
        pg_failed(pg, result, err);
    PQclear(result);
    end_of_statement(pg, &ignored);
    return NULL;
}

bool pg_pipe_done(struct pg *pg, struct error *err)
{
    PGresult *result = pg_pipe_next(pg, err);

    PQclear(result);
    return result != NULL;
}

bool pg_pipe_stream(struct pg *pg, struct error *err)
{
    return PQsetSingleRowMode(pg->conn) == 1
               ? true
               : error_set(err, "XX000", "rows of %s could not be read one by one", pg->what);
}

PGresult *pg_pipe_row(struct pg *pg, bool *end, struct error *err)
{
    PGresult *result = next_answer(pg, err);

    *end = false;
    if (result == NULL)
        return NULL;
    result = sort_row(pg, result, end, err);
    if (*end && (!end_of_statement(pg, err) || !pg_fault_answered(pg, err)))
        *end = false;
    return result;
}

bool pg_pipe_end(struct pg *pg, struct error *err)
{
    PGresult *result;

    if (pg->broken)
        return pg_lost(pg, err);
    pg_fault_forget(pg);
    if (PQpipelineStatus(pg->conn) == PQ_PIPELINE_OFF)
        return true; /* an interruption has already ended it */
    if (pg->syncs == 0 && !pg_pipe_sync(pg, err))
        return false;
    while (pg->syncs > 0) {
        if (!pg_await_result(pg, &result, err))
            return false;
        if (PQstatus(pg->conn) == CONNECTION_BAD) {
            PQclear(result);
            return pg_lost(pg, err);
        }
        if (result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            pg->syncs--;
        PQclear(result);
    }
    return PQexitPipelineMode(pg->conn) == 1 ? true : pg_lost(pg, err);
}
