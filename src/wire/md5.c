/* md5.c - the answer to AuthenticationMD5Password, through OpenSSL's EVP.   Thread: any. */
#include "wire/md5.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { MD5_BYTES = 16, MD5_HEX_BYTES = 2 * MD5_BYTES };

/* The hex digits of md5(first + second). */
static bool md5_hex(const void *first, size_t first_bytes, const void *second, size_t second_bytes,
                    char hex[MD5_HEX_BYTES + 1])
{
    unsigned char digest[MD5_BYTES];
    unsigned digest_bytes = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1 &&
                EVP_DigestUpdate(ctx, first, first_bytes) == 1 &&
                EVP_DigestUpdate(ctx, second, second_bytes) == 1 &&
                EVP_DigestFinal_ex(ctx, digest, &digest_bytes) == 1 && digest_bytes == MD5_BYTES;

    EVP_MD_CTX_free(ctx);
    for (size_t i = 0; good && i < MD5_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    OPENSSL_cleanse(digest, sizeof digest);
    return good;
}

/* "md5" and 32 hex digits, as PostgreSQL's get_password_type() tells. */
static bool is_stored(const char *password)
{
    return strncmp(password, "md5", 3) == 0 && strlen(password) == 3 + MD5_HEX_BYTES &&
           strspn(password + 3, "0123456789abcdef") == MD5_HEX_BYTES;
}

bool md5_answer(const char *password, const char *user, const unsigned char salt[4],
                char answer[MD5_ANSWER_BYTES])
{
    char inner[MD5_HEX_BYTES + 1];
    bool good = true;

    if (is_stored(password))
        memcpy(inner, password + 3, sizeof inner);
    else
        good = md5_hex(password, strlen(password), user, strlen(user), inner);
    memcpy(answer, "md5", 4);
    good = good && md5_hex(inner, MD5_HEX_BYTES, salt, 4, answer + 3);
    OPENSSL_cleanse(inner, sizeof inner);
    return good;
}
