/* pg.h - libpq with a wake-up descriptor; failures become struct error.
 * One thread per connection. A wait polls the libpq socket and the owner's mailbox together: when letters
 * come, `stop` drains them and says whether to give up (the statement is then cancelled: 57014). */
#ifndef PGSHUNT_MIGRATE_PG_H
#define PGSHUNT_MIGRATE_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pg;

struct pg_wake {
    int fd;                  /* -1: nothing interrupts */
    bool (*stop)(void *who); /* reads the letters; true: abandon what is under way */
    void *who;
};

/* Connects within timeout_ms (08001 names `what`, e.g. "store \"shared\"", never a password) and sets what
 * every runner session sets (DESIGN §4.3): row_security off, search_path '', UTC, ISO, extra_float_digits,
 * UTF8, bytea hex, keepalives, tcp_user_timeout, application_name. `wake` is copied. */
bool pg_open(const char *conninfo, const char *what, const char *application_name, const struct pg_wake *wake,
             uint64_t timeout_ms, struct pg **pg, struct error *err);
void pg_close(struct pg *pg); /* NULL is fine */
PGconn *pg_raw(struct pg *pg);
int32_t pg_backend_pid(const struct pg *pg);
bool pg_is_broken(const struct pg *pg); /* NULL is; a statement on it fails with 08003 */

/* Statements after this moment (clock_ms) fail with 57014; 0: none. */
void pg_set_deadline(struct pg *pg, uint64_t until_ms);
/* A statement whose server neither takes nor gives a byte for so long fails with 57014: one that is frozen,
 * or behind a link that is. 0: none. */
void pg_set_silence(struct pg *pg, uint64_t silence_ms);

/* One statement, text parameters (NULL = SQL NULL). NULL: `err` has the server's SQLSTATE, message, detail,
 * hint, or 08006 for a lost connection, 57014 for an interruption or deadline. The result is the caller's
 * (PQclear). */
PGresult *pg_query(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);
/* The same where no rows are wanted; several statements in one text are allowed when count is 0. */
bool pg_run(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);

/* COPY … TO STDOUT (binary): pg_copy_out, then rows until `end`; memory of a row is valid until the next
 * call. */
bool pg_copy_out(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);
bool pg_copy_row(struct pg *pg, struct slice *row, bool *end, struct error *err);
/* COPY … FROM STDIN. Back-pressure: waits while the socket is full. */
bool pg_copy_in(struct pg *pg, const char *sql, struct error *err);
bool pg_copy_put(struct pg *pg, struct slice bytes, struct error *err);
bool pg_copy_end(struct pg *pg, const char *why_fail /* NULL: success */, struct error *err);

/* Ends a COPY … TO STDOUT before its end, quietly: cancels it and reads what was under way. The connection is
 * usable or broken afterwards. Also ends whatever else is under way. */
void pg_abandon(struct pg *pg);
/* Rolls back if a transaction is open; quiet, for ways back after an error. */
void pg_rollback(struct pg *pg);
/* CONTEXT of the last server error ("" if none): which function it came from. Valid until the next statement.
 */
const char *pg_last_context(const struct pg *pg);

/* One statement whose rows come one by one (constant memory). pg_rows_send returns at once; pg_rows_wait
 * waits at most wait_ms and says whether pg_rows_next would not block; pg_rows_next waits for the next row: a
 * result of one row (PQclear), or NULL with `end` true, or NULL and `err`. */
bool pg_rows_send(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);
bool pg_rows_wait(struct pg *pg, uint64_t wait_ms, bool *ready, struct error *err);
PGresult *pg_rows_next(struct pg *pg, bool *end, struct error *err);

/* A pipeline: what was sent goes out at pg_pipe_sync (or when much is queued); answers are read in order.
 * Between pg_pipe_begin and pg_pipe_end only pg_pipe_* may be called; pg_pipe_end reads on to the last sync
 * and forgets what it finds, except that its result says whether the connection is usable. */
bool pg_pipe_begin(struct pg *pg, struct error *err);
bool pg_pipe_prepare(struct pg *pg, const char *name, const char *sql, struct error *err);
bool pg_pipe_exec(struct pg *pg, const char *sql, struct error *err); /* no parameters: BEGIN, COMMIT … */
struct pg_call {
    const char *name; /* a prepared statement */
    int count;
    const char *const *values;
    const int *lengths, *formats; /* NULL: all text */
    bool binary_result;
};
bool pg_pipe_call(struct pg *pg, const struct pg_call *call, struct error *err);
bool pg_pipe_sync(struct pg *pg, struct error *err);
PGresult *pg_pipe_next(struct pg *pg, struct error *err); /* one statement's whole result; NULL: `err` */
bool pg_pipe_done(struct pg *pg, struct error *err);      /* the same where no rows are wanted */
/* Row by row: pg_pipe_stream before the first row of a statement, then pg_pipe_row until `end`. */
bool pg_pipe_stream(struct pg *pg, struct error *err);
PGresult *pg_pipe_row(struct pg *pg, bool *end, struct error *err);
bool pg_pipe_end(struct pg *pg, struct error *err);

/* Sleeps or returns early when `stop` was called; false if it said stop. */
bool pg_nap(const struct pg_wake *wake, uint64_t ms);

#endif
