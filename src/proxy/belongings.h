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
#include "proxy/journal.h"

enum belonging_kind {
    BELONGING_TABLE,
    BELONGING_CURSOR, /* goes with its transaction, however that ends */
    BELONGING_HELD,   /* a cursor WITH HOLD */
    BELONGING_LOCK,   /* any number of them at that store; no name */
    BELONGING_SWEEP,  /* a change: all that `sweeps` says is gone at `store`, and must go elsewhere, too */
};

/* What CLOSE ALL, pg_advisory_unlock_all() and DISCARD ALL mean at every store. */
enum { SWEEP_CURSORS = 1, SWEEP_LOCKS = 2, SWEEP_TABLES = 4 };

struct belonging {
    struct journal_step step; /* first; of a change */
    enum belonging_kind kind;
    char *name; /* "" : none; where `gone`, of all */
    unsigned store;
    unsigned sweeps;
    bool gone; /* a change: it has been dropped or closed */
    struct belonging *prev, *next;
};

struct belongings {
    struct journal *journal; /* the session's */
    struct belonging *all;
    size_t count;    /* changes in the journal, too */
    unsigned sweeps; /* has been done at swept_store, and is due elsewhere; 0: nothing is */
    unsigned swept_store;
    uint64_t swept_stores; /* a bit for each store.index where something was then */
};

void belongings_init(struct belongings *belongings, struct journal *journal);
void belongings_done(struct belongings *belongings); /* the journal is empty */

/* false: no memory, or BELONGINGS_MAX: what is not known goes where statements of its kind go. A lock is
 * noted at once: it may have been taken even if its statement fails. */
bool belongings_note(struct belongings *belongings, enum belonging_kind kind, struct slice name,
                     unsigned store);
/* `name` empty: all of that kind. */
bool belongings_note_gone(struct belongings *belongings, enum belonging_kind kind, struct slice name);
/* The statement means every store and goes to one; `sweeps` is due elsewhere once it has been executed. */
bool belongings_note_sweep(struct belongings *belongings, unsigned sweeps, unsigned store);
/* What is due elsewhere now (all but swept_store): asked once, locks are forgotten by it. */
unsigned belongings_take_sweep(struct belongings *belongings);
/* The journal's hooks. */
bool belongings_heard(struct belongings *belongings, struct journal_step *step);
void belongings_settle(struct belongings *belongings, struct journal_step *step);
void belongings_drop(struct belongings *belongings, struct journal_step *step);

/* The store that has it, as the open transaction sees it. -1: nobody is known to. */
int belongings_table(const struct belongings *belongings, struct slice name);
int belongings_cursor(const struct belongings *belongings, struct slice name);
/* The only store with session-level locks. -1: none, or several. */
int belongings_lock(const struct belongings *belongings);
/* Something at `store` that outlives a transaction. */
bool belongings_are_at(const struct belongings *belongings, unsigned store);

#endif
