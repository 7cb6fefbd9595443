/* errand.c - what is asked of a runner's thread and is no migration: looked at, answered, over.
 * Leaves: the work to preflight.c, aftermath.c, schema_make.c, subscriptions.c.   Thread: the runner's.
 * Start at: errand_of(). */
#include "migrate/aftermath.h"
#include "migrate/preflight.h"
#include "migrate/schema_make.h"
#include "migrate/subscriptions.h"

static void (*errand_of(enum control_verb verb))(struct runner *r, struct control_request *request)
{
    switch (verb) {
    case CONTROL_CHECK_MIGRATION:
        return preflight_answer;
    case CONTROL_CHECK_MOVED:
        return aftermath_answer;
    case CONTROL_CREATE_SCHEMA:
        return schema_make_answer;
    case CONTROL_PLAN_SUBSCRIPTIONS:
    case CONTROL_MIGRATE_SUBSCRIPTIONS:
        return subscriptions_answer;
    default:
        return NULL;
    }
}

bool errand_is(enum control_verb verb)
{
    return errand_of(verb) != NULL;
}

void errand_run(struct runner *r, struct control_request *request)
{
    errand_of(request->verb)(r, request);
}
