/* gate.c - see gate.h. A gate is two lists (passes, waiters), a flag, and at most one CLOSE letter to be
 * answered. */
#include "route/gate.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { HOLD_MS_DEFAULT = 5000 };

struct gate {
    char tenant[TENANT_BYTES_MAX];
    char migration[UUID_TEXT_BYTES];
    uint64_t owner_epoch;
    bool closed;
    bool run;                           /* by a runner of this process; else it does as the routes say */
    enum routing_state published_state; /* of its route; normal: there is none */
    uint64_t hold_ms_max;
    struct mailbox *doorbell;         /* NULL: nobody listens */
    struct gate_letter *close_letter; /* to be answered when drained; NULL: none */
    struct gate_pass *passes;
    uint32_t pass_count;
    struct gate_waiter *waiters; /* the longest waiting first */
    uint32_t waiter_count, held_count;
    uint64_t held_ms_longest;
    struct gates *gates;
    UT_hash_handle hh;
};

struct gates {
    unsigned loop;
    struct gate *by_tenant;
};

struct gates *gates_new(unsigned loop)
{
    struct gates *gates = calloc(1, sizeof *gates);

    if (gates != NULL)
        gates->loop = loop;
    return gates;
}

static struct gate *gate_find(const struct gates *gates, const char *tenant)
{
    struct gate *gate = NULL;

    if (gates->by_tenant != NULL)
        HASH_FIND_STR(gates->by_tenant, tenant, gate);
    return gate;
}

static struct gate *gate_make(struct gates *gates, const char *tenant)
{
    struct gate *gate = calloc(1, sizeof *gate);

    if (gate == NULL)
        return NULL;
    gate->gates = gates;
    gate->hold_ms_max = HOLD_MS_DEFAULT;
    strncpy(gate->tenant, tenant, sizeof gate->tenant - 1);
    HASH_ADD_STR(gates->by_tenant, tenant, gate);
    return gate;
}

/* A client that came to wait during this very turn may be younger than the turn's `now_ms`. */
static uint64_t age_ms(uint64_t since_ms, uint64_t now_ms)
{
    return now_ms > since_ms ? now_ms - since_ms : 0;
}

static void fill_answer(const struct gate *gate, struct gate_letter *letter, uint64_t now_ms)
{
    letter->loop = gate->gates->loop;
    letter->ok = true;
    letter->drained = gate->pass_count == 0;
    letter->in_flight = gate->pass_count;
    letter->held_now = gate->waiter_count;
    letter->held_count = gate->held_count;
    letter->held_ms_longest = gate->held_ms_longest;
    if (gate->waiters != NULL && age_ms(gate->waiters->since_ms, now_ms) > letter->held_ms_longest)
        letter->held_ms_longest = age_ms(gate->waiters->since_ms, now_ms);
    letter->blocker_count = 0;
    for (struct gate_pass *pass = gate->passes; pass != NULL && letter->blocker_count < GATE_BLOCKERS_MAX;
         pass = pass->younger) {
        letter->blocker_pids[letter->blocker_count] = pass->backend_pid;
        letter->blocker_ages_ms[letter->blocker_count++] = age_ms(pass->since_ms, now_ms);
    }
}

/* Answers the pending CLOSE, if there is one. */
static void answer_close(struct gate *gate, uint64_t now_ms)
{
    struct gate_letter *letter = gate->close_letter;

    if (letter == NULL)
        return;
    gate->close_letter = NULL;
    fill_answer(gate, letter, now_ms);
    letter_reply(&letter->letter);
}

static void take_off(struct gate_waiter *waiter)
{
    struct gate *gate = waiter->gate;

    DL_DELETE(gate->waiters, waiter);
    gate->waiter_count--;
    waiter->gate = NULL;
}

static void note_hold(struct gate *gate, const struct gate_waiter *waiter, uint64_t now_ms)
{
    if (age_ms(waiter->since_ms, now_ms) > gate->held_ms_longest)
        gate->held_ms_longest = age_ms(waiter->since_ms, now_ms);
}

