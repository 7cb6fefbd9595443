/* prove.c - see prove.h. Protocol: PostgreSQL documentation, 55.2.1 "Start-up".   Start at: prove_answer().
 */
#include "proxy/prove.h"

#include <openssl/crypto.h>

#include "wire/md5.h"
#include "wire/read.h"
#include "wire/write.h"

enum request {
    REQUEST_OK = 0,
    REQUEST_PASSWORD = 3,
    REQUEST_MD5 = 5,
    REQUEST_SASL = 10,
    REQUEST_SASL_CONTINUE = 11,
    REQUEST_SASL_FINAL = 12
};

/* The others that PostgreSQL has had. */
static const char *foreign_method(uint32_t request)
{
    switch (request) {
    case 1:
    case 2:
        return "Kerberos";
    case 4:
        return "crypt";
    case 6:
        return "SCM credential";
    case 7:
    case 8:
        return "GSSAPI";
    case 9:
        return "SSPI";
    default:
        return NULL;
    }
}

/* It asks for what we have not got. */
static bool cannot(const struct prove_who *who, const char *wanted, const char *missing, struct error *err)
{
    error_set(err, "28000",
              "store_unavailable: store \"%s\" asks for %s, and pgshunt has no %s of user \"%s\"", who->store,
              wanted, missing, who->user);
    return error_hint(
        err, "Put the user's plain password into auth_file, or give the user the same SCRAM verifier "
             "on every store and log in with scram-sha-256.");
}

static bool speaks_nonsense(const struct prove_who *who, const char *what, struct error *err)
{
    return error_set(err, "08P01", "store_unavailable: store \"%s\": %s", who->store, what);
}

/* ---- SCRAM ---- */

static bool offers(struct read *body, const char *mechanism)
{
    bool offered = false;

    for (;;) {
        struct slice name = read_text(body);

        if (body->bad || name.bytes == 0)
            return offered;
        offered = offered || slice_is(name, mechanism);
    }
}

/* The rules of libpq: bind where both sides can; PLUS without TLS can only come from somebody in between. */
static bool may_bind(struct prove *prove, const struct prove_who *who, bool offered, struct error *err)
{
    prove->bound = offered && who->binding != NULL && who->binding->bytes > 0;
    if (offered && !who->encrypted)
        return speaks_nonsense(who, "it offers SCRAM-SHA-256-PLUS over a connection without TLS", err);
    if (prove->bound || !who->must_bind)
        return true;
    error_set(err, "28000", "store_unavailable: store \"%s\" does not offer SCRAM-SHA-256-PLUS", who->store);
    return error_hint(err,
                      "channel_binding=require in its connection string asks for it; it needs TLS there.");
}

static bool begin_scram(struct prove *prove, const struct prove_who *who, struct read *body, struct buf *out,
                        struct error *err)
{
    const struct credentials *own = who->credentials;
    struct read again = *body;
    struct buf first;
    bool ok;

    if (!may_bind(prove, who, offers(&again, "SCRAM-SHA-256-PLUS"), err))
        return false;
    if (!prove->bound && !offers(body, "SCRAM-SHA-256")) {
        error_set(err, "28000", "store_unavailable: store \"%s\" asks for SASL without SCRAM-SHA-256",
                  who->store);
        return error_hint(err,
                          "pgshunt speaks scram-sha-256, md5 and password: change the line of the store's "
                          "pg_hba.conf that lets pgshunt in.");
    }
    if (own->password == NULL && !own->keys.known)
        return cannot(who, "SCRAM-SHA-256", "password or SCRAM keys", err);
    scram_client_free(prove->scram);
    prove->with_keys = own->password == NULL;
    prove->checked = false;
    prove->scram = scram_client_new(own->password, prove->with_keys ? &own->keys : NULL);
    if (prove->scram == NULL)
        return error_no_memory(err);
    if (who->derive != NULL)
        scram_client_derive_by(prove->scram, derive_keys, who->derive);
    if (who->binding != NULL)
        scram_client_bind(prove->scram, who->binding, prove->bound);
    buf_init(&first);
    scram_client_first(prove->scram, &first);
    ok = !buf_failed(&first) || error_no_memory(err);
    if (ok)
        write_sasl_initial(out, prove->bound ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", buf_slice(&first));
    buf_done(&first);
    return ok;
}

static bool other_verifier(const struct prove_who *who, struct error *err)
{
    error_set(err, "28P01", "store_unavailable: store \"%s\" has another SCRAM verifier for user \"%s\"",
              who->store, who->user);
    error_detail(
        err, "pgshunt knows only the verifier that the client has logged in with; what it learnt from that "
             "login opens stores with the very same verifier (rolpassword), no others.");
    return error_hint(
        err, "Copy rolpassword of pg_authid to every store (ALTER ROLE … PASSWORD 'SCRAM-SHA-256$…'), "
             "or put the user's plain password into auth_file.");
}

static bool continue_scram(struct prove *prove, const struct prove_who *who, struct slice data,
                           struct buf *out, struct error *err)
{
    struct buf last;
    bool ok;

