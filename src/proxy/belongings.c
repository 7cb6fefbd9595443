/* belongings.c - see belongings.h. */
#include "proxy/belongings.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"

void belongings_init(struct belongings *belongings, struct journal *journal)
{
    *belongings = (struct belongings){ .journal = journal };
}

static void release(struct belongings *belongings, struct belonging *belonging)
{
    belongings->count--;
    free(belonging->name);
    free(belonging);
}

static void forget(struct belongings *belongings, struct belonging *belonging)
{
    DL_DELETE(belongings->all, belonging);
    release(belongings, belonging);
}

void belongings_done(struct belongings *belongings)
{
    while (belongings->all != NULL)
        forget(belongings, belongings->all);
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
        journal_add(belongings->journal, &belonging->step, JOURNAL_BELONGING);
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
                     unsigned store)
{
    if (kind == BELONGING_LOCK && has_lock(belongings, store))
        return true;
    return add(belongings,
               (struct belonging){ .step.local = kind == BELONGING_CURSOR, .kind = kind, .store = store },
               name);
}

bool belongings_note_gone(struct belongings *belongings, enum belonging_kind kind, struct slice name)
{
    if (belongings->count == 0)
        return true;
    return add(belongings, (struct belonging){ .kind = kind, .gone = true }, name);
}

bool belongings_note_sweep(struct belongings *belongings, unsigned sweeps, unsigned store)
{
    if (belongings->count == 0 && !(sweeps & SWEEP_TABLES))
        return true;
    return add(belongings, (struct belonging){ .kind = BELONGING_SWEEP, .sweeps = sweeps, .store = store },
               (struct slice){ 0 });
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

static void unlock_all(struct belongings *belongings)
{
    struct belonging *belonging, *next;

    DL_FOREACH_SAFE(belongings->all, belonging, next)
        if (belonging->kind == BELONGING_LOCK)
            forget(belongings, belonging);
}

bool belongings_heard(struct belongings *belongings, struct journal_step *step)
{
    (void)belongings;
    return ((struct belonging *)step)->kind == BELONGING_SWEEP;
}

void belongings_drop(struct belongings *belongings, struct journal_step *step)
{
    release(belongings, (struct belonging *)step);
}

void belongings_settle(struct belongings *belongings, struct journal_step *step)
{
    struct belonging *change = (struct belonging *)step, *belonging, *next;

    if (change->kind == BELONGING_SWEEP) {
        belongings->sweeps |= change->sweeps;
        belongings->swept_store = change->store;
        belongings->swept_stores = 0;
        DL_FOREACH(belongings->all, belonging)
            belongings->swept_stores |= UINT64_C(1) << belonging->store;
        release(belongings, change);
        return;
    }
    DL_FOREACH_SAFE(belongings->all, belonging, next)
        if (concerns(change, belonging->kind, belonging->name))
            forget(belongings, belonging);
    if (change->gone || change->kind == BELONGING_CURSOR)
        release(belongings, change);
    else
        DL_APPEND(belongings->all, change);
}

unsigned belongings_take_sweep(struct belongings *belongings)
{
    unsigned sweeps = belongings->sweeps;

    belongings->sweeps = 0;
    if (sweeps & SWEEP_LOCKS)
        unlock_all(belongings);
    return sweeps;
}

/* The last word counts. */
static int find(const struct belongings *belongings, enum belonging_kind kind, struct slice name)
{
    const struct journal_step *step = NULL;
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
    while ((step = journal_next(belongings->journal, step, JOURNAL_BELONGING, false)) != NULL) {
        belonging = (const struct belonging *)step;
        if (belonging->kind != BELONGING_SWEEP && concerns(belonging, kind, text))
            store = belonging->gone ? -1 : (int)belonging->store;
    }
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
