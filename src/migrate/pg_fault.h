/* pg_fault.h - failpoints before and after every statement of a pg (base/failpoint.h): their names, and what
 * is done. For pg.c and pg_stream.c only; nothing of it is left in a build without failpoints.
 *
 * A statement's name: "copy_rows" if its text begins with "-- copy_rows.sql"; of a prepared one, the name it
 * was prepared by; else its first words. A COMMIT is named after the statement before it: there are many. */
#ifndef PGSHUNT_MIGRATE_PG_FAULT_H
#define PGSHUNT_MIGRATE_PG_FAULT_H

#include "migrate/pg_impl.h"

#ifdef PGSHUNT_FAILPOINTS

/* Before it is sent. false: `err` is set, nothing is sent. A cut link shows when it is. */
bool pg_fault_before(struct pg *pg, const char *sql, struct error *err);
/* The server has answered. false: the answer did not arrive, the connection is lost. */
bool pg_fault_after(struct pg *pg, struct error *err);
/* The same of a pipeline, where answers come later, in the order of what was queued. */
bool pg_fault_queued(struct pg *pg, const char *sql, struct error *err);
bool pg_fault_answered(struct pg *pg, struct error *err);
void pg_fault_forget(struct pg *pg); /* what is still queued: its answers are not looked at */

#else

static inline bool pg_fault_before(struct pg *pg, const char *sql, struct error *err)
{
    (void)pg, (void)sql, (void)err;
    return true;
}

static inline bool pg_fault_after(struct pg *pg, struct error *err)
{
    (void)pg, (void)err;
    return true;
}

static inline bool pg_fault_queued(struct pg *pg, const char *sql, struct error *err)
{
    (void)pg, (void)sql, (void)err;
    return true;
}

static inline bool pg_fault_answered(struct pg *pg, struct error *err)
{
    (void)pg, (void)err;
    return true;
}

static inline void pg_fault_forget(struct pg *pg)
{
    (void)pg;
}

#endif
#endif
