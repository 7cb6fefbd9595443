/* follower.c - see follower.h. */
#include "migrate/follower.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/clock.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { RUNG_MAX = 64, RING_GAP_MS = 20 };
enum { BLOCKERS_BYTES = 160, TELL_MAX = 2000 /* tenants in one statement */ };

struct followed {
    struct route route;
    uint64_t sequence;       /* of the publication that has it; 0: not posted yet */
    bool applied;            /* by every loop */
    bool told, drained_told; /* in the control database */
    unsigned closing, asked; /* answers that have not come */
    bool undrained;          /* a gate was opened, or has gone, before it had drained */
    uint32_t in_flight;
    char blockers[BLOCKERS_BYTES];
    int32_t rung[RUNG_MAX]; /* backends that have written since it was last told */
    size_t rung_count;
    UT_hash_handle hh;
};

struct follower {
    const struct switchboard *switchboard;
    struct mailbox *mailbox;
    struct followed *by_tenant;
    uint64_t rang_ms;
};

struct follower *follower_new(const struct switchboard *switchboard, struct mailbox *mailbox)
{
    struct follower *follower = calloc(1, sizeof *follower);

    if (follower == NULL)
        return NULL;
    follower->switchboard = switchboard;
    follower->mailbox = mailbox;
    return follower;
}

static void forget(struct follower *follower, struct followed *followed)
{
    HASH_DEL(follower->by_tenant, followed);
    free(followed);
}

void follower_free(struct follower *follower)
{
    struct followed *followed, *next;

    if (follower == NULL)
        return;
    HASH_ITER(hh, follower->by_tenant, followed, next)
        forget(follower, followed);
    free(follower);
}

bool follower_note(struct follower *follower, const struct route *route, struct error *err)
{
    struct followed *followed = NULL;

    if (follower->by_tenant != NULL)
        HASH_FIND_STR(follower->by_tenant, route->tenant, followed);
    if (followed != NULL)
        forget(follower, followed); /* late answers for it find another epoch */
    followed = calloc(1, sizeof *followed);
    if (followed == NULL)
        return error_no_memory(err);
    followed->route = *route;
    HASH_ADD_STR(follower->by_tenant, route.tenant, followed);
    return true;
}

void follower_posted(struct follower *follower, uint64_t sequence)
{
    for (struct followed *at = follower->by_tenant; at != NULL; at = at->hh.next) {
        if (at->sequence == 0)
            at->sequence = sequence;
    }
}

/* --- gates --- */

static bool must_drain(const struct followed *followed)
{
    return followed->route.foreign && followed->route.migration_state == ROUTING_CUTOVER_PAUSED;
}

static bool is_followed(const struct followed *followed)
{
    return followed->route.foreign && followed->route.migration_state != ROUTING_NORMAL;
}

static unsigned order(struct follower *follower, const struct followed *followed, enum gate_op op,
                      bool *failed)
{
    unsigned sent = 0;

    for (unsigned loop = 0; loop < follower->switchboard->loop_count; loop++) {
        struct gate_letter *letter = gate_letter_new(op, followed->route.tenant, followed->route.migration,
                                                     followed->route.owner_epoch, follower->mailbox,
                                                     op == GATE_MAKE ? follower->mailbox : NULL);

        if (letter != NULL)
            letter->follows = op == GATE_MAKE;
        if (letter == NULL)
            *failed = true;
        else if (mailbox_post(follower->switchboard->loops[loop], &letter->letter))
            sent++;
        else
            letter_drop(&letter->letter); /* a loop that is gone has no writers */
    }
    return sent;
}

void follower_applied(struct follower *follower, const struct publisher *publisher)
{
    for (struct followed *at = follower->by_tenant; at != NULL; at = at->hh.next) {
        if (at->applied || at->sequence == 0 || !publisher_is_applied(publisher, at->sequence))
            continue;
        at->applied = true;
        if (is_followed(at))
            order(follower, at, GATE_MAKE, &at->undrained);
        if (!must_drain(at))
            continue;
        at->closing = order(follower, at, GATE_CLOSE, &at->undrained);
        at->asked = order(follower, at, GATE_ASK, &at->undrained);
    }
}

static void take_answer(struct followed *followed, const struct gate_letter *letter)
{
    size_t used = strlen(followed->blockers);

    if (letter->op == GATE_CLOSE) {
        followed->closing--;
        followed->undrained = followed->undrained || !letter->ok || !letter->drained;
        return;
    }
    followed->asked--;
    followed->in_flight += letter->in_flight;
    for (uint32_t i = 0; i < letter->blocker_count && used < sizeof followed->blockers; i++)
        used += (size_t)snprintf(followed->blockers + used, sizeof followed->blockers - used,
                                 "%spid %d, %" PRIu64 " ms", used == 0 ? "" : "; ",
                                 (int)letter->blocker_pids[i], letter->blocker_ages_ms[i]);
}

