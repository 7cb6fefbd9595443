/* quota.c - see quota.h. */
#include "proxy/quota.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/limits.h"

struct counts {
    atomic_uint open, starved, longing;
};

/* A connection counts for all of them. */
enum scope { OF_POOL, OF_USER, OF_STORE, SCOPES };

/* What all quotas of one user at one store share. */
struct user {
    char *key;
    unsigned refs; /* under the lock */
    struct counts counts;
    UT_hash_handle hh;
};

struct quota {
    struct quotas *home;
    char *key;
    unsigned refs; /* under the lock */
    struct user *user;
    struct counts own;
    struct counts *at[SCOPES];
    UT_hash_handle hh;
};

struct quotas {
    atomic_uint most[SCOPES], reserve; /* 0: no limit */
    pthread_mutex_t lock; /* over the hashes, and over taking: all counts rise together or not at all */
    struct quota *all;
    struct user *users;
    struct counts stores[STORES_MAX];
};

void quotas_limit(struct quotas *quotas, const struct quota_limits *limits)
{
    atomic_store(&quotas->most[OF_POOL], limits->pool_size);
    atomic_store(&quotas->most[OF_USER], limits->user_max);
    atomic_store(&quotas->most[OF_STORE], limits->store_max);
    atomic_store(&quotas->reserve, limits->reserve_size);
}

struct quotas *quotas_new(const struct quota_limits *limits)
{
    struct quotas *quotas = calloc(1, sizeof *quotas);

    if (quotas == NULL)
        return NULL;
    quotas_limit(quotas, limits);
    if (pthread_mutex_init(&quotas->lock, NULL) == 0)
        return quotas;
    free(quotas);
    return NULL;
}

void quotas_free(struct quotas *quotas)
{
    if (quotas == NULL)
        return;
    pthread_mutex_destroy(&quotas->lock);
    free(quotas);
}

/* ---- finding; all of it under the lock ---- */

static struct user *take_user(struct quotas *quotas, unsigned store, const char *name)
{
    struct user *user = NULL;
    char *key;

    if (asprintf(&key, "%u\n%s", store, name) < 0)
        return NULL;
    HASH_FIND_STR(quotas->users, key, user);
    if (user == NULL && (user = calloc(1, sizeof *user)) != NULL) {
        user->key = key;
        HASH_ADD_KEYPTR(hh, quotas->users, user->key, strlen(user->key), user);
        key = NULL;
    }
    if (user != NULL)
        user->refs++;
    free(key);
    return user;
}

static void give_user(struct quotas *quotas, struct user *user)
{
    if (--user->refs > 0)
        return;
    HASH_DEL(quotas->users, user);
    free(user->key);
    free(user);
}

/* Takes the key over, or frees it. */
static struct quota *add_quota(struct quotas *quotas, unsigned store, const char *user, char *key)
{
    struct quota *quota = calloc(1, sizeof *quota);

    if (quota == NULL || (quota->user = take_user(quotas, store, user)) == NULL) {
        free(quota);
        free(key);
        return NULL;
    }
    quota->home = quotas;
    quota->key = key;
    quota->at[OF_POOL] = &quota->own;
    quota->at[OF_USER] = &quota->user->counts;
    quota->at[OF_STORE] = &quotas->stores[store];
    HASH_ADD_KEYPTR(hh, quotas->all, quota->key, strlen(quota->key), quota);
    return quota;
}

struct quota *quota_get(struct quotas *quotas, unsigned store, const char *user, const char *database)
{
    struct quota *quota = NULL;
    char *key;

    if (asprintf(&key, "%u\n%s\n%s", store, user, database) < 0)
        return NULL;
    pthread_mutex_lock(&quotas->lock);
    HASH_FIND_STR(quotas->all, key, quota);
    if (quota == NULL)
        quota = add_quota(quotas, store, user, key);
    else
        free(key);
    if (quota != NULL)
        quota->refs++;
    pthread_mutex_unlock(&quotas->lock);
    return quota;
}

void quota_put(struct quota *quota)
{
    struct quotas *quotas = quota->home;
    bool last;

    pthread_mutex_lock(&quotas->lock);
    last = --quota->refs == 0;
    if (last) {
        HASH_DEL(quotas->all, quota);
        give_user(quotas, quota->user);
    }
    pthread_mutex_unlock(&quotas->lock);
    if (!last)
        return;
    free(quota->key);
    free(quota);
}

/* ---- counting ---- */

/* Nothing may be added any more. */
static bool is_full(const struct quota *quota, enum scope scope, bool reserve)
{
    const struct quotas *quotas = quota->home;
    unsigned most = atomic_load(&quotas->most[scope]);

    if (scope == OF_POOL && reserve)
        most += atomic_load(&quotas->reserve);
    return most > 0 && atomic_load(&quota->at[scope]->open) >= most;
}

bool quota_take(struct quota *quota, bool reserve)
{
    bool taken;

    pthread_mutex_lock(&quota->home->lock);
    taken = !is_full(quota, OF_POOL, reserve) && !is_full(quota, OF_USER, false) &&
            !is_full(quota, OF_STORE, false);
    for (int i = 0; taken && i < SCOPES; i++)
        atomic_fetch_add(&quota->at[i]->open, 1);
    pthread_mutex_unlock(&quota->home->lock);
    return taken;
}

void quota_give(struct quota *quota)
{
    for (int i = 0; i < SCOPES; i++)
        atomic_fetch_sub(&quota->at[i]->open, 1);
}

unsigned quota_count(const struct quota *quota)
{
    return atomic_load(&quota->own.open);
}

bool quota_is_over(const struct quota *quota)
{
    const struct quotas *quotas = quota->home;

    for (int i = 0; i < SCOPES; i++) {
        unsigned most = atomic_load_explicit(&quotas->most[i], memory_order_relaxed);

        if (i == OF_POOL)
            most += atomic_load_explicit(&quotas->reserve, memory_order_relaxed);
        if (most > 0 && atomic_load_explicit(&quota->at[i]->open, memory_order_relaxed) > most)
            return true;
    }
    return false;
}

bool quota_gains_from(const struct quota *quota, const struct quota *other)
{
    return quota == other || (quota->user == other->user && is_full(quota, OF_USER, false)) ||
           (quota->at[OF_STORE] == other->at[OF_STORE] && is_full(quota, OF_STORE, false));
}

void quota_starve(struct quota *quota, bool starved)
{
    for (int i = 0; i < SCOPES; i++)
        atomic_fetch_add(&quota->at[i]->starved, starved ? 1u : -1u);
}

bool quota_is_starved(const struct quota *quota)
{
    for (int i = 0; i < SCOPES; i++)
        if (atomic_load_explicit(&quota->at[i]->starved, memory_order_relaxed) > 0 &&
            (i == OF_POOL || is_full(quota, (enum scope)i, false)))
            return true;
    return false;
}

void quota_long(struct quota *quota, bool longing)
{
    for (int i = 0; i < SCOPES; i++)
        atomic_fetch_add(&quota->at[i]->longing, longing ? 1u : -1u);
}

bool quota_is_longed(const struct quota *quota)
{
    for (int i = 0; i < SCOPES; i++)
        if (atomic_load_explicit(&quota->at[i]->longing, memory_order_relaxed) > 0 &&
            is_full(quota, (enum scope)i, false))
            return true;
    return false;
}
