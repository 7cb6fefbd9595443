/* purge.h - takes what a migration has brought out of its target again. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_PURGE_H
#define PGSHUNT_MIGRATE_PURGE_H

#include "migrate/migration.h"

/* In batches, each a transaction of its own; may be run again. The caller has made sure that the tenant lives
 * elsewhere and that nothing is mirrored any more. */
bool purge_target(struct migration *m, int64_t *rows, struct error *err);

#endif
