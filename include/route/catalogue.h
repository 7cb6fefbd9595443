/* catalogue.h - every store's schema of the declared tables; immutable, reference counted (atomic), published
 * by control like the route table. */
#ifndef PGSHUNT_ROUTE_CATALOGUE_H
#define PGSHUNT_ROUTE_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "route/store.h"
#include "sql/schema.h"

struct catalogue {
    int refs; /* atomic */
    uint64_t generation;
    size_t store_count;
    struct schema
        *schemas[STORES_MAX];     /* by store.index; never NULL: a store not read yet has known = false */
    int server_major[STORES_MAX]; /* 0: not known yet */
};

struct catalogue *catalogue_new(uint64_t generation,
                                size_t store_count); /* takes no schemas yet; one reference */
struct catalogue *catalogue_take(struct catalogue *catalogue);
void catalogue_give(struct catalogue *catalogue); /* NULL is fine; gives the schemas too */

#endif
