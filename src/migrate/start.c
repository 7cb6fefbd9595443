/* start.c - START MIGRATION: everything that must be true before a tenant begins to move, the row, the
 * answer. Changes nothing in either store. Thread: the runner's.   Start at: runner_begin(). */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/catalogue_read.h"
#include "migrate/copier.h"
#include "migrate/runner.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "sql/attribute.h"
#include "sql_embedded.h"

enum { CONNECT_MS = 5000 };

static bool known(struct runner *r, const char *name, const struct store **store, struct error *err)
{
    *store = stores_get(r->setup->stores, name);
    if (*store != NULL)
        return true;
    error_set(err, "42704", "store \"%s\" is not configured", name);
    return error_hint(err, "SHOW STORES lists them; add it under [stores], then start pgshunt again.");
}

static bool take_options(struct runner *r, struct error *err)
{
    settings_init(&r->m.settings, r->setup->config);
    for (size_t i = 0; i < r->start->option_count; i++) {
        if (!settings_set(&r->m.settings, r->start->options[i].name, r->start->options[i].value, err))
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

static bool take_tenant(struct runner *r, struct error *err)
{
    const struct relation *rel = &r->m.tables[0].target;
    char what[STORE_NAME_BYTES_MAX + 16];

    snprintf(what, sizeof what, "store \"%s\"", r->m.target->name);
    if (!pg_open(r->m.target->conninfo, what, "pgshunt start", &r->m.wake, CONNECT_MS, &r->m.target_pg,
                 err) ||
        !relation_read(r->m.target_pg, what, r->m.names, &r->m.tables[0].target, err))
        return false;
    pg_close(r->m.target_pg); /* migration_connect() opens it as the copy needs it */
    r->m.target_pg = NULL;
    for (size_t i = 0; i < rel->column_count; i++) {
        if (!rel->columns[i].is_tenant)
            continue;
        if (!tenant_type_fits(&rel->columns[i], err))
            return false;
        if (r->start->tenant[0] != '\0' &&
            tenant_canonical(rel->columns[i].tenant_type, slice_of(r->start->tenant), r->m.tenant))
            return true;
        return error_set(err, "22P02", "\"%.100s\" is not a tenant: column \"%s\" is of type %s",
                         r->start->tenant, rel->columns[i].name, rel->columns[i].type);
    }
    return error_set(err, "42703", "%s: the event table has no tenant column \"%s\"", what,
                     r->m.names->tenant);
}

/* Said early: a migration under way has left rows in the target, and those would be complained about first.
 */
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
static bool take_source(struct runner *r, struct error *err)
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
    if (r->start->from != NULL && strcmp(r->start->from, r->m.source->name) != 0) {
        error_set(err, "55000", "tenant \"%s\" lives in store \"%s\", not in \"%s\"", r->m.tenant,
                  r->m.source->name, r->start->from);
        return error_hint(err, "Leave FROM out, or SHOW ROUTE '%s'.", r->m.tenant);
    }
    if (r->m.source == r->m.target) {
        error_set(err, "55000", "tenant \"%s\" lives in store \"%s\" already", r->m.tenant,
                  r->m.target->name);
        return error_hint(err, "SHOW ROUTE '%s' tells where it lives.", r->m.tenant);
    }
    return true;
}

/* --- the stores and their tables --- */

static bool check_identities(struct runner *r, struct error *err)
{
    const struct relation *source = &r->m.tables[0].source, *target = &r->m.tables[0].target;

    if (strcmp(source->system_identifier, target->system_identifier) == 0 &&
        source->database_oid == target->database_oid) {
        error_set(err, "55000", "stores \"%s\" and \"%s\" are the same database", r->m.source->name,
                  r->m.target->name);
        return error_hint(err, "Correct their connection strings under [stores].");
    }
    return ledger_know_store(r->ledger, r->m.source->name, source->system_identifier, source->database_oid,
                             err) &&
           ledger_know_store(r->ledger, r->m.target->name, target->system_identifier, target->database_oid,
                             err);
}

static bool check_table(const struct store *store, const struct relation *rel, struct error *err)
{
    if (rel->inheritance_children) {
        error_set(err, "0A000", "store \"%s\": %s has inheritance children", store->name, rel->qualified);
        return error_hint(err, "Make them partitions.");
    }
    if (!rel->key_unique) {
        error_set(err, "55000", "store \"%s\": nothing makes (%s) of %s unique", store->name,
                  rel->key_columns, rel->qualified);
        return error_hint(err, "CREATE UNIQUE INDEX on it: it is the key by which rows are mirrored.");
    }
    return true;
}

/* What [events] declares must be so, and nothing of the tenant may stay behind: rows of companion tables are
 * not moved yet. A companion table that the store does not have holds none. */
static bool check_declared(struct runner *r, struct pg *pg, const struct store *store, struct error *err)
{
    struct schema *schema;
    bool fine = true;
    int major;

    if (!catalogue_read(pg, r->setup->config, 0, &schema, &major, err))
        return false;
    if (schema->problem != NULL) {
        fine = error_set(err, "55000", "store \"%s\": %s", store->name, schema->problem);
        error_hint(err, "Correct [events] in the configuration, or the store.");
    }
    for (size_t i = 0; i < schema->table_count && fine; i++) {
        const struct schema_table *table = &schema->tables[i];

        if (table->class != TABLE_COMPANION || table->column_count == 0)
            continue;
        fine = error_set(err, "0A000", "store \"%s\": companion table \"%s.%s\" cannot be moved yet",
                         store->name, table->schema, table->name);
        error_detail(err,
                     "Only the event table's rows are moved; the tenant's rows there would stay behind.");
        error_hint(
            err,
            "Without it in companion_tables under [events] it is a table of the default store: its rows stay"
            " there, and a statement that joins it with a moved tenant's events is refused.");
    }
    schema_give(schema);
    return fine;
}

static bool check_tables(struct runner *r, struct error *err)
{
    if (r->m.names->position[0] == '\0') {
        error_set(err, "55000", "no position column is configured");
        return error_hint(err, "Set position_column under [events]: rows are copied in its order.");
    }
    return check_table(r->m.source, &r->m.tables[0].source, err) &&
           check_table(r->m.target, &r->m.tables[0].target, err) &&
           check_declared(r, r->m.source_pg, r->m.source, err) &&
           check_declared(r, r->m.target_pg, r->m.target, err);
}

/* One row of check_rights.sql. */
static bool check_rights(struct runner *r, struct pg *pg, const struct store *store,
                         const struct relation *rel, struct error *err)
{
    const char *const values[] = { rel->qualified, r->m.control_schema };
    PGresult *result = pg_query(pg, sql_check_rights, 2, values, err);
    const char *role;
    bool fine = true;

    if (result == NULL)
        return false;
    role = PQgetvalue(result, 0, 0);
    if (PQgetvalue(result, 0, 1)[0] != 't')
        fine = error_set(err, "42501",
                         "store \"%s\": role \"%s\" neither owns %s nor is a member of its owner \"%s\"",
                         store->name, role, rel->qualified, PQgetvalue(result, 0, 2));
    else if (PQgetvalue(result, 0, 3)[0] != 't')
        fine = error_set(err, "42501", "store \"%s\": role \"%s\" may not create objects in schema \"%s\"",
                         store->name, role, r->m.control_schema);
    else if (!PQgetisnull(result, 0, 4))
        fine = error_set(err, "55000", "store \"%s\": role \"%s\" is used by somebody else, too (%s)",
                         store->name, role, PQgetvalue(result, 0, 4));
    if (!fine && error_is(err, "42501"))
        error_hint(err, "Run sql/roles.sql in that database.");
    else if (!fine)
        error_hint(err, "The tap lets this login pass: give pgshunt one of its own, and run sql/roles.sql.");
    PQclear(result);
    return fine;
}

/* --- the rows --- */

/* SELECT EXISTS (SELECT FROM table WHERE tenant <condition> $1) */
static bool any_row(struct runner *r, struct pg *pg, const struct relation *rel, const char *condition,
                    bool *any, struct error *err)
{
    const char *const values[] = { r->m.tenant };
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    buf_append_text(&sql, "SELECT EXISTS (SELECT FROM ");
    buf_append_text(&sql, rel->qualified);
    buf_append_text(&sql, " WHERE ");
    relation_append_identifier(&sql, r->m.names->tenant);
    buf_append_text(&sql, condition);
    buf_append_text(&sql, " $1)");
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(pg, buf_text(&sql), 1, values, err);
    buf_done(&sql);
    if (result == NULL)
        return false;
    *any = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool check_rows(struct runner *r, struct error *err)
{
    struct cursor none = { .high = -1 };
    bool any;

    if (!any_row(r, r->m.source_pg, &r->m.tables[0].source, " =", &any, err))
        return false;
    if (!any && !r->m.settings.allow_empty) {
        error_set(err, "55000", "tenant \"%s\" has no rows in store \"%s\"", r->m.tenant, r->m.source->name);
        return error_hint(err, "Check its spelling, or START … WITH (allow_empty = on).");
    }
    return copier_check_target(&r->m, &none, err);
}

/* Positions are kept. That is sound as long as nobody but this copy gives out positions in the target: a
 * tenant that lives there already takes them from the target's sequence, and the source will give out the
 * same ones. */
static bool check_neighbours(struct runner *r, struct error *err)
{
    const char *values[] = { r->m.target->name, r->m.tenant };
    PGresult *result = pg_query(ledger_pg(r->ledger), sql_find_neighbour, 2, values, err);
    bool alone;

    if (result == NULL)
        return false;
    alone = PQntuples(result) == 0;
    if (!alone)
        error_set(err, "0A000",
                  "store \"%s\" is the home of tenant \"%.100s\", or will be: positions would collide",
                  r->m.target->name, PQgetvalue(result, 0, 0));
    PQclear(result);
    return alone ||
           error_hint(err,
                      "Positions are kept as they are (position_mode = preserve), which needs a target of "
                      "the tenant's own: move it to another store.");
}

/* auto means preserve where that is certain to fit. */
static bool choose_positions(struct runner *r, struct error *err)
{
    bool others;

    if (!check_neighbours(r, err))
        return false;
    if (strcmp(r->m.settings.position_mode, "auto") != 0)
        return true;
    if (!any_row(r, r->m.target_pg, &r->m.tables[0].target, " IS DISTINCT FROM", &others, err))
        return false;
    if (others) {
        error_set(err, "0A000", "store \"%s\" holds events of other tenants: positions may collide",
                  r->m.target->name);
        return error_hint(
            err, "START … WITH (position_mode = preserve) keeps the source's positions, if they are free.");
    }
    snprintf(r->m.settings.position_mode, sizeof r->m.settings.position_mode, "preserve");
    return true;
}

/* --- the row and the answer --- */

static bool write_row(struct runner *r, struct error *err)
{
    struct migration_record record;
    struct buf json;

    memset(&record, 0, sizeof record);
    memcpy(record.id, r->id, sizeof record.id);
    memcpy(record.tenant, r->m.tenant, sizeof record.tenant);
    snprintf(record.source, sizeof record.source, "%s", r->m.source->name);
    snprintf(record.target, sizeof record.target, "%s", r->m.target->name);
    snprintf(record.operator_name, sizeof record.operator_name, "%s", r->start->operator_name);
    buf_init(&json);
    settings_write(&r->m.settings, &json);
    snprintf(record.config, sizeof record.config, "%s", buf_text(&json));
    buf_done(&json);
    return failpoint("start.before_create", err) && ledger_create(r->ledger, &record, err) &&
           failpoint("start.after_create", err);
}

static struct rows *answer_rows(struct runner *r)
{
    static const char *const columns[] = { "id", "tenant_id", "source", "target", "state" };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i], i == 0 ? ROWS_UUID : ROWS_TEXT);
    rows_text(rows, r->id);
    rows_text(rows, r->m.tenant);
    rows_text(rows, r->m.source->name);
    rows_text(rows, r->m.target->name);
    rows_text(rows, migration_state_name(MIGRATION_PENDING));
    return rows;
}

static bool check_all(struct runner *r, struct error *err)
{
    return known(r, r->start->to, &r->m.target, err) && take_options(r, err) &&
           ledger_open(r->setup->ledger, "pgshunt runner", &r->m.wake, CONNECT_MS, &r->ledger, err) &&
           take_tenant(r, err) && has_no_active_migration(r, err) && take_source(r, err) &&
           migration_connect(&r->m, err) && check_identities(r, err) && check_tables(r, err) &&
           check_rights(r, r->m.source_pg, r->m.source, &r->m.tables[0].source, err) &&
           check_rights(r, r->m.target_pg, r->m.target, &r->m.tables[0].target, err) && check_rows(r, err) &&
           choose_positions(r, err);
}

bool runner_begin(struct runner *r, struct error *err)
{
    if (r->start->tenant == NULL || r->start->to == NULL)
        return error_set(err, "42601", "START MIGRATION needs a tenant and a store");
    if (!check_all(r, err) || !write_row(r, err))
        return false;
    runner_answer(r->start, answer_rows(r), NULL);
    r->start = NULL;
    return true;
}
