/* catalogue_keys.h - what tells a tenant without naming it in one store: streams, and events by their ids,
 * where a unique constraint without the tenant column makes them belong to one. */
#ifndef PGSHUNT_MIGRATE_CATALOGUE_KEYS_H
#define PGSHUNT_MIGRATE_CATALOGUE_KEYS_H

#include "base/config.h"
#include "migrate/pg.h"
#include "sql/schema.h"

/* Fills schema->keys; the event table's columns are known. */
bool catalogue_read_keys(struct pg *pg, const struct config *config, struct schema *schema,
                         struct error *err);
bool catalogue_same_keys(const struct schema *a, const struct schema *b);

#endif
