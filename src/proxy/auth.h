/* auth.h - the password exchange with a client: SCRAM, md5, or the password as it is, against one secret
 * (plain, "md5…", "SCRAM-SHA-256$…"). Leaves credentials for logging in to stores. Who the user's secret is
 * from, and by which method: admit. Its loop's thread; no I/O of its own. */
#ifndef PGSHUNT_PROXY_AUTH_H
#define PGSHUNT_PROXY_AUTH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "proxy/auth_type.h"
#include "proxy/derive.h"
#include "wire/msg.h"
#include "wire/scram.h"

/* What a session logs in to stores with: the plain password, else the keys or the md5 hash, as the store
 * asks. */
struct credentials {
    char *password; /* plain; NULL: none. Owned, cleansed */
    char *md5;      /* "md5…" as stored; NULL: none. Owned, cleansed */
    struct scram_keys keys;
};
void credentials_done(struct credentials *credentials);
/* What a secret gives before any exchange: a plain password or an md5 hash; a verifier gives nothing. NULL is
 * fine. false: no memory. */
bool credentials_take(struct credentials *credentials, const char *secret);

struct auth;
enum auth_result { AUTH_MORE, AUTH_OK, AUTH_FAILED };

/* Who wants in, and what is known. Borrowed during the call. */
struct auth_ask {
    enum auth_type type; /* AUTH_SCRAM, AUTH_MD5 or AUTH_PASSWORD */
    const char *user;
    const char *secret; /* NULL: there is no such user; the exchange runs all the same, and fails */
    const unsigned char *mock_key; /* 32 bytes of the process: salts that do not tell who exists */
    const struct scram_binding
        *binding;          /* what SCRAM-SHA-256-PLUS binds to; with bytes 0 it is not offered */
    struct derive *derive; /* NULL: keys are derived anew. Borrowed until auth_free() */
    bool unknown_by_scram; /* AUTH_MD5: unknown users are asked for SCRAM, as most of the others are */
};

/* Begins: appends the request to `out`. FAILED: no memory, or no md5. */
enum auth_result auth_begin(const struct auth_ask *ask, struct auth **auth, struct buf *out,
                            struct credentials *credentials, struct error *err);
/* A PasswordMessage / SASLInitialResponse / SASLResponse. FAILED: 28P01 for an unknown user as for a wrong
 * password, 08P01 or 0A000 for a malformed or unsupported exchange. */
enum auth_result auth_continue(struct auth *auth, const struct msg *msg, struct buf *out,
                               struct credentials *credentials, struct error *err);
/* "SASL" or "password": what kind of response is expected, as PostgreSQL words it. */
const char *auth_expects(const struct auth *auth);
void auth_free(struct auth *auth); /* NULL is fine */

bool auth_secret_is_md5(const char *secret);
bool auth_secret_is_scram(const char *secret);

#endif