/* Wakes those who wait now, not those who come to wait again while this runs. */
static void wake_waiters(struct gate *gate, uint64_t now_ms)
{
    for (uint32_t left = gate->waiter_count; left > 0 && gate->waiters != NULL; left--) {
        struct gate_waiter *waiter = gate->waiters;

        note_hold(gate, waiter, now_ms);
        take_off(waiter);
        waiter->opened(waiter);
    }
}

static void gate_free(struct gate *gate)
{
    for (struct gate_pass *pass = gate->passes; pass != NULL; pass = pass->younger)
        pass->gate = NULL;
    mailbox_give(gate->doorbell);
    free(gate);
}

void gates_free(struct gates *gates)
{
    struct gate *gate, *next;

    if (gates == NULL)
        return;
    HASH_ITER(hh, gates->by_tenant, gate, next) {
        HASH_DEL(gates->by_tenant, gate);
        answer_close(gate, 0);
        gate_free(gate);
    }
    free(gates);
}

static void close_it(struct gate *gate)
{
    if (!gate->closed) {
        gate->held_count = 0;
        gate->held_ms_longest = 0;
    }
    gate->closed = true;
}

/* Nobody of this process orders it any more. */
static void disown(struct gate *gate)
{
    mailbox_give(gate->doorbell);
    gate->doorbell = NULL;
    gate->run = false;
}

/* As the published routes have it. A CLOSE that has not drained is answered so. */
static void do_as_published(struct gate *gate, uint64_t now_ms)
{
    if (gate->published_state == ROUTING_CUTOVER_PAUSED) {
        close_it(gate);
        return;
    }
    answer_close(gate, now_ms);
    gate->closed = false;
    wake_waiters(gate, now_ms);
}

/* A gate without a runner of this process does as the published route says: until that has made itself known,
 * and as long as another instance runs the migration (which may have taken it over). */
static void follow(struct gate *gate, const struct route *route, uint64_t now_ms)
{
    gate->published_state = route->migration_state;
    if (gate->run && route->foreign && route->owner_epoch > gate->owner_epoch)
        disown(gate);
    if (gate->run)
        return;
    if (route->owner_epoch > gate->owner_epoch) /* an earlier owner has no say here */
        gate->owner_epoch = route->owner_epoch;
    if (route->hold_ms_max > 0)
        gate->hold_ms_max = route->hold_ms_max;
    memcpy(gate->migration, route->migration, sizeof gate->migration);
    do_as_published(gate, now_ms);
}

/* Its tenant does not migrate any more: who waits decides anew, and is not to find it again. */
static void drop(struct gate *gate, uint64_t now_ms)
{
    HASH_DEL(gate->gates->by_tenant, gate);
    answer_close(gate, now_ms);
    gate->closed = false;
    wake_waiters(gate, now_ms);
}

/* Those of runners are left to their GATE_DROP. */
static void drop_unneeded(struct gates *gates, uint64_t now_ms)
{
    struct gate *gate, *next;

    HASH_ITER(hh, gates->by_tenant, gate, next) {
        if (gate->run || gate->published_state != ROUTING_NORMAL)
            continue;
        drop(gate, now_ms);
        gate_free(gate);
    }
}

void gates_follow(struct gates *gates, const struct route_table *table, uint64_t now_ms)
{
    for (size_t i = 0; i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);
        struct gate *gate = gate_find(gates, route->tenant);

        if (route->migration_state != ROUTING_NORMAL && gate == NULL) {
            gate = gate_make(gates, route->tenant);
            if (gate == NULL)
                abort(); /* a proxy that cannot hold a tenant's writes must not serve it */
        }
        if (gate != NULL)
            follow(gate, route, now_ms);
    }
    drop_unneeded(gates, now_ms);
}

static void order_make(struct gates *gates, struct gate_letter *letter, uint64_t now_ms)
{
    struct gate *gate = gate_find(gates, letter->tenant);

    if (letter->follows && (gate == NULL || gate->run)) {
        letter_reply(&letter->letter);
        return;
    }
    if (gate == NULL)
        gate = gate_make(gates, letter->tenant);
    if (gate != NULL && letter->owner_epoch >= gate->owner_epoch) {
        mailbox_give(gate->doorbell);
        gate->doorbell = letter->doorbell;
        letter->doorbell = NULL;
        gate->run = !letter->follows;
        gate->owner_epoch = letter->owner_epoch;
        memcpy(gate->migration, letter->migration, sizeof gate->migration);
        fill_answer(gate, letter, now_ms);
    }
    letter_reply(&letter->letter);
}

