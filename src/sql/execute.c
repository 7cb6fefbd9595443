/* execute.c - EXECUTE: its arguments as the parameters of what was prepared.
 * Leaves: which constant stands where to utility.c, what was prepared to the caller.
 * Thread: any.   Start at: execute_read_arguments(). */
#include "sql/execute.h"

#include <stdlib.h>
#include <string.h>

void execute_arguments_done(struct execute_arguments *arguments)
{
    free(arguments->values);
    free(arguments->formats);
    free(arguments->texts);
    *arguments = (struct execute_arguments){ 0 };
}

static bool reserve(struct execute_arguments *arguments, size_t count)
{
    if (count <= arguments->capacity)
        return true;
    execute_arguments_done(arguments);
    arguments->values = calloc(count, sizeof *arguments->values);
    arguments->formats = calloc(count, sizeof *arguments->formats);
    arguments->texts = calloc(count, sizeof *arguments->texts);
    if (arguments->values == NULL || arguments->formats == NULL || arguments->texts == NULL) {
        execute_arguments_done(arguments);
        return false;
    }
    arguments->capacity = count;
    return true;
}

/* The literal as text, as its cast writes it. A bare number is left to the server, which may write it another
 * way, unless it is a plain one. */
static bool read_text(const struct plan_argument *argument, struct slice text, const struct shape *shape,
                      char out[TENANT_BYTES_MAX])
{
    char first[TENANT_BYTES_MAX];
    size_t hole, digits;

    if (argument->slot < 0 || (uint64_t)argument->slot >= shape->slot_count)
        return false;
    hole = shape->slots[argument->slot].first;
    if (shape->holes[hole].next != 0 || shape->holes[hole].kind == HOLE_BITS ||
        !shape_literal(shape, text, hole, first, sizeof first))
        return false;
    digits = strspn(first, "0123456789");
    if (shape->holes[hole].kind == HOLE_NUMBER &&
        (first[digits] != '\0' || digits > 9 || (first[0] == '0' && digits > 1)))
        return false;
    if (argument->cast_oid != 0)
        return tenant_canonical(argument->cast_oid, slice_of(first), out);
    memcpy(out, first, sizeof first);
    return true;
}

bool execute_read_arguments(const struct plan_statement *execute, struct slice text,
                            const struct shape *shape, const uint32_t *types, size_t type_count,
                            struct execute_arguments *arguments)
{
    if (!reserve(arguments, execute->argument_count))
        return false;
    for (size_t i = 0; i < execute->argument_count; i++) {
        const struct plan_argument *argument = &execute->arguments[i];

        arguments->values[i] = (struct slice){ 0 };
        arguments->formats[i] = 0;
        if (argument->null)
            continue;
        if (!read_text(argument, text, shape, arguments->texts[i])) {
            arguments->formats[i] = PARAMETER_UNREAD;
            arguments->texts[i][0] = '\0';
        }
        arguments->values[i] = slice_of(arguments->texts[i]);
    }
    arguments->params = (struct parameters){ .count = execute->argument_count,
                                             .values = arguments->values,
                                             .formats = arguments->formats,
                                             .type_count = type_count,
                                             .types = types };
    return true;
}

/* EXPLAIN without ANALYZE reads, whatever it explains; CREATE TABLE AS makes a table of its own. */
struct plan_statement execute_joined(const struct plan_statement *execute,
                                     const struct plan_statement *prepared)
{
    struct plan_statement joined = *prepared;
    bool only_explains = execute->class == CLASS_READ;

    joined.sets = prepared->sets || (prepared->kind != STATEMENT_PLAIN &&
                                     prepared->kind != STATEMENT_PREPARE); /* SET … by Parse */
    joined.kind = STATEMENT_EXECUTE;
    joined.name = execute->name;
    joined.tables |= execute->tables;
    joined.ddl = execute->ddl;
    joined.temporary = execute->temporary;
    joined.shadows = execute->shadows;
    if (execute->class == CLASS_WRITE)
        joined.class = CLASS_WRITE;
    joined.locks = joined.locks || execute->locks;
    joined.only_locks_returned = joined.only_locks_returned && execute->class == CLASS_NEUTRAL;
    joined.tenants_partial = joined.tenants_partial || execute->tenants_partial;
    if (execute->tenants_partial || (execute->tables & (TABLES_EVENT | TABLES_COMPANION)))
        joined.stream_count = joined.named_needed = 0;
    if (only_explains && joined.class == CLASS_WRITE)
        joined.class = CLASS_READ;
    if (only_explains)
        joined.locks = joined.advisory = joined.sets = false;
    return joined;
}

struct plan_statement execute_unknown(const struct plan_statement *execute)
{
    struct plan_statement unknown = *execute;

    unknown.class = CLASS_WRITE;
    unknown.tables |= TABLES_EVENT;
    unknown.tenants_partial = true;
    return unknown;
}
