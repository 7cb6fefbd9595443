/* schema_make.c - what a target lacks of the declared tables, made there in one transaction.
 * Owns: the transaction, the rows of the answer. Leaves: what there is to schema_items.c, indexes that wait
 * for their rows to deferred.c. Thread: the runner's. Start at: schema_make_answer(), then make_item().
 *
 * What stands in the target is left as it is: if it is what the source has, it is there, else nothing at all
 * is made and the first difference is the error. What cannot be made here (triggers and rules, which may do
 * anything; what needs another's right) is handed to the operator as a statement. */
#include "migrate/schema_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/preflight.h"
#include "migrate/schema_items.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { CONNECT_MS = 5000, LEDGER_MS = 5000 };

struct making {
    struct runner *r;
    struct control_request *request;
    bool defer_indexes;
    char *owner; /* of the source's event table, quoted: everything is made as it */
    bool as_owner;
    struct schema_items source, target;
    struct rows *rows;
    size_t made;
};

/* --- the answer --- */

static void say(struct making *make, const struct schema_item *item, const char *action,
                const char *statement, const char *note)
{
    rows_text(make->rows, item->kind);
    rows_text(make->rows, item->name);
    rows_text(make->rows, action);
    rows_text(make->rows, statement);
    rows_text(make->rows, note);
}

static struct rows *heading(void)
{
    static const struct rows_heading headings[] = { { "kind", ROWS_TEXT },   { "name", ROWS_TEXT },
                                                    { "action", ROWS_TEXT }, { "statement", ROWS_TEXT },
                                                    { "note", ROWS_TEXT },   { NULL, ROWS_TEXT } };
    struct rows *rows = rows_new();

    if (rows != NULL)
        rows_columns(rows, headings);
    return rows;
}

/* --- what was asked for --- */

static bool take_options(struct making *make, struct error *err)
{
    for (size_t i = 0; i < make->request->option_count; i++) {
        const struct control_option *option = &make->request->options[i];

        if (strcmp(option->name, "defer_indexes") != 0) {
            error_set(err, "42601", "\"%s\" is not an option of CREATE TARGET SCHEMA", option->name);
            return error_hint(err, "There is one: WITH (defer_indexes = on).");
        }
        if (!config_parse_flag(option->value, &make->defer_indexes))
            return error_set(err, "22023", "defer_indexes must be on or off, not \"%.60s\"", option->value);
    }
    return true;
}

static bool take_stores(struct making *make, struct error *err)
{
    struct runner *r = make->r;

    r->m.target = make->request->to == NULL ? NULL : stores_get(r->setup->stores, make->request->to);
    if (r->m.target == NULL) {
        error_set(err, "42704", "store \"%s\" is not configured", make->request->to);
        return error_hint(err, "SHOW STORES lists them; add it under [stores], then start pgshunt again.");
    }
    snprintf(r->m.tenant, sizeof r->m.tenant, "%s", make->request->tenant);
    return ledger_open(r->setup->ledger, "pgshunt runner", &r->m.wake, LEDGER_MS, &r->ledger, err) &&
           preflight_source(r, make->request, err);
}

static bool connect(struct making *make, const struct store *store, struct pg **pg, char identity[64],
                    struct error *err)
{
    char what[STORE_NAME_BYTES_MAX + 16];
    PGresult *result;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    if (!pg_open(store->conninfo, what, "pgshunt schema", &make->r->m.wake, CONNECT_MS, pg, err) ||
        !pg_run(*pg, "SET lock_timeout = '100ms'; SET check_function_bodies = off", 0, NULL, err))
        return false;
    result = pg_query(*pg,
                      "SELECT s.system_identifier, d.oid FROM pg_control_system() s, pg_database d"
                      " WHERE d.datname = current_database()",
                      0, NULL, err);
    if (result == NULL)
        return false;
    snprintf(identity, 64, "%s/%s", PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
    PQclear(result);
    return true;
}

static bool connect_both(struct making *make, struct error *err)
{
    struct runner *r = make->r;
    char source[64], target[64];

    if (!connect(make, r->m.source, &r->m.source_pg, source, err) ||
        !connect(make, r->m.target, &r->m.target_pg, target, err))
        return false;
    if (strcmp(source, target) != 0)
        return true;
    error_set(err, "55000", "stores \"%s\" and \"%s\" are the same database", r->m.source->name,
              r->m.target->name);
    return error_hint(err, "Correct their connection strings under [stores].");
}

/* --- making --- */

static bool as_owner(struct making *make, bool wanted, struct error *err)
{
    char sql[2 * IDENTIFIER_BYTES_MAX + 32];
    bool fine = true;

    if (make->as_owner == wanted)
        return true;
    snprintf(sql, sizeof sql, "SET LOCAL ROLE %s", wanted ? make->owner : "NONE");
    fine = pg_run(make->r->m.target_pg, sql, 0, NULL, err);
    if (!fine)
        return error_hint(err,
                          "Create role %s in the target, and run sql/roles.sql there: it owns the tables in the "
                          "source.",
                          make->owner);
    make->as_owner = wanted;
    return true;
}

/* What may be missing in the target without harm to what is copied: the operator is told. */
static bool may_fail(const char *kind)
{
    static const char *const kinds[] = { "extension", "foreign key", "comment", "grant",
                                         "policy",    "statistics",  "owned by" };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i], kind) == 0)
            return true;
    }
    return false;
}

