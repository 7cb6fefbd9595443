/* auth.h - a client's authentication: trust, or SCRAM-SHA-256 against auth_file.
 * Leaves credentials for logging in to stores. Its loop's thread; no I/O of its own. */
#ifndef PGSHUNT_PROXY_AUTH_H
#define PGSHUNT_PROXY_AUTH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "proxy/auth_file.h"
#include "wire/msg.h"
#include "wire/scram.h"

/* What a session logs in to stores with, in this order: password, keys, nothing. */
struct credentials {
    char *password; /* plain; NULL: none. Owned, cleansed */
    char *md5;      /* "md5…" as stored; NULL: none. Owned */
    struct scram_keys keys;
};
void credentials_done(struct credentials *credentials);

enum auth_type { AUTH_SCRAM, AUTH_TRUST };

struct auth;
enum auth_result { AUTH_MORE, AUTH_OK, AUTH_FAILED };

/* Begins: appends the request to `out`, or says AUTH_OK at once (trust). FAILED: no memory. `file` is
 * borrowed. `binding`: what SCRAM-SHA-256-PLUS binds to; with bytes 0 it is not offered. */
enum auth_result auth_begin(enum auth_type type, const struct auth_file *file, const unsigned char *mock_key,
                            const char *user, const struct scram_binding *binding, struct auth **auth,
                            struct buf *out, struct credentials *credentials, struct error *err);
/* A PasswordMessage / SASLInitialResponse / SASLResponse body. FAILED: 28P01 for an unknown user as for a
 * wrong password, 08P01 or 0A000 for a malformed or unsupported exchange. */
enum auth_result auth_continue(struct auth *auth, const struct msg *msg, struct buf *out,
                               struct credentials *credentials, struct error *err);
void auth_free(struct auth *auth); /* NULL is fine */

#endif
