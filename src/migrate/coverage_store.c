/* coverage_store.c - see coverage_store.h. Start at: coverage_stores(). */
#include "migrate/coverage_store.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sql/print.h"
#include "sql_embedded.h"

struct asking {
    const struct coverage_setup *setup;
    struct planner *planner;
    struct shape shape;
    struct buf names; /* of the declared tables, as an array literal in lower case */
    store_statement_fn *tell;
    void *who;
};

static void put_names(const struct schema *schema, struct buf *names)
{
    bool first = true;

    buf_append_text(names, "{");
    for (size_t i = 0; i < schema->table_count; i++) {
        if (schema->tables[i].class != TABLE_EVENT && schema->tables[i].class != TABLE_COMPANION)
            continue;
        buf_append_text(names, first ? "\"" : ",\"");
        for (const char *at = schema->tables[i].name; *at != '\0'; at++) {
            char c = (char)tolower((unsigned char)*at);

            if (c == '"' || c == '\\')
                buf_append_text(names, "\\");
            buf_append(names, &c, 1);
        }
        buf_append_text(names, "\"");
        first = false;
    }
    buf_append_text(names, "}");
}

/* One statement of a plan; false: no memory. */
static bool tell_one(struct asking *asking, const struct store *store, const struct plan_statement *statement,
                     int64_t calls)
{
    struct store_statement told = { .store = store,
                                    .class = print_class(statement->locks ? CLASS_WRITE : statement->class),
                                    .tenant = print_source(statement),
                                    .calls = calls };
    char tables[64];
    struct buf text;
    bool fine;

    if (told.tenant == NULL)
        return true;
    print_tables(statement->tables, tables, sizeof tables);
    told.tables = tables;
    buf_init(&text);
    print_shape(print_part(buf_slice(&asking->shape.text), statement), true, &text);
    told.shape = buf_failed(&text) ? NULL : buf_text(&text);
    fine = told.shape != NULL && (*told.shape == '\0' || asking->tell(asking->who, &told));
    buf_done(&text);
    return fine;
}

static bool plan_one(struct asking *asking, const struct store *store, const char *query, int64_t calls)
{
    struct plan_context context = { .schema = asking->setup->schema,
                                    .standard_conforming_strings = true,
                                    .encoding_safe = true };
    struct plan *plan = NULL;
    bool fine = planner_plan(asking->planner, slice_of(query), &context, &asking->shape, &plan);

    for (size_t i = 0; fine && i < plan->statement_count; i++)
        fine = tell_one(asking, store, &plan->statements[i], calls);
    plan_give(plan);
    return fine;
}

/* "": it is not there. */
static bool find_extension(struct pg *pg, char *schema, size_t bytes, struct error *err)
{
    PGresult *result = pg_query(pg,
                                "SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e"
                                " JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
                                " WHERE e.extname = 'pg_stat_statements'",
                                0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(schema, bytes, "%s", PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

static PGresult *read_statements(struct asking *asking, struct pg *pg, const char *schema, struct error *err)
{
    const char *const values[] = { buf_text(&asking->names) };
    const char *at = strstr(sql_coverage_statements, "FROM SCHEMA.");
    PGresult *result = NULL;
    struct buf sql;

    buf_init(&sql);
    buf_append(&sql, sql_coverage_statements, (size_t)(at - sql_coverage_statements));
    buf_append_format(&sql, "FROM %s.", schema);
    buf_append_text(&sql, at + strlen("FROM SCHEMA."));
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(pg, buf_text(&sql), 1, values, err);
    buf_done(&sql);
    return result;
}

/* *asked false: `err` says why the store could not be asked. Result false: no memory. */
static bool ask_store(struct asking *asking, const struct store *store, bool *asked, struct error *err)
{
    uint64_t now_ms = clock_ms(), until_ms = asking->setup->until_ms;
    char what[STORE_NAME_BYTES_MAX + 16], schema[2 * IDENTIFIER_BYTES_MAX + 8] = "";
    PGresult *result = NULL;
    struct pg *pg = NULL;
    bool fine = true;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    *asked = until_ms > now_ms ? pg_open(store->conninfo, what, "pgshunt coverage", asking->setup->wake,
                                         until_ms - now_ms, &pg, err)
                               : error_set(err, "57014", "there was no time left to ask %s", what);
    if (*asked)
        pg_set_deadline(pg, until_ms);
    *asked = *asked && find_extension(pg, schema, sizeof schema, err);
    if (*asked && schema[0] != '\0') {
        result = read_statements(asking, pg, schema, err);
        *asked = result != NULL;
    }
    for (int row = 0; fine && result != NULL && row < PQntuples(result); row++)
        fine = plan_one(asking, store, PQgetvalue(result, row, 0),
                        strtoll(PQgetvalue(result, row, 1), NULL, 10));
    PQclear(result);
    pg_close(pg);
    return fine;
}

static bool ask_all(struct asking *asking, char *left_out, size_t left_out_bytes)
{
    const struct stores *stores = asking->setup->stores;
    size_t used = 0;

    for (size_t i = 0; i < stores->count; i++) {
        struct error err;
        bool asked;

        error_clear(&err);
        if (!ask_store(asking, &stores->at[i], &asked, &err))
            return false;
        if (!asked && used < left_out_bytes)
            used += (size_t)snprintf(left_out + used, left_out_bytes - used, "%s%s: %s",
                                     used == 0 ? "" : "; ", stores->at[i].name, err.message);
    }
    return true;
}

bool coverage_stores(const struct coverage_setup *setup, store_statement_fn *tell, void *who, char *left_out,
                     size_t left_out_bytes, struct error *err)
{
    struct asking asking = { .setup = setup, .tell = tell, .who = who };
    bool fine = true;

    left_out[0] = '\0';
    if (setup->schema == NULL || !setup->schema->known)
        return true;
    asking.planner = planner_new(setup->tenant_setting);
    shape_init(&asking.shape);
    buf_init(&asking.names);
    put_names(setup->schema, &asking.names);
    fine = asking.planner != NULL && !buf_failed(&asking.names) && ask_all(&asking, left_out, left_out_bytes);
    buf_done(&asking.names);
    shape_done(&asking.shape);
    planner_free(asking.planner);
    return fine || error_no_memory(err);
}