static bool run(struct making *make, const struct schema_item *item, const char *statement, struct error *err)
{
    struct pg *pg = make->r->m.target_pg;
    struct error why;
    bool belongs_to_us = strcmp(item->kind, "schema") == 0 || strcmp(item->kind, "extension") == 0;

    if (!as_owner(make, !belongs_to_us, err) || !pg_run(pg, "SAVEPOINT item", 0, NULL, err))
        return false;
    if (pg_run(pg, statement, 0, NULL, err)) {
        make->made++;
        say(make, item, "made", statement, NULL);
        return pg_run(pg, "RELEASE item", 0, NULL, err);
    }
    why = *err;
    if (pg_is_broken(pg) || make->r->interrupted || !may_fail(item->kind)) {
        error_set(err, why.sqlstate, "%s %s cannot be made in store \"%s\": %s", item->kind, item->name,
                  make->r->m.target->name, why.message);
        error_detail(err, "%s", statement);
        return error_hint(
            err, "%s", why.hint[0] != '\0' ? why.hint : "Nothing was made. Make it by hand, then try again.");
    }
    say(make, item, "left to you", statement, why.message);
    return pg_run(pg, "ROLLBACK TO item", 0, NULL, err);
}

/* A role that makes a schema owns what is in it, as in the source. */
static bool make_schema(struct making *make, const struct schema_item *item, struct error *err)
{
    struct buf sql;
    bool fine;

    buf_init(&sql);
    buf_append_format(&sql, "%s AUTHORIZATION %s", item->statement, make->owner);
    fine = buf_failed(&sql) ? error_no_memory(err) : run(make, item, buf_text(&sql), err);
    buf_done(&sql);
    return fine;
}

static bool defer(struct making *make, const struct schema_item *item, struct error *err)
{
    struct buf sql;
    bool fine;

    buf_init(&sql);
    sqltext_expand(&sql,
                   "INSERT INTO pgshunt.deferred_index (name, statement) VALUES ($1, $2)"
                   " ON CONFLICT (name) DO UPDATE SET statement = excluded.statement",
                   make->r->m.control_schema, NULL, 0);
    fine = buf_failed(&sql)
               ? error_no_memory(err)
               : as_owner(make, false, err) && pg_run(make->r->m.target_pg, buf_text(&sql), 2,
                                                      (const char *[]){ item->name, item->statement }, err);
    buf_done(&sql);
    say(make, item, "deferred", item->statement, "made when the rows have been copied, before dual_write");
    return fine;
}

static bool differs(struct making *make, const struct schema_item *item, const char *theirs,
                    struct error *err)
{
    error_set(err, "42710", "%s %s stands in store \"%s\" and is not what the source has", item->kind,
              item->name, make->r->m.target->name);
    error_detail(err, "source: %.450s; target: %.450s", item->statement, theirs == NULL ? "nothing" : theirs);
    return error_hint(err,
                      "Nothing was made. Alter or drop it there, then try again; CHECK MIGRATION compares.");
}

/* A table that stands fits if its columns do. */
static bool table_fits(struct making *make, const char *table, struct error *err)
{
    for (size_t i = 0; i < make->source.count; i++) {
        const struct schema_item *from = &make->source.at[i], *to;

        if (strcmp(from->kind, "column") != 0 || strcmp(from->belongs, table) != 0)
            continue;
        to = schema_items_find(&make->target, "column", from->name);
        if (to == NULL || strcmp(from->statement, to->statement) != 0)
            return differs(make, from, to == NULL ? NULL : to->statement, err);
    }
    return true;
}

static bool stands(struct making *make, const struct schema_item *item, const struct schema_item *there,
                   struct error *err)
{
    bool same = strcmp(item->statement, there->statement) == 0;

    if (strcmp(item->kind, "table") == 0) {
        if (!table_fits(make, item->name, err))
            return false;
        same = true;
    } else if (!same && (may_fail(item->kind) || !item->ready)) {
        say(make, item, "left to you", item->statement, "another one stands there");
        return true;
    }
    if (!same)
        return differs(make, item, there->statement, err);
    say(make, item, "there", NULL, NULL);
    return true;
}

static bool make_item(struct making *make, const struct schema_item *item, struct error *err)
{
    const struct schema_item *there = schema_items_find(&make->target, item->kind, item->name);
    bool new_table = schema_items_find(&make->target, "table", item->belongs) == NULL &&
                     schema_items_find(&make->target, "partition", item->belongs) == NULL;

    if (strcmp(item->kind, "column") == 0)
        return true;
    if (there != NULL)
        return stands(make, item, there, err);
    if (!item->ready) {
        say(make, item, "left to you", item->statement,
            "it may do anything: look whether the target shall have it");
        return true;
    }
    if (strcmp(item->kind, "schema") == 0)
        return make_schema(make, item, err);
    /* Only of tables that are made here: where others live, an index that is missing is missed. */
    if (strcmp(item->kind, "index") == 0 && make->defer_indexes && new_table)
        return defer(make, item, err);
    return run(make, item, item->statement, err);
}

