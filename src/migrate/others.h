/* others.h - the other instances, as the runner of a migration sees them: who is alive (by the control
 * database's clock) and has not applied the route of now, or still has writers of a paused tenant; and
 * whether one of them has taken the migration over. What they say, and when: migrate/follower.h. Part of the
 * runner; its thread. */
#ifndef PGSHUNT_MIGRATE_OTHERS_H
#define PGSHUNT_MIGRATE_OTHERS_H

#include "migrate/runner.h"

/* Asks once. `drained`: they must also have said that the paused tenant's writers are gone. `who`: those who
 * have not, in words ("" if all have). */
bool others_have(struct runner *r, bool drained, bool *all, char who[400], struct error *err);
/* Waits for it; false: 57014, which names them, or what else has happened. */
bool others_await(struct runner *r, bool drained, uint64_t until_ms, struct error *err);
/* Has another instance claimed it since? Then it is given up here, at once: 55000, r->over. */
bool others_have_it(struct runner *r, struct error *err);

#endif
