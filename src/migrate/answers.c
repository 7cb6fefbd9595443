/* answers.c - see answers.h. Start at: as_rows(). */
#include "migrate/answers.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "sql_embedded.h"

enum { PREFIX_MIN = 4, OID_OID = 26, OID_NUMERIC = 1700 };

/* --- from a query --- */

/* Its columns with their types; what no driver knows as itself is text. */
static enum rows_type type_of(Oid oid)
{
    switch (oid) {
    case ROWS_BOOL:
    case ROWS_INT8:
    case ROWS_INT4:
    case ROWS_FLOAT8:
    case ROWS_TIMESTAMPTZ:
    case ROWS_UUID:
        return (enum rows_type)oid;
    case OID_OID:
        return ROWS_INT8;
    case OID_NUMERIC:
        return ROWS_FLOAT8;
    default:
        return ROWS_TEXT;
    }
}

static struct rows *as_rows(const PGresult *result)
{
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    for (int column = 0; column < PQnfields(result); column++)
        rows_column(rows, PQfname(result, column), type_of(PQftype(result, column)));
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < PQnfields(result); column++)
            rows_text(rows, PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column));
    }
    return rows;
}

bool answers_ask(struct ledger *ledger, const char *sql, int count, const char *const *values,
                 struct rows **rows, struct error *err)
{
    PGresult *result = pg_query(ledger_pg(ledger), sql, count, values, err);

    *rows = NULL;
    if (result == NULL)
        return false;
    *rows = as_rows(result);
    PQclear(result);
    return *rows != NULL || error_no_memory(err);
}

/* --- finding --- */

static bool not_found(const char *prefix, struct error *err)
{
    error_set(err, "42704", "there is no migration \"%.64s\"", prefix);
    error_detail(err, "migration_not_found");
    return error_hint(
        err, "SHOW MIGRATIONS ALL lists them; %d characters of the id are enough where they are unique.",
        PREFIX_MIN);
}

static bool take_found(const PGresult *result, const char *prefix, struct found_migration *found,
                       struct error *err)
{
    if (PQntuples(result) == 0)
        return not_found(prefix, err);
    if (PQntuples(result) > 1) {
        error_set(err, "42704", "the id of more than one migration begins with \"%.64s\"", prefix);
        return error_hint(err, "Type more of it; SHOW MIGRATIONS ALL lists them.");
    }
    snprintf(found->id, sizeof found->id, "%s", PQgetvalue(result, 0, 0));
    return migration_state_parse(PQgetvalue(result, 0, 2), &found->state) ||
           error_set(err, "22023", "migration %s is in an unknown state", found->id);
}

bool answers_find(struct ledger *ledger, const char *prefix, struct found_migration *found,
                  struct rows **rows, struct error *err)
{
    char lower[UUID_TEXT_BYTES];
    const char *const values[] = { lower };
    size_t bytes = prefix == NULL ? 0 : strlen(prefix);
    PGresult *result;
    bool fine;

    if (bytes < PREFIX_MIN || bytes >= sizeof lower)
        return not_found(prefix == NULL ? "" : prefix, err);
    for (size_t i = 0; i <= bytes; i++)
        lower[i] = (char)tolower((unsigned char)prefix[i]);
    result = pg_query(ledger_pg(ledger), sql_find_migration, 1, values, err);
    if (result == NULL)
        return false;
    fine = take_found(result, prefix, found, err);
    if (fine && rows != NULL) {
        *rows = as_rows(result);
        fine = *rows != NULL || error_no_memory(err);
    }
    PQclear(result);
    return fine;
}

/* --- the SHOWs --- */

bool answers_migrations(struct ledger *ledger, const struct control_request *request, struct rows **rows,
                        struct error *err)
{
    bool all = request->tenant != NULL || (request->filter != NULL && strcmp(request->filter, "all") == 0);
    const char *const values[] = { all ? "all" : "active", request->tenant };

    return answers_ask(ledger, sql_show_migrations, 2, values, rows, err);
}

bool answers_migration(struct ledger *ledger, const char *id, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_show_migration, 1, &id, rows, err);
}

bool answers_audit(struct ledger *ledger, const char *id, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_show_audit, 1, &id, rows, err);
}

