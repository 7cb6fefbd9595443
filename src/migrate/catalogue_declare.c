/* catalogue_declare.c - see catalogue_declare.h. Start at: declaration_init(). */
#include "migrate/catalogue_declare.h"

#include <stdlib.h>
#include <string.h>

#include "base/declare.h"

/* What is being filled in: the next table, the next function. */
struct filling {
    struct declaration *declaration;
    struct schema *schema;
    size_t table, function;
};

static char *copy(struct slice text)
{
    return strndup(text.at == NULL ? "" : text.at, text.bytes);
}

static bool add_table(struct filling *filling, const struct declared *item, enum table_class class,
                      const char *tenant_column)
{
    struct schema_table *table = &filling->schema->tables[filling->table];
    struct declared_table *declared = &filling->declaration->tables[filling->table++];
    struct slice own = declare_option(item, "tenant_column");

    /* Whose its rows are, its parent's tell: nothing in a statement does. */
    if (declare_option(item, "parent").at != NULL)
        tenant_column = NULL;

    table->class = class;
    table->schema = item->schema.at == NULL ? strdup("public") : copy(item->schema);
    table->name = copy(item->name);
    if (tenant_column != NULL)
        declared->tenant_column = own.at != NULL ? copy(own) : strdup(tenant_column);
    return table->schema != NULL && table->name != NULL &&
           (tenant_column == NULL || declared->tenant_column != NULL);
}

static bool add_tables(struct filling *filling, const char *list, enum table_class class,
                       const char *tenant_column, bool read_only)
{
    struct declared item;
    struct error ignored; /* the list was checked when it was read */
    size_t at = 0;

    while (declare_next(list, &at, &item, &ignored) == DECLARE_ITEM) {
        if (!add_table(filling, &item, class, tenant_column))
            return false;
        filling->schema->tables[filling->table - 1].read_only = read_only;
    }
    return true;
}

static bool add_function(struct filling *filling, const struct declared *item, bool writes)
{
    struct schema_function *function = &filling->schema->functions[filling->function];
    struct declared_function *declared = &filling->declaration->functions[filling->function++];

    filling->schema->function_count = filling->function;
    *function =
        (struct schema_function){ .declared = true,
                                  .writes = writes,
                                  .schema = item->schema.at == NULL ? strdup("public") : copy(item->schema),
                                  .name = copy(item->name) };
    declared->tenant = copy(declare_option(item, "tenant_arg"));
    declared->stream = copy(declare_option(item, "stream_arg"));
    if (function->schema == NULL || function->name == NULL || declared->tenant == NULL ||
        declared->stream == NULL)
        return false;
    function->tenant.declared = declared->tenant[0] != '\0';
    function->stream.declared = declared->stream[0] != '\0';
    return true;
}

static bool add_functions(struct filling *filling, const char *list, bool writes)
{
    struct declared item;
    struct error ignored;
    size_t at = 0;

    while (declare_next(list, &at, &item, &ignored) == DECLARE_ITEM)
        if (!add_function(filling, &item, writes))
            return false;
    return true;
}

/* The column named, else that of stream_columns if it is one alone. */
static bool fill_pattern(struct schema *schema, const struct config *config)
{
    const char *pattern = config_text(config, CONFIG_STREAM_PATTERN);
    const char *columns = config_text(config, CONFIG_STREAM_COLUMNS);
    struct slice column = slice_of(config_text(config, CONFIG_STREAM_PATTERN_COLUMN)), second;
    size_t at = 0;

    if (pattern[0] == '\0')
        return true;
    schema->pattern = pattern_new(pattern);
    if (schema->pattern == NULL)
        return false;
    if (column.bytes == 0 &&
        (!config_next_item(columns, &at, &column) || config_next_item(columns, &at, &second)))
        return true;
    schema->pattern_column = copy(column);
    return schema->pattern_column != NULL;
}

/* A table without a schema is one of `public`, as everywhere. */
static bool fill(struct filling *filling, const struct config *config)
{
    const char *tenant_column = config_text(config, CONFIG_TENANT_COLUMN);

    return fill_pattern(filling->schema, config) &&
           add_tables(filling, config_text(config, CONFIG_EVENT_TABLE), TABLE_EVENT, tenant_column, false) &&
           add_tables(filling, config_text(config, CONFIG_COMPANION_TABLES), TABLE_COMPANION, tenant_column,
                      false) &&
           add_tables(filling, config_text(config, CONFIG_EVERYWHERE_TABLES), TABLE_EVERYWHERE, NULL,
                      false) &&
           add_tables(filling, config_text(config, CONFIG_EVENT_VIEWS), TABLE_EVENT, NULL, true) &&
           add_functions(filling, config_text(config, CONFIG_WRITE_FUNCTIONS), true) &&
           add_functions(filling, config_text(config, CONFIG_READ_FUNCTIONS), false);
}

bool declaration_init(struct declaration *declaration, const struct config *config, struct schema **schema)
{
    struct filling filling = { .declaration = declaration };

    *declaration = (struct declaration){
        .view_count = declare_count(config_text(config, CONFIG_EVENT_VIEWS)),
        .function_count = declare_count(config_text(config, CONFIG_WRITE_FUNCTIONS)) +
                          declare_count(config_text(config, CONFIG_READ_FUNCTIONS)),
    };
    declaration->table_count = declare_count(config_text(config, CONFIG_EVENT_TABLE)) +
                               declare_count(config_text(config, CONFIG_COMPANION_TABLES)) +
                               declare_count(config_text(config, CONFIG_EVERYWHERE_TABLES)) +
                               declaration->view_count;
    declaration->tables = calloc(declaration->table_count + 1, sizeof *declaration->tables);
    declaration->functions = calloc(declaration->function_count + 1, sizeof *declaration->functions);
    *schema = filling.schema = schema_new(declaration->table_count);
    if (*schema != NULL)
        (*schema)->functions = calloc(declaration->function_count + 1, sizeof *(*schema)->functions);
    if (declaration->tables != NULL && declaration->functions != NULL && *schema != NULL &&
        (*schema)->functions != NULL && fill(&filling, config))
        return true;
    declaration_done(declaration);
    schema_give(*schema);
    *schema = NULL;
    return false;
}

void declaration_done(struct declaration *declaration)
{
    for (size_t i = 0; declaration->tables != NULL && i < declaration->table_count; i++)
        free(declaration->tables[i].tenant_column);
    for (size_t i = 0; declaration->functions != NULL && i < declaration->function_count; i++) {
        free(declaration->functions[i].tenant);
        free(declaration->functions[i].stream);
    }
    free(declaration->tables);
    free(declaration->functions);
    *declaration = (struct declaration){ 0 };
}
