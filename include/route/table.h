/* table.h - tenant -> store, and what its migration asks of its writes.
 * Immutable once sealed and reference counted (atomic). Control builds one for every change and posts it to
 * every loop; a loop swaps its own pointer between two statements. A tenant without an entry lives in the
 * default store. */
#ifndef PGSHUNT_ROUTE_TABLE_H
#define PGSHUNT_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/uuid.h"
#include "route/store.h"

/* tenant_routing.migration_state; a paused or failed migration leaves NORMAL. */
enum routing_state { ROUTING_NORMAL, ROUTING_BULK_COPY, ROUTING_DUAL_WRITE, ROUTING_CUTOVER_PAUSED };

struct route {
    char tenant[TENANT_BYTES_MAX];
    const struct store *store;
    enum routing_state migration_state;
    const struct store *target;      /* NULL: not migrating */
    char migration[UUID_TEXT_BYTES]; /* "" : not migrating */
    uint64_t generation;
    uint64_t owner_epoch;
    bool foreign;         /* another instance runs its migration */
    uint64_t hold_ms_max; /* the migration's write_hold_timeout_ms; 0: not known */
};

struct route_table;

struct route_table *route_table_new(uint64_t generation); /* one reference, not yet sealed */
bool route_table_add(struct route_table *table, const struct route *route); /* copies; false: no memory */
void route_table_seal(struct route_table *table, const struct store *default_store);
struct route_table *route_table_take(struct route_table *table);
void route_table_give(struct route_table *table); /* NULL is fine */

uint64_t route_table_generation(
    const struct route_table *table);                           /* of the publication, rises with every one */
size_t route_table_away_count(const struct route_table *table); /* tenants outside the default store */
size_t route_table_migrating_count(const struct route_table *table);
size_t route_table_paused_count(const struct route_table *table);
size_t route_table_count(const struct route_table *table);
const struct route *route_table_get(const struct route_table *table,
                                    const char *tenant); /* NULL: default store */
const struct route *route_table_at(const struct route_table *table,
                                   size_t index); /* in order of tenant; sealed */

const char *routing_state_name(enum routing_state state); /* "normal", "bulk_copy", … as in the table */
bool routing_state_parse(const char *name, enum routing_state *state);

#endif
