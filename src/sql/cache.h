/* cache.h - shape -> plan: bounded in entries and bytes, least recently used goes first (private to sql).
 * One thread. The key is compared whole, never by its hash alone. */
#ifndef PGSHUNT_SQL_CACHE_H
#define PGSHUNT_SQL_CACHE_H

#include "sql/plan.h"

struct cache;

struct cache *cache_new(void); /* NULL: no memory */
void cache_free(struct cache *cache);

/* The plan of that key, lent until the next cache_add(); NULL: none. It is the most recently used from now
 * on. */
struct plan *cache_find(struct cache *cache, struct slice key);
/* Keeps a plan (taking a reference of its own) and the schema it was made with, whose address is part of the
 * key. What has no room is not kept: the cache is an optimisation. */
void cache_add(struct cache *cache, struct slice key, struct plan *plan, struct schema *schema);
struct cache_use {
    uint64_t hits;  /* cache_find()s */
    int64_t used_s; /* wall clock: the last of them, else when it was added */
};
typedef void cache_each_fn(void *who, struct slice key, const struct cache_use *use, const struct plan *plan);
void cache_each(const struct cache *cache, cache_each_fn *tell, void *who); /* most recently used first */
size_t cache_count(const struct cache *cache);

#endif
