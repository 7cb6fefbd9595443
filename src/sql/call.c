/* call.c - function calls by what function.c knows of them; relations a statement creates.
 * Thread: the planner's.   Start at: call_note(). */
#include "sql/call.h"

#include <string.h>

#include "sql/function.h"
#include "sql/path.h"
#include "sql/type.h"

static void note_set(struct walk *walk, const PgQuery__FuncCall *call)
{
    if (walk->set_count < sizeof walk->sets / sizeof walk->sets[0])
        walk->sets[walk->set_count] = call;
    walk->set_count++;
}

/* The argument as the call gives it. NULL: it does not, so that it has its default, or nobody can tell which
 * it is. */
static const PgQuery__Node *find_argument(const struct schema_argument *wanted, const PgQuery__FuncCall *call)
{
    for (size_t i = 0; i < call->n_args; i++) {
        const PgQuery__Node *argument = call->args[i];

        if (!node_is(argument, NODE(NAMED_ARG_EXPR))) {
            if (i + 1 == wanted->position)
                return argument;
        } else if (wanted->name != NULL && strcmp(argument->named_arg_expr->name, wanted->name) == 0) {
            return argument->named_arg_expr->arg;
        }
    }
    return NULL;
}

/* A value that is assigned to the argument: of the argument's type, or a literal or parameter that becomes
 * one. */
static bool read_argument(struct walk *walk, const struct schema_argument *wanted,
                          const PgQuery__FuncCall *call, uint32_t column_type, struct restriction *evidence)
{
    const PgQuery__Node *argument = find_argument(wanted, call);

    if (argument == NULL || (wanted->type_oid != 0 && !cast_keeps(column_type, wanted->type_oid)) ||
        !constant_of(walk, argument, column_type, wanted->type_oid, evidence))
        return false;
    for (struct restriction_slot *slot = evidence->slots; slot != NULL; slot = slot->next)
        slot->ref.untyped = wanted->type_oid == 0;
    return true;
}

/* The tenant in the id of a stream. Without a pattern the stream says nothing, and what stands around
 * decides. */
static bool read_stream(struct walk *walk, const struct schema_function *function,
                        const PgQuery__FuncCall *call, struct restriction *evidence)
{
    if (walk->context->schema->pattern == NULL)
        return true;
    if (!read_argument(walk, &function->stream, call, TYPE_TEXT, evidence) || evidence->null)
        return false;
    for (struct restriction_slot *slot = evidence->slots; slot != NULL; slot = slot->next)
        slot->ref.stream = true;
    return true;
}

/* A declared function: as if the event table itself stood there, restricted to the argument. */
static void note_declared(struct walk *walk, const struct schema_function *function,
                          const PgQuery__FuncCall *call)
{
    uint32_t type = schema_tenant_type(walk->context->schema);
    struct reference *reference = walk_reference(walk);
    bool read = true;

    walk->out->tables |= TABLES_EVENT;
    walk->reads = true;
    walk->writes = walk->writes || function->writes;
    if (walk->out->tenant_type == 0)
        walk->out->tenant_type = type;
    if (reference == NULL)
        return;
    if (type == 0 || !function->clear || call->func_variadic)
        read = false;
    else if (function->tenant.declared)
        read = read_argument(walk, &function->tenant, call, type, &reference->evidence);
    else if (function->stream.declared)
        read = read_stream(walk, function, call, &reference->evidence);
    walk->unclear = walk->unclear || !read;
}

/* The function of that name as it is known; NULL: it is not. *unsure: it may be another of that name. */
static const struct schema_function *find_function(struct walk *walk, const char *schema, const char *name,
                                                   bool *unsure)
{
    const struct schema_function *function = NULL;

    *unsure = false;
    if (schema != NULL && schema[0] != '\0')
        function = schema_find_function(walk->context->schema, schema, name);
    else
        *unsure = path_find_function(walk->context, name, &function) == PATH_UNSURE;
    return function != NULL && function->declared ? function : NULL;
}

bool call_is_declared(struct walk *walk, const PgQuery__FuncCall *call)
{
    const char *schema;
    const char *name = name_of(call->funcname, call->n_funcname, &schema);
    bool unsure;

    return name != NULL && find_function(walk, schema, name, &unsure) != NULL;
}

void call_note(struct walk *walk, const PgQuery__FuncCall *call)
{
    const char *schema;
    const char *name = name_of(call->funcname, call->n_funcname, &schema);
    bool unsure = false;
    const struct schema_function *declared = name == NULL ? NULL : find_function(walk, schema, name, &unsure);

    walk->unclear = walk->unclear || unsure;
    if (declared != NULL) {
        note_declared(walk, declared, call);
        return;
    }

    switch (name == NULL ? FUNCTION_WRITES : function_effect(schema, name)) {
    case FUNCTION_PURE:
        break;
    case FUNCTION_WRITES:
        walk->calls_writer = true;
        break;
    case FUNCTION_UNLOCKS_SESSION:
        walk->out->unlocks = true;
        walk->out->unlocks_all = walk->out->unlocks_all || strcmp(name, "pg_advisory_unlock_all") == 0;
        walk->out->advisory = true;
        walk->out->locks = true;
        break;
    case FUNCTION_LOCKS_SESSION:
        walk->out->keeps = "a session advisory lock";
        walk->out->advisory = true;
        walk->out->locks = true;
        break;
    case FUNCTION_LOCKS:
        walk->out->locks = true;
        break;
    case FUNCTION_SETS:
        note_set(walk, call);
        break;
    case FUNCTION_SNAPSHOT:
        walk->out->snapshot = true;
        break;
    case FUNCTION_STAYS:
        walk->stays = true;
        break;
    }
}

void call_note_created(struct walk *walk, const PgQuery__RangeVar *range, bool dropped_at_commit)
{
    bool temporary = range != NULL &&
                     (strcmp(range->relpersistence, "t") == 0 || strcmp(range->schemaname, "pg_temp") == 0);

    if (range == NULL)
        return;
    if (!temporary) {
        const struct schema_table *table = walk_table(walk, range, NULL);

        walk->unclear = walk->unclear || table != NULL;
        walk->defaults_cut = true; /* what is created is none that the session has already */
        return;
    }
    walk->out->temporary = true;
    if (walk->out->created == NULL)
        walk->out->created = walk_copy(walk, range->relname);
    if (!dropped_at_commit)
        walk->out->keeps = "a temporary table";
    if (walk->context->schema != NULL && schema_find(walk->context->schema, "", range->relname) != NULL)
        walk->out->shadows = true;
}
