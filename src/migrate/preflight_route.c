/* preflight_route.c - before a migration: what was asked for, where the tenant lives, whether the stores are
 * who they were, and how positions will be given. Part of preflight.h; runner's thread. */
#include <stdio.h>
#include <string.h>

#include "migrate/positions.h"
#include "migrate/positions_choose.h"
#include "migrate/preflight.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql/attribute.h"
#include "sql_embedded.h"

static bool known(struct runner *r, const char *name, const struct store **store, struct error *err)
{
    *store = stores_get(r->setup->stores, name);
    if (*store != NULL)
        return true;
    error_set(err, "42704", "store \"%s\" is not configured", name);
    return error_hint(err, "SHOW STORES lists them; add it under [stores], then start pgshunt again.");
}

bool preflight_options(struct preflight *p, struct error *err)
{
    struct runner *r = p->r;

    if (p->request->tenant == NULL || p->request->to == NULL)
        return error_set(err, "42601", "a migration needs a tenant and a store");
    if (!known(r, p->request->to, &r->m.target, err))
        return false;
    settings_init(&r->m.settings, r->setup->config);
    for (size_t i = 0; i < p->request->option_count; i++) {
        if (!settings_set(&r->m.settings, p->request->options[i].name, p->request->options[i].value, err))
            return false;
    }
    settings_settle(&r->m.settings);
    return true;
}

/* The tenant as the tables write it: by the type of the target's tenant column (the source's is the same, or
 * the tables do not fit). */
static bool tenant_type_fits(const struct relation_column *column, struct error *err)
{
    enum { BPCHAR_OID = 1042 /* pg_type.dat */ };

    if (column->odd != NULL)
        error_set(err, "0A000", "column \"%s\" %s: its tenants cannot be moved", column->name, column->odd);
    else if (column->tenant_type == BPCHAR_OID)
        error_set(err, "0A000",
                  "column \"%s\" is of type %s, which takes blanks at the end for nothing: its "
                  "tenants cannot be moved",
                  column->name, column->type);
    else if (!tenant_type_is_known(column->tenant_type))
        error_set(err, "0A000", "column \"%s\" is of type %s: its tenants cannot be moved", column->name,
                  column->type);
    else
        return true;
    return error_hint(err,
                      "A tenant column is a uuid, text, varchar, an integer, a numeric, an enum, or a domain "
                      "over one of them, where equal values have one text only.");
}

bool preflight_tenant(struct preflight *p, struct error *err)
{
    struct runner *r = p->r;
    const struct relation *rel = p->target.rel;

    snprintf(r->m.tenant, sizeof r->m.tenant, "%s", p->request->tenant);
    for (size_t i = 0; i < rel->column_count; i++) {
        const struct relation_column *column = &rel->columns[i];

        if (!column->is_tenant)
            continue;
        if (!preflight_note(p, "tenant_column", FINDING_BLOCKER, tenant_type_fits(column, err), err))
            return true;
        if (p->request->tenant[0] != '\0' &&
            tenant_canonical(column->tenant_type, slice_of(p->request->tenant), r->m.tenant))
            return true;
        return error_set(err, "22P02", "\"%.100s\" is not a tenant: column \"%s\" is of type %s",
                         p->request->tenant, column->name, column->type);
    }
    return true; /* the table is not there, which has been noted */
}

/* --- the route --- */

