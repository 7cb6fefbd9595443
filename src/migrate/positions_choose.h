/* positions_choose.h - which positions a tenant's events get in the target, and why: position_mode = auto
 * settled, preserve and assign checked. START, CHECK MIGRATION. Runner's thread; changes nothing. */
#ifndef PGSHUNT_MIGRATE_POSITIONS_CHOOSE_H
#define PGSHUNT_MIGRATE_POSITIONS_CHOOSE_H

#include "migrate/migration.h"

/* m is connected (migration_connect()) and its settings.position_mode as it was asked for: it becomes
 * "preserve" or "assign". `why`: a sentence for the operator. `ledger`: a connection to the control database.
 * false: what was asked for would make positions collide (0A000, 55000 with what to do), or could not be
 * looked at. */
bool positions_choose(struct migration *m, struct pg *ledger, char why[256], struct error *err);

#endif
