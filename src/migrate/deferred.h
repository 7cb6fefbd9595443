/* deferred.h - indexes that a target gets when its rows are there: pgshunt.deferred_index remembers them
 * (CREATE TARGET SCHEMA … WITH (defer_indexes = on)), the runner makes them between the copy and dual_write.
 * Runner's thread; blocking, interruptible. */
#ifndef PGSHUNT_MIGRATE_DEFERRED_H
#define PGSHUNT_MIGRATE_DEFERRED_H

#include "migrate/runner.h"

/* Makes all that are left, one by one, each in the transaction that forgets it: a crash in between costs the
 * one that was being made. Fine if there is none. false: interrupted (57014), or an index cannot be made. */
bool deferred_build(struct runner *r, struct error *err);

#endif
