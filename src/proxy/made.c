/* made.c - see made.h. */
#include "proxy/made.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static struct made *find(const struct made_set *set, struct slice name)
{
    struct made *made = NULL;

    if (set->by_name != NULL)
        HASH_FIND(hh, set->by_name, name.at, name.bytes, made);
    return made;
}

static struct made **line_of(struct made_set *set, const struct made *made)
{
    return made->shared ? &set->shared : &set->own;
}

static void forget(struct made_set *set, struct made *made)
{
    struct made **line = line_of(set, made);

    DL_DELETE(*line, made);
    set->shared_count -= made->shared;
    HASH_DEL(set->by_name, made);
    free(made->name);
    free(made);
}

void made_done(struct made_set *set)
{
    struct made *made, *next;

    HASH_ITER(hh, set->by_name, made, next)
        forget(set, made);
    set->unnamed_serial = 0;
}

bool made_knows(const struct made_set *set, struct slice name)
{
    return find(set, name) != NULL;
}

bool made_is(const struct made_set *set, struct slice name, uint64_t serial)
{
    const struct made *made;

    if (name.bytes == 0)
        return set->unnamed_serial == serial;
    made = find(set, name);
    return made != NULL && made->serial == serial;
}

/* Without memory it is not remembered: it will be made once more, Close first (server_say_parse()). */
void made_note(struct made_set *set, const char *name, uint64_t serial, bool shared)
{
    struct made *made, **line;

    if (name[0] == '\0') {
        set->unnamed_serial = serial;
        return;
    }
    made = find(set, slice_of(name));
    if (made != NULL) {
        made->serial = serial;
        return;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL || (made->name = strdup(name)) == NULL) {
        free(made);
        return;
    }
    made->serial = serial;
    made->shared = shared;
    set->shared_count += shared;
    line = line_of(set, made);
    DL_APPEND(*line, made);
    HASH_ADD_KEYPTR(hh, set->by_name, made->name, strlen(made->name), made);
}

void made_used(struct made_set *set, const char *shared_name)
{
    struct made *made = find(set, slice_of(shared_name));

    if (made == NULL || !made->shared || made->next == NULL)
        return;
    DL_DELETE(set->shared, made);
    DL_APPEND(set->shared, made);
}

void made_gone(struct made_set *set, struct slice name)
{
    struct made *made;

    if (name.bytes == 0) {
        set->unnamed_serial = 0;
        return;
    }
    made = find(set, name);
    if (made != NULL)
        forget(set, made);
}

void made_gone_serial(struct made_set *set, uint64_t serial)
{
    struct made *made, *next;

    if (set->unnamed_serial == serial)
        set->unnamed_serial = 0;
    HASH_ITER(hh, set->by_name, made, next)
        if (made->serial == serial)
            forget(set, made);
}

const char *made_oldest_shared(const struct made_set *set)
{
    return set->shared == NULL ? NULL : set->shared->name;
}

const char *made_next_own(const struct made_set *set)
{
    return set->own == NULL ? NULL : set->own->name;
}
