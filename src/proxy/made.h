/* made.h - the prepared statements that one server has. Pure.
 * In session mode they stand under the client's own names. A server that clients share has them under names
 * derived from text and types (share.h), the least recently used goes first; names of one client's own (made
 * for SQL's EXECUTE or DEALLOCATE) are taken away before the server is given back. */
#ifndef PGSHUNT_PROXY_MADE_H
#define PGSHUNT_PROXY_MADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/slice.h"

struct made {
    char *name;
    uint64_t serial; /* of the prepared statement (session.h) it was made for */
    bool shared;
    UT_hash_handle hh;
    struct made *prev, *next; /* shared: least recently used first; else the line of own names */
};

struct made_set { /* all zero: empty */
    struct made *by_name;
    struct made *shared, *own;
    size_t shared_count;
    uint64_t unnamed_serial; /* of the unnamed statement; 0: none that is known */
};

void made_done(struct made_set *set);                           /* empty again */
bool made_knows(const struct made_set *set, struct slice name); /* … whatever its serial */
bool made_is(const struct made_set *set, struct slice name, uint64_t serial);
void made_note(struct made_set *set, const char *name, uint64_t serial, bool shared);
void made_used(struct made_set *set, const char *shared_name);
void made_gone(struct made_set *set, struct slice name);
void made_gone_serial(struct made_set *set, uint64_t serial);
const char *made_oldest_shared(const struct made_set *set); /* NULL: none */
const char *made_next_own(const struct made_set *set);      /* NULL: none */

#endif