    if (prove->scram == NULL)
        return speaks_nonsense(who, "SASL continues without having begun", err);
    buf_init(&last);
    ok = scram_client_final(prove->scram, data, &last, err);
    if (ok)
        write_sasl_response(out, buf_slice(&last));
    else if (error_is(err, "28P01"))
        other_verifier(who, err);
    buf_done(&last);
    return ok;
}

/* ---- the others ---- */

static bool answer_md5(const struct prove_who *who, struct read *body, struct buf *out, struct error *err)
{
    const struct credentials *own = who->credentials;
    const char *secret = own->password != NULL ? own->password : own->md5;
    struct slice salt = read_slice(body, 4);
    char answer[MD5_ANSWER_BYTES];

    if (body->bad)
        return speaks_nonsense(who, "malformed md5 request", err);
    if (secret == NULL)
        return cannot(who, "an md5 password", "password or md5 hash", err);
    if (!md5_answer(secret, who->user, (const unsigned char *)salt.at, answer))
        return error_set(err, "0A000",
                         "store_unavailable: store \"%s\" asks for an md5 password, and OpenSSL "
                         "refuses md5 here",
                         who->store);
    write_password(out, slice_of(answer));
    return true;
}

/* A password that is sent as it is belongs to whoever listens, or has taken the store's place. */
static bool answer_plain(const struct prove_who *who, struct buf *out, struct error *err)
{
    if (who->credentials->password == NULL)
        return cannot(who, "a plain password", "password", err);
    if (!who->may_send_plain) {
        error_set(err, "28000",
                  "store_unavailable: store \"%s\" asks for the password of user \"%s\" as plain text",
                  who->store, who->user);
        error_detail(err, "pgshunt sends it so only over TLS and over Unix-domain sockets.");
        return error_hint(err,
                          "Change \"password\" to scram-sha-256 in the store's pg_hba.conf, use TLS to the "
                          "store, or set server_plain_password = on in [auth].");
    }
    write_password(out, slice_of(who->credentials->password));
    return true;
}

/* RFC 5802: a server must prove itself, too. */
static bool may_be_over(const struct prove *prove, const struct prove_who *who, struct error *err)
{
    if (who->must_bind && !(prove->bound && prove->checked)) {
        error_set(err, "28000", "store_unavailable: store \"%s\" lets user \"%s\" in without channel binding",
                  who->store, who->user);
        return error_hint(
            err, "channel_binding=require in its connection string asks for scram-sha-256 with TLS.");
    }
    if (prove->scram == NULL || prove->checked)
        return true;
    return error_set(err, "28000",
                     "store_unavailable: store \"%s\" did not prove that it knows the verifier of "
                     "user \"%s\"",
                     who->store, who->user);
}

static bool foreign(const struct prove_who *who, uint32_t request, struct error *err)
{
    const char *method = foreign_method(request);

    if (method != NULL)
        error_set(err, "28000",
                  "store_unavailable: store \"%s\" asks for %s authentication, which pgshunt does not "
                  "speak",
                  who->store, method);
    else
        error_set(err, "28000",
                  "store_unavailable: store \"%s\" asks for authentication method %u, which pgshunt "
                  "does not speak",
                  who->store, (unsigned)request);
    return error_hint(err,
                      "Let pgshunt in by scram-sha-256, md5, cert or trust: change the line of the store's "
                      "pg_hba.conf that matches it.");
}

bool prove_answer(struct prove *prove, const struct prove_who *who, const struct msg *msg, struct buf *out,
                  struct error *err)
{
    struct read body = read_msg(msg);
    uint32_t request = read_u32(&body);
    struct slice rest = { body.at, read_left(&body) };

    if (body.bad)
        return speaks_nonsense(who, "malformed authentication request", err);
    prove->asked = prove->asked || request != REQUEST_OK;
    switch (request) {
    case REQUEST_OK:
        return may_be_over(prove, who, err);
    case REQUEST_PASSWORD:
        if (who->must_bind)
            return may_be_over(prove, who, err);
        return answer_plain(who, out, err);
    case REQUEST_MD5:
        if (who->must_bind)
            return may_be_over(prove, who, err);
        return answer_md5(who, &body, out, err);
    case REQUEST_SASL:
        return begin_scram(prove, who, &body, out, err);
    case REQUEST_SASL_CONTINUE:
        return continue_scram(prove, who, rest, out, err);
    case REQUEST_SASL_FINAL:
        prove->checked = prove->scram != NULL && scram_client_check(prove->scram, rest, err);
        return prove->checked ||
               (prove->scram != NULL ? false : speaks_nonsense(who, "SASL ends without having begun", err));
    default:
        return foreign(who, request, err);
    }
}

void prove_explain(const struct prove *prove, const struct prove_who *who, struct error *why)
{
    if (!prove->asked || !error_is(why, "28P01") || why->detail[0] != '\0')
        return;
    error_detail(
        why, "Store \"%s\" refused what pgshunt logs in with as user \"%s\": %s.", who->store, who->user,
        prove->with_keys ? "the SCRAM keys of the client's own login; its verifier there is another one"
                         : "the secret in auth_file (or from auth_query) is not that of the role there");
    error_hint(why, "Give the role the same password on every store, and auth_file the same as well.");
}

void prove_done(struct prove *prove)
{
    scram_client_free(prove->scram);
    *prove = (struct prove){ 0 };
}
