/* scram_core.c - see scram_core.h. The cryptography is OpenSSL's.   Thread: any. */
#include "wire/scram_core.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <string.h>

bool scram_hmac(const unsigned char *key, size_t key_bytes, struct slice text,
                unsigned char mac[SCRAM_KEY_BYTES])
{
    unsigned bytes = 0;

    return HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text.at, text.bytes, mac, &bytes) !=
               NULL &&
           bytes == SCRAM_KEY_BYTES;
}

bool scram_stored_key(const unsigned char client_key[SCRAM_KEY_BYTES],
                      unsigned char stored_key[SCRAM_KEY_BYTES])
{
    unsigned bytes = 0;

    return EVP_Digest(client_key, SCRAM_KEY_BYTES, stored_key, &bytes, EVP_sha256(), NULL) == 1 &&
           bytes == SCRAM_KEY_BYTES;
}

bool scram_derive(const char *password, const unsigned char *salt, size_t salt_bytes, int iterations,
                  unsigned char client_key[SCRAM_KEY_BYTES], unsigned char server_key[SCRAM_KEY_BYTES])
{
    unsigned char salted[SCRAM_KEY_BYTES];
    bool good = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_bytes, iterations,
                                  EVP_sha256(), sizeof salted, salted) == 1 &&
                scram_hmac(salted, sizeof salted, slice_of("Client Key"), client_key) &&
                scram_hmac(salted, sizeof salted, slice_of("Server Key"), server_key);

    OPENSSL_cleanse(salted, sizeof salted);
    return good;
}

bool scram_proof(const unsigned char client_key[SCRAM_KEY_BYTES], struct slice auth_message,
                 unsigned char proof[SCRAM_KEY_BYTES])
{
    unsigned char stored_key[SCRAM_KEY_BYTES];

    if (!scram_stored_key(client_key, stored_key) ||
        !scram_hmac(stored_key, sizeof stored_key, auth_message, proof))
        return false;
    for (int i = 0; i < SCRAM_KEY_BYTES; i++)
        proof[i] ^= client_key[i];
    return true;
}

void scram_append_base64(struct buf *out, const unsigned char *bytes, size_t count)
{
    char *at = buf_reserve(out, (count + 2) / 3 * 4 + 1);

    if (at != NULL)
        buf_grew(out, (size_t)EVP_EncodeBlock((unsigned char *)at, bytes, (int)count));
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Our own, because EVP_DecodeBlock() takes white space, misplaced padding and counts the padding in. */
bool scram_base64_decode(struct slice text, unsigned char *bytes, size_t max, size_t *count)
{
    size_t padding = 0, digits = text.bytes;

    *count = 0;
    while (padding < 2 && digits > 0 && text.at[digits - 1] == '=') {
        digits--;
        padding++;
    }
    if (text.bytes % 4 != 0 || digits / 4 * 3 + (digits % 4 * 3) / 4 > max)
        return false;
    for (size_t i = 0; i < digits; i += 4) {
        unsigned group = 0;

        for (size_t j = i; j < i + 4; j++) {
            int value = j < digits ? base64_value(text.at[j]) : 0;

            if (value < 0)
                return false;
            group = group << 6 | (unsigned)value;
        }
        for (size_t j = 0; j < 3 && i + j + 1 < digits; j++)
            bytes[(*count)++] = (unsigned char)(group >> (16 - 8 * j));
    }
    return true;
}

bool scram_malformed(struct error *err, const char *detail)
{
    error_set(err, "08P01", "malformed SCRAM message");
    return error_detail(err, "%s", detail);
}

bool scram_random_text(char text[SCRAM_NONCE_TEXT_BYTES])
{
    unsigned char bytes[SCRAM_NONCE_BYTES];

    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)text, bytes, sizeof bytes);
    return true;
}

bool scram_attribute(struct slice *rest, char *name, struct slice *value)
{
    const char *comma;
    size_t bytes;

    if (rest->bytes < 2 || rest->at[1] != '=')
        return false;
    *name = rest->at[0];
    if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')))
        return false;
    comma = memchr(rest->at, ',', rest->bytes);
    bytes = comma == NULL ? rest->bytes : (size_t)(comma - rest->at);
    *value = (struct slice){ rest->at + 2, bytes - 2 };
    if (comma != NULL && bytes + 1 == rest->bytes)
        return false; /* a comma with nothing behind it */
    rest->at += comma == NULL ? bytes : bytes + 1;
    rest->bytes -= comma == NULL ? bytes : bytes + 1;
    return true;
}

bool scram_is_nonce(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.at[i] < 0x21 || text.at[i] > 0x7E || text.at[i] == ',')
            return false;
    }
    return text.bytes > 0;
}
