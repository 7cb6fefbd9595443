/* auth.c - see auth.h. */
#include "proxy/auth.h"

#include <stdlib.h>
#include <string.h>

#include "wire/read.h"
#include "wire/write.h"

/* The better one first, as PostgreSQL offers them. */
static const char *const mechanisms[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256" };

struct auth {
    struct scram_server *scram;
    struct scram_binding binding;
    bool began;        /* SASLInitialResponse has come */
    bool unknown_user; /* goes through all the steps and fails */
    char user[128];
};

static void free_secret(char *text)
{
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
}

void credentials_done(struct credentials *credentials)
{
    free_secret(credentials->password);
    free_secret(credentials->md5);
    explicit_bzero(credentials, sizeof *credentials);
}

static bool is_md5(const char *secret)
{
    return strncmp(secret, "md5", 3) == 0 && strlen(secret) == 35 &&
           strspn(secret + 3, "0123456789abcdef") == 32;
}

/* What stands in auth_file becomes what we log in with: a plain password, an md5 hash; a verifier gives
 * nothing yet. */
static bool take_secret(const char *secret, struct credentials *credentials)
{
    struct scram_verifier verifier;
    char **where = &credentials->password;

    if (secret == NULL || scram_verifier_parse(secret, &verifier))
        return true;
    if (is_md5(secret))
        where = &credentials->md5;
    *where = strdup(secret);
    return *where != NULL;
}

static bool make_verifier(const char *secret, const unsigned char *mock_key, const char *user,
                          struct scram_verifier *verifier, bool *unknown)
{
    *unknown = secret == NULL || is_md5(secret); /* an md5 hash cannot prove a SCRAM exchange */
    if (*unknown) {
        scram_verifier_mock(user, mock_key, verifier);
        return true;
    }
    return scram_verifier_parse(secret, verifier) || scram_verifier_make(secret, verifier);
}

enum auth_result auth_begin(enum auth_type type, const struct auth_file *file, const unsigned char *mock_key,
                            const char *user, const struct scram_binding *binding, struct auth **auth,
                            struct buf *out, struct credentials *credentials, struct error *err)
{
    const size_t skipped = binding->bytes == 0; /* nothing to bind to: PLUS is not offered */
    const char *secret = auth_file_secret(file, user);
    struct scram_verifier verifier;

    *auth = NULL;
    if (!take_secret(secret, credentials)) {
        error_no_memory(err);
        return AUTH_FAILED;
    }
    if (type == AUTH_TRUST)
        return AUTH_OK;
    *auth = calloc(1, sizeof **auth);
    if (*auth == NULL || !make_verifier(secret, mock_key, user, &verifier, &(*auth)->unknown_user)) {
        error_no_memory(err);
        return AUTH_FAILED;
    }
    strncpy((*auth)->user, user, sizeof(*auth)->user - 1);
    (*auth)->binding = *binding;
    (*auth)->scram = scram_server_new(&verifier);
    explicit_bzero(&verifier, sizeof verifier);
    if ((*auth)->scram == NULL) {
        error_no_memory(err);
        return AUTH_FAILED;
    }
    write_auth_sasl(out, mechanisms + skipped, 2 - skipped);
    return AUTH_MORE;
}

static enum auth_result failed(struct auth *auth, struct error *err)
{
    if (error_is(err, "28P01")) /* an unknown user and a wrong password read the same */
        error_set(err, "28P01", "password authentication failed for user \"%s\"", auth->user);
    return AUTH_FAILED;
}

static enum auth_result first_message(struct auth *auth, const struct msg *msg, struct buf *out,
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

enum auth_result auth_continue(struct auth *auth, const struct msg *msg, struct buf *out,
                               struct credentials *credentials, struct error *err)
{
    struct buf answer;
    bool ok;

    if (!auth->began)
        return first_message(auth, msg, out, err);
    buf_init(&answer);
    ok = scram_server_final(auth->scram, (struct slice){ msg->body, msg->body_bytes }, &answer,
                            &credentials->keys, err);
    if (ok && auth->unknown_user) /* no password fits a mock; but it is not ours to prove */
        ok = error_set(err, "28P01", "no such user");
    if (ok)
        write_auth_sasl_final(out, buf_slice(&answer));
    buf_done(&answer);
    return ok ? AUTH_OK : failed(auth, err);
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    scram_server_free(auth->scram);
    free(auth);
}
