/* shapes.h - what the event loops have found of statements' shapes (proxy/seen.h), on its way into the
 * control database, where it gets its number and the operator's word. Loops tell totals since they began;
 * what is written are differences, so that counts outlive a process. Control's thread. */
#ifndef PGSHUNT_MIGRATE_SHAPES_H
#define PGSHUNT_MIGRATE_SHAPES_H

#include "base/log.h"
#include "base/rows.h"
#include "migrate/ledger.h"

struct shapes;

struct shapes *shapes_new(const char *instance, struct log *log); /* borrows both; NULL: no memory */
void shapes_free(struct shapes *shapes);                          /* NULL is fine */

/* A loop's answer to SHOW_FINDINGS. What is new is logged, once. false: no memory (asked again, it comes
 * again). */
bool shapes_take(struct shapes *shapes, unsigned loop, const struct rows *findings);
bool shapes_are_written(const struct shapes *shapes);
/* Writes what has changed. false: nothing of it is lost, it is tried again. */
bool shapes_write(struct shapes *shapes, struct ledger *ledger, struct error *err);

#endif
