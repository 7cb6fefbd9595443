/* journal.c - see journal.h. Start at journal_ready(). */
#include "proxy/journal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"

void journal_init(struct journal *journal, const struct journal_hooks *hooks, void *who)
{
    *journal = (struct journal){ .hooks = hooks, .who = who };
}

/* ---- the list ---- */

static void unlink_step(struct journal *journal, struct journal_step *step)
{
    if (journal->unheard == step)
        journal->unheard = step->next;
    DL_DELETE(journal->steps, step);
    journal->count--;
}

static void forget(struct journal *journal, struct journal_step *step)
{
    unlink_step(journal, step);
    if (step->kind == JOURNAL_CHANGE) {
        journal->hooks->drop(journal->who, step);
        return;
    }
    free(step->name);
    free(step);
}

static void append(struct journal *journal, struct journal_step *step)
{
    step->ordinal = journal->at;
    step->first = journal->first;
    step->undone = false;
    DL_APPEND(journal->steps, step);
    journal->count++;
    if (journal->unheard == NULL)
        journal->unheard = step;
}

void journal_drop(struct journal *journal)
{
    while (journal->steps != NULL)
        forget(journal, journal->steps);
    journal->failing = journal->failed = false;
}

void journal_done(struct journal *journal)
{
    journal_drop(journal);
}

/* The step before; NULL at the beginning (the head's prev is the tail). */
static struct journal_step *before(const struct journal *journal, const struct journal_step *step)
{
    return step == journal->steps ? NULL : step->prev;
}

static bool ends(const struct journal_step *step)
{
    return step->kind == JOURNAL_COMMIT || step->kind == JOURNAL_ROLLBACK;
}

/* The step before, of the same transaction; NULL: there is none. */
static struct journal_step *before_within(const struct journal *journal, const struct journal_step *step,
                                          uint64_t first)
{
    struct journal_step *earlier = before(journal, step);

    return earlier == NULL || ends(earlier) || earlier->ordinal < first ? NULL : earlier;
}

/* The innermost savepoint that `step` names. */
static struct journal_step *find_savepoint(const struct journal *journal, const struct journal_step *step)
{
    struct journal_step *at = before_within(journal, step, step->first);

    while (at != NULL && (at->kind != JOURNAL_SAVEPOINT || at->undone || strcmp(at->name, step->name) != 0))
        at = before_within(journal, at, step->first);
    return at;
}

/* ---- what is believed ---- */

static void expect(struct journal *journal, const struct journal_step *step)
{
    struct journal_step *from = NULL, *at;

    if (step->kind == JOURNAL_ROLLBACK) {
        for (at = before_within(journal, step, step->first); at != NULL;
             at = before_within(journal, at, step->first))
            at->undone = true;
        return;
    }
    if (step->kind == JOURNAL_RELEASE || step->kind == JOURNAL_ROLLBACK_TO)
        from = find_savepoint(journal, step);
    if (from == NULL)
        return;
    for (at = step->kind == JOURNAL_RELEASE ? from : from->next; at != step; at = at->next)
        at->undone = at->undone || step->kind == JOURNAL_ROLLBACK_TO || at->kind == JOURNAL_SAVEPOINT;
}

/* Anew: something that had been said has turned out otherwise. */
static void expect_all(struct journal *journal)
{
    struct journal_step *step;

    DL_FOREACH(journal->steps, step)
        step->undone = false;
    DL_FOREACH(journal->steps, step)
        expect(journal, step);
}

void journal_add(struct journal *journal, struct journal_step *change, enum journal_owner owner)
{
    change->kind = JOURNAL_CHANGE;
    change->owner = owner;
    change->name = NULL;
    append(journal, change);
}

bool journal_say(struct journal *journal, enum journal_kind kind, const char *name)
{
    struct journal_step *step;
    uint64_t first = journal->first;

    if (kind == JOURNAL_COMMIT || kind == JOURNAL_ROLLBACK)
        journal->first = journal->at + 1;
    if (journal->steps == NULL && kind != JOURNAL_SAVEPOINT)
        return true; /* there is nothing that it could decide about */
    if (journal->count >= JOURNAL_STEPS_MAX)
        return false;
    step = calloc(1, sizeof *step);
    if (step == NULL)
        return false;
    step->kind = kind;
    if (name != NULL && (step->name = strdup(name)) == NULL) {
        free(step);
        return false;
    }
    append(journal, step);
    if (ends(step))
        step->first = first;
    expect(journal, step);
    return true;
}

