/* pool.c - see pool.h. */
#include "proxy/pool.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/buf.h"

enum {
    CHECK_GOOD_FOR_MS = 1000, /* what was checked, or has just logged in, need not be again */
    LOOK_AT_MAX = 8,          /* idle seats that are compared before the first one is taken */
    LONG_WAIT_MS = 100        /* for a client; and as long a seat is idle before it is given up for others */
};

struct pools {
    struct pool_rules rules;
    struct quotas *quotas; /* borrowed */
    struct pool *all;
};

struct pools *pools_new(const struct pool_rules *rules, struct quotas *quotas)
{
    struct pools *pools = calloc(1, sizeof *pools);

    if (pools == NULL)
        return NULL;
    pools->rules = *rules;
    pools->quotas = quotas;
    return pools;
}

void pools_obey(struct pools *pools, const struct pool_rules *rules)
{
    pools->rules = *rules;
}

const struct pool_rules *pools_rules(const struct pools *pools)
{
    return &pools->rules;
}

struct pool *pools_first(const struct pools *pools)
{
    return pools->all;
}

static void pool_free(struct pool *pool)
{
    HASH_DEL(pool->home->all, pool);
    if (pool->starved)
        quota_starve(pool->quota, false);
    if (pool->longing)
        quota_long(pool->quota, false);
    quota_put(pool->quota);
    identity_give(pool->identity);
    report_done(&pool->welcome);
    free(pool->key);
    free(pool);
}

void pools_free(struct pools *pools)
{
    struct pool *pool, *next;

    if (pools == NULL)
        return;
    HASH_ITER(hh, pools->all, pool, next)
        pool_free(pool);
    free(pools);
}

/* ---- finding ---- */

static void append_part(struct buf *key, const char *part)
{
    buf_append(key, part, strlen(part) + 1); /* no part holds a NUL: they came as texts */
}

static void make_key(struct buf *key, const struct store *store, const struct identity *identity)
{
    append_part(key, store->name);
    append_part(key, identity->user);
    append_part(key, identity->database);
    for (size_t i = 0; i < identity->startup_count; i++) {
        append_part(key, identity->startup[i].name);
        append_part(key, identity->startup[i].value);
    }
}

static struct pool *make(struct pools *pools, const struct store *store, struct identity *identity,
                         struct slice key)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL)
        return NULL;
    pool->home = pools;
    pool->store = store;
    pool->key = malloc(key.bytes);
    pool->quota = quota_get(pools->quotas, store->index, identity->user, identity->database);
    if (pool->key == NULL || pool->quota == NULL) {
        if (pool->quota != NULL)
            quota_put(pool->quota);
        free(pool->key);
        free(pool);
        return NULL;
    }
    memcpy(pool->key, key.at, key.bytes);
    pool->identity = identity_take(identity);
    HASH_ADD_KEYPTR(hh, pools->all, pool->key, key.bytes, pool);
    return pool;
}

struct pool *pools_join(struct pools *pools, const struct store *store, struct identity *identity)
{
    struct pool *pool = NULL;
    struct buf key;

    buf_init(&key);
    make_key(&key, store, identity);
    if (!buf_failed(&key)) {
        HASH_FIND(hh, pools->all, buf_at(&key), buf_bytes(&key), pool);
        if (pool == NULL)
            pool = make(pools, store, identity, buf_slice(&key));
    }
    buf_done(&key);
    if (pool != NULL)
        pool->client_count++;
    return pool;
}

void pool_leave(struct pool *pool)
{
    pool->client_count--;
}

static size_t seat_count(const struct pool *pool)
{
    return pool->opening_count + pool->idle_count + pool->lent_count + pool->tended_count;
}

void pools_sweep(struct pools *pools)
{
    struct pool *pool, *next;

    HASH_ITER(hh, pools->all, pool, next)
        if (pool->client_count == 0 && seat_count(pool) == 0 && pool->line == NULL && !pool->due)
            pool_free(pool);
}

static void mark_longing(struct pool *pool, bool longing)
{
    if (longing == pool->longing)
        return;
    pool->longing = longing;
    quota_long(pool->quota, longing);
}

