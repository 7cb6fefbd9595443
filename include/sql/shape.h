/* shape.h - statement text -> shape and the spans of its holes.
 * One pass of the tokenizer: literals and $n become holes, white space and comments go, runs of equal VALUES rows and
 * IN lists fold into one. Two texts with the same shape have the same parse tree but for the holes' contents.
 * The tokenizer never decides meaning; the grammar does (sql/plan.h). Pure. */
#ifndef PGSHUNT_SQL_SHAPE_H
#define PGSHUNT_SQL_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum hole_kind {
    HOLE_STRING,  /* '…', standard_conforming_strings taken into account */
    HOLE_ESCAPE,  /* E'…' or '…' under standard_conforming_strings = off */
    HOLE_UNICODE, /* U&'…' */
    HOLE_DOLLAR,  /* $tag$…$tag$ */
    HOLE_BITS,    /* B'…' X'…' */
    HOLE_NUMBER,
    HOLE_PARAM,   /* $n */
};

struct hole {
    uint32_t begin, bytes; /* in the text, delimiters and prefix included */
    uint32_t slot;         /* its place in the shape; holes of folded rows share the slot of the first row's */
    uint8_t kind;
};

struct shape {
    struct buf text;       /* the shape itself */
    struct hole *holes;
    size_t hole_count, hole_capacity;
    uint32_t slot_count;
    uint32_t *ends;        /* where each top-level `;` stands in the text */
    size_t end_count, end_capacity;
    struct slice comment;  /* the last block comment, for sqlcommenter; .at NULL: none */
    bool folded;           /* some rows or list elements were folded */
};

void shape_init(struct shape *shape);
void shape_done(struct shape *shape);
/* false: unterminated literal or comment, shape over SHAPE_BYTES_MAX, text over ATTRIBUTE_BYTES_MAX, or no memory.
 * `shape` may be reused from call to call. */
bool shape_read(struct shape *shape, struct slice text, bool standard_conforming_strings);

/* Text of a hole as PostgreSQL would read it: quotes and escapes undone. false: HOLE_PARAM, malformed, or longer
 * than out_bytes - 1. Writes a NUL behind. */
bool shape_literal(const struct shape *shape, struct slice text, size_t hole, char *out, size_t out_bytes);
/* Number of a HOLE_PARAM, from 1. 0: none. */
uint32_t shape_param(const struct shape *shape, struct slice text, size_t hole);

#endif
