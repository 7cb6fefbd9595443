/* place.h - where must a message go? Plan + attribution + routes -> one store, or an error (DESIGN §3.2).
 * Pure. */
#ifndef PGSHUNT_PROXY_PLACE_H
#define PGSHUNT_PROXY_PLACE_H

#include "route/table.h"
#include "sql/attribute.h"

/* What all statements of one message together ask for. Start with place_init(). */
struct place {
    const struct store *store; /* NULL: any store will do (neutral) */
    bool write;                /* writes or locks rows of event or companion tables: gates must be asked */
    bool unknown_write;        /* … of tenants that could not be told: every gate */
    bool default_rows;         /* touches what lives in the default store only */
    bool tenant_rows;          /* touches event or companion rows */
};

struct place_rules {
    const struct route_table *table;
    const struct store *default_store;
    bool reject_unattributed; /* unattributed_writes = reject */
};

void place_init(struct place *place);
/* Adds one statement. false: cross_store_statement or unattributed_write (0A000). */
bool place_add(struct place *place, const struct place_rules *rules, const struct plan_statement *statement,
               const struct attribution *attribution, struct error *err);
/* The same for a statement that could not be planned (plan->parsed false). */
bool place_add_unparsed(struct place *place, const struct place_rules *rules, bool touches,
                        struct error *err);

const struct store *place_of_tenant(const struct place_rules *rules, const char *tenant);

#endif
