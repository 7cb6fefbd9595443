/* catalogue_read.h - reads one store's declared tables into a struct schema (DESIGN §2 Catalogue). Control's
 * thread. */
#ifndef PGSHUNT_MIGRATE_CATALOGUE_READ_H
#define PGSHUNT_MIGRATE_CATALOGUE_READ_H

#include "base/config.h"
#include "migrate/pg.h"
#include "sql/schema.h"

/* One query. A declared table that the store lacks has column_count 0. */
bool catalogue_read(struct pg *pg, const struct config *config, uint64_t generation, struct schema **schema,
                    int *server_major, struct error *err);
/* Same tables, columns, types, classes? Then nothing has to be published. */
bool catalogue_same(const struct schema *a, const struct schema *b);

#endif