/* Tells the quota whether this pool starves now. */
static void mark(struct pool *pool)
{
    bool starved = pool->line != NULL && seat_count(pool) == 0;

    if (pool->line == NULL)
        mark_longing(pool, false);
    if (starved == pool->starved)
        return;
    pool->starved = starved;
    quota_starve(pool->quota, starved);
}

/* ---- borrowing ---- */

static void unline(struct pool_seat *seat)
{
    DL_DELETE(seat->pool->idle, seat);
    seat->pool->idle_count--;
}

/* Nobody knows whether the server is still there. What was checked is for whoever waited for it. */
static bool is_doubtful(const struct pool_seat *seat, uint64_t now_ms)
{
    uint64_t idle_ms = now_ms - seat->idle_since_ms;

    return idle_ms >= seat->pool->home->rules.check_after_ms &&
           !(seat->checked && idle_ms < CHECK_GOOD_FOR_MS);
}

struct pool_seat *pool_lend(struct pool *pool, uint64_t client, uint64_t now_ms)
{
    struct pool_seat *seat, *best = NULL;
    int looked = 0;

    DL_FOREACH(pool->idle, seat) {
        if (is_doubtful(seat, now_ms)) /* the others are idle for longer */
            break;
        best = best == NULL ? seat : best;
        if (seat->last_client == client) {
            best = seat;
            break;
        }
        if (++looked == LOOK_AT_MAX)
            break;
    }
    if (best == NULL)
        return NULL;
    unline(best);
    best->state = SEAT_LENT;
    pool->lent_count++;
    return best;
}

struct pool_seat *pool_doubt(struct pool *pool, uint64_t now_ms)
{
    struct pool_seat *seat = pool->idle;

    if (seat == NULL || !is_doubtful(seat, now_ms) ||
        pool->waiting_count <= pool->opening_count + pool->tended_count)
        return NULL;
    unline(seat);
    seat->state = SEAT_TENDED;
    pool->tended_count++;
    return seat;
}

void pool_tend(struct pool_seat *seat)
{
    seat->state = SEAT_TENDED;
    seat->pool->lent_count--;
    seat->pool->tended_count++;
}

void pool_wait(struct pool *pool, struct pool_waiter *waiter, uint64_t now_ms)
{
    waiter->pool = pool;
    waiter->since_ms = now_ms;
    DL_APPEND(pool->line, waiter);
    pool->waiting_count++;
    mark(pool);
}

void pool_unwait(struct pool_waiter *waiter)
{
    struct pool *pool = waiter->pool;

    if (pool == NULL)
        return;
    DL_DELETE(pool->line, waiter);
    pool->waiting_count--;
    waiter->pool = NULL;
    mark(pool);
}

static bool is_old(const struct pool_seat *seat, uint64_t now_ms)
{
    uint64_t most = seat->pool->home->rules.lifetime_ms_max;

    return most > 0 && now_ms - seat->opened_ms >= most;
}

bool pool_must_close(const struct pool_seat *seat, uint64_t now_ms)
{
    return is_old(seat, now_ms) || quota_is_starved(seat->pool->quota) || quota_is_over(seat->pool->quota);
}

void pool_back(struct pool_seat *seat, uint64_t client, uint64_t now_ms)
{
    struct pool *pool = seat->pool;

    seat->checked = seat->state == SEAT_TENDED;
    if (seat->checked)
        pool->tended_count--;
    else
        pool->lent_count--;
    seat->state = SEAT_IDLE;
    seat->last_client = client;
    seat->idle_since_ms = now_ms;
    DL_PREPEND(pool->idle, seat);
    pool->idle_count++;
}

/* ---- opening and closing ---- */

static bool must_rest(const struct pool *pool, uint64_t now_ms)
{
    return pool->failed_ms != 0 && now_ms - pool->failed_ms < pool->home->rules.retry_after_ms;
}

bool pool_may_open(struct pool *pool, uint64_t now_ms)
{
    const struct pool_rules *rules = &pool->home->rules;
    bool wanted = pool->waiting_count > pool->opening_count + pool->idle_count + pool->tended_count ||
                  (pool->client_count > 0 && seat_count(pool) < rules->min_size);
    bool reserve = pool->line != NULL && now_ms - pool->line->since_ms >= rules->reserve_after_ms;

    if (!pool->starved && quota_is_starved(pool->quota))
        return false; /* another one's turn */
    return wanted && !must_rest(pool, now_ms) && quota_take(pool->quota, reserve);
}

