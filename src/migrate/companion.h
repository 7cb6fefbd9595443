/* companion.h - the companion tables of a migration (tables[1] and what follows): their rows in bulk, before
 * the event table's; their sequences; what of them is in the target. What has changed since the tap was put
 * on is the mirror's. Runner's thread; blocking, interruptible. */
#ifndef PGSHUNT_MIGRATE_COMPANION_H
#define PGSHUNT_MIGRATE_COMPANION_H

#include "migrate/copier.h"

/* The target holds none of the tenant's rows, or exactly what was copied: else 55000. */
bool companion_check_target(struct migration *m, struct error *err);
/* Copies what no tap has captured, table by table in the order of their keys; a crash anywhere resumes. Moves
 * sequences first. `done` false: the hook said stop. */
bool companion_copy(struct migration *m, const struct cursor *events, const struct copier_hook *hook,
                    bool *done, struct error *err);
/* The target's sequences past what the source's have given. */
bool companion_move_sequences(struct migration *m, struct error *err);
/* Is every companion table of the target as it was? 55000 if not. */
bool companion_unchanged(struct migration *m, struct error *err);
/* Deletes the tenant's rows from the target, with what was known of their copy. Adds to `rows`. */
bool companion_purge(struct migration *m, int64_t *rows, struct error *err);

#endif
