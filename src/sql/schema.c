/* schema.c - declared tables of one store: built once, then read by all.
 * Thread: any; references are counted atomically.   Start at: schema_find(). */
#include "sql/schema.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sql/type.h"

struct schema *schema_new(size_t table_count)
{
    struct schema *schema = calloc(1, sizeof *schema);

    if (schema == NULL)
        return NULL;
    schema->refs = 1;
    schema->tables = calloc(table_count == 0 ? 1 : table_count, sizeof *schema->tables);
    if (schema->tables == NULL) {
        free(schema);
        return NULL;
    }
    schema->table_count = table_count;
    for (size_t i = 0; i < table_count; i++)
        schema->tables[i].tenant_column = -1;
    return schema;
}

struct schema *schema_take(struct schema *schema)
{
    __atomic_add_fetch(&schema->refs, 1, __ATOMIC_RELAXED);
    return schema;
}

static void table_done(struct schema_table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        free(table->columns[i].name);
    free(table->columns);
    free(table->schema);
    free(table->name);
}

void schema_give(struct schema *schema)
{
    if (schema == NULL || __atomic_sub_fetch(&schema->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < schema->table_count; i++)
        table_done(&schema->tables[i]);
    free(schema->tables);
    for (size_t i = 0; i < schema->function_count; i++) {
        free(schema->functions[i].schema);
        free(schema->functions[i].name);
        free(schema->functions[i].tenant.name);
        free(schema->functions[i].stream.name);
    }
    free(schema->functions);
    for (size_t i = 0; i < KEY_KINDS; i++) {
        for (size_t c = 0; c < schema->keys[i].column_count; c++)
            free(schema->keys[i].columns[c]);
        free(schema->keys[i].question);
    }
    pattern_give(schema->pattern);
    free(schema->pattern_column);
    free(schema->problem);
    free(schema);
}

/* A declared table without a schema is one of `public`. */
static bool table_is(const struct schema_table *table, const char *schema_name, const char *table_name)
{
    const char *home = table->schema == NULL || table->schema[0] == '\0' ? "public" : table->schema;

    if (table->name == NULL || strcmp(table->name, table_name) != 0)
        return false;
    return schema_name == NULL || schema_name[0] == '\0' || strcmp(home, schema_name) == 0;
}

const struct schema_table *schema_find(const struct schema *schema, const char *schema_name,
                                       const char *table_name)
{
    for (size_t i = 0; schema != NULL && i < schema->table_count; i++)
        if (table_is(&schema->tables[i], schema_name, table_name))
            return &schema->tables[i];
    return NULL;
}

const struct schema_function *schema_find_function(const struct schema *schema, const char *schema_name,
                                                   const char *name)
{
    for (size_t i = 0; schema != NULL && i < schema->function_count; i++) {
        const struct schema_function *function = &schema->functions[i];
        const char *home =
            function->schema == NULL || function->schema[0] == '\0' ? "public" : function->schema;

        if (strcmp(function->name, name) == 0 &&
            (schema_name == NULL || schema_name[0] == '\0' || strcmp(home, schema_name) == 0))
            return function;
    }
    return NULL;
}

const struct schema_column *schema_pattern_column(const struct schema *schema,
                                                  const struct schema_table *table)
{
    if (schema == NULL || schema->pattern_column == NULL || table->read_only)
        return NULL;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct schema_column *column = &table->columns[i];

        if (strcmp(column->name, schema->pattern_column) == 0)
            return type_family(column->type_oid) == FAMILY_TEXT && column->type_oid != TYPE_ENUM ? column
                                                                                                 : NULL;
    }
    return NULL;
}

uint32_t schema_tenant_type(const struct schema *schema)
{
    for (size_t i = 0; schema != NULL && i < schema->table_count; i++) {
        const struct schema_table *table = &schema->tables[i];

        if (table->class == TABLE_EVENT && table->tenant_column >= 0 &&
            (size_t)table->tenant_column < table->column_count)
            return table->columns[table->tenant_column].type_oid;
    }
    return 0;
}

static bool contains_word(struct slice text, const char *word)
{
    size_t bytes = strlen(word);

    for (size_t i = 0; bytes > 0 && i + bytes <= text.bytes; i++)
        if ((text.at[i] | 0x20) == (word[0] | 0x20) && strncasecmp(text.at + i, word, bytes) == 0)
            return true;
    return false;
}

bool schema_is_mentioned(const struct schema *schema, struct slice text)
{
    if (contains_word(text, "U&\""))
        return true;
    for (size_t i = 0; schema != NULL && i < schema->table_count; i++)
        if (schema->tables[i].class != TABLE_DEFAULT && schema->tables[i].name != NULL &&
            contains_word(text, schema->tables[i].name))
            return true;
    return false;
}
