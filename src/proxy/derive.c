/* derive.c - see derive.h. Thread: its loop's. */
#include "proxy/derive.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { NAME_BYTES = 32 };

struct derived {
    unsigned char name[NAME_BYTES]; /* HMAC(secret, salt, iterations, password) */
    struct scram_keys keys;
    UT_hash_handle hh;
};

struct derive {
    unsigned char secret[NAME_BYTES];
    struct derived *entries; /* uthash keeps the order of insertion: the front is the one used longest ago */
    size_t entries_max, computed;
};

struct derive *derive_new(size_t entries_max)
{
    struct derive *derive = calloc(1, sizeof *derive);

    if (derive == NULL || RAND_bytes(derive->secret, sizeof derive->secret) != 1) {
        free(derive);
        return NULL;
    }
    derive->entries_max = entries_max;
    return derive;
}

static void forget(struct derive *derive, struct derived *entry)
{
    HASH_DEL(derive->entries, entry);
    OPENSSL_cleanse(entry, sizeof *entry);
    free(entry);
}

void derive_free(struct derive *derive)
{
    if (derive == NULL)
        return;
    while (derive->entries != NULL)
        forget(derive, derive->entries);
    OPENSSL_cleanse(derive, sizeof *derive);
    free(derive);
}

/* Every part has its length in front, so that no two triples run together. */
static bool name_of(const struct derive *derive, const char *password, const unsigned char *salt,
                    size_t salt_bytes, int iterations, unsigned char name[NAME_BYTES])
{
    struct buf text;
    unsigned bytes = 0;
    bool ok;

    buf_init(&text);
    buf_append_format(&text, "%d:%zu:", iterations, salt_bytes);
    buf_append(&text, salt, salt_bytes);
    buf_append_text(&text, password);
    ok = !buf_failed(&text) &&
         HMAC(EVP_sha256(), derive->secret, NAME_BYTES, (const unsigned char *)buf_at(&text),
              buf_bytes(&text), name, &bytes) != NULL &&
         bytes == NAME_BYTES;
    if (text.data != NULL)
        OPENSSL_cleanse(text.data, text.capacity);
    buf_done(&text);
    return ok;
}

static bool recall(struct derive *derive, const unsigned char name[NAME_BYTES], struct scram_keys *keys)
{
    struct derived *entry = NULL;

    if (derive->entries != NULL)
        HASH_FIND(hh, derive->entries, name, NAME_BYTES, entry);
    if (entry == NULL)
        return false;
    *keys = entry->keys;
    HASH_DEL(derive->entries, entry); /* to the back: used just now */
    HASH_ADD(hh, derive->entries, name, NAME_BYTES, entry);
    if (entry->hh.tbl == NULL) /* no memory to add it again */
        free(entry);
    return true;
}

/* Without memory it is simply derived again next time. */
static void remember(struct derive *derive, const unsigned char name[NAME_BYTES],
                     const struct scram_keys *keys)
{
    struct derived *entry = calloc(1, sizeof *entry);

    if (entry == NULL)
        return;
    if (derive->entries != NULL && HASH_COUNT(derive->entries) >= derive->entries_max)
        forget(derive, derive->entries);
    memcpy(entry->name, name, NAME_BYTES);
    entry->keys = *keys;
    HASH_ADD(hh, derive->entries, name, NAME_BYTES, entry);
    if (entry->hh.tbl == NULL) {
        OPENSSL_cleanse(entry, sizeof *entry);
        free(entry);
    }
}

bool derive_keys(void *who, const char *password, const unsigned char *salt, size_t salt_bytes,
                 int iterations, struct scram_keys *keys)
{
    struct derive *derive = who;
    unsigned char name[NAME_BYTES];
    const bool named = name_of(derive, password, salt, salt_bytes, iterations, name);

    if (named && recall(derive, name, keys))
        return true;
    if (!scram_keys_derive(NULL, password, salt, salt_bytes, iterations, keys))
        return false;
    derive->computed++;
    if (named)
        remember(derive, name, keys);
    return true;
}

size_t derive_computed(const struct derive *derive)
{
    return derive->computed;
}