/* Objects that belong to no declared table (types, functions, schemas) are seen in the target only where its
 * tables use them: those that stand there without a table are found by the catalogue. */
static bool stands_alone(struct making *make, const struct schema_item *item, bool *alone, struct error *err)
{
    const char *question = strcmp(item->kind, "schema") == 0     ? "SELECT to_regnamespace($1) IS NOT NULL"
                           : strcmp(item->kind, "type") == 0     ? "SELECT to_regtype($1) IS NOT NULL"
                           : strcmp(item->kind, "function") == 0 ? "SELECT to_regprocedure($1) IS NOT NULL"
                           : strcmp(item->kind, "sequence") == 0 ? "SELECT to_regclass($1) IS NOT NULL"
                           : strcmp(item->kind, "extension") == 0
                               ? "SELECT EXISTS (SELECT FROM pg_extension WHERE quote_ident(extname) = $1)"
                               : NULL;
    PGresult *result;

    *alone = false;
    if (question == NULL || schema_items_find(&make->target, item->kind, item->name) != NULL)
        return true;
    result = pg_query(make->r->m.target_pg, question, 1, &item->name, err);
    if (result == NULL)
        return false;
    *alone = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool make_all(struct making *make, struct error *err)
{
    struct buf sql;
    bool fine = true, alone;

    buf_init(&sql);
    sqltext_expand(&sql, sql_deferred_schema, make->r->m.control_schema, NULL, 0);
    if (make->defer_indexes)
        fine = buf_failed(&sql) ? error_no_memory(err)
                                : pg_run(make->r->m.target_pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    for (size_t i = 0; i < make->source.count && fine; i++) {
        const struct schema_item *item = &make->source.at[i];

        fine = stands_alone(make, item, &alone, err);
        if (fine && alone)
            say(make, item, "there", NULL, "not compared: no table of the target uses it yet");
        else if (fine)
            fine = make_item(make, item, err);
    }
    return fine && as_owner(make, false, err);
}

/* --- the story --- */

/* Before the commit that it speaks of: what is not in the audit has not been done. */
static bool write_audit(struct making *make, struct error *err)
{
    struct runner *r = make->r;
    char count[24];

    if (make->made == 0)
        return true;
    snprintf(count, sizeof count, "%zu", make->made);
    return pg_run(
        ledger_pg(r->ledger),
        "INSERT INTO migration_audit_log (event_type, details, operator)"
        " VALUES ('target_schema_created', jsonb_build_object('tenant_id', $1::text, 'target', $2::text,"
        " 'objects', $3::int), $4)",
        4, (const char *[]){ r->m.tenant, r->m.target->name, count, make->request->operator_name }, err);
}

static bool read_owner(struct making *make, struct error *err)
{
    PGresult *result;
    const char *table = "";

    for (size_t i = 0; i < make->source.count && *table == '\0'; i++) {
        if (strcmp(make->source.at[i].kind, "table") == 0)
            table = make->source.at[i].name;
    }
    result = pg_query(
        make->r->m.source_pg,
        "SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c WHERE c.oid = to_regclass($1)", 1,
        &table, err);
    if (result == NULL)
        return false;
    make->owner = PQntuples(result) == 1 ? strdup(PQgetvalue(result, 0, 0)) : NULL;
    PQclear(result);
    return make->owner != NULL ||
           error_set(err, "42P01", "store \"%s\" has none of the declared tables", make->r->m.source->name);
}

static bool make_schema_of_target(struct making *make, struct error *err)
{
    struct runner *r = make->r;
    bool fine =
        take_options(make, err) && take_stores(make, err) && connect_both(make, err) &&
        schema_items_read(r->m.source_pg, r->setup->config, r->m.control_schema, &make->source, err) &&
        read_owner(make, err) && pg_run(r->m.target_pg, "BEGIN", 0, NULL, err) &&
        schema_items_read(r->m.target_pg, r->setup->config, r->m.control_schema, &make->target, err) &&
        make_all(make, err) && write_audit(make, err) && pg_run(r->m.target_pg, "COMMIT", 0, NULL, err);

    if (!fine && r->m.target_pg != NULL && !pg_is_broken(r->m.target_pg))
        pg_rollback(r->m.target_pg);
    return fine;
}

void schema_make_answer(struct runner *r, struct control_request *request)
{
    struct making make = { .r = r, .request = request, .rows = heading() };
    struct error err;
    bool fine;

    error_no_memory(&err);
    fine = make.rows != NULL && make_schema_of_target(&make, &err);
    if (!fine) {
        rows_free(make.rows);
        make.rows = NULL;
    }
    schema_items_done(&make.source);
    schema_items_done(&make.target);
    free(make.owner);
    migration_disconnect(&r->m);
    runner_answer(request, make.rows, fine ? NULL : &err);
}
