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

void call_note(struct walk *walk, const PgQuery__FuncCall *call)
{
    const char *schema;
    const char *name = name_of(call->funcname, call->n_funcname, &schema);

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

void call_note_created(struct walk *walk, const PgQuery__RangeVar *range)
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
    if (walk->context->schema != NULL && schema_find(walk->context->schema, "", range->relname) != NULL)
        walk->out->shadows = true;
}
