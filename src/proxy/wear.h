/* wear.h - what a session's settings come to: the SETs in force outside transactions, as an immutable
 * snapshot. A server remembers which one it wears; one that wears the same costs nothing, another is changed
 * by what differs. Pure. NULL is the bare one: as at login. */
#ifndef PGSHUNT_PROXY_WEAR_H
#define PGSHUNT_PROXY_WEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct setting;

struct wear {
    unsigned refs;
    uint64_t hash;
    bool simple; /* every change is of a setting of its own name, whose order does not matter */
    size_t count;
    struct worn {
        const char *name;      /* NULL: it may be any */
        const char *statement; /* to say */
    } items[];                 /* texts live behind the array */
};

/* A snapshot of `base` (a session's list). false: no memory. *wear is NULL if there is nothing in it. */
bool wear_new(const struct setting *base, struct wear **wear);
struct wear *wear_take(struct wear *wear); /* NULL is fine, here and below */
void wear_give(struct wear *wear);
bool wear_equal(const struct wear *a, const struct wear *b);
/* Statements, each with a semicolon, that make a server that wears `from` wear `to`. `known` false: what it
 * wears is not known. */
void wear_change(const struct wear *from, bool known, const struct wear *to, struct buf *text);

#endif
