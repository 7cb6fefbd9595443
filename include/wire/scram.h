/* scram.h - SCRAM-SHA-256 (RFC 5802, RFC 7677), both sides, step by step, with channel binding
 * (SCRAM-SHA-256-PLUS, tls-server-end-point) where there is something to bind to. Pure but for randomness (OpenSSL). Secrets are cleansed on done. */
#ifndef PGSHUNT_WIRE_SCRAM_H
#define PGSHUNT_WIRE_SCRAM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum { SCRAM_KEY_BYTES = 32, SCRAM_NONCE_BYTES = 18, SCRAM_SALT_BYTES_MAX = 256, SCRAM_BINDING_BYTES_MAX = 64 };

/* What a server must know of a user. */
struct scram_verifier {
    int iterations;
    unsigned char salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_bytes;
    unsigned char stored_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
};
/* A client's proof of identity that fits every server with the same verifier; what a proxy may learn at login. */
struct scram_keys {
    bool known;
    unsigned char client_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
    int iterations;    /* of the verifier that they fit, and its salt: another one needs other keys */
    unsigned char salt[SCRAM_SALT_BYTES_MAX];
    size_t salt_bytes;
};
/* From a password to its keys: PBKDF2, some milliseconds. false: OpenSSL refused. `who` is the deriver's own. */
typedef bool scram_deriver(void *who, const char *password, const unsigned char *salt, size_t salt_bytes,
                           int iterations, struct scram_keys *keys);
scram_deriver scram_keys_derive; /* computes it anew; `who` is not looked at */

/* What ties an exchange to its TLS connection: the hash of the server's certificate. bytes 0: nothing does. */
struct scram_binding {
    size_t bytes;
    unsigned char hash[SCRAM_BINDING_BYTES_MAX];
};

/* "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey" as in pg_authid.rolpassword and auth_file. false: not one. */
bool scram_verifier_parse(const char *text, struct scram_verifier *verifier);
/* From a plain password, with a fresh salt. The password is used as its bytes where SASLprep is not applicable
 * (PostgreSQL falls back the same way). */
bool scram_verifier_make(const char *password, struct scram_verifier *verifier);
/* The rest of a verifier that has salt and iterations. */
bool scram_verifier_complete(struct scram_verifier *verifier, const struct scram_keys *keys);
/* A verifier that no password fits, the same for the same user name within the process: an unknown user is not told
 * apart from a wrong password. `mock_key` is 32 random bytes of the process. */
void scram_verifier_mock(const char *user, const unsigned char *mock_key, struct scram_verifier *verifier);

struct scram_server;
struct scram_server *scram_server_new(const struct scram_verifier *verifier);
void scram_server_free(struct scram_server *scram);
/* Before the first step: what was offered to be bound to (bytes 0: SCRAM-SHA-256-PLUS was not offered), and whether
 * the client has chosen SCRAM-SHA-256-PLUS. */
void scram_server_bind(struct scram_server *scram, const struct scram_binding *binding, bool chosen);
/* Before scram_server_final(): keys that were not known yet when it began. Salt and iterations must be the same. */
void scram_server_complete(struct scram_server *scram, const struct scram_verifier *verifier);
/* client-first → server-first. false: malformed (08P01), or a mechanism extension we refuse. */
bool scram_server_first(struct scram_server *scram, struct slice client_first, struct buf *server_first,
                        struct error *err);
/* client-final → server-final and the client's keys. false with 28P01: wrong proof; 08P01: malformed. */
bool scram_server_final(struct scram_server *scram, struct slice client_final, struct buf *server_final,
                        struct scram_keys *keys, struct error *err);

struct scram_client;
/* Exactly one of password and keys (keys->known) is used; password first. */
struct scram_client *scram_client_new(const char *password, const struct scram_keys *keys);
void scram_client_free(struct scram_client *scram);
/* Before the first step: what could be bound to, and whether the server offers SCRAM-SHA-256-PLUS, which is then the
 * mechanism to name. */
void scram_client_bind(struct scram_client *scram, const struct scram_binding *binding, bool offered);
/* Before the first step: who derives the password's keys (scram_keys_derive by default). */
void scram_client_derive_by(struct scram_client *scram, scram_deriver *deriver, void *who);
void scram_client_first(struct scram_client *scram, struct buf *client_first);
/* 28P01: the keys belong to another verifier than the server's. */
bool scram_client_final(struct scram_client *scram, struct slice server_first, struct buf *client_final,
                        struct error *err);
/* Checks the server's signature: a server that does not know the verifier is an impostor (28000). */
bool scram_client_check(struct scram_client *scram, struct slice server_final, struct error *err);

#endif
