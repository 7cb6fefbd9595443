/* hole.h - one more hole, slot or offset of a shape that is being read (private to sql).
 * All: false if there is no memory, remembered in the shape's buf. Pure. */
#ifndef PGSHUNT_SQL_HOLE_H
#define PGSHUNT_SQL_HOLE_H

#include "sql/shape.h"
#include "sql/token.h"

/* A hole of a new slot, which stands at `at` of the shape. */
bool hole_push(struct shape *shape, const struct token *token, enum hole_kind kind, uint32_t at);
/* One more hole of a slot that is there. */
bool hole_push_more(struct shape *shape, const struct token *token, enum hole_kind kind, uint32_t slot);
bool hole_push_offset(struct shape *shape, uint32_t **list, size_t *count, size_t *capacity, uint32_t offset);

#endif
