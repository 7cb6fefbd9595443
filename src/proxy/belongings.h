/* belongings.h - what a session has at one store and cannot be made again at another: temporary tables,
 * cursors, session-level advisory locks. By PostgreSQL's rules for transactions and savepoints: a table is
 * there, or gone, when its transaction commits; a cursor WITH HOLD stays where it was opened; a lock does not
 * care about transactions. Pure: no sockets, no clock. One session's.
 *
 * A statement that names one goes where it is; a server that is lost takes the session with it if it had one.
 */
#ifndef PGSHUNT_PROXY_BELONGINGS_H
#define PGSHUNT_PROXY_BELONGINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum belonging_kind {
    BELONGING_TABLE,
    BELONGING_CURSOR, /* goes with its transaction, however that ends */
    BELONGING_HELD,   /* a cursor WITH HOLD */
    BELONGING_LOCK,   /* any number of them at that store; no name */
};

struct belonging {
    enum belonging_kind kind;
    char *name; /* "" : none; where `gone`, of all */
    unsigned store;
    bool gone;      /* a change: it has been dropped or closed */
    unsigned depth; /* a change: savepoints that stood */
    uint64_t sync;  /* a change: the ReadyForQuery that at the earliest ends its transaction */
    struct belonging *prev, *next;
};

struct belongings {
    struct belonging *all;
    struct belonging *pending; /* of the open transaction, oldest first */
    size_t count;              /* of both */
};

void belongings_init(struct belongings *belongings);
void belongings_done(struct belongings *belongings);

/* false: no memory, or BELONGINGS_MAX: what is not known goes where statements of its kind go. */
bool belongings_note(struct belongings *belongings, enum belonging_kind kind, struct slice name,
                     unsigned store, unsigned depth, uint64_t sync);
/* `name` empty: all of that kind. */
bool belongings_drop(struct belongings *belongings, enum belonging_kind kind, struct slice name,
                     unsigned depth, uint64_t sync);
void belongings_commit(struct belongings *belongings, uint64_t sync);
void belongings_rollback(struct belongings *belongings, uint64_t sync);
void belongings_rollback_to(struct belongings *belongings, unsigned depth);
void belongings_release(struct belongings *belongings, unsigned depth);
/* Locks are given back at once, whatever becomes of the transaction. */
void belongings_unlock_all(struct belongings *belongings);

/* The store that has it, as the open transaction sees it. -1: nobody is known to. */
int belongings_table(const struct belongings *belongings, struct slice name);
int belongings_cursor(const struct belongings *belongings, struct slice name);
/* The only store with session-level locks. -1: none, or several. */
int belongings_lock(const struct belongings *belongings);
/* Something at `store` that outlives a transaction. */
bool belongings_are_at(const struct belongings *belongings, unsigned store);

#endif
