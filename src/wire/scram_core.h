/* scram_core.h - what both sides of SCRAM-SHA-256 compute (RFC 5802 §3, RFC 7677), and the attributes of its
 * messages. Pure but for scram_random_text(). Functions that return false: OpenSSL refused (no memory, no
 * SHA-256), unless said otherwise. Any thread. */
#ifndef PGSHUNT_WIRE_SCRAM_CORE_H
#define PGSHUNT_WIRE_SCRAM_CORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"
#include "wire/scram.h"

enum {
    SCRAM_ITERATIONS_DEFAULT = 4096, /* of PostgreSQL */
    SCRAM_ITERATIONS_MAX = 10000000, /* what a server may ask of us as its client: seconds of computing */
    SCRAM_SALT_BYTES_DEFAULT = 16,   /* of PostgreSQL */
    SCRAM_NONCE_TEXT_BYTES = SCRAM_NONCE_BYTES / 3 * 4 + 1, /* in base64, with its terminator */
};

/* Hi(), then ClientKey and ServerKey. */
bool scram_derive(const char *password, const unsigned char *salt, size_t salt_bytes, int iterations,
                  unsigned char client_key[SCRAM_KEY_BYTES], unsigned char server_key[SCRAM_KEY_BYTES]);
bool scram_stored_key(const unsigned char client_key[SCRAM_KEY_BYTES],
                      unsigned char stored_key[SCRAM_KEY_BYTES]);
bool scram_hmac(const unsigned char *key, size_t key_bytes, struct slice text,
                unsigned char mac[SCRAM_KEY_BYTES]);
/* proof = client_key XOR HMAC(H(client_key), auth_message) */
bool scram_proof(const unsigned char client_key[SCRAM_KEY_BYTES], struct slice auth_message,
                 unsigned char proof[SCRAM_KEY_BYTES]);

void scram_append_base64(struct buf *out, const unsigned char *bytes, size_t count);
/* Strict: no white space, padding only at the end. `bytes` has room for `max`. false: not base64, or longer.
 */
bool scram_base64_decode(struct slice text, unsigned char *bytes, size_t max, size_t *count);
/* 08P01 with `detail`; returns false. */
bool scram_malformed(struct error *err, const char *detail);

/* A fresh nonce in base64. */
bool scram_random_text(char text[SCRAM_NONCE_TEXT_BYTES]);

/* Takes the next attribute "name=value" off the front of `rest`, with the comma behind it. false: the message
 * is malformed. */
bool scram_attribute(struct slice *rest, char *name, struct slice *value);
/* A nonce: printable ASCII without commas, not empty. */
bool scram_is_nonce(struct slice text);

/* scram_server_new() with a nonce that is given: the examples of the RFC have one. */
struct scram_server *scram_server_new_with_nonce(const struct scram_verifier *verifier, const char *nonce);

#endif
