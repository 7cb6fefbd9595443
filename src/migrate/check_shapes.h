/* check_shapes.h - the checks of CHECK CUTOVER that speak of statements: feeds over all tenants, and what
 * this migration's rehearsal on paper has found (DESIGN §4.8, §4.9). Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CHECK_SHAPES_H
#define PGSHUNT_MIGRATE_CHECK_SHAPES_H

#include "migrate/check.h"

/* One row per shape that nobody has accepted (at most CHECK_SHAPES_MAX), and one row each for what is fine.
 * FORCE does not skip them: an acceptance has a name and a reason, FORCE has none. false: could not be asked.
 */
enum { CHECK_SHAPES_MAX = 20 };
bool check_shapes(struct ledger *ledger, const char *migration, struct check *checks, size_t capacity,
                  size_t *count, struct error *err);

#endif
