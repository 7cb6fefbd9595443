/* table.c - the route table: a hash by tenant while it is asked, an array in order of tenant while it is
 * shown. */
#include "route/table.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    struct route route;
    UT_hash_handle hh;
};

struct route_table {
    int refs; /* atomic */
    uint64_t generation;
    size_t away_count, migrating_count, paused_count;
    struct entry *by_tenant;
    const struct route **in_order; /* `count` of them; in order of tenant once sealed */
    size_t count, capacity;
};

struct route_table *route_table_new(uint64_t generation)
{
    struct route_table *table = calloc(1, sizeof *table);

    if (table == NULL)
        return NULL;
    table->refs = 1;
    table->generation = generation;
    return table;
}

static bool make_room(struct route_table *table)
{
    size_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
    const struct route **more;

    if (table->count < table->capacity)
        return true;
    more = realloc(table->in_order, capacity * sizeof *more);
    if (more == NULL)
        return false;
    table->in_order = more;
    table->capacity = capacity;
    return true;
}

bool route_table_add(struct route_table *table, const struct route *route)
{
    struct entry *entry;

    if (!make_room(table)) /* here and not when sealed: gates follow the order, sealing must not fail */
        return false;
    entry = malloc(sizeof *entry);
    if (entry == NULL)
        return false;
    entry->route = *route;
    HASH_ADD_STR(table->by_tenant, route.tenant, entry);
    table->in_order[table->count++] = &entry->route;
    return true;
}

static int compare_tenants(const void *a, const void *b)
{
    const struct route *const *left = a, *const *right = b;

    return strcmp((*left)->tenant, (*right)->tenant);
}

void route_table_seal(struct route_table *table, const struct store *default_store)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct route *route = table->in_order[i];

        if (route->store != default_store)
            table->away_count++;
        if (route->migration_state != ROUTING_NORMAL)
            table->migrating_count++;
        if (route->migration_state == ROUTING_CUTOVER_PAUSED)
            table->paused_count++;
    }
    if (table->count > 1)
        qsort(table->in_order, table->count, sizeof *table->in_order, compare_tenants);
}

struct route_table *route_table_take(struct route_table *table)
{
    __atomic_add_fetch(&table->refs, 1, __ATOMIC_RELAXED);
    return table;
}

void route_table_give(struct route_table *table)
{
    struct entry *entry, *next;

    if (table == NULL || __atomic_sub_fetch(&table->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    HASH_ITER(hh, table->by_tenant, entry, next) {
        HASH_DEL(table->by_tenant, entry);
        free(entry);
    }
    free(table->in_order);
    free(table);
}

uint64_t route_table_generation(const struct route_table *table)
{
    return table->generation;
}

size_t route_table_away_count(const struct route_table *table)
{
    return table->away_count;
}

size_t route_table_migrating_count(const struct route_table *table)
{
    return table->migrating_count;
}

size_t route_table_paused_count(const struct route_table *table)
{
    return table->paused_count;
}

size_t route_table_count(const struct route_table *table)
{
    return table->count;
}

const struct route *route_table_get(const struct route_table *table, const char *tenant)
{
    struct entry *entry;

    if (table->by_tenant == NULL)
        return NULL;
    HASH_FIND_STR(table->by_tenant, tenant, entry);
    return entry == NULL ? NULL : &entry->route;
}

const struct route *route_table_at(const struct route_table *table, size_t index)
{
    return index < table->count ? table->in_order[index] : NULL;
}

static const char *const state_names[] = {
    [ROUTING_NORMAL] = "normal",
    [ROUTING_BULK_COPY] = "bulk_copy",
    [ROUTING_DUAL_WRITE] = "dual_write",
    [ROUTING_CUTOVER_PAUSED] = "cutover_paused",
};

const char *routing_state_name(enum routing_state state)
{
    return state_names[state];
}

bool routing_state_parse(const char *name, enum routing_state *state)
{
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (strcmp(name, state_names[i]) == 0) {
            *state = (enum routing_state)i;
            return true;
        }
    return false;
}
