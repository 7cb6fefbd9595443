/* catalogue_declare.h - [events] as what is looked for in a store's catalogue. Any thread. */
#ifndef PGSHUNT_MIGRATE_CATALOGUE_DECLARE_H
#define PGSHUNT_MIGRATE_CATALOGUE_DECLARE_H

#include "base/config.h"
#include "sql/schema.h"

struct declared_table {
    char *tenant_column; /* NULL: it has none */
};

struct declared_function {
    char *tenant, *stream; /* a position or a name; "": not declared */
};

/* By place in a schema's tables and functions: first the event table, then companions, tables that are
 * everywhere, views. */
struct declaration {
    struct declared_table *tables;
    size_t table_count, view_count;
    struct declared_function *functions;
    size_t function_count;
};

/* *schema: the same things without what only a store can tell (nothing has columns, no function is clear).
 * false: no memory. */
bool declaration_init(struct declaration *declaration, const struct config *config, struct schema **schema);
void declaration_done(struct declaration *declaration);

#endif