bool answers_failures(struct ledger *ledger, const char *id, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_show_failures, 1, &id, rows, err);
}

bool answers_report(struct ledger *ledger, const char *id, bool json, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, json ? sql_show_report_json : sql_show_report, 1, &id, rows, err);
}

bool answers_instances(struct ledger *ledger, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_show_instances, 0, NULL, rows, err);
}

bool answers_metrics(struct ledger *ledger, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_metrics_migrations, 0, NULL, rows, err);
}

static const char *or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static void add_store(struct rows *rows, const struct store *store, bool is_default,
                      const struct survey_view *view, size_t away)
{
    rows_text(rows, store->name);
    rows_text(rows, store->host);
    rows_text(rows, store->port);
    rows_text(rows, store->dbname);
    rows_flag(rows, is_default);
    rows_flag(rows, view->reachable);
    rows_text(rows, or_null(view->system_identifier));
    rows_text(rows, or_null(view->database_oid));
    rows_text(rows, or_null(view->server_version));
    rows_number(rows, (int64_t)away);
    rows_text(rows, store->conninfo_public);
    rows_text(rows, or_null(view->error));
}

/* --- shapes --- */

bool answers_shapes(struct ledger *ledger, struct rows **rows, struct error *err)
{
    return answers_ask(ledger, sql_show_shapes, 0, NULL, rows, err);
}

static bool is_shape_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits > 0 && digits <= 18 && text[digits] == '\0';
}

bool answers_decide(struct ledger *ledger, const struct control_request *request, struct rows **rows,
                    struct error *err)
{
    bool accept = request->verb == CONTROL_ACCEPT_SHAPE;
    const char *number = request->id == NULL ? "" : request->id;
    const char *const values[] = { number, accept ? "t" : "f", request->operator_name, request->reason };

    if (is_shape_number(number) && !answers_ask(ledger, sql_decide_shape, 4, values, rows, err))
        return false;
    if (*rows != NULL && rows_count(*rows) == 1)
        return true;
    rows_free(*rows);
    *rows = NULL;
    error_set(err, "42704", "there is no shape %.32s", number);
    return error_hint(err, "SHOW SHAPES lists them with their numbers.");
}

bool answers_stores(const struct stores *stores, const struct survey *survey,
                    const struct publisher *publisher, struct rows **rows, struct error *err)
{
    static const struct {
        const char *name;
        enum rows_type type;
    } columns[] = { { "name", ROWS_TEXT },
                    { "host", ROWS_TEXT },
                    { "port", ROWS_TEXT },
                    { "dbname", ROWS_TEXT },
                    { "is_default", ROWS_BOOL },
                    { "reachable", ROWS_BOOL },
                    { "system_identifier", ROWS_TEXT },
                    { "database_oid", ROWS_INT8 },
                    { "server_version", ROWS_TEXT },
                    { "tenants_away", ROWS_INT8 },
                    { "conninfo", ROWS_TEXT },
                    { "error", ROWS_TEXT } };

    *rows = rows_new();
    if (*rows == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(*rows, columns[i].name, columns[i].type);
    for (unsigned i = 0; i < stores->count; i++) {
        struct survey_view view;

        survey_view(survey, i, &view);
        add_store(*rows, &stores->at[i], i == stores->default_index, &view,
                  publisher_away_count(publisher, &stores->at[i]));
    }
    return true;
}

bool answers_tenants(const struct publisher *publisher, struct rows **rows, struct error *err)
{
    static const char *const columns[] = { "tenant_id", "store", "migration_state", "target",
                                           "migration_id" };
    const struct route_table *table = publisher_table(publisher);

    *rows = rows_new();
    if (*rows == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(*rows, columns[i], i == 4 ? ROWS_UUID : ROWS_TEXT);
    rows_column(*rows, "generation", ROWS_INT8);
    for (size_t i = 0; table != NULL && i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);

        rows_text(*rows, route->tenant);
        rows_text(*rows, route->store->name);
        rows_text(*rows, routing_state_name(route->migration_state));
        rows_text(*rows, route->target == NULL ? NULL : route->target->name);
        rows_text(*rows, or_null(route->migration));
        rows_number(*rows, (int64_t)route->generation);
    }
    return true;
}
