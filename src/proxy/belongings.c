/* belongings.c - see belongings.h. */
#include "proxy/belongings.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"

void belongings_init(struct belongings *belongings)
{
    *belongings = (struct belongings){ 0 };
}

static void forget(struct belongings *belongings, struct belonging **list, struct belonging *belonging)
{
    DL_DELETE(*list, belonging);
    belongings->count--;
    free(belonging->name);
    free(belonging);
}

void belongings_done(struct belongings *belongings)
{
    while (belongings->pending != NULL)
        forget(belongings, &belongings->pending, belongings->pending);
    while (belongings->all != NULL)
        forget(belongings, &belongings->all, belongings->all);
}

static bool add(struct belongings *belongings, struct belonging wanted, struct slice name)
{
    struct belonging *belonging;

    if (belongings->count >= BELONGINGS_MAX)
        return false;
    belonging = malloc(sizeof *belonging);
    if (belonging == NULL)
        return false;
    *belonging = wanted;
    belonging->name = name.bytes == 0 ? strdup("") : strndup(name.at, name.bytes);
    if (belonging->name == NULL) {
        free(belonging);
        return false;
    }
    belongings->count++;
    if (wanted.kind == BELONGING_LOCK)
        DL_APPEND(belongings->all, belonging);
    else
        DL_APPEND(belongings->pending, belonging);
    return true;
}

static bool has_lock(const struct belongings *belongings, unsigned store)
{
    const struct belonging *belonging;

    DL_FOREACH(belongings->all, belonging)
        if (belonging->kind == BELONGING_LOCK && belonging->store == store)
            return true;
    return false;
}

bool belongings_note(struct belongings *belongings, enum belonging_kind kind, struct slice name,
                     unsigned store, unsigned depth, uint64_t sync)
{
    if (kind == BELONGING_LOCK && has_lock(belongings, store))
        return true;
    return add(belongings, (struct belonging){ .kind = kind, .store = store, .depth = depth, .sync = sync },
               name);
}

bool belongings_drop(struct belongings *belongings, enum belonging_kind kind, struct slice name,
                     unsigned depth, uint64_t sync)
{
    if (belongings->count == 0)
        return true;
    return add(belongings, (struct belonging){ .kind = kind, .gone = true, .depth = depth, .sync = sync },
               name);
}

static bool is_cursor(enum belonging_kind kind)
{
    return kind == BELONGING_CURSOR || kind == BELONGING_HELD;
}

/* Does the word about `a` concern `b`? */
static bool concerns(const struct belonging *change, enum belonging_kind kind, const char *name)
{
    bool same = change->kind == kind || (is_cursor(change->kind) && is_cursor(kind));

    return same && ((change->gone && change->name[0] == '\0') || strcmp(change->name, name) == 0);
}

static void settle(struct belongings *belongings, struct belonging *change)
{
    struct belonging *belonging, *next;

    DL_FOREACH_SAFE(belongings->all, belonging, next)
        if (concerns(change, belonging->kind, belonging->name))
            forget(belongings, &belongings->all, belonging);
    if (change->gone || change->kind == BELONGING_CURSOR) {
        forget(belongings, &belongings->pending, change);
        return;
    }
    DL_DELETE(belongings->pending, change);
    DL_APPEND(belongings->all, change);
}

void belongings_commit(struct belongings *belongings, uint64_t sync)
{
    while (belongings->pending != NULL && belongings->pending->sync <= sync)
        settle(belongings, belongings->pending);
}

void belongings_rollback(struct belongings *belongings, uint64_t sync)
{
    while (belongings->pending != NULL && belongings->pending->sync <= sync)
        forget(belongings, &belongings->pending, belongings->pending);
}

void belongings_rollback_to(struct belongings *belongings, unsigned depth)
{
    struct belonging *change, *next;

    DL_FOREACH_SAFE(belongings->pending, change, next)
        if (change->depth > depth)
            forget(belongings, &belongings->pending, change);
}

void belongings_release(struct belongings *belongings, unsigned depth)
{
    struct belonging *change;

    DL_FOREACH(belongings->pending, change)
        if (change->depth > depth)
            change->depth = depth;
}

void belongings_unlock_all(struct belongings *belongings)
{
    struct belonging *belonging, *next;

    DL_FOREACH_SAFE(belongings->all, belonging, next)
        if (belonging->kind == BELONGING_LOCK)
            forget(belongings, &belongings->all, belonging);
}

/* The last word counts. */
static int find(const struct belongings *belongings, enum belonging_kind kind, struct slice name)
{
    const struct belonging *belonging;
    char text[IDENTIFIER_BYTES_MAX];
    int store = -1;

    if (belongings->count == 0 || name.bytes >= sizeof text)
        return -1;
    memcpy(text, name.at, name.bytes);
    text[name.bytes] = '\0';
    DL_FOREACH(belongings->all, belonging)
        if (concerns(belonging, kind, text))
            store = (int)belonging->store;
    DL_FOREACH(belongings->pending, belonging)
        if (concerns(belonging, kind, text))
            store = belonging->gone ? -1 : (int)belonging->store;
    return store;
}

int belongings_table(const struct belongings *belongings, struct slice name)
{
    return find(belongings, BELONGING_TABLE, name);
}

int belongings_cursor(const struct belongings *belongings, struct slice name)
{
    return find(belongings, BELONGING_CURSOR, name);
}

int belongings_lock(const struct belongings *belongings)
{
    const struct belonging *belonging;
    int store = -1;

    DL_FOREACH(belongings->all, belonging) {
        if (belonging->kind != BELONGING_LOCK)
            continue;
        if (store >= 0)
            return -1;
        store = (int)belonging->store;
    }
    return store;
}

bool belongings_are_at(const struct belongings *belongings, unsigned store)
{
    const struct belonging *belonging;

    DL_FOREACH(belongings->all, belonging)
        if (belonging->store == store)
            return true;
    return false;
}
