/* catalogue_read.c - one store's declared tables, views and functions, as its catalogue has them now.
 * Owns:   nothing.   Leaves: what is declared to catalogue_declare.c, what a view shows to sql/view.
 * Thread: control's, or a runner's.   Start at: catalogue_read().
 * What is declared and is not so in the store makes what uses it unknown, and is said: schema->problem, the
 * first of them. */
#include "migrate/catalogue_read.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/catalogue_declare.h"
#include "migrate/catalogue_keys.h"
#include "migrate/sqltext.h"
#include "sql/view.h"
#include "sql_embedded.h"

enum { PROBLEM_BYTES = 200 };

static void complain(struct schema *schema, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct schema *schema, const char *fmt, ...)
{
    char text[PROBLEM_BYTES];
    va_list args;

    if (schema->problem != NULL)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    schema->problem = strdup(text);
}

static const char *value(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

static bool truth(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column)[0] == 't';
}

static uint32_t number(const PGresult *result, int row, int column)
{
    return (uint32_t)strtoul(PQgetvalue(result, row, column), NULL, 10);
}

/* `query` with `count` text arrays, and then what is in `more`. */
static PGresult *ask(struct pg *pg, const char *query, struct buf *arrays, size_t count, const char *more[2],
                     struct error *err)
{
    const char *values[4] = { NULL };
    size_t filled = count;
    bool failed = false;

    for (size_t i = 0; i < count; i++) {
        if (buf_bytes(&arrays[i]) == 0)
            buf_append_text(&arrays[i], "{");
        sqltext_array_end(&arrays[i]);
        values[i] = buf_text(&arrays[i]);
        failed = failed || buf_failed(&arrays[i]);
    }
    for (size_t i = 0; more != NULL && i < 2; i++)
        values[filled++] = more[i];
    if (failed) {
        error_no_memory(err);
        return NULL;
    }
    return pg_query(pg, query, (int)filled, values, err);
}

static void arrays_done(struct buf *arrays, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_done(&arrays[i]);
}

/* --- tables --- */

/* The table of a row: a declared one, or one more behind them. NULL: no memory. */
static struct schema_table *table_of(struct schema *schema, size_t declared, const PGresult *result, int row)
{
    size_t n = number(result, row, 0) - 1;
    const char *kind = value(result, row, 1), *home = value(result, row, 2), *name = value(result, row, 3);
    struct schema_table *last = &schema->tables[schema->table_count - 1];
    struct schema_table *grown;

    if (kind[0] == 't')
        return &schema->tables[n];
    if (schema->table_count > declared && strcmp(last->schema, home) == 0 && strcmp(last->name, name) == 0)
        return last;
    grown = realloc(schema->tables, (schema->table_count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    schema->tables = grown;
    last = &grown[schema->table_count++];
    *last = (struct schema_table){ .schema = strdup(home),
                                   .name = strdup(name),
                                   .class = kind[0] == 'h' ? TABLE_DEFAULT : grown[n].class,
                                   .tenant_column = -1 };
    return last->schema == NULL || last->name == NULL ? NULL : last;
}

static bool add_column(struct schema_table *table, const PGresult *result, int row, const char *tenant_column)
{
    const char *name = value(result, row, 7);
    struct schema_column *more = realloc(table->columns, (table->column_count + 1) * sizeof *more);

    if (more == NULL)
        return false;
    table->columns = more;
    more += table->column_count;
    more->name = strdup(name);
    if (more->name == NULL)
        return false;
    more->type_oid = number(result, row, 8);
    more->generated = truth(result, row, 9);
    if (tenant_column != NULL && strcmp(name, tenant_column) == 0)
        table->tenant_column = (int)table->column_count;
    table->column_count++;
    return true;
}

static bool fill_tables(struct schema *schema, const struct declaration *declared, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++) {
        size_t n = number(result, row, 0) - 1;
        struct schema_table *table =
            n >= declared->table_count ? NULL : table_of(schema, declared->table_count, result, row);

        if (table == NULL)
            return false;
        table->usual = truth(result, row, 5);
        table->of_role = truth(result, row, 6);
        if (value(result, row, 7) != NULL &&
            !add_column(table, result, row, declared->tables[n].tenant_column))
            return false;
    }
    for (size_t i = 0; i < declared->table_count; i++)
        if (declared->tables[i].tenant_column != NULL && schema->tables[i].column_count > 0 &&
            schema->tables[i].tenant_column < 0)
            complain(schema, "table \"%s.%s\" has no column \"%s\" for its tenant", schema->tables[i].schema,
                     schema->tables[i].name, declared->tables[i].tenant_column);
    return true;
}

static bool read_tables(struct pg *pg, const struct declaration *declared, struct schema *schema,
                        struct error *err)
{
    struct buf arrays[2];
    PGresult *result;
    bool good;

