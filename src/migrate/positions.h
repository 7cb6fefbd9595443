/* positions.h - positions that the target gives (position_mode = assign, DESIGN §4.3): drawn in blocks from
 * its sequence, written beside the source's in pgshunt.positions by the transaction that writes the rows.
 *
 * What is true: an event's position in the target is not below the one it had in the source, so that whoever
 * still holds a source position reads again and never skips; and it is a function of the source's: a row that
 * is mirrored again keeps its place, one whose source position has changed gets a new one, at the end.
 * Nothing else may be concluded from it: a position that became visible late stands behind higher ones.
 * Runner's thread. */
#ifndef PGSHUNT_MIGRATE_POSITIONS_H
#define PGSHUNT_MIGRATE_POSITIONS_H

#include "migrate/migration.h"

/* Raised by pgshunt.position_take(): positions_raise(), then once more. */
#define POSITIONS_BEHIND "PS001"

enum { POSITIONS_BLOCK_MAX = 10000 }; /* drawn at once: what a copy keeps in memory */

bool positions_assigned(const struct migration *m); /* or kept as they are */

/* Tables and functions in the target; in the caller's transaction. */
bool positions_make_schema(struct migration *m, struct error *err);

/* Moves the target's sequence to `lowest` at least, if it is not there yet, and then so much further that it
 * need not be done again soon; `ahead`: it is done already when half of that has been used up. Never down,
 * whoever draws from it meanwhile. Not in a transaction. */
bool positions_raise(struct migration *m, int64_t lowest, bool ahead, struct error *err);

/* What one transaction of the copier draws and hands out. */
struct positions_block {
    int64_t given[POSITIONS_BLOCK_MAX]; /* ascending */
    int64_t taken_by[POSITIONS_BLOCK_MAX];
    bool reserved[POSITIONS_BLOCK_MAX];
    size_t drawn, used;
};

/* In the caller's transaction: `wanted` new ones. */
bool positions_draw(struct migration *m, struct positions_block *block, size_t wanted, struct error *err);
/* The next one, for a row of this source position; rows of one source position share theirs. `reserved`: for
 * a row that the mirror will bring. false: the sequence has gone back. The block must not be used up. */
bool positions_next(struct positions_block *block, int64_t source_position, bool reserved, int64_t *given,
                    struct error *err);
/* Writes the pairs down, in the caller's transaction. */
bool positions_keep(struct migration *m, struct positions_block *block, struct error *err);

/* What was captured during the scan has been mirrored: places still reserved are nobody's. */
bool positions_sweep(struct migration *m, struct error *err);
/* Some of the pairs to the control database, in the order in which they were given, and what has gone since;
 * in one commit with `shipped`, the last of them, from where it goes on. `more`: there are others. Pairs are
 * only shipped when the scan is done: one thread has given all of them, one after the other. */
bool positions_ship(struct migration *m, struct pg *ledger, int64_t *shipped, bool *more, struct error *err);

/* All pairs of a migration that is over. */
bool positions_forget(struct migration *m, struct error *err);

#endif
