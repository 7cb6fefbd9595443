/* cursors.h - where a client's portals are open, those of Bind (SQL's cursors are belongings.h; PostgreSQL
 * has one namespace for both). A portal stays in the store where it was opened, whatever moves and wherever
 * the transaction works meanwhile. What is not known here is looked for where the last statement went. Pure.
 * One client's. */
#ifndef PGSHUNT_PROXY_CURSORS_H
#define PGSHUNT_PROXY_CURSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "sql/plan.h"

/* What is to be booked of a portal when it is executed (book.h). */
struct bound {
    struct plan *plan;
    struct slice text, words; /* owned; words: the same without parameters, .at NULL: `text` is */
    char *value;              /* of a setting; NULL: could not be read */
    bool parameters;          /* its text needs some */
    bool executed;            /* before */
};

struct cursor {
    int store;
    bool ends;           /* runs what ends a transaction */
    bool copies;         /* a COPY whose rows are read */
    uint64_t sync;       /* the ReadyForQuery that at the earliest ends its transaction */
    uint64_t look;       /* it is a locking read of that number (txn.h); 0: it is none */
    struct bound *bound; /* owned; NULL: nothing is to be booked */
};

struct bound *bound_new(struct plan *plan, struct slice text); /* NULL: no memory */
void bound_free(struct bound *bound);                          /* NULL is fine */

struct named_cursor;

struct cursors {
    struct cursor unnamed; /* store -1: there is none */
    struct named_cursor *named;
};

void cursors_init(struct cursors *cursors);
void cursors_done(struct cursors *cursors);
/* A portal of that name replaces an older one. Without memory it is not known. Takes portal->bound over. */
void cursors_note(struct cursors *cursors, struct slice name, const struct cursor *portal);
const struct cursor *cursors_find(const struct cursors *cursors, struct slice name); /* NULL: not known */
void cursors_forget(struct cursors *cursors, struct slice name);
/* The transaction behind ReadyForQuery number `sync` has ended, and with it its portals. */
void cursors_end(struct cursors *cursors, uint64_t sync);

#endif
