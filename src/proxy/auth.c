/* auth.c - see auth.h. Start at: auth_begin(), then auth_continue(). */
#include "proxy/auth.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "wire/md5.h"
#include "wire/read.h"
#include "wire/write.h"

/* The better one first, as PostgreSQL offers them. */
static const char *const mechanisms[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256" };

struct auth {
    enum auth_type type; /* what was asked for: AUTH_SCRAM, AUTH_MD5, AUTH_PASSWORD */
    char *user;
    char
        *secret; /* NULL: there is none that this method can check; it goes through all the steps and fails */
    struct scram_verifier verifier; /* SCRAM */
    bool incomplete;                /* … its keys are still to be derived from `secret` */
    struct scram_server *scram;
    struct scram_binding binding;
    struct derive *derive;
    bool began;            /* SASLInitialResponse has come */
    unsigned char salt[4]; /* md5 */
};

/* ---- secrets ---- */

static void free_secret(char *text)
{
    if (text != NULL)
        OPENSSL_cleanse(text, strlen(text));
    free(text);
}

void credentials_done(struct credentials *credentials)
{
    free_secret(credentials->password);
    free_secret(credentials->md5);
    OPENSSL_cleanse(credentials, sizeof *credentials);
}

bool auth_secret_is_md5(const char *secret)
{
    return strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35 &&
           strspn(secret + 3, "0123456789abcdef") == 32;
}

bool auth_secret_is_scram(const char *secret)
{
    struct scram_verifier verifier;

    return scram_verifier_parse(secret, &verifier);
}

bool credentials_take(struct credentials *credentials, const char *secret)
{
    char **where;

    if (secret == NULL || auth_secret_is_scram(secret))
        return true;
    where = auth_secret_is_md5(secret) ? &credentials->md5 : &credentials->password;
    free_secret(*where);
    *where = strdup(secret);
    return *where != NULL;
}

/* ---- beginning ---- */

/* As PostgreSQL: md5 asks for SCRAM where the secret is a verifier. Unknown users are asked what the others
 * are. */
static enum auth_type method_for(const struct auth_ask *ask)
{
    if (ask->type != AUTH_MD5)
        return ask->type;
    if (ask->secret == NULL)
        return ask->unknown_by_scram ? AUTH_SCRAM : AUTH_MD5;
    return auth_secret_is_scram(ask->secret) ? AUTH_SCRAM : AUTH_MD5;
}

/* A plain password gets the salt that an unknown user of that name would get, and its keys only when they are
 * needed: neither what is answered nor how long it takes tells who exists. An md5 hash cannot prove a SCRAM
 * exchange: as if unknown. */
static bool begin_scram(struct auth *auth, const struct auth_ask *ask, struct buf *out)
{
    const size_t skipped = ask->binding->bytes == 0; /* nothing to bind to: PLUS is not offered */

    if (auth->secret != NULL && auth_secret_is_md5(auth->secret)) {
        free_secret(auth->secret);
        auth->secret = NULL;
    }
    if (auth->secret == NULL || !scram_verifier_parse(auth->secret, &auth->verifier)) {
        scram_verifier_mock(ask->user, ask->mock_key, &auth->verifier);
        auth->incomplete = auth->secret != NULL;
    }
    auth->binding = *ask->binding;
    auth->scram = scram_server_new(&auth->verifier);
    if (auth->scram == NULL)
        return false;
    write_auth_sasl(out, mechanisms + skipped, 2 - skipped);
    return true;
}

static bool begin_md5(struct auth *auth, struct buf *out)
{
    if (RAND_bytes(auth->salt, sizeof auth->salt) != 1)
        return false;
    write_auth_md5(out, auth->salt);
    return true;
}

static bool begin(struct auth *auth, const struct auth_ask *ask, struct buf *out)
{
    auth->type = method_for(ask);
    auth->derive = ask->derive;
    auth->user = strdup(ask->user);
    auth->secret = ask->secret == NULL ? NULL : strdup(ask->secret);
    if (auth->user == NULL || (ask->secret != NULL && auth->secret == NULL))
        return false;
    if (auth->type == AUTH_SCRAM)
        return begin_scram(auth, ask, out);
    if (auth->type == AUTH_MD5)
        return begin_md5(auth, out);
    write_auth_password(out);
    return true;
}

enum auth_result auth_begin(const struct auth_ask *ask, struct auth **auth, struct buf *out,
                            struct credentials *credentials, struct error *err)
{
    *auth = calloc(1, sizeof **auth);
    if (*auth != NULL && credentials_take(credentials, ask->secret) && begin(*auth, ask, out))
        return AUTH_MORE;
    error_no_memory(err);
    return AUTH_FAILED;
}

/* ---- the exchange ---- */

/* Why, is nobody's business: an unknown user and a wrong password read the same. */
static enum auth_result wrong(const struct auth *auth, struct error *err)
{
    error_set(err, "28P01", "password authentication failed for user \"%s\"", auth->user);
    return AUTH_FAILED;
}

static enum auth_result failed(const struct auth *auth, struct error *err)
{
    return error_is(err, "28P01") ? wrong(auth, err) : AUTH_FAILED;
}

static enum auth_result scram_first(struct auth *auth, const struct msg *msg, struct buf *out,
                                    struct error *err)
{
    struct read body = read_msg(msg);
    struct slice mechanism = read_text(&body);
    int32_t bytes = read_i32(&body);
    struct slice data = read_slice(&body, bytes < 0 ? 0 : (size_t)bytes);
    bool plus = auth->binding.bytes > 0 && slice_is(mechanism, "SCRAM-SHA-256-PLUS");
    struct buf answer;
    bool ok;

    if (!read_done(&body) || bytes < 0) {
        error_set(err, "08P01", "malformed SASLInitialResponse");
        return AUTH_FAILED;
    }
    if (!plus && !slice_is(mechanism, "SCRAM-SHA-256")) {
        error_set(err, "08P01", "client selected an invalid SASL authentication mechanism");
        return AUTH_FAILED;
    }
    auth->began = true;
    buf_init(&answer);
    scram_server_bind(auth->scram, &auth->binding, plus);
    ok = scram_server_first(auth->scram, data, &answer, err);
    if (ok)
        write_auth_sasl_continue(out, buf_slice(&answer));
    buf_done(&answer);
    return ok ? AUTH_MORE : failed(auth, err);
}

static bool derive(struct auth *auth, const struct scram_verifier *verifier, struct scram_keys *keys)
{
    scram_deriver *deriver = auth->derive == NULL ? scram_keys_derive : derive_keys;

    return deriver(auth->derive, auth->secret, verifier->salt, verifier->salt_bytes, verifier->iterations,
                   keys);
}

static bool complete(struct auth *auth, struct error *err)
{
    struct scram_keys keys = { 0 };
    bool ok;

    if (!auth->incomplete)
        return true;
    ok = derive(auth, &auth->verifier, &keys) && scram_verifier_complete(&auth->verifier, &keys);
    OPENSSL_cleanse(&keys, sizeof keys);
    if (!ok)
        return error_no_memory(err);
    scram_server_complete(auth->scram, &auth->verifier);
    return true;
}

static enum auth_result scram_final(struct auth *auth, const struct msg *msg, struct buf *out,
                                    struct credentials *credentials, struct error *err)
{
    struct buf answer;
    bool ok;

    buf_init(&answer);
    ok = complete(auth, err) && scram_server_final(auth->scram, (struct slice){ msg->body, msg->body_bytes },
                                                   &answer, &credentials->keys, err);
    if (ok && auth->secret == NULL) /* no password fits a mock; but it is not ours to prove */
        ok = error_set(err, "28P01", "no such user");
    if (ok)
        write_auth_sasl_final(out, buf_slice(&answer));
    buf_done(&answer);
    return ok ? AUTH_OK : failed(auth, err);
}

/* One string that fills the message. */
static bool read_password(const struct msg *msg, const char **password, struct error *err)
{
    struct read body = read_msg(msg);

    *password = read_text(&body).at;
    if (!read_done(&body))
        return error_set(err, "08P01", "invalid password packet size");
    if (**password == '\0')
        return error_set(err, "28P01", "empty password returned by client");
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return strlen(a) == strlen(b) && CRYPTO_memcmp(a, b, strlen(a)) == 0;
}

static enum auth_result md5_answered(struct auth *auth, const char *answer, struct error *err)
{
    char expected[MD5_ANSWER_BYTES];

    if (auth->secret == NULL)
        return wrong(auth, err);
    if (!md5_answer(auth->secret, auth->user, auth->salt, expected)) {
        error_set(err, "0A000", "md5 authentication is not available: OpenSSL refuses md5");
        return AUTH_FAILED;
    }
    return same_text(expected, answer) ? AUTH_OK : wrong(auth, err);
}

/* The password itself, against whatever is known of it. */
static bool password_fits(struct auth *auth, const char *password)
{
    char expected[MD5_ANSWER_BYTES], found[MD5_ANSWER_BYTES];
    unsigned char stored_key[SCRAM_KEY_BYTES];
    struct scram_keys keys = { 0 };
    bool fits;

    if (auth->secret == NULL)
        return false;
    if (scram_verifier_parse(auth->secret, &auth->verifier)) {
        memcpy(stored_key, auth->verifier.stored_key, sizeof stored_key);
        fits = scram_keys_derive(NULL, password, auth->verifier.salt, auth->verifier.salt_bytes,
                                 auth->verifier.iterations, &keys) &&
               scram_verifier_complete(&auth->verifier, &keys) &&
               CRYPTO_memcmp(stored_key, auth->verifier.stored_key, sizeof stored_key) == 0;
        OPENSSL_cleanse(&keys, sizeof keys);
        return fits;
    }
    if (auth_secret_is_md5(auth->secret)) /* under the same salt, equal answers are equal hashes */
        return !auth_secret_is_md5(password) && md5_answer(auth->secret, auth->user, auth->salt, expected) &&
               md5_answer(password, auth->user, auth->salt, found) && same_text(expected, found);
    return same_text(auth->secret, password);
}

static enum auth_result password_answered(struct auth *auth, const char *password,
                                          struct credentials *credentials, struct error *err)
{
    if (!password_fits(auth, password))
        return wrong(auth, err);
    free_secret(credentials->password); /* what opens the proxy opens every store that asks for a password */
    credentials->password = strdup(password);
    if (credentials->password != NULL)
        return AUTH_OK;
    error_no_memory(err);
    return AUTH_FAILED;
}

enum auth_result auth_continue(struct auth *auth, const struct msg *msg, struct buf *out,
                               struct credentials *credentials, struct error *err)
{
    const char *password;

    if (auth->type == AUTH_SCRAM)
        return auth->began ? scram_final(auth, msg, out, credentials, err) : scram_first(auth, msg, out, err);
    if (!read_password(msg, &password, err))
        return AUTH_FAILED;
    if (auth->type == AUTH_MD5)
        return md5_answered(auth, password, err);
    return password_answered(auth, password, credentials, err);
}

const char *auth_expects(const struct auth *auth)
{
    return auth->type == AUTH_SCRAM ? "SASL" : "password";
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    scram_server_free(auth->scram);
    free_secret(auth->secret);
    free(auth->user);
    OPENSSL_cleanse(auth, sizeof *auth);
    free(auth);
}
