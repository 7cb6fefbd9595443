/* gate.h - per migrating tenant *and loop*: counts its transactions in flight, holds new ones.
 * Logic without sockets, threads or clock: everything is one loop's, time comes in as now_ms (clock_ms()).
 *
 * A transaction is in flight at a gate from its first statement that writes or locks rows of the tenant until
 * the server has answered its end: a `gate_pass` says so. While it has its pass, its later writes go on even
 * at a closed gate. Everybody else who wants to write waits (`gate_waiter`) until the gate opens, and is then
 * decided anew.
 *
 * A transaction that wrote before its gate existed needs no pass: the tap is put in after the gate, and
 * creating a trigger waits for every transaction that has written the table (DESIGN §4.2). */
#ifndef PGSHUNT_ROUTE_GATE_H
#define PGSHUNT_ROUTE_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "route/letters.h"

struct gates;
struct gate;

/* One transaction at one gate. Made and freed by this module; the transaction holds the list. */
struct gate_pass {
    struct gate_pass *next;            /* the transaction's list */
    struct gate *gate;                 /* NULL: the gate is gone */
    struct gate_pass *older, *younger; /* the gate's list */
    int32_t backend_pid;
    uint64_t since_ms;
    uint64_t sync;    /* the owner's: which ReadyForQuery ends it (client.c) */
    bool provisional; /* until it is known of whom the rows are: gates_settle() */
};

/* Somebody who waits. Embedded in the client; at most one gate at a time. */
struct gate_waiter {
    struct gate *gate; /* NULL: does not wait */
    struct gate_waiter *prev, *next;
    uint64_t since_ms;
    void (*opened)(struct gate_waiter *waiter);  /* decide anew; the waiter has been taken off */
    void (*expired)(struct gate_waiter *waiter); /* held longer than hold_ms_max; taken off */
};

enum gate_answer { GATE_GO, GATE_HOLD, GATE_NO_MEMORY };

struct gates *gates_new(unsigned loop);
void gates_free(struct gates *gates); /* passes and waiters must be gone; pending letters are answered */

/* Every migrating route has a gate from the publication on: cutover_paused a closed one, others an open one.
 * A gate that no runner of this process has made follows the routes, to the end of the migration; a runner's
 * is left to its GATE_DROP, unless another instance has taken the migration over. */
void gates_follow(struct gates *gates, const struct route_table *table, uint64_t now_ms);
/* A runner's order: answered at once, or (CLOSE) when drained. Takes the letter over. */
void gates_order(struct gates *gates, struct gate_letter *letter, uint64_t now_ms);

/* Who asks. */
struct gate_ask {
    int32_t backend_pid;
    uint64_t sync; /* the ReadyForQuery that at the earliest ends the transaction, numbered by the owner */
    uint64_t first_sync; /* the first one due in this transaction: a pass from before it is another
                            transaction's */
    bool lease_valid;    /* false: every gate counts as closed */
    bool provisional;    /* the tenant is not known yet, and will be: new passes may be given back */
    uint64_t now_ms;
};
/* May a transaction write rows of `tenant` (NULL: unknown, every gate is asked)? GO: it has a pass in *passes
 * for every gate concerned. HOLD: *closed is where to wait. */
enum gate_answer gates_enter(struct gates *gates, const char *tenant, const struct gate_ask *ask,
                             struct gate_pass **passes, struct gate **closed);
/* It is known now that rows of `tenant` (NULL: of nobody's) are written: gives back, silently, the
 * provisional passes of all others. */
void gates_settle(struct gate_pass **passes, const char *tenant, uint64_t now_ms);
/* Gives back, silently, the passes in front of `keep` (the list's head before a gates_enter() that did not
 * say GO): who waits at one gate must not hold up the drain of another. */
void gates_retreat(struct gate_pass **passes, const struct gate_pass *keep, uint64_t now_ms);
/* The transaction behind the passes up to `sync` has ended: rings the doorbells (committed or not: an idle
 * pass costs less than a missed one), counts down, answers who waits for the drain. Removes them from the
 * list. */
void gates_leave(struct gate_pass **passes, uint64_t sync, uint64_t now_ms);

void gate_wait(struct gate *gate, struct gate_waiter *waiter, uint64_t now_ms);
void gate_unwait(struct gate_waiter *waiter); /* fine if it does not wait */
/* Calls expired() for every waiter that was held too long, and opened() at gates that only the lease had
 * closed once it is valid again. Call a few times a second. */
void gates_tick(struct gates *gates, bool lease_valid, uint64_t now_ms);

const char *gate_pass_tenant(const struct gate_pass *pass); /* NULL: its gate is gone */
bool gates_has(const struct gates *gates, const char *tenant);
size_t gates_count(const struct gates *gates);

#endif
