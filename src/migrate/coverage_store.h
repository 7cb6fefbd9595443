/* coverage_store.h - what a store's pg_stat_statements knows of statements on event and companion tables:
 * planned here as clients' statements are. Control's thread. */
#ifndef PGSHUNT_MIGRATE_COVERAGE_STORE_H
#define PGSHUNT_MIGRATE_COVERAGE_STORE_H

#include "migrate/coverage.h"

struct store_statement {
    const struct store *store;
    const char *shape, *class, *tables, *tenant; /* as print.h has them; tenant never NULL */
    int64_t calls;
};
typedef bool store_statement_fn(void *who, const struct store_statement *statement); /* false: no memory */

/* Every store in turn. One that has no pg_stat_statements is left out silently; one that cannot be asked is
 * named in `left_out`. false: no memory. */
bool coverage_stores(const struct coverage_setup *setup, store_statement_fn *tell, void *who, char *left_out,
                     size_t left_out_bytes, struct error *err);

#endif
