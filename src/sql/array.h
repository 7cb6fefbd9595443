/* array.h - the elements of an array, one after the other, from PostgreSQL's text and binary form (private to
 * sql). Arrays of any number of dimensions are read as the row of their elements, as unnest() and = ANY() do.
 * Pure. */
#ifndef PGSHUNT_SQL_ARRAY_H
#define PGSHUNT_SQL_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum array_step { ARRAY_ELEMENT, ARRAY_NULL, ARRAY_END, ARRAY_BAD };

struct array_reader {
    struct slice text; /* what is left of it */
    bool binary;
    uint32_t element_oid; /* binary: the elements' type, as the array's head says */
    uint32_t left;        /* binary: elements that are still to come */
    unsigned depth;       /* text: open braces */
    bool begun, separated, closed;
};

void array_open_text(struct array_reader *array, struct slice text);
/* false: no array */
bool array_open_binary(struct array_reader *array, struct slice bytes);
/* The next element. `element` (may be NULL: only counted) gets its bytes and a NUL; *bytes their number,
 * which is `room` or more where they do not fit. BAD: not an array as it is usually written ([1:2]={…} is
 * not). */
enum array_step array_next(struct array_reader *array, char *element, size_t room, size_t *bytes);

#endif