static void order_close(struct gate *gate, struct gate_letter *letter, uint64_t now_ms)
{
    answer_close(gate, now_ms); /* an earlier one, of an earlier owner */
    close_it(gate);
    if (letter->hold_ms_max > 0)
        gate->hold_ms_max = letter->hold_ms_max;
    gate->close_letter = letter;
    if (gate->pass_count == 0)
        answer_close(gate, now_ms);
}

static void order_open(struct gate *gate, struct gate_letter *letter, uint64_t now_ms)
{
    answer_close(gate, now_ms);
    gate->closed = false;
    wake_waiters(gate, now_ms);
    fill_answer(gate, letter, now_ms);
    letter_reply(&letter->letter);
}

/* A runner that leaves while its tenant still migrates leaves it to another's: transactions in flight stay
 * counted. */
static void order_drop(struct gate *gate, struct gate_letter *letter, uint64_t now_ms)
{
    bool stays = gate->published_state != ROUTING_NORMAL;

    disown(gate);
    if (stays)
        do_as_published(gate, now_ms);
    else
        drop(gate, now_ms);
    fill_answer(gate, letter, now_ms);
    if (!stays)
        gate_free(gate);
    letter_reply(&letter->letter);
}

static void obey(struct gate *gate, struct gate_letter *letter, uint64_t now_ms)
{
    if (letter->op == GATE_CLOSE) {
        order_close(gate, letter, now_ms);
    } else if (letter->op == GATE_ASK) {
        fill_answer(gate, letter, now_ms);
        letter_reply(&letter->letter);
    } else if (letter->op == GATE_DROP) {
        order_drop(gate, letter, now_ms);
    } else {
        order_open(gate, letter, now_ms);
    }
}

void gates_order(struct gates *gates, struct gate_letter *letter, uint64_t now_ms)
{
    struct gate *gate = gate_find(gates, letter->tenant);

    letter->loop = gates->loop;
    letter->ok = false;
    if (letter->op == GATE_MAKE) {
        order_make(gates, letter, now_ms);
    } else if (gate == NULL || letter->owner_epoch < gate->owner_epoch) {
        letter_reply(&letter->letter);
    } else {
        gate->owner_epoch =
            letter->owner_epoch; /* whatever it orders, whoever was before has no say any more */
        obey(gate, letter, now_ms);
    }
}

static struct gate_pass *find_pass(struct gate_pass *passes, const struct gate *gate)
{
    for (; passes != NULL; passes = passes->next)
        if (passes->gate == gate)
            return passes;
    return NULL;
}

static bool is_closed(const struct gate *gate, const struct gate_ask *ask)
{
    return gate->closed || !ask->lease_valid;
}

/* Looked at before any pass is touched: a pass whose `sync` were moved on for a statement that then waits
 * would outlive its transaction. */
static bool may_enter(const struct gate *gate, const struct gate_ask *ask, struct gate_pass *passes)
{
    const struct gate_pass *pass = find_pass(passes, gate);

    return !is_closed(gate, ask) || (pass != NULL && pass->sync >= ask->first_sync);
}

static bool enter_one(struct gate *gate, const struct gate_ask *ask, struct gate_pass **passes)
{
    struct gate_pass *pass = find_pass(*passes, gate);

    if (pass == NULL) {
        pass = calloc(1, sizeof *pass);
        if (pass == NULL)
            return false;
        pass->gate = gate;
        pass->since_ms = ask->now_ms;
        pass->provisional = ask->provisional;
        DL_APPEND2(gate->passes, pass, older, younger);
        gate->pass_count++;
        LL_PREPEND(*passes, pass);
    }
    pass->provisional = pass->provisional && ask->provisional;
    pass->sync = ask->sync;
    pass->backend_pid = ask->backend_pid;
    return true;
}

enum gate_answer gates_enter(struct gates *gates, const char *tenant, const struct gate_ask *ask,
                             struct gate_pass **passes, struct gate **closed)
{
    struct gate *only = tenant == NULL ? NULL : gate_find(gates, tenant);