void journal_close(struct journal *journal, bool open)
{
    journal->closed = journal->said;
    if (!open)
        journal->first = journal->said;
}

/* ---- what has happened ---- */

void journal_failed(struct journal *journal, uint64_t from, uint64_t until)
{
    struct journal_step *step = journal->unheard;
    bool decided = false;

    journal->failing = true;
    while (step != NULL && step->ordinal < until) {
        struct journal_step *next = step->next;

        if (step->ordinal >= from) {
            decided = decided || step->kind != JOURNAL_CHANGE;
            forget(journal, step);
        }
        step = next;
    }
    if (decided)
        expect_all(journal);
}

void journal_answered_rollback(struct journal *journal, uint64_t ordinal)
{
    for (struct journal_step *step = journal->unheard; step != NULL; step = step->next)
        if (step->ordinal == ordinal && step->kind == JOURNAL_COMMIT) {
            step->kind = JOURNAL_ROLLBACK;
            expect_all(journal);
            return;
        }
}

static void settle(struct journal *journal, struct journal_step *change)
{
    unlink_step(journal, change);
    journal->hooks->settle(journal->who, change);
}

/* The transaction that stands before `end` (NULL: all that there is) is over. */
static void end_before(struct journal *journal, const struct journal_step *end, bool well)
{
    while (journal->steps != NULL && journal->steps != end) {
        if (well && journal->steps->kind == JOURNAL_CHANGE)
            settle(journal, journal->steps);
        else
            forget(journal, journal->steps);
    }
    journal->failed = false;
}

/* `step` and what it undoes go. All that stands before it has been heard. */
static void release(struct journal *journal, struct journal_step *step)
{
    struct journal_step *at = before(journal, step), *first = NULL;

    for (; at != NULL && first == NULL; at = before(journal, at))
        if (at->kind == JOURNAL_SAVEPOINT && strcmp(at->name, step->name) == 0)
            first = at;
    for (at = first; at != NULL && at != step;) {
        struct journal_step *next = at->next;

        if (at->kind == JOURNAL_SAVEPOINT)
            forget(journal, at);
        at = next;
    }
    forget(journal, step);
}

static void rollback_to(struct journal *journal, struct journal_step *step)
{
    struct journal_step *at = before(journal, step);

    while (at != NULL && !(at->kind == JOURNAL_SAVEPOINT && strcmp(at->name, step->name) == 0))
        at = before(journal, at);
    while (at != NULL && at->next != step)
        forget(journal, at->next);
    forget(journal, step);
    journal->failed = false;
}

static void hear(struct journal *journal, struct journal_step *step)
{
    switch (step->kind) {
    case JOURNAL_CHANGE:
        if (journal->hooks->heard(journal->who, step))
            settle(journal, step);
        break;
    case JOURNAL_SAVEPOINT:
        break;
    case JOURNAL_RELEASE:
        release(journal, step);
        break;
    case JOURNAL_ROLLBACK_TO:
        rollback_to(journal, step);
        break;
    case JOURNAL_COMMIT:
    case JOURNAL_ROLLBACK:
        end_before(journal, step, step->kind == JOURNAL_COMMIT);
        forget(journal, step);
        break;
    }
}

void journal_ready(struct journal *journal, uint64_t until, char tx_status)
{
    struct journal_step *step;

    while ((step = journal->unheard) != NULL && step->ordinal < until) {
        journal->unheard = step->next;
        hear(journal, step);
    }
    journal->failed = journal->failed || journal->failing;
    journal->failing = false;
    if (tx_status != 'I' && journal->unheard == NULL && journal->steps != NULL &&
        journal->steps->ordinal < journal->first)
        journal->first = journal->steps->ordinal; /* its end had been said, and was skipped */
    if (tx_status == 'I')
        end_before(journal, journal->unheard, !journal->failed);
    else
        journal->failed = tx_status == 'E' && journal->steps != journal->unheard; /* else nothing can fail */
}

/* ---- questions ---- */

bool journal_is_unheard(const struct journal *journal)
{
    return journal->unheard != NULL && journal->unheard->ordinal < journal->closed;
}

static bool is_over(const struct journal *journal, const struct journal_step *change)
{
    return change->undone || (change->local && change->ordinal < journal->first);
}

struct journal_step *journal_next(const struct journal *journal, const struct journal_step *step,
                                  enum journal_owner owner, bool all)
{
    struct journal_step *next = step == NULL ? journal->steps : step->next;

    while (next != NULL &&
           (next->kind != JOURNAL_CHANGE || next->owner != owner || (!all && is_over(journal, next))))
        next = next->next;
    return next;
}