bool pool_may_warm(struct pool *pool, uint64_t now_ms)
{
    return !must_rest(pool, now_ms) && quota_take(pool->quota, false);
}

void pool_opening(struct pool *pool, struct pool_seat *seat, uint64_t now_ms)
{
    seat->pool = pool;
    seat->state = SEAT_OPENING;
    seat->opened_ms = now_ms;
    pool->opening_count++;
    mark(pool);
}

void pool_opened(struct pool_seat *seat, uint64_t now_ms)
{
    struct pool *pool = seat->pool;

    pool->failed_ms = 0;
    pool->opening_count--;
    seat->state = SEAT_IDLE;
    seat->idle_since_ms = now_ms;
    seat->checked = true;
    DL_PREPEND(pool->idle, seat);
    pool->idle_count++;
}

void pool_failed(struct pool *pool, const struct error *why, bool unwilling, uint64_t now_ms)
{
    pool->unwilling = unwilling;
    pool->failed_ms = now_ms;
    pool->why = *why;
}

void pool_gone(struct pool_seat *seat)
{
    struct pool *pool = seat->pool;

    if (seat->state == SEAT_OPENING)
        pool->opening_count--;
    else if (seat->state == SEAT_IDLE)
        unline(seat);
    else if (seat->state == SEAT_TENDED)
        pool->tended_count--;
    else
        pool->lent_count--;
    seat->pool = NULL;
    quota_give(pool->quota);
    mark(pool);
}

bool pool_is_down(const struct pool *pool, uint64_t now_ms)
{
    return must_rest(pool, now_ms) && seat_count(pool) == 0;
}

/* ---- time ---- */

void pool_look(struct pool *pool, uint64_t now_ms)
{
    mark_longing(pool,
                 pool->line != NULL &&
                     pool->waiting_count > pool->opening_count + pool->idle_count + pool->tended_count &&
                     now_ms - pool->line->since_ms >= LONG_WAIT_MS && !must_rest(pool, now_ms));
}

struct pool_seat *pool_yield(const struct pool *pool, uint64_t now_ms)
{
    struct pool_seat *seat = pool->idle == NULL ? NULL : pool->idle->prev; /* the longest idle one */

    return seat != NULL && pool->line == NULL && now_ms - seat->idle_since_ms >= LONG_WAIT_MS &&
                   quota_is_longed(pool->quota)
               ? seat
               : NULL;
}

struct pool_waiter *pool_overdue(const struct pool *pool, uint64_t now_ms)
{
    uint64_t most = pool->home->rules.wait_ms_max;

    return most > 0 && pool->line != NULL && now_ms - pool->line->since_ms >= most ? pool->line : NULL;
}

struct pool_seat *pool_outlived(const struct pool *pool, uint64_t now_ms)
{
    const struct pool_rules *rules = &pool->home->rules;
    bool spare = pool->client_count == 0 || seat_count(pool) > rules->min_size;
    struct pool_seat *seat;

    if (pool->idle == NULL)
        return NULL;
    seat = pool->idle->prev; /* the head's prev is the tail: the longest idle one */
    if (spare && rules->idle_ms_max > 0 && now_ms - seat->idle_since_ms >= rules->idle_ms_max)
        return seat;
    if ((pool->line == NULL && quota_is_starved(pool->quota)) || quota_is_over(pool->quota))
        return seat;
    DL_FOREACH(pool->idle, seat)
        if (is_old(seat, now_ms))
            return seat;
    return NULL;
}

struct pool_seat *pool_evict(const struct pool *pool)
{
    struct pool_seat *found = NULL;

    for (struct pool *other = pool->home->all; other != NULL; other = other->hh.next) {
        struct pool_seat *seat = other->idle == NULL ? NULL : other->idle->prev;

        if (other == pool || seat == NULL || !quota_gains_from(pool->quota, other->quota))
            continue;
        if (found == NULL || seat->idle_since_ms < found->idle_since_ms)
            found = seat;
    }
    return found;
}
