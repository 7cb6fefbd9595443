/* positions_copy.h - what position_mode = assign adds to a batch of the copier: each row gets the target's
 * position in place of the source's, on its way, and the pairs are written behind the rows. A block is at
 * most POSITIONS_BLOCK_MAX rows: a longer batch is several COPYs in one transaction, so that memory is
 * constant.
 *
 * Why so, and not by a staging table and INSERT … SELECT in the target: the position is looked at anyway, has
 * a fixed length in COPY's binary form, and is replaced without touching the rest of the row; every row is
 * written once. Rows that are captured come marked (sql/copy_rows_assign.sql): the mirror brings them, and
 * here only their places are reserved, so that a row that changes during the copy keeps its place in the
 * order. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_POSITIONS_COPY_H
#define PGSHUNT_MIGRATE_POSITIONS_COPY_H

#include "base/slice.h"
#include "migrate/positions.h"

struct positions_copy;

/* `columns` of a row as it comes, the mark behind them not counted; borrows m and copy_in (the COPY … FROM
 * STDIN). NULL: no memory. */
struct positions_copy *positions_copy_new(struct migration *m, unsigned columns, unsigned position_column,
                                          const char *copy_in);
void positions_copy_free(struct positions_copy *copy); /* NULL is fine */

/* In a batch's transaction, before its COPY. */
bool positions_copy_begin(struct positions_copy *copy, struct error *err);
/* A row as the source sent it, its position known. `put` false: only its place was kept. */
bool positions_copy_put(struct positions_copy *copy, struct slice row, int64_t position, bool *put,
                        struct error *err);
/* Behind the batch's last COPY. */
bool positions_copy_end(struct positions_copy *copy, struct error *err);

#endif
