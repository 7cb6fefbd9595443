/* shape.h - statement text -> shape and the spans of its holes.
 * One pass of the tokenizer: literals and $n become holes, white space and comments go, words without quotes
 * become lower case, runs of equal VALUES rows and IN lists fold into one. Two texts with the same shape have
 * the same parse trees but for the holes' contents. The shape is SQL itself, and is what the grammar parses:
 * a string stands as '', a number as 1, $n as $0, bits as b'', a fold as a comment. So the tree cannot depend
 * on a hole's content, and a node's location is a slot's place. The tokenizer never decides meaning; the
 * grammar does (sql/plan.h). Pure. */
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
    HOLE_NUMBER,  /* without a sign */
    HOLE_PARAM,   /* $n */
};

struct hole {
    uint32_t begin, bytes; /* in the text, delimiters and prefix included */
    uint32_t slot; /* its place in the shape; holes of folded rows share the slot of the first row's */
    uint32_t next; /* the next hole of that slot; 0: none */
    uint8_t kind;
};

struct slot {
    uint32_t at;    /* where it stands in the shape's text */
    uint32_t first; /* its first hole; follow hole.next */
};

/* Literals that say what a statement does, and not on what, are no holes: they stay in the shape as they are.
 * These are the name given to set_config() and current_setting(), the gid of a prepared transaction, and the
 * body of a DO. */
struct shape {
    struct buf text;    /* the shape itself */
    struct hole *holes; /* in the order of the text */
    size_t hole_count, hole_capacity;
    struct slot *slots; /* in the order of the shape */
    uint32_t slot_count, slot_capacity;
    uint32_t *begins; /* where the first token of each statement that is not empty stands in the text */
    size_t begin_count, begin_capacity;
    uint32_t *ends; /* where each top-level `;` stands in the text */
    size_t end_count, end_capacity;
    struct slice comment; /* inside of the last block comment, for sqlcommenter; .at NULL: none */
    bool standard_conforming_strings; /* as it was read */
    bool folded;          /* some rows or list elements were folded */
};

void shape_init(struct shape *shape);
void shape_done(struct shape *shape);
/* false: unterminated literal or comment, shape over SHAPE_BYTES_MAX, nested too deeply for the grammar's
 * recursion, text over ATTRIBUTE_BYTES_MAX or with a NUL, or no memory (then buf_failed(&shape->text)): the
 * shape is empty. `shape` may be reused from call to call. */
bool shape_read(struct shape *shape, struct slice text, bool standard_conforming_strings);

/* The text of statement `index` (counted without empty ones), without its `;`. false: there are not so many.
 */
bool shape_statement(const struct shape *shape, struct slice text, size_t index, struct slice *statement);

/* The slot that stands at `location` of the shape's text; -1: none. */
int64_t shape_slot(const struct shape *shape, int64_t location);

/* Text of a hole as PostgreSQL would read it: quotes and escapes undone (bits without their prefix). false:
 * HOLE_PARAM, malformed, or longer than out_bytes - 1. Writes a NUL behind. */
bool shape_literal(const struct shape *shape, struct slice text, size_t hole, char *out, size_t out_bytes);
/* Number of a HOLE_PARAM, from 1. 0: none. */
uint32_t shape_param(const struct shape *shape, struct slice text, size_t hole);

#endif
