/* directory.c - see directory.h. */
#define HASH_NONFATAL_OOM           1
#define uthash_nonfatal_oom(failed) ((failed)->lost = true)
#include "route/directory.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { HASH_BYTES_PER_ENTRY = 32 }; /* what the hash itself takes, about */

struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* by last use, the oldest first */
    size_t key_bytes, tenant_bytes;
    bool lost;    /* the hash has found no memory for it */
    char bytes[]; /* key, then tenant with its NUL */
};

struct directory {
    struct entry *by_key, *by_use;
    size_t bytes, bytes_max, count;
};

struct directory *directory_new(size_t bytes_max)
{
    struct directory *directory = calloc(1, sizeof *directory);

    if (directory != NULL)
        directory->bytes_max = bytes_max;
    return directory;
}

void directory_free(struct directory *directory)
{
    if (directory != NULL)
        directory_clear(directory);
    free(directory);
}

static size_t size_of(const struct entry *entry)
{
    return sizeof *entry + entry->key_bytes + entry->tenant_bytes + HASH_BYTES_PER_ENTRY;
}

static struct entry *find(const struct directory *directory, struct slice key)
{
    struct entry *entry = NULL;

    if (directory->by_key != NULL)
        HASH_FIND(hh, directory->by_key, key.at, key.bytes, entry);
    return entry;
}

static void take_out(struct directory *directory, struct entry *entry)
{
    HASH_DEL(directory->by_key, entry);
    DL_DELETE(directory->by_use, entry);
    directory->bytes -= size_of(entry);
    directory->count--;
    free(entry);
}

bool directory_find(struct directory *directory, struct slice key, char tenant[TENANT_BYTES_MAX])
{
    struct entry *entry = find(directory, key);

    if (entry == NULL)
        return false;
    memcpy(tenant, entry->bytes + entry->key_bytes, entry->tenant_bytes);
    if (entry->next != NULL) {
        DL_DELETE(directory->by_use, entry);
        DL_APPEND(directory->by_use, entry);
    }
    return true;
}

static struct entry *entry_new(struct slice key, const char *tenant)
{
    size_t tenant_bytes = strlen(tenant) + 1;
    struct entry *entry = malloc(sizeof *entry + key.bytes + tenant_bytes);

    if (entry == NULL)
        return NULL;
    memset(entry, 0, sizeof *entry);
    entry->key_bytes = key.bytes;
    entry->tenant_bytes = tenant_bytes;
    memcpy(entry->bytes, key.at, key.bytes);
    memcpy(entry->bytes + key.bytes, tenant, tenant_bytes);
    return entry;
}

void directory_keep(struct directory *directory, struct slice key, const char *tenant)
{
    struct entry *entry = find(directory, key);

    if (entry != NULL && strcmp(entry->bytes + entry->key_bytes, tenant) == 0)
        return;
    if (entry != NULL)
        take_out(directory, entry);
    if (strlen(tenant) >= TENANT_BYTES_MAX || (entry = entry_new(key, tenant)) == NULL)
        return;
    if (size_of(entry) > directory->bytes_max) {
        free(entry);
        return;
    }
    while (directory->bytes + size_of(entry) > directory->bytes_max)
        take_out(directory, directory->by_use);
    HASH_ADD_KEYPTR(hh, directory->by_key, entry->bytes, entry->key_bytes, entry);
    if (entry->lost) {
        free(entry);
        return;
    }
    DL_APPEND(directory->by_use, entry);
    directory->bytes += size_of(entry);
    directory->count++;
}

void directory_forget(struct directory *directory, struct slice key)
{
    struct entry *entry = find(directory, key);

    if (entry != NULL)
        take_out(directory, entry);
}

void directory_clear(struct directory *directory)
{
    while (directory->by_use != NULL)
        take_out(directory, directory->by_use);
}

size_t directory_count(const struct directory *directory)
{
    return directory->count;
}

size_t directory_bytes(const struct directory *directory)
{
    return directory->bytes;
}
