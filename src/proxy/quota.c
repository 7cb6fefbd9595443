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
    atomic_uint open, starved;
};

struct quota {
    struct quotas *home;
    char *key;
    unsigned refs; /* under the lock */
    struct counts own;
    struct counts *store;
    UT_hash_handle hh;
};

struct quotas {
    struct quota_limits limits;
    pthread_mutex_t lock; /* over the hash, and over taking: both counts rise together or not at all */
    struct quota *all;
    struct counts stores[STORES_MAX];
};

struct quotas *quotas_new(const struct quota_limits *limits)
{
    struct quotas *quotas = calloc(1, sizeof *quotas);

    if (quotas == NULL)
        return NULL;
    quotas->limits = *limits;
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

static char *make_key(unsigned store, const char *user, const char *database)
{
    char *key;

    return asprintf(&key, "%u\n%s\n%s", store, user, database) < 0 ? NULL : key;
}

struct quota *quota_get(struct quotas *quotas, unsigned store, const char *user, const char *database)
{
    char *key = make_key(store, user, database);
    struct quota *quota = NULL;

    if (key == NULL)
        return NULL;
    pthread_mutex_lock(&quotas->lock);
    HASH_FIND_STR(quotas->all, key, quota);
    if (quota == NULL && (quota = calloc(1, sizeof *quota)) != NULL) {
        quota->home = quotas;
        quota->key = key;
        quota->store = &quotas->stores[store];
        HASH_ADD_KEYPTR(hh, quotas->all, quota->key, strlen(quota->key), quota);
        key = NULL;
    }
    if (quota != NULL)
        quota->refs++;
    pthread_mutex_unlock(&quotas->lock);
    free(key);
    return quota;
}

void quota_put(struct quota *quota)
{
    struct quotas *quotas = quota->home;
    bool last;

    pthread_mutex_lock(&quotas->lock);
    last = --quota->refs == 0;
    if (last)
        HASH_DEL(quotas->all, quota);
    pthread_mutex_unlock(&quotas->lock);
    if (!last)
        return;
    free(quota->key);
    free(quota);
}

bool quota_take(struct quota *quota, bool reserve)
{
    struct quotas *quotas = quota->home;
    unsigned most = quotas->limits.pool_size + (reserve ? quotas->limits.reserve_size : 0);
    bool taken;

    pthread_mutex_lock(&quotas->lock);
    taken = atomic_load(&quota->own.open) < most && !quota_store_is_full(quota);
    if (taken) {
        atomic_fetch_add(&quota->own.open, 1);
        atomic_fetch_add(&quota->store->open, 1);
    }
    pthread_mutex_unlock(&quotas->lock);
    return taken;
}

void quota_give(struct quota *quota)
{
    atomic_fetch_sub(&quota->own.open, 1);
    atomic_fetch_sub(&quota->store->open, 1);
}

unsigned quota_count(const struct quota *quota)
{
    return atomic_load(&quota->own.open);
}

bool quota_store_is_full(const struct quota *quota)
{
    unsigned most = quota->home->limits.store_max;

    return most > 0 && atomic_load(&quota->store->open) >= most;
}

void quota_starve(struct quota *quota, bool starved)
{
    atomic_fetch_add(&quota->own.starved, starved ? 1u : -1u);
    atomic_fetch_add(&quota->store->starved, starved ? 1u : -1u);
}

bool quota_is_starved(const struct quota *quota)
{
    return atomic_load_explicit(&quota->own.starved, memory_order_relaxed) > 0 ||
           (quota_store_is_full(quota) &&
            atomic_load_explicit(&quota->store->starved, memory_order_relaxed) > 0);
}
