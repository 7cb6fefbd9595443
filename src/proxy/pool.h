/* pool.h - the server connections of one store, user, database and set of startup parameters, on one loop:
 * which are idle, who waits for one, when one more may be opened and when one must go. Clients whose startup
 * parameters differ do not share servers (but for application_name, which is set like any setting): what
 * RESET goes back to is theirs. Logic without sockets or clock: a seat is embedded in the server, a place in
 * line in the client; whoever calls opens and closes what is said here (lend.c). Thread: the loop's.   Start
 * at: pool_lend(), pool_may_open(). */
#ifndef PGSHUNT_PROXY_POOL_H
#define PGSHUNT_PROXY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/error.h"
#include "proxy/identity.h"
#include "proxy/quota.h"
#include "proxy/report.h"
#include "route/store.h"

struct pools;

/* Seconds as in PgBouncer, here in ms; 0: never, where that makes sense. */
struct pool_rules {
    unsigned min_size;
    uint64_t reserve_after_ms;
    uint64_t idle_ms_max, lifetime_ms_max;
    uint64_t wait_ms_max;
    uint64_t retry_after_ms;
    uint64_t check_after_ms; /* UINT64_MAX: never */
};

enum seat_state { SEAT_OPENING, SEAT_IDLE, SEAT_LENT, SEAT_TENDED };

struct pool_seat {
    struct pool *pool; /* NULL: in no pool */
    enum seat_state state;
    struct pool_seat *prev, *next; /* IDLE: the one used last is the first */
    uint64_t opened_ms, idle_since_ms;
    uint64_t last_client; /* who had it last: it needs nothing to be made like that one */
    bool checked;         /* it has answered just before it became idle */
};

struct pool_waiter {
    struct pool *pool; /* NULL: does not wait */
    struct pool_waiter *prev, *next;
    uint64_t since_ms;
};

struct pool {
    struct pools *home;
    char *key;
    const struct store *store;
    struct identity *identity;
    struct quota *quota;
    struct pool_seat *idle;
    struct pool_waiter *line;
    size_t opening_count, idle_count, lent_count, tended_count, waiting_count;
    size_t client_count; /* that know it: it may not go */
    bool starved;        /* as its quota has been told, here and below */
    bool longing;
    uint64_t failed_ms; /* when a connection failed last, and none has come about since; 0: all is well */
    struct error why;
    bool unwilling;        /* `why` is a refusal, not silence */
    struct report welcome; /* what its servers report at login */
    bool due;              /* in the line of those to be looked at */
    struct pool *prev_due, *next_due;
    UT_hash_handle hh;
};

struct pools *pools_new(const struct pool_rules *rules, struct quotas *quotas);
void pools_free(struct pools *pools);                                 /* no seats, no waiters; NULL is fine */
void pools_obey(struct pools *pools, const struct pool_rules *rules); /* other ones from now on */
const struct pool_rules *pools_rules(const struct pools *pools);
struct pool *pools_first(const struct pools *pools); /* then pool->hh.next */

/* The pool, made if there is none; counts one client more. NULL: no memory. `identity` is taken a reference
 * of. */
struct pool *pools_join(struct pools *pools, const struct store *store, struct identity *identity);
void pool_leave(struct pool *pool); /* one client less */
/* Frees the pools that nobody knows and that have no seats. */
void pools_sweep(struct pools *pools);

/* ---- borrowing ---- */

/* An idle seat, now LENT: best one that `client` had last. NULL: none is idle, or they must be checked. */
struct pool_seat *pool_lend(struct pool *pool, uint64_t client, uint64_t now_ms);
/* An idle seat that somebody waits for and that has been idle for too long to be trusted, now TENDED: to be
 * checked. NULL: none, or enough of them are on their way. */
struct pool_seat *pool_doubt(struct pool *pool, uint64_t now_ms);
/* LENT, now TENDED: nobody has it, and it must be reset before somebody does. */
void pool_tend(struct pool_seat *seat);
void pool_wait(struct pool *pool, struct pool_waiter *waiter, uint64_t now_ms); /* at the end of the line */
void pool_unwait(struct pool_waiter *waiter);                                   /* fine if it does not wait */
/* It comes back from `client`. True: it must be closed instead (too old, too many, or somebody starves):
 * still LENT, or TENDED. */
bool pool_must_close(const struct pool_seat *seat, uint64_t now_ms);
void pool_back(struct pool_seat *seat, uint64_t client, uint64_t now_ms);

/* ---- opening and closing ---- */

/* Somebody waits (or the pool is smaller than min_size), and another connection is allowed. True: it has been
 * taken from the quota, and pool_opening() must follow. */
bool pool_may_open(struct pool *pool, uint64_t now_ms);
/* One more, whoever waits: a pool that will be needed soon. The same duty. */
bool pool_may_warm(struct pool *pool, uint64_t now_ms);
void pool_opening(struct pool *pool, struct pool_seat *seat, uint64_t now_ms);
void pool_opened(struct pool_seat *seat, uint64_t now_ms); /* IDLE */
void pool_failed(struct pool *pool, const struct error *why, bool unwilling, uint64_t now_ms);
void pool_gone(struct pool_seat *seat); /* closed, whatever its state was */
/* No connection, none on its way, and none will be tried now: `pool->why` is the answer. */
bool pool_is_down(const struct pool *pool, uint64_t now_ms);

/* ---- time ---- */

void pool_look(struct pool *pool, uint64_t now_ms); /* often: is somebody waiting for long? */
/* An idle seat to close, so that another pool may open one for those who wait there. NULL: none. */
struct pool_seat *pool_yield(const struct pool *pool, uint64_t now_ms);
struct pool_waiter *pool_overdue(const struct pool *pool,
                                 uint64_t now_ms); /* waited too long; NULL: nobody has */
struct pool_seat *pool_outlived(const struct pool *pool,
                                uint64_t now_ms); /* an idle one to close; NULL: none */
/* An idle seat of another pool, whose end would let `pool` open one of its own. NULL: none. */
struct pool_seat *pool_evict(const struct pool *pool);

#endif
