/* cursor.h - how far bulk copy has come: pgshunt.copy_cursor in the target, written in the same transaction as the
 * rows it speaks of; every writing transaction first updates its row WHERE owner_epoch = mine, so that an earlier
 * owner's transaction fails. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CURSOR_H
#define PGSHUNT_MIGRATE_CURSOR_H

#include "migrate/migration.h"

enum { CURSORS_MAX = 16 }; /* copy_workers */

struct cursor {
    unsigned worker;       /* its row: 0 is the whole copy's, and that of the lowest positions */
    int64_t position;      /* everything at or below has been copied */
    int64_t high;          /* the scan's end; -1: not fixed yet */
    int64_t events;        /* copied so far; as cursor_claim() reads it, by all workers */
    int64_t bytes;
    bool done;             /* the scan is complete */
    char source_identity[128]; /* system identifier / timeline / start time of the source it speaks of */
    char target_identity[64];  /* system identifier / timeline of the target that has been written; "": none yet */
};

/* Makes schema, table and row if missing; claims it for m->epoch (a lower or equal stored epoch is overtaken, a higher
 * one is 55000 "another owner"); reads it. */
bool cursor_claim(struct migration *m, struct cursor *cursor, struct error *err);
/* The rows of all workers (CURSORS_MAX), by number, once whatever of theirs was under way has ended: a commit whose
 * answer was lost counts. */
bool cursor_read(struct migration *m, struct cursor *cursors, size_t *count, struct error *err);
/* What all have copied, under the name of the first; when it is done, its row says it. Pure. */
void cursor_sum(const struct cursor *cursors, size_t count, struct cursor *sum);
/* Writes the rows of workers 1 and up, in the caller's transaction, which holds the row of worker 0. */
bool cursor_add(struct migration *m, const struct cursor *cursors, size_t count, struct error *err);
/* Inside the caller's transaction on m->target_pg. 55000: the epoch is not ours any more. */
bool cursor_advance(struct migration *m, const struct cursor *cursor, struct error *err);
/* In the caller's transaction: proves that this epoch still owns the target (row lock), without changing it. */
bool cursor_hold(struct migration *m, struct error *err);
bool cursor_hold_worker(struct migration *m, unsigned worker, struct error *err);
/* Writes down both identities, on its own: of whom the cursor speaks from now on. */
bool cursor_identify(struct migration *m, const struct cursor *cursor, struct error *err);
bool cursor_remove(struct migration *m, struct error *err);

#endif
