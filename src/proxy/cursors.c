/* cursors.c - see cursors.h. */
#include "proxy/cursors.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/limits.h"

struct named_cursor {
    char *name;
    struct cursor portal;
    UT_hash_handle hh;
};

void cursors_init(struct cursors *cursors)
{
    cursors->unnamed = (struct cursor){ .store = -1 };
    cursors->named = NULL;
}

struct bound *bound_new(struct plan *plan, struct slice text)
{
    struct bound *bound = calloc(1, sizeof *bound);
    char *copy = bound == NULL ? NULL : strndup(text.at, text.bytes);

    if (copy == NULL) {
        free(bound);
        return NULL;
    }
    bound->plan = plan_take(plan);
    bound->text = (struct slice){ copy, text.bytes };
    return bound;
}

void bound_free(struct bound *bound)
{
    if (bound == NULL)
        return;
    plan_give(bound->plan);
    free((char *)bound->text.at);
    free((char *)bound->words.at);
    free(bound->value);
    free(bound);
}

static void set(struct cursor *cursor, const struct cursor *portal)
{
    bound_free(cursor->bound);
    *cursor = *portal;
}

static void forget(struct cursors *cursors, struct named_cursor *named)
{
    HASH_DEL(cursors->named, named);
    bound_free(named->portal.bound);
    free(named->name);
    free(named);
}

void cursors_done(struct cursors *cursors)
{
    struct named_cursor *named, *next;

    HASH_ITER(hh, cursors->named, named, next)
        forget(cursors, named);
    bound_free(cursors->unnamed.bound);
    cursors_init(cursors);
}

static struct named_cursor *find_named(const struct cursors *cursors, struct slice name)
{
    struct named_cursor *named = NULL;

    if (cursors->named != NULL)
        HASH_FIND(hh, cursors->named, name.at, name.bytes, named);
    return named;
}

void cursors_note(struct cursors *cursors, struct slice name, const struct cursor *portal)
{
    struct named_cursor *named;

    if (name.bytes == 0) {
        set(&cursors->unnamed, portal);
        return;
    }
    named = find_named(cursors, name);
    if (named != NULL) {
        set(&named->portal, portal);
        return;
    }
    named = HASH_COUNT(cursors->named) >= CLIENT_PORTALS_MAX ? NULL : calloc(1, sizeof *named);
    if (named == NULL || (named->name = strndup(name.at, name.bytes)) == NULL) {
        free(named);
        bound_free(portal->bound);
        return;
    }
    named->portal = *portal;
    HASH_ADD_KEYPTR(hh, cursors->named, named->name, name.bytes, named);
}

const struct cursor *cursors_find(const struct cursors *cursors, struct slice name)
{
    const struct named_cursor *named;

    if (name.bytes == 0)
        return cursors->unnamed.store < 0 ? NULL : &cursors->unnamed;
    named = find_named(cursors, name);
    return named == NULL ? NULL : &named->portal;
}

void cursors_forget(struct cursors *cursors, struct slice name)
{
    struct named_cursor *named = name.bytes == 0 ? NULL : find_named(cursors, name);

    if (name.bytes == 0)
        set(&cursors->unnamed, &(struct cursor){ .store = -1 });
    if (named != NULL)
        forget(cursors, named);
}

void cursors_end(struct cursors *cursors, uint64_t sync)
{
    struct named_cursor *named, *next;

    HASH_ITER(hh, cursors->named, named, next)
        if (named->portal.sync <= sync)
            forget(cursors, named);
    if (cursors->unnamed.store >= 0 && cursors->unnamed.sync <= sync)
        set(&cursors->unnamed, &(struct cursor){ .store = -1 });
}
