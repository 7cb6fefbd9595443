/* place.c - see place.h. */
#include "proxy/place.h"

#include <stddef.h>
#include <string.h>

void place_init(struct place *place)
{
    memset(place, 0, offsetof(struct place, tenant));
    place->tenant[0] = '\0';
}

const struct store *place_of_tenant(const struct place_rules *rules, const char *tenant)
{
    const struct route *route;

    if (rules->moved != NULL && strcmp(tenant, rules->moved->tenant) == 0)
        return rules->moved->target;
    route = route_table_get(rules->table, tenant);
    return route == NULL ? rules->default_store : route->store;
}

bool place_go(struct place *place, const struct store *store, struct error *err)
{
    if (place->store != NULL && place->store != store) {
        error_set(err, "0A000",
                  "cross_store_statement: the statement touches rows in stores \"%s\" and \"%s\"",
                  place->store->name, store->name);
        error_detail(
            err, "Its tenants live in different stores, or it joins rows of a moved tenant with a table of "
                 "the default store.");
        return error_hint(
            err, "Send one statement per store. EXPLAIN ROUTE <statement> on the admin socket shows how "
                 "it is read.");
    }
    place->store = store;
    return true;
}

static bool somebody_is_away(const struct place_rules *rules)
{
    size_t away = route_table_away_count(rules->table);

    if (rules->moved == NULL)
        return away > 0;
    return away - (rules->moved->store != rules->default_store) +
               (rules->moved->target != rules->default_store) >
           0;
}

/* Only the default store's table would change, and rows and schemas of the others would part silently. */
static bool refuse_definition(struct error *err)
{
    error_set(
        err, "0A000",
        "unattributed_write: the definition touches a declared table, which tenants have in several stores");
    return error_hint(err,
                      "Run it in every store itself, past pgshunt, where moved tenants live first; pgshunt "
                      "sees the change by itself.");
}

static bool add_unknown_write(struct place *place, const struct place_rules *rules, const char *why,
                              struct error *err)
{
    if (somebody_is_away(rules) && rules->reject_unattributed) {
        error_set(err, "0A000", "unattributed_write: cannot tell which tenant's rows this statement writes");
        error_detail(err, "%s. A tenant lives outside the default store, so a guess could misplace an event.",
                     why == NULL ? "Nothing in or around the statement names a tenant" : why);
        return error_hint(err, "Name the tenant in the statement, or set the tenant setting (SHOW CONFIG, "
                               "tenant_setting) before it; EXPLAIN ROUTE <statement> shows how it is read.");
    }
    place->write = place->unknown_write = true;
    return place_go(place, rules->default_store, err);
}

/* A snapshot from before the move does not see what the tenant has written since, nor what this transaction
 * would write. */
static bool refuse_moved(const char *tenant, const struct store *now, struct error *err)
{
    error_set(err, "40001", "tenant_moved: tenant \"%s\" has moved to store \"%s\" during this transaction",
              tenant, now->name);
    return error_hint(err, "Roll back and run the transaction again.");
}

static bool add_tenant(struct place *place, const struct place_rules *rules, const char *tenant, bool writes,
                       struct error *err)
{
    const struct store *now = place_of_tenant(rules, tenant);
    const struct branch *saw =
        rules->snapshots == NULL ? NULL : txn_saw(rules->snapshots, tenant, rules->default_store);

    if (saw == NULL || saw->store == (int)now->index)
        return place_go(place, now, err);
    if (writes)
        return refuse_moved(tenant, now, err);
    return place_go(place, &rules->stores->at[saw->store], err);
}

static bool add_tenants(struct place *place, const struct place_rules *rules,
                        const struct attribution *attribution, bool writes, struct error *err)
{
    for (size_t i = 0; i < attribution->tenant_count; i++)
        if (!add_tenant(place, rules, attribution->tenants[i], writes, err))
            return false;
    return !attribution->null_tenant || place_go(place, rules->default_store, err);
}

/* What is written in one store only makes the stores differ in what is declared to be the same. */
static bool add_everywhere(struct place *place, const struct place_rules *rules,
                           const struct plan_statement *statement, struct error *err)
{
    if (statement->class != CLASS_WRITE || !(statement->tables & TABLES_EVERYWHERE) ||
        !(statement->everywhere_written || statement->ddl))
        return true;
    if (route_table_away_count(rules->table) == 0 || !rules->reject_unattributed)
        return place_go(place, rules->default_store, err);
    error_set(err, "0A000",
              "cross_store_statement: the statement writes a table that is the same in all stores");
    return error_hint(
        err, "A tenant lives outside the default store: write it in every store, not through the proxy.");
}

bool place_add(struct place *place, const struct place_rules *rules, const struct plan_statement *statement,
               const struct attribution *attribution, struct error *err)
{
    bool writes = statement->class == CLASS_WRITE || statement->locks;

    const struct store *tables_store =
        rules->tables_store != NULL ? rules->tables_store : rules->default_store;

    if (!add_everywhere(place, rules, statement, err))
        return false;
    if ((statement->tables & TABLES_DEFAULT) && !place_go(place, tables_store, err))
        return false;
    if (attribution->tenancy == TENANCY_NONE)
        return true;
    if (attribution->tenancy == TENANCY_UNKNOWN && rules->rows_are_read)
        return place->write = place->rows = true;
    if (attribution->tenancy == TENANCY_UNKNOWN && statement->ddl && rules->reject_unattributed &&
        somebody_is_away(rules))
        return refuse_definition(err);
    if (attribution->tenancy == TENANCY_UNKNOWN)
        return writes ? add_unknown_write(place, rules, attribution->why, err)
                      : place_go(place, rules->default_store, err);
    if (writes)
        place->write = true;
    if (writes && attribution->nobodys)
        place->unknown_write = true; /* whoever has the stream by the time it gets there */
    if (attribution->tenant_count > 0 &&
        (attribution->tenant_count > 1 || attribution->null_tenant ||
         (place->tenant[0] != '\0' && strcmp(place->tenant, attribution->tenants[0]) != 0)))
        place->several = true;
    if (place->tenant[0] == '\0' && attribution->tenant_count > 0)
        memcpy(place->tenant, attribution->tenants[0], sizeof place->tenant);
    return add_tenants(place, rules, attribution, writes, err);
}

void place_note(struct place *place, const struct plan_statement *statement)
{
    bool rolls_back = statement->kind == STATEMENT_ROLLBACK;

    if (statement->class == CLASS_WRITE || statement->locks || statement->advisory)
        place->changes = true;
    if (statement->kind == STATEMENT_BEGIN)
        place->begins = true;
    if (statement->kind == STATEMENT_PREPARE_TRANSACTION)
        place->prepares = true;
    if (statement->kind == STATEMENT_RELEASE || statement->kind == STATEMENT_ROLLBACK_TO) {
        place->settles = true;
        place->settles_late = place->noted;
    }
    place->noted = true;
    if (!rolls_back && statement->kind != STATEMENT_COMMIT &&
        statement->kind != STATEMENT_PREPARE_TRANSACTION)
        return;
    place->rolls_back = rolls_back && (!place->ends || place->rolls_back);
    place->ends = place->settles = true;
}

bool place_add_unparsed(struct place *place, const struct place_rules *rules, bool touches, struct error *err)
{
    place->changes = true;
    if (!touches)
        return place_go(place, rules->default_store, err);
    return add_unknown_write(
        place, rules, "The statement is longer than what is read, or the grammar does not know it", err);
}
