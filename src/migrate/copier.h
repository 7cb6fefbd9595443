/* copier.h - committed rows beyond the cursor, in bulk (DESIGN §4.3). Runner's thread; blocking,
 * interruptible. */
#ifndef PGSHUNT_MIGRATE_COPIER_H
#define PGSHUNT_MIGRATE_COPIER_H

#include "migrate/cursor.h"
#include "migrate/migration.h"

struct copier_hook { /* called at least once a second and after every batch; false: stop at this batch's
                        boundary */
    bool (*progress)(void *who, const struct cursor *cursor);
    void *who;
};

/* Counts the tenant's rows at the source; fixes nothing. */
bool copier_estimate(struct migration *m, int64_t *events, int64_t *bytes, struct error *err);
/* Target is empty of this tenant (or holds exactly what the cursor says): else 55000 with PURGE hint. */
bool copier_check_target(struct migration *m, const struct cursor *cursor, struct error *err);
/* Runs until the scan is done (cursor->done) or the hook says stop. Moves the target's sequence first.
 * Idempotent: run again after any crash. */
bool copier_run(struct migration *m, struct cursor *cursor, const struct copier_hook *hook,
                struct error *err);
/* Moves the target's position sequence past max(position) and the source sequence's last_value; where the
 * target gives the positions, by positions_raise(). */
bool copier_move_sequence(struct migration *m, struct error *err);
/* The same, and records the route's generation, in one commit under our epoch: what a cutover does last in
 * the target. 55000: the copy has another owner. */
bool copier_finish(struct migration *m, uint64_t generation, bool let_in, struct error *err);

#endif
