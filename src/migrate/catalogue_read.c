/* catalogue_read.c - one store's declared tables, as its catalogue has them now.
 * Owns:   nothing. Thread: control's.   Start at: catalogue_read(). */
#include "migrate/catalogue_read.h"

#include <stdlib.h>
#include <string.h>

#include "migrate/sqltext.h"
#include "sql_embedded.h"

/* --- what is declared --------------------------------------------------------------------------------- */

static bool declare(struct schema_table *table, struct slice name, enum table_class class)
{
    const char *dot = memchr(name.at, '.', name.bytes);

    table->class = class;
    table->schema = dot == NULL ? strdup("public") : strndup(name.at, (size_t)(dot - name.at));
    table->name = dot == NULL ? strndup(name.at, name.bytes)
                              : strndup(dot + 1, name.bytes - (size_t)(dot + 1 - name.at));
    return table->schema != NULL && table->name != NULL;
}

static struct schema *declared(const struct config *config)
{
    const char *everywhere = config_text(config, CONFIG_EVERYWHERE_TABLES);
    struct slice item;
    size_t at = 0, count = 1;
    struct schema *schema;
    bool good;

    while (config_next_item(everywhere, &at, &item))
        count++;
    schema = schema_new(count);
    if (schema == NULL)
        return NULL;
    good = declare(&schema->tables[0], slice_of(config_text(config, CONFIG_EVENT_TABLE)), TABLE_EVENT);
    at = 0;
    for (size_t i = 1; good && config_next_item(everywhere, &at, &item); i++)
        good = declare(&schema->tables[i], item, TABLE_EVERYWHERE);
    if (good)
        return schema;
    schema_give(schema);
    return NULL;
}

/* --- what is there ------------------------------------------------------------------------------------ */

static PGresult *ask(struct pg *pg, const struct schema *schema, struct error *err)
{
    struct buf schemas, tables;
    PGresult *result = NULL;

    buf_init(&schemas);
    buf_init(&tables);
    for (size_t i = 0; i < schema->table_count; i++) {
        sqltext_array_add(&schemas, schema->tables[i].schema);
        sqltext_array_add(&tables, schema->tables[i].name);
    }
    sqltext_array_end(&schemas);
    sqltext_array_end(&tables);
    if (buf_failed(&schemas) || buf_failed(&tables))
        error_no_memory(err);
    else
        result = pg_query(pg, sql_catalogue_columns, 2,
                          (const char *[]){ buf_text(&schemas), buf_text(&tables) }, err);
    buf_done(&schemas);
    buf_done(&tables);
    return result;
}

static bool add_column(struct schema_table *table, const PGresult *result, int row, const char *tenant_column)
{
    struct schema_column *more = realloc(table->columns, (table->column_count + 1) * sizeof *more);

    if (more == NULL)
        return false;
    table->columns = more;
    more += table->column_count;
    more->name = strdup(PQgetvalue(result, row, 1));
    if (more->name == NULL)
        return false;
    more->type_oid = (uint32_t)strtoul(PQgetvalue(result, row, 2), NULL, 10);
    more->generated = PQgetvalue(result, row, 3)[0] == 't';
    if (table->class == TABLE_EVENT && strcmp(more->name, tenant_column) == 0)
        table->tenant_column = (int)table->column_count;
    table->column_count++;
    return true;
}

static bool fill(struct schema *schema, const PGresult *result, const char *tenant_column)
{
    for (int row = 0; row < PQntuples(result); row++) {
        size_t n = (size_t)atoi(PQgetvalue(result, row, 0)) - 1;

        if (n >= schema->table_count || PQgetisnull(result, row, 1))
            continue;
        if (!add_column(&schema->tables[n], result, row, tenant_column))
            return false;
    }
    return true;
}

bool catalogue_read(struct pg *pg, const struct config *config, uint64_t generation, struct schema **read,
                    int *server_major, struct error *err)
{
    struct schema *schema = declared(config);
    PGresult *result;
    bool good;

    *read = NULL;
    if (schema == NULL)
        return error_no_memory(err);
    result = ask(pg, schema, err);
    good = result != NULL &&
           (fill(schema, result, config_text(config, CONFIG_TENANT_COLUMN)) || error_no_memory(err));
    PQclear(result);
    if (!good) {
        schema_give(schema);
        return false;
    }
    schema->generation = generation;
    schema->known = true;
    *server_major = PQserverVersion(pg_raw(pg)) / 10000;
    *read = schema;
    return true;
}

/* --- comparing ---------------------------------------------------------------------------------------- */

static bool table_same(const struct schema_table *a, const struct schema_table *b)
{
    if (a->class != b->class || a->column_count != b->column_count || a->tenant_column != b->tenant_column ||
        strcmp(a->schema, b->schema) != 0 || strcmp(a->name, b->name) != 0)
        return false;
    for (size_t i = 0; i < a->column_count; i++) {
        if (a->columns[i].type_oid != b->columns[i].type_oid ||
            a->columns[i].generated != b->columns[i].generated ||
            strcmp(a->columns[i].name, b->columns[i].name) != 0)
            return false;
    }
    return true;
}

bool catalogue_same(const struct schema *a, const struct schema *b)
{
    if (a->known != b->known || a->table_count != b->table_count)
        return false;
    for (size_t i = 0; i < a->table_count; i++) {
        if (!table_same(&a->tables[i], &b->tables[i]))
            return false;
    }
    return true;
}