    buf_init(&arrays[0]);
    buf_init(&arrays[1]);
    for (size_t i = 0; i < declared->table_count; i++) {
        sqltext_array_add(&arrays[0], schema->tables[i].schema);
        sqltext_array_add(&arrays[1], schema->tables[i].name);
    }
    result = ask(pg, sql_catalogue_columns, arrays, 2, NULL, err);
    good = result != NULL && (fill_tables(schema, declared, result) || error_no_memory(err));
    PQclear(result);
    arrays_done(arrays, 2);
    return good;
}

/* --- views --- */

static void judge_view(struct schema *schema, struct schema_table *view, const char *tenant_column,
                       const PGresult *result, int row)
{
    const char *why = "it is not a view";
    size_t position;

    view->tenant_column = -1;
    if (truth(result, row, 1) && !truth(result, row, 3))
        why = "it is not made of the event table alone";
    else if (truth(result, row, 1) && view_shows(value(result, row, 2), tenant_column, &position, &why))
        view->tenant_column = position < view->column_count ? (int)position : -1;
    if (view->tenant_column < 0)
        complain(schema, "\"%s.%s\" of event_views cannot stand for the event table: %s", view->schema,
                 view->name, why);
}

static bool read_views(struct pg *pg, const struct declaration *declared, const char *tenant_column,
                       struct schema *schema, struct error *err)
{
    size_t first = declared->table_count - declared->view_count;
    const char *event_table[2] = { schema->tables[0].schema, schema->tables[0].name };
    struct buf arrays[2];
    PGresult *result;

    if (declared->view_count == 0)
        return true;
    buf_init(&arrays[0]);
    buf_init(&arrays[1]);
    for (size_t i = first; i < declared->table_count; i++) {
        sqltext_array_add(&arrays[0], schema->tables[i].schema);
        sqltext_array_add(&arrays[1], schema->tables[i].name);
    }
    result = ask(pg, sql_catalogue_views, arrays, 2, event_table, err);
    for (int row = 0; result != NULL && row < PQntuples(result); row++)
        judge_view(schema, &schema->tables[first + number(result, row, 0) - 1], tenant_column, result, row);
    arrays_done(arrays, 2);
    if (result == NULL)
        return false;
    PQclear(result);
    return true;
}

/* --- functions --- */

/* One overload's argument against those seen before. false: no memory. */
static bool merge(struct schema *schema, struct schema_function *function, struct schema_argument *argument,
                  const PGresult *result, int row, int column, bool first)
{
    const char *name = value(result, row, column + 1);
    unsigned position = number(result, row, column);

    if (!argument->declared)
        return true;
    if (value(result, row, column) == NULL || number(result, row, column + 2) == 0) {
        function->clear = false;
        complain(schema, "function \"%s.%s\" has %s", function->schema, function->name,
                 value(result, row, column) == NULL ? "an overload without the declared argument"
                                                    : "a declared argument that is no single value");
        return true;
    }
    if (first) {
        free(argument->name);
        argument->position = position;
        argument->type_oid = number(result, row, column + 2);
        argument->name = name == NULL ? NULL : strdup(name);
        return name == NULL || argument->name != NULL;
    }
    if (argument->position != position || argument->type_oid != number(result, row, column + 2) ||
        (name == NULL) != (argument->name == NULL) || (name != NULL && strcmp(name, argument->name) != 0)) {
        function->clear = false;
        complain(schema, "the overloads of function \"%s.%s\" differ in the declared argument",
                 function->schema, function->name);
    }
    return true;
}

static bool add_namesake(struct schema *schema, const PGresult *result, int row, size_t n)
{
    struct schema_function *last =
        realloc(schema->functions, (schema->function_count + 1) * sizeof *schema->functions);

    if (last == NULL)
        return false;
    schema->functions = last;
    last += schema->function_count++;
    *last = (struct schema_function){ .schema = strdup(value(result, row, 2)),
                                      .name = strdup(schema->functions[n].name),
                                      .usual = truth(result, row, 3),
                                      .of_role = truth(result, row, 4) };
    return last->schema != NULL && last->name != NULL;
}

static bool fill_functions(struct schema *schema, size_t declared, const PGresult *result)
{
    size_t last = SIZE_MAX;

    for (int row = 0; row < PQntuples(result); row++) {
        size_t n = number(result, row, 0) - 1;
        struct schema_function *function = &schema->functions[n];
        bool first = n != last;

        if (n >= declared)
            return false;
        if (!truth(result, row, 1)) {
            if (!add_namesake(schema, result, row, n))
                return false;
            continue;
        }
        last = n;
        function->clear = first || function->clear;
        function->usual = truth(result, row, 3);
        function->of_role = truth(result, row, 4);
        if (!merge(schema, function, &function->tenant, result, row, 5, first) ||
            !merge(schema, function, &function->stream, result, row, 8, first))
            return false;
    }
    return true;
}

static bool read_functions(struct pg *pg, const struct declaration *declared, struct schema *schema,
                           struct error *err)
{
    struct buf arrays[4];
    PGresult *result;
    bool good;

