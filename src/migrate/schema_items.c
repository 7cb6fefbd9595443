/* schema_items.c - the objects of the declared tables, read by one question.
 * Owns: the answer. Thread: any.   Start at: schema_items_read(). */
#include "migrate/schema_items.h"

#include <stdlib.h>
#include <string.h>

#include "migrate/catalogue_declare.h"
#include "migrate/relation.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

/* {"public"."events",…} of [events]. */
static bool declared_tables(const struct config *config, struct buf *array, struct error *err)
{
    struct declaration declaration;
    struct schema *schema;
    struct buf name;

    if (!declaration_init(&declaration, config, &schema))
        return error_no_memory(err);
    buf_init(&name);
    for (size_t i = 0; i < schema->table_count; i++) {
        if (i > 0 && schema->tables[i].class != TABLE_COMPANION)
            continue;
        buf_clear(&name);
        relation_append_identifier(&name, schema->tables[i].schema);
        buf_append_text(&name, ".");
        relation_append_identifier(&name, schema->tables[i].name);
        sqltext_array_add(array, buf_text(&name));
    }
    sqltext_array_end(array);
    buf_done(&name);
    declaration_done(&declaration);
    schema_give(schema);
    return !buf_failed(array) || error_no_memory(err);
}

static bool read_deferred(struct pg *pg, const char *schema, PGresult **deferred, struct error *err)
{
    struct buf sql;
    PGresult *there;
    bool fine = true;

    *deferred = NULL;
    buf_init(&sql);
    sqltext_expand(&sql, "SELECT to_regclass('pgshunt.deferred_index') IS NOT NULL", schema, NULL, 0);
    there = pg_query(pg, buf_text(&sql), 0, NULL, err);
    if (there != NULL && PQgetvalue(there, 0, 0)[0] == 't') {
        buf_clear(&sql);
        sqltext_expand(&sql, "SELECT statement FROM pgshunt.deferred_index", schema, NULL, 0);
        *deferred = pg_query(pg, buf_text(&sql), 0, NULL, err);
        fine = *deferred != NULL;
    }
    fine = fine && there != NULL;
    PQclear(there);
    buf_done(&sql);
    return fine;
}

static bool fill(struct schema_items *items, struct error *err)
{
    items->count = (size_t)PQntuples(items->result);
    items->at = calloc(items->count + 1, sizeof *items->at);
    if (items->at == NULL)
        return error_no_memory(err);
    for (size_t i = 0; i < items->count; i++)
        items->at[i] = (struct schema_item){ .kind = PQgetvalue(items->result, (int)i, 1),
                                             .name = PQgetvalue(items->result, (int)i, 2),
                                             .belongs = PQgetvalue(items->result, (int)i, 3),
                                             .statement = PQgetvalue(items->result, (int)i, 4),
                                             .ready = PQgetvalue(items->result, (int)i, 5)[0] == 't' };
    return true;
}

bool schema_items_read(struct pg *pg, const struct config *config, const char *schema,
                       struct schema_items *items, struct error *err)
{
    struct buf tables;
    bool fine;

    memset(items, 0, sizeof *items);
    buf_init(&tables);
    fine = declared_tables(config, &tables, err);
    if (fine)
        items->result = pg_query(pg, sql_schema_items, 2, (const char *[]){ buf_text(&tables), schema }, err);
    buf_done(&tables);
    if (items->result != NULL && fill(items, err) && read_deferred(pg, schema, &items->deferred, err))
        return true;
    schema_items_done(items);
    return false;
}

void schema_items_done(struct schema_items *items)
{
    free(items->at);
    PQclear(items->result);
    PQclear(items->deferred);
    memset(items, 0, sizeof *items);
}

const struct schema_item *schema_items_find(const struct schema_items *items, const char *kind,
                                            const char *name)
{
    for (size_t i = 0; i < items->count; i++) {
        if (strcmp(items->at[i].kind, kind) == 0 && strcmp(items->at[i].name, name) == 0)
            return &items->at[i];
    }
    return NULL;
}

bool schema_items_is_deferred(const struct schema_items *items, const char *statement)
{
    for (int row = 0; items->deferred != NULL && row < PQntuples(items->deferred); row++) {
        if (strcmp(PQgetvalue(items->deferred, row, 0), statement) == 0)
            return true;
    }
    return false;
}