void follower_answered(struct follower *follower, struct gate_letter *letter)
{
    struct followed *followed = NULL;

    if (follower->by_tenant != NULL)
        HASH_FIND_STR(follower->by_tenant, letter->tenant, followed);
    /* Every pause has an epoch of its own. */
    if (followed != NULL && followed->applied && must_drain(followed) && letter->op != GATE_MAKE &&
        followed->route.owner_epoch == letter->owner_epoch)
        take_answer(followed, letter);
    letter_drop(&letter->letter);
}

/* --- doorbells --- */

void follower_rung(struct follower *follower, struct doorbell_letter *letter)
{
    struct followed *followed = NULL;
    size_t at = 0;

    if (follower->by_tenant != NULL)
        HASH_FIND_STR(follower->by_tenant, letter->tenant, followed);
    while (followed != NULL && at < followed->rung_count && followed->rung[at] != letter->backend_pid)
        at++;
    if (followed != NULL && at == followed->rung_count && at < RUNG_MAX) /* else it rings again */
        followed->rung[followed->rung_count++] = letter->backend_pid;
    letter_drop(&letter->letter);
}

uint64_t follower_ring_ms(const struct follower *follower)
{
    for (const struct followed *at = follower->by_tenant; at != NULL; at = at->hh.next) {
        if (at->rung_count > 0)
            return follower->rang_ms + RING_GAP_MS;
    }
    return UINT64_MAX;
}

bool follower_ring(struct follower *follower, struct ledger *ledger, const char *channel, struct error *err)
{
    char text[UUID_TEXT_BYTES + RUNG_MAX * 12];

    if (clock_ms() < follower_ring_ms(follower))
        return true;
    for (struct followed *at = follower->by_tenant; at != NULL; at = at->hh.next) {
        size_t used = (size_t)snprintf(text, sizeof text, "%s", at->route.migration);

        for (size_t i = 0; i < at->rung_count && used < sizeof text; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, " %d", (int)at->rung[i]);
        if (at->rung_count > 0 && !pg_run(ledger_pg(ledger), "SELECT pg_catalog.pg_notify($1, $2)", 2,
                                          (const char *[]){ channel, text }, err))
            return false;
        at->rung_count = 0;
    }
    follower->rang_ms = clock_ms();
    return true;
}

/* --- the control database --- */

static bool is_drained(const struct followed *followed, bool shared)
{
    return must_drain(followed) && followed->closing == 0 && !followed->undrained && !shared;
}

/* First that it holds, and who is in the way; then, if somebody was, that it has drained. */
static bool is_due(const struct followed *followed, bool shared)
{
    if (!followed->applied)
        return false;
    if (!must_drain(followed))
        return !followed->told;
    return followed->asked == 0 &&
           (!followed->told || (is_drained(followed, shared) && !followed->drained_told));
}

struct lists {
    struct buf tenants, generations, drained, in_flight, blockers;
};

static void add_number(struct buf *list, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRIu64, number);
    sqltext_array_add(list, text);
}

static void add(struct lists *lists, const struct followed *followed, bool shared)
{
    sqltext_array_add(&lists->tenants, followed->route.tenant);
    add_number(&lists->generations, followed->route.generation);
    sqltext_array_add(&lists->drained, is_drained(followed, shared) ? "t" : "f");
    add_number(&lists->in_flight, followed->in_flight);
    sqltext_array_add(&lists->blockers, followed->blockers);
}

static bool write_lists(struct lists *lists, struct ledger *ledger, const char *instance,
                        const char *started_at, struct error *err)
{
    struct buf *all[] = { &lists->tenants, &lists->generations, &lists->drained, &lists->in_flight,
                          &lists->blockers };
    const char *values[7] = { instance, started_at };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        sqltext_array_end(all[i]);
        if (buf_failed(all[i]))
            return error_no_memory(err);
        values[i + 2] = buf_text(all[i]);
    }
    return pg_run(ledger_pg(ledger), sql_instance_acknowledge, 7, values, err);
}

/* What was written is not written again; who is at rest is forgotten. */
static void told(struct follower *follower, struct followed *followed, bool shared)
{
    followed->told = true;
    followed->drained_told = is_drained(followed, shared);
    if (!is_followed(followed))
        forget(follower, followed);
}

bool follower_tell(struct follower *follower, struct ledger *ledger, const char *instance,
                   const char *started_at, bool shared, struct error *err)
{
    struct followed *followed, *next, *due[TELL_MAX];
    struct lists lists;
    size_t count = 0;
    bool fine = true;

    buf_init(&lists.tenants);
    buf_init(&lists.generations);
    buf_init(&lists.drained);
    buf_init(&lists.in_flight);
    buf_init(&lists.blockers);
    HASH_ITER(hh, follower->by_tenant, followed, next) {
        if (count == TELL_MAX || !is_due(followed, shared))
            continue;
        add(&lists, followed, shared);
        due[count++] = followed;
    }
    if (count > 0)
        fine = write_lists(&lists, ledger, instance, started_at, err);
    for (size_t i = 0; fine && i < count; i++)
        told(follower, due[i], shared);
    buf_done(&lists.tenants);
    buf_done(&lists.generations);
    buf_done(&lists.drained);
    buf_done(&lists.in_flight);
    buf_done(&lists.blockers);
    return fine;
}
