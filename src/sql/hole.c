/* hole.c - the lists of a shape, as they grow: holes, slots, where statements begin and end.
 * Thread: any.   Start at: hole_push(). */
#include "sql/hole.h"

#include <stdlib.h>

bool hole_push_offset(struct shape *shape, uint32_t **list, size_t *count, size_t *capacity, uint32_t offset)
{
    if (*count == *capacity) {
        size_t more = *capacity == 0 ? 8 : *capacity * 2;
        uint32_t *grown = realloc(*list, more * sizeof **list);

        if (grown == NULL) {
            shape->text.failed = true;
            return false;
        }
        *list = grown;
        *capacity = more;
    }
    (*list)[(*count)++] = offset;
    return true;
}

bool hole_push_more(struct shape *shape, const struct token *token, enum hole_kind kind, uint32_t slot)
{
    if (shape->hole_count == shape->hole_capacity) {
        size_t more = shape->hole_capacity == 0 ? 32 : shape->hole_capacity * 2;
        struct hole *grown = realloc(shape->holes, more * sizeof *grown);

        if (grown == NULL)
            return !(shape->text.failed = true);
        shape->holes = grown;
        shape->hole_capacity = more;
    }
    shape->holes[shape->hole_count++] = (struct hole){
        .begin = token->begin, .bytes = token->end - token->begin, .slot = slot, .kind = (uint8_t)kind
    };
    return true;
}

bool hole_push(struct shape *shape, const struct token *token, enum hole_kind kind, uint32_t at)
{
    if (shape->slot_count == shape->slot_capacity) {
        uint32_t more = shape->slot_capacity == 0 ? 32 : shape->slot_capacity * 2;
        struct slot *grown = realloc(shape->slots, more * sizeof *grown);

        if (grown == NULL)
            return !(shape->text.failed = true);
        shape->slots = grown;
        shape->slot_capacity = more;
    }
    if (!hole_push_more(shape, token, kind, shape->slot_count))
        return false;
    shape->slots[shape->slot_count++] = (struct slot){ .at = at };
    return true;
}
