/* share.c - see share.h. A cryptographic hash: clients choose the texts, and none may choose another one's
 * statement. */
#include "proxy/share.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { NAME_HASH_BYTES = 20 };

static bool add_all(EVP_MD_CTX *hash, struct slice text, const uint32_t *types, size_t type_count,
                    uint64_t context, unsigned char out[EVP_MAX_MD_SIZE])
{
    return EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
           EVP_DigestUpdate(hash, &context, sizeof context) == 1 &&
           EVP_DigestUpdate(hash, &type_count, sizeof type_count) == 1 &&
           EVP_DigestUpdate(hash, types, type_count * sizeof *types) == 1 &&
           EVP_DigestUpdate(hash, text.at, text.bytes) == 1 && EVP_DigestFinal_ex(hash, out, NULL) == 1;
}

bool share_name(struct slice text, const uint32_t *types, size_t type_count, uint64_t context,
                char name[SHARE_NAME_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool done = hash != NULL && add_all(hash, text, types, type_count, context, digest);
    size_t at = (size_t)snprintf(name, SHARE_NAME_BYTES, "pgshunt_");

    EVP_MD_CTX_free(hash);
    for (size_t i = 0; done && i < NAME_HASH_BYTES; i++)
        at += (size_t)snprintf(name + at, SHARE_NAME_BYTES - at, "%02x", digest[i]);
    return done;
}