static bool has_no_active_migration(struct runner *r, struct error *err)
{
    const char *values[] = { r->m.tenant };
    PGresult *result =
        pg_query(ledger_pg(r->ledger),
                 "SELECT id, state FROM tenant_migrations WHERE tenant_id = $1"
                 " AND state IN ('pending', 'bulk_copy', 'dual_write', 'cutover_paused', 'paused')",
                 1, values, err);
    bool none;

    if (result == NULL)
        return false;
    none = PQntuples(result) == 0;
    if (!none) {
        error_set(err, "23505", "tenant \"%s\" has an active migration already", r->m.tenant);
        error_detail(err, "migration_exists: migration %s is in state %s", PQgetvalue(result, 0, 0),
                     PQgetvalue(result, 0, 1));
        error_hint(err, "ABORT MIGRATION '%.8s' ends it.", PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return none;
}

/* Where the tenant lives now; FROM only says what the operator expects. */
bool preflight_source(struct runner *r, const struct control_request *request, struct error *err)
{
    const char *values[] = { r->m.tenant };
    PGresult *result = pg_query(ledger_pg(r->ledger),
                                "SELECT store_id FROM tenant_routing WHERE tenant_id = $1", 1, values, err);
    bool fine;

    if (result == NULL)
        return false;
    fine =
        known(r, PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : stores_default(r->setup->stores)->name,
              &r->m.source, err);
    PQclear(result);
    if (!fine)
        return false;
    if (request->from != NULL && strcmp(request->from, r->m.source->name) != 0) {
        error_set(err, "55000", "tenant \"%s\" lives in store \"%s\", not in \"%s\"", r->m.tenant,
                  r->m.source->name, request->from);
        return error_hint(err, "Leave FROM out, or SHOW ROUTE '%s'.", r->m.tenant);
    }
    if (r->m.source == r->m.target) {
        error_set(err, "55000", "tenant \"%s\" lives in store \"%s\" already", r->m.tenant,
                  r->m.target->name);
        return error_hint(err, "SHOW ROUTE '%s' tells where it lives.", r->m.tenant);
    }
    return true;
}

bool preflight_route(struct preflight *p, struct error *err)
{
    /* Said first: a migration under way has left rows in the target, and those would be complained about. */
    bool free_ = preflight_note(p, "route", FINDING_BLOCKER, has_no_active_migration(p->r, err), err);

    if (!preflight_note(p, "route", FINDING_BLOCKER, preflight_source(p->r, p->request, err), err))
        return false;
    if (free_)
        finding_ok(p->list, "route", "tenant \"%s\" lives in store \"%s\", and nothing is moving it",
                   p->r->m.tenant, p->r->m.source->name);
    return true;
}

/* --- who the stores are --- */

static bool identities_fit(struct runner *r, struct error *err)
{
    const struct relation *source = &r->m.tables[0].source, *target = &r->m.tables[0].target;

    if (strcmp(source->system_identifier, target->system_identifier) == 0 &&
        source->database_oid == target->database_oid) {
        error_set(err, "55000", "stores \"%s\" and \"%s\" are the same database", r->m.source->name,
                  r->m.target->name);
        return error_hint(err, "Correct their connection strings under [stores].");
    }
    return true;
}

/* What START writes down (ledger_know_store), only looked at. */
static void look_at_recorded(struct preflight *p, const struct preflight_side *side)
{
    const char *values[] = { side->store->name };
    PGresult *result =
        preflight_ask(p, "identity", FINDING_BLOCKER, ledger_pg(p->r->ledger),
                      "SELECT system_identifier, database_oid FROM stores WHERE store_id = $1", 1, values);
    char oid[16];

    if (result == NULL)
        return;
    snprintf(oid, sizeof oid, "%u", side->rel->database_oid);
    if (PQntuples(result) == 0)
        finding_ok(p->list, "identity", "store \"%s\" is cluster %s, database %s; START writes that down",
                   side->store->name, side->rel->system_identifier, oid);
    else if (strcmp(PQgetvalue(result, 0, 0), side->rel->system_identifier) != 0 ||
             strcmp(PQgetvalue(result, 0, 1), oid) != 0)
        finding_blocker(
            p->list, "identity", "55000",
            "Its connection string leads elsewhere, or the cluster was replaced. If that is meant: "
            "DELETE FROM pgshunt.stores for it in the control database.",
            "store \"%s\" is cluster %s, database %s, and was cluster %s, database %s before",
            side->store->name, side->rel->system_identifier, oid, PQgetvalue(result, 0, 0),
            PQgetvalue(result, 0, 1));
    else
        finding_ok(p->list, "identity", "store \"%s\" is the cluster and database it has always been",
                   side->store->name);
    PQclear(result);
}

void preflight_identities(struct preflight *p)
{
    struct error err;

    if (!preflight_note(p, "identity", FINDING_BLOCKER, identities_fit(p->r, &err), &err))
        return;
    look_at_recorded(p, &p->source);
    look_at_recorded(p, &p->target);
}

/* --- positions --- */

static bool is_copied(const struct relation *rel, const char *column)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, column) == 0)
            return rel->columns[i].copied;
    }
    return false;
}

/* A companion keeps the ids that its source's sequence gave. In a store where others take theirs from the
 * target's sequence, a row that is brought would have one of theirs, or they would be given one of its. */
static void look_at_companions_ids(struct preflight *p)
{
    for (size_t i = 1; i < p->r->m.table_count; i++) {
        const struct relation *rel = &p->r->m.tables[i].target;

        for (size_t j = 0; j < rel->sequence_count; j++) {
            if (!is_copied(rel, rel->sequences[j].column))
                continue;
            finding_blocker(
                p->list, "companions", "0A000",
                "Move the tenant into a store of its own (position_mode = preserve), or take the table "
                "out of companion_tables.",
                "companion table %s keeps column \"%s\" as its source has it, and in store \"%s\" other "
                "tenants are given theirs by a sequence: they would collide",
                rel->qualified, rel->sequences[j].column, p->r->m.target->name);
        }
    }
}

/* Which positions the events get, and why: START's operator reads it with the answer. */
void preflight_positions(struct preflight *p)
{
    struct error err;
    char why[256] = "", text[sizeof why + 20];
    bool fine = positions_choose(&p->r->m, ledger_pg(p->r->ledger), why, &err);

    if (!preflight_note(p, "positions", FINDING_BLOCKER, fine, &err))
        return;
    finding_ok(p->list, "positions", "position_mode = %s", why);
    if (positions_assigned(&p->r->m))
        look_at_companions_ids(p);
    if (p->request == p->r->start) {
        snprintf(text, sizeof text, "position_mode = %s", why);
        preflight_tell(p, text); /* the answer's own notice is control's */
    }
}
