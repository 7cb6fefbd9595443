/* call.c - function calls by what function.c knows of them; relations a statement creates.
 * Thread: the planner's.   Start at: call_note(). */
#include "sql/call.h"

#include <string.h>

#include "sql/function.h"

static void note_set(struct walk *walk, const PgQuery__FuncCall *call)
{
    if (walk->set_count < sizeof walk->sets / sizeof walk->sets[0])
        walk->sets[walk->set_count] = call;
    walk->set_count++;
}

/* The argument that says the tenant; NULL: the call leaves it out. */
static const PgQuery__Node *tenant_argument(const struct schema_function *function,
                                            const PgQuery__FuncCall *call)
{
    for (size_t i = 0; i < call->n_args; i++) {
        const PgQuery__Node *argument = call->args[i];

        if (node_is(argument, NODE(NAMED_ARG_EXPR))) {
            if (function->tenant_name != NULL &&
                strcmp(argument->named_arg_expr->name, function->tenant_name) == 0)
                return argument->named_arg_expr->arg;
        } else if (i + 1 == function->tenant_position) {
            return argument;
        }
    }
    return NULL;
}

static bool names_arguments(const PgQuery__FuncCall *call)
{
    return call->n_args > 0 && node_is(call->args[call->n_args - 1], NODE(NAMED_ARG_EXPR));
}

/* A declared function: as if the event table itself stood there, restricted to the argument. */
static void note_declared(struct walk *walk, const struct schema_function *function,
                          const PgQuery__FuncCall *call)
{
    uint32_t type = schema_tenant_type(walk->context->schema);
    const PgQuery__Node *argument = tenant_argument(function, call);
    struct reference *reference = walk_reference(walk);

    walk->out->tables |= TABLES_EVENT;
    walk->reads = true;
    walk->writes = walk->writes || function->writes;
    if (walk->out->tenant_type == 0)
        walk->out->tenant_type = type;
    if (type == 0 || call->func_variadic ||
        (argument == NULL && names_arguments(call) && function->tenant_name == NULL)) {
        walk->unclear = true; /* by position alone nobody can tell which of named arguments it is */
        return;
    }
    if (argument == NULL || reference == NULL)
        return; /* its default: what stands around decides */
    if (!constant_of(walk, argument, type, 0, &reference->evidence))
        walk->unclear = true;
    for (struct restriction_slot *slot = reference->evidence.slots; slot != NULL; slot = slot->next)
        slot->ref.untyped = true; /* the argument's type is the function's affair */
}

void call_note(struct walk *walk, const PgQuery__FuncCall *call)
{
    const char *schema;
    const char *name = name_of(call->funcname, call->n_funcname, &schema);
    const struct schema_function *declared =
        name == NULL ? NULL : schema_find_function(walk->context->schema, schema, name);

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
