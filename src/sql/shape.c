/* shape.c - a statement's shape: its memory, and what is asked of it.
 * Leaves: the pass over the text to reader.c, the content of holes to literal.c.
 * Thread: any.   Start at: shape_read(). */
#include "sql/shape.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "sql/reader.h"

enum { HOLES_KEEP = 64 * 1024 }; /* a reused shape gives back what a huge statement made it grow to */

void shape_init(struct shape *shape)
{
    *shape = (struct shape){ 0 };
    buf_init(&shape->text);
}

void shape_done(struct shape *shape)
{
    buf_done(&shape->text);
    free(shape->holes);
    free(shape->slots);
    free(shape->begins);
    free(shape->ends);
    shape_init(shape);
}

static void shape_clear(struct shape *shape)
{
    buf_clear(&shape->text);
    shape->hole_count = 0;
    shape->slot_count = 0;
    shape->begin_count = 0;
    shape->end_count = 0;
    shape->comment = (struct slice){ NULL, 0 };
    shape->folded = false;
    if (shape->hole_capacity > HOLES_KEEP) {
        free(shape->holes);
        shape->holes = NULL;
        shape->hole_capacity = 0;
    }
}

/* Holes of one slot find each other: folded ones come behind the first. */
static void link_holes(struct shape *shape)
{
    for (size_t i = shape->hole_count; i-- > 0;) {
        struct slot *slot = &shape->slots[shape->holes[i].slot];

        shape->holes[i].next = slot->first;
        slot->first = (uint32_t)i;
    }
}

bool shape_read(struct shape *shape, struct slice text, bool standard_conforming_strings)
{
    struct lexer lexer;

    shape_clear(shape);
    shape->standard_conforming_strings = standard_conforming_strings;
    if (text.bytes > ATTRIBUTE_BYTES_MAX || (text.bytes > 0 && memchr(text.at, '\0', text.bytes) != NULL))
        return false;
    lexer_init(&lexer, text, standard_conforming_strings);
    if (!reader_run(shape, text, &lexer) || buf_failed(&shape->text)) {
        bool failed = buf_failed(&shape->text);

        shape_clear(shape);
        shape->text.failed = failed;
        return false;
    }
    shape->comment = lexer.comment;
    link_holes(shape);
    return true;
}

bool shape_statement(const struct shape *shape, struct slice text, size_t index, struct slice *statement)
{
    uint32_t begin;
    size_t low = 0;
    size_t high = shape->end_count;

    if (index >= shape->begin_count)
        return false;
    begin = shape->begins[index];
    while (low < high) {
        size_t middle = (low + high) / 2;

        if (shape->ends[middle] < begin)
            low = middle + 1;
        else
            high = middle;
    }
    *statement =
        (struct slice){ text.at + begin, (low < shape->end_count ? shape->ends[low] : text.bytes) - begin };
    return true;
}

int64_t shape_slot(const struct shape *shape, int64_t location)
{
    size_t low = 0;
    size_t high = shape->slot_count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (shape->slots[middle].at < location)
            low = middle + 1;
        else
            high = middle;
    }
    return low < shape->slot_count && shape->slots[low].at == location ? (int64_t)low : -1;
}
