/* schema_items.h - what the declared tables of a store are made of, object by object, as statements that
 * would make them (sql/schema_items.sql). Any thread; blocking. */
#ifndef PGSHUNT_MIGRATE_SCHEMA_ITEMS_H
#define PGSHUNT_MIGRATE_SCHEMA_ITEMS_H

#include <libpq-fe.h>

#include "base/config.h"
#include "migrate/pg.h"

struct schema_item {                   /* borrowed from the struct schema_items it is of */
    const char *kind, *name, *belongs; /* belongs: its table, "" : none */
    const char *statement;
    bool ready; /* false: only for comparing, or to be made by hand */
};

struct schema_items {
    size_t count;
    struct schema_item *at;
    PGresult *result;   /* owns the texts */
    PGresult *deferred; /* statements of indexes that are made later; NULL: none */
};

/* The event table and the companion tables of `config`, as far as the store has them. */
bool schema_items_read(struct pg *pg, const struct config *config, const char *schema,
                       struct schema_items *items, struct error *err);
void schema_items_done(struct schema_items *items);
const struct schema_item *schema_items_find(const struct schema_items *items, const char *kind,
                                            const char *name);
bool schema_items_is_deferred(const struct schema_items *items, const char *statement);

#endif
