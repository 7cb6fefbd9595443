/* cache.c - uthash for look-up, a list for age.
 * Thread: the planner's.   Start at: cache_find(). */
#include "sql/cache.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"

#include <stdint.h>

/* Eight bytes at a time: the hash is most of a look-up. Keys are compared whole, so it need not be more. */
static inline unsigned hash_key(const char *key, size_t bytes)
{
    uint64_t hash = bytes;
    uint64_t word;

    for (; bytes >= sizeof word; key += sizeof word, bytes -= sizeof word) {
        memcpy(&word, key, sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, key, bytes);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return (unsigned)(hash ^ hash >> 32);
}

#define HASH_FUNCTION(key, bytes, hash) ((hash) = hash_key((const char *)(key), (bytes)))
#define HASH_NONFATAL_OOM               1
#define uthash_nonfatal_oom(entry)      ((entry)->lost = true)
#include <uthash.h>
#include <utlist.h>

enum {
    CACHE_BYTES_MAX = 64 * 1024 * 1024
}; /* of keys: 4096 shapes of 256 KiB would be a gigabyte per loop */

struct cache_entry {
    UT_hash_handle hh;
    struct cache_entry *prev, *next; /* the head is the oldest */
    struct plan *plan;
    struct schema *schema;
    bool lost; /* uthash had no memory for it */
    struct cache_use use;
    size_t key_bytes;
    char key[];
};

struct cache {
    struct cache_entry *table;
    struct cache_entry *by_age;
    size_t bytes;
};

struct cache *cache_new(void)
{
    return calloc(1, sizeof(struct cache));
}

static void entry_free(struct cache_entry *entry)
{
    plan_give(entry->plan);
    schema_give(entry->schema);
    free(entry);
}

static void evict(struct cache *cache, struct cache_entry *entry)
{
    HASH_DEL(cache->table, entry);
    DL_DELETE(cache->by_age, entry);
    cache->bytes -= entry->key_bytes;
    entry_free(entry);
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->by_age != NULL)
        evict(cache, cache->by_age);
    free(cache);
}

struct plan *cache_find(struct cache *cache, struct slice key)
{
    struct cache_entry *entry;

    HASH_FIND(hh, cache->table, key.at, key.bytes, entry);
    if (entry == NULL)
        return NULL;
    entry->use.hits++;
    entry->use.used_s = (int64_t)time(NULL);
    if (entry->next != NULL) {
        DL_DELETE(cache->by_age, entry);
        DL_APPEND(cache->by_age, entry);
    }
    return entry->plan;
}

void cache_add(struct cache *cache, struct slice key, struct plan *plan, struct schema *schema)
{
    struct cache_entry *entry = calloc(1, sizeof *entry + key.bytes);

    if (entry == NULL)
        return;
    memcpy(entry->key, key.at, key.bytes);
    entry->key_bytes = key.bytes;
    entry->use.used_s = (int64_t)time(NULL);
    entry->plan = plan_take(plan);
    entry->schema = schema == NULL ? NULL : schema_take(schema);
    while (cache->by_age != NULL &&
           (HASH_COUNT(cache->table) >= PLAN_CACHE_ENTRIES_MAX || cache->bytes + key.bytes > CACHE_BYTES_MAX))
        evict(cache, cache->by_age);
    HASH_ADD_KEYPTR(hh, cache->table, entry->key, entry->key_bytes, entry);
    if (entry->lost) {
        entry_free(entry);
        return;
    }
    DL_APPEND(cache->by_age, entry);
    cache->bytes += key.bytes;
}

void cache_each(const struct cache *cache, cache_each_fn *tell, void *who)
{
    const struct cache_entry *entry = cache->by_age == NULL ? NULL : cache->by_age->prev;

    for (; entry != NULL; entry = entry == cache->by_age ? NULL : entry->prev)
        tell(who, (struct slice){ entry->key, entry->key_bytes }, &entry->use, entry->plan);
}

size_t cache_count(const struct cache *cache)
{
    return HASH_COUNT(cache->table);
}
