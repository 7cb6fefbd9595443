/* row.h - rows behind VALUES that repeat the one before them, taken in one go (private to sql). Pure. */
#ifndef PGSHUNT_SQL_ROW_H
#define PGSHUNT_SQL_ROW_H

#include "sql/shape.h"

/* The row that others are compared with: its span in the shape (without a fold's mark), its first slot and
 * hole. */
struct row_kept {
    uint32_t begin, end, slot;
    size_t hole;
};

/* Behind a row that ends at `at` of the text: takes those like the kept one, all but the last of them, and
 * pushes their holes. The last one goes the long way, and so leaves everything else as if all had. Returns
 * where it stands. */
uint32_t row_skip(struct shape *shape, struct slice text, const struct row_kept *kept, uint32_t at,
                  uint32_t *count);

#endif
