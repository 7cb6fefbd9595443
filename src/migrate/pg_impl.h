/* pg_impl.h - what pg.c shares with pg_stream.c; nobody else includes it. */
#ifndef PGSHUNT_MIGRATE_PG_IMPL_H
#define PGSHUNT_MIGRATE_PG_IMPL_H

#include "migrate/pg.h"

enum {
    PG_FLUSH_BYTES = 64 * 1024
}; /* queued beyond this, a sender waits for the socket: memory stays bounded */

#ifdef PGSHUNT_FAILPOINTS
enum { PG_FAULT_NAME_BYTES = 64, PG_FAULT_QUEUE = 64 };
struct pg_faults { /* pg_fault.c's */
    char current[PG_FAULT_NAME_BYTES], last[PG_FAULT_NAME_BYTES];
    char queue[PG_FAULT_QUEUE][PG_FAULT_NAME_BYTES]; /* a ring: sent in a pipeline, not answered yet */
    size_t first, count;
};
#endif

struct pg {
    PGconn *conn;
    struct pg_wake wake;
    uint64_t deadline_ms; /* clock_ms(); 0: none */
    uint64_t silence_ms;  /* a server that says nothing for so long has failed; 0: it may think as long as it
                             likes */
    size_t queued_bytes;  /* handed to libpq since its buffer was last known to be empty */
    char *row;            /* COPY OUT: the last row, libpq's memory */
    unsigned syncs;       /* pipeline: sent and not yet read */
    bool broken;
    bool copying_in; /* CopyDone or CopyFail is still owed */
    char what[96];
    char context[512];
#ifdef PGSHUNT_FAILPOINTS
    struct pg_faults faults;
#endif
};

bool pg_ready_for_work(struct pg *pg, struct error *err); /* 08006 if the connection is broken */
bool pg_lost(struct pg *pg, struct error *err);           /* marks it broken; always false */
bool pg_failed(struct pg *pg, const PGresult *result,
               struct error *err); /* the server's error; always false */
bool pg_flush(struct pg *pg, struct error *err);
/* Waits until PQgetResult does not block, and calls it. `result` NULL is libpq's NULL. */
bool pg_await_result(struct pg *pg, PGresult **result, struct error *err);
bool pg_await_input(struct pg *pg, struct error *err); /* one wait and one PQconsumeInput */
/* Reads to the end of the statement; `last` (may be NULL) gets its last result. */
bool pg_collect(struct pg *pg, PGresult **last, struct error *err);

#endif
