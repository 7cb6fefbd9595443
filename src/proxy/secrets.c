/* secrets.c - see secrets.h. */
#include "proxy/secrets.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
    char *user, *secret;
    uint64_t until_ms;
    UT_hash_handle hh;
};

struct secrets {
    struct entry *entries; /* in the order in which they came */
    size_t entries_max;
};

struct secrets *secrets_new(size_t entries_max)
{
    struct secrets *secrets = calloc(1, sizeof *secrets);

    if (secrets != NULL)
        secrets->entries_max = entries_max;
    return secrets;
}

static void entry_free(struct entry *entry)
{
    if (entry->secret != NULL)
        OPENSSL_cleanse(entry->secret, strlen(entry->secret));
    free(entry->secret);
    free(entry->user);
    free(entry);
}

static void forget(struct secrets *secrets, struct entry *entry)
{
    HASH_DEL(secrets->entries, entry);
    entry_free(entry);
}

void secrets_forget_all(struct secrets *secrets)
{
    while (secrets->entries != NULL)
        forget(secrets, secrets->entries);
}

void secrets_free(struct secrets *secrets)
{
    if (secrets != NULL)
        secrets_forget_all(secrets);
    free(secrets);
}

static struct entry *find(const struct secrets *secrets, const char *user)
{
    struct entry *entry = NULL;

    if (secrets->entries != NULL)
        HASH_FIND_STR(secrets->entries, user, entry);
    return entry;
}

void secrets_forget(struct secrets *secrets, const char *user)
{
    struct entry *entry = find(secrets, user);

    if (entry != NULL)
        forget(secrets, entry);
}

void secrets_keep(struct secrets *secrets, const char *user, const char *secret, uint64_t until_ms)
{
    struct entry *entry;

    secrets_forget(secrets, user);
    if (secrets->entries != NULL && HASH_COUNT(secrets->entries) >= secrets->entries_max)
        forget(secrets, secrets->entries);
    entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return;
    entry->user = strdup(user);
    entry->secret = secret == NULL ? NULL : strdup(secret);
    entry->until_ms = until_ms;
    if (entry->user == NULL || (secret != NULL && entry->secret == NULL)) {
        entry_free(entry);
        return;
    }
    HASH_ADD_KEYPTR(hh, secrets->entries, entry->user, strlen(entry->user), entry);
    if (entry->hh.tbl == NULL)
        entry_free(entry);
}

bool secrets_recall(struct secrets *secrets, const char *user, uint64_t now_ms, const char **secret)
{
    struct entry *entry = find(secrets, user);

    if (entry != NULL && now_ms >= entry->until_ms) {
        forget(secrets, entry);
        entry = NULL;
    }
    *secret = entry == NULL ? NULL : entry->secret;
    return entry != NULL;
}
