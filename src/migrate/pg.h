/* pg.h - libpq with a wake-up descriptor; failures become struct error.
 * One thread per connection. A wait polls the libpq socket and the owner's mailbox together: when letters come,
 * `stop` drains them and says whether to give up (the statement is then cancelled: 57014). */
#ifndef PGSHUNT_MIGRATE_PG_H
#define PGSHUNT_MIGRATE_PG_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct pg;

struct pg_wake {
    int fd;                   /* -1: nothing interrupts */
    bool (*stop)(void *who);  /* reads the letters; true: abandon what is under way */
    void *who;
};

/* Connects within timeout_ms (08001 names `what`, e.g. "store \"shared\"", never a password) and sets what every
 * runner session sets (DESIGN §4.3): row_security off, search_path '', UTC, ISO, extra_float_digits, UTF8, bytea hex,
 * keepalives, tcp_user_timeout, application_name. `wake` is copied. */
bool pg_open(const char *conninfo, const char *what, const char *application_name, const struct pg_wake *wake,
             uint64_t timeout_ms, struct pg **pg, struct error *err);
void pg_close(struct pg *pg); /* NULL is fine */
PGconn *pg_raw(struct pg *pg);
int32_t pg_backend_pid(const struct pg *pg);
bool pg_is_broken(const struct pg *pg);

/* Statements after this moment (clock_ms) fail with 57014; 0: none. */
void pg_set_deadline(struct pg *pg, uint64_t until_ms);

/* One statement, text parameters (NULL = SQL NULL). NULL: `err` has the server's SQLSTATE, message, detail, hint, or
 * 08006 for a lost connection, 57014 for an interruption or deadline. The result is the caller's (PQclear). */
PGresult *pg_query(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);
/* The same where no rows are wanted; several statements in one text are allowed when count is 0. */
bool pg_run(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);

/* COPY … TO STDOUT (binary): pg_copy_out, then rows until `end`; memory of a row is valid until the next call. */
bool pg_copy_out(struct pg *pg, const char *sql, int count, const char *const *values, struct error *err);
bool pg_copy_row(struct pg *pg, struct slice *row, bool *end, struct error *err);
/* COPY … FROM STDIN. Back-pressure: waits while the socket is full. */
bool pg_copy_in(struct pg *pg, const char *sql, struct error *err);
bool pg_copy_put(struct pg *pg, struct slice bytes, struct error *err);
bool pg_copy_end(struct pg *pg, const char *why_fail /* NULL: success */, struct error *err);

/* Sleeps or returns early when `stop` was called; false if it said stop. */
bool pg_nap(const struct pg_wake *wake, uint64_t ms);

/* Class 08, 57P0x, 53, 40001, 40P01, 55P03 …: worth another try. */
bool pg_error_is_transient(const struct error *err);

#endif