    if (declared->function_count == 0)
        return true;
    for (size_t i = 0; i < 4; i++)
        buf_init(&arrays[i]);
    for (size_t i = 0; i < declared->function_count; i++) {
        sqltext_array_add(&arrays[0], schema->functions[i].schema);
        sqltext_array_add(&arrays[1], schema->functions[i].name);
        sqltext_array_add(&arrays[2], declared->functions[i].tenant);
        sqltext_array_add(&arrays[3], declared->functions[i].stream);
    }
    result = ask(pg, sql_catalogue_functions, arrays, 4, NULL, err);
    good =
        result != NULL && (fill_functions(schema, declared->function_count, result) || error_no_memory(err));
    PQclear(result);
    arrays_done(arrays, 4);
    return good;
}

/* Of [events] stream_pattern_column alone: that of stream_columns may well be no text, and is not read then.
 */
static void look_for_pattern(struct schema *schema, const char *column)
{
    bool read = false;

    for (size_t i = 0; i < schema->table_count; i++)
        read = read || schema_pattern_column(schema, &schema->tables[i]) != NULL;
    if (!read && schema->pattern != NULL && column[0] != '\0')
        complain(schema, "no declared table has a column \"%s\" that is a text, for stream_pattern", column);
}

bool catalogue_read(struct pg *pg, const struct config *config, uint64_t generation, struct schema **read,
                    int *server_major, struct error *err)
{
    struct declaration declared;
    struct schema *schema;
    bool good;

    *read = NULL;
    if (!declaration_init(&declared, config, &schema))
        return error_no_memory(err);
    good = read_tables(pg, &declared, schema, err) &&
           read_views(pg, &declared, config_text(config, CONFIG_TENANT_COLUMN), schema, err) &&
           read_functions(pg, &declared, schema, err) && catalogue_read_keys(pg, config, schema, err);
    declaration_done(&declared);
    if (!good) {
        schema_give(schema);
        return false;
    }
    look_for_pattern(schema, config_text(config, CONFIG_STREAM_PATTERN_COLUMN));
    schema->generation = generation;
    schema->known = true;
    *server_major = PQserverVersion(pg_raw(pg)) / 10000;
    *read = schema;
    return true;
}

/* --- comparing --- */

static bool text_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool table_same(const struct schema_table *a, const struct schema_table *b)
{
    if (a->class != b->class || a->column_count != b->column_count || a->tenant_column != b->tenant_column ||
        a->read_only != b->read_only || a->usual != b->usual || a->of_role != b->of_role ||
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

static bool argument_same(const struct schema_argument *a, const struct schema_argument *b)
{
    return a->declared == b->declared && a->position == b->position && a->type_oid == b->type_oid &&
           text_same(a->name, b->name);
}

static bool function_same(const struct schema_function *a, const struct schema_function *b)
{
    return text_same(a->schema, b->schema) && text_same(a->name, b->name) && a->declared == b->declared &&
           a->writes == b->writes && a->clear == b->clear && a->usual == b->usual &&
           a->of_role == b->of_role && argument_same(&a->tenant, &b->tenant) &&
           argument_same(&a->stream, &b->stream);
}

/* The pattern is the configuration's, which does not change while we run. */
bool catalogue_same(const struct schema *a, const struct schema *b)
{
    if (a->known != b->known || a->table_count != b->table_count || a->function_count != b->function_count ||
        !text_same(a->problem, b->problem))
        return false;
    for (size_t i = 0; i < a->table_count; i++) {
        if (!table_same(&a->tables[i], &b->tables[i]))
            return false;
    }
    for (size_t i = 0; i < a->function_count; i++) {
        if (!function_same(&a->functions[i], &b->functions[i]))
            return false;
    }
    return catalogue_same_keys(a, b);
}