    if (tenant != NULL && only == NULL)
        return GATE_GO;
    for (struct gate *gate = tenant == NULL ? gates->by_tenant : only; gate != NULL;
         gate = tenant == NULL ? gate->hh.next : NULL)
        if (!may_enter(gate, ask, *passes)) {
            *closed = gate;
            return GATE_HOLD;
        }
    for (struct gate *gate = tenant == NULL ? gates->by_tenant : only; gate != NULL;
         gate = tenant == NULL ? gate->hh.next : NULL)
        if (!enter_one(gate, ask, passes))
            return GATE_NO_MEMORY;
    return GATE_GO;
}

/* Takes the pass off its gate's list and counts down. Does not free it. */
static void pass_end(struct gate_pass *pass, uint64_t now_ms)
{
    struct gate *gate = pass->gate;

    if (gate == NULL)
        return;
    DL_DELETE2(gate->passes, pass, older, younger);
    if (--gate->pass_count == 0)
        answer_close(gate, now_ms);
}

void gates_settle(struct gate_pass **passes, const char *tenant, uint64_t now_ms)
{
    struct gate_pass **link = passes;

    while (*link != NULL) {
        struct gate_pass *pass = *link;
        bool is_it = pass->gate != NULL && tenant != NULL && strcmp(pass->gate->tenant, tenant) == 0;

        pass->provisional = pass->provisional && !is_it;
        if (!pass->provisional) {
            link = &pass->next;
            continue;
        }
        *link = pass->next;
        pass_end(pass, now_ms);
        free(pass);
    }
}

void gates_retreat(struct gate_pass **passes, const struct gate_pass *keep, uint64_t now_ms)
{
    while (*passes != keep) {
        struct gate_pass *pass = *passes;

        *passes = pass->next;
        pass_end(pass, now_ms);
        free(pass);
    }
}

static void ring(const struct gate *gate, const struct gate_pass *pass)
{
    struct doorbell_letter *letter;

    if (gate->doorbell == NULL)
        return;
    letter = doorbell_letter_new(gate->tenant, pass->backend_pid);
    if (letter != NULL) /* without memory the mirror's timer finds the rows */
        letter_send(gate->doorbell, &letter->letter);
}

void gates_leave(struct gate_pass **passes, uint64_t sync, uint64_t now_ms)
{
    struct gate_pass **link = passes;

    while (*link != NULL) {
        struct gate_pass *pass = *link;

        if (pass->sync > sync) {
            link = &pass->next;
            continue;
        }
        *link = pass->next;
        if (pass->gate != NULL)
            ring(pass->gate, pass);
        pass_end(pass, now_ms);
        free(pass);
    }
}

void gate_wait(struct gate *gate, struct gate_waiter *waiter, uint64_t now_ms)
{
    waiter->gate = gate;
    waiter->since_ms = now_ms;
    DL_APPEND(gate->waiters, waiter);
    gate->waiter_count++;
    gate->held_count++;
}

void gate_unwait(struct gate_waiter *waiter)
{
    if (waiter->gate != NULL)
        take_off(waiter);
}

static void expire_waiters(struct gate *gate, uint64_t now_ms)
{
    while (gate->waiters != NULL && age_ms(gate->waiters->since_ms, now_ms) >= gate->hold_ms_max) {
        struct gate_waiter *waiter = gate->waiters;

        note_hold(gate, waiter, now_ms);
        take_off(waiter);
        waiter->expired(waiter);
    }
}

void gates_tick(struct gates *gates, bool lease_valid, uint64_t now_ms)
{
    struct gate *gate, *next;

    HASH_ITER(hh, gates->by_tenant, gate, next) {
        if (!gate->closed && lease_valid)
            wake_waiters(gate, now_ms);
        else
            expire_waiters(gate, now_ms);
    }
}

const char *gate_pass_tenant(const struct gate_pass *pass)
{
    return pass->gate == NULL ? NULL : pass->gate->tenant;
}

bool gates_has(const struct gates *gates, const char *tenant)
{
    return gate_find(gates, tenant) != NULL;
}

size_t gates_count(const struct gates *gates)
{
    return gates->by_tenant == NULL ? 0 : HASH_COUNT(gates->by_tenant);
}
