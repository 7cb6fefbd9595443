/* tls.c - see tls.h. */
#include "proxy/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/tls_cert.h"

enum {
    TLS_RECORD_BYTES = 16384,
    TLS_SEALED_BYTES = 256 * 1024, /* made at a time */
    TLS_SEALED_BYTES_MAX =
        1024 * 1024, /* a peer that lets us answer and answer (KeyUpdate) and reads nothing */
};

struct tls {
    struct tls_set *set;
    const struct tls_end *end; /* in set */
    SSL *ssl;
    struct buf raw, sealed;
    bool server, up, shut, failed, peer_verified;
    struct error why;
    char *peer_name;
    struct scram_binding binding;
};

/* ---- the buffers as OpenSSL sees them ---- */

static int bufs_read(BIO *bio, char *into, size_t room, size_t *count)
{
    struct tls *tls = BIO_get_data(bio);
    size_t held = buf_bytes(&tls->raw);

    BIO_clear_retry_flags(bio);
    *count = held < room ? held : room;
    if (*count == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(into, buf_at(&tls->raw), *count);
    buf_consume(&tls->raw, *count);
    return 1;
}

static int bufs_write(BIO *bio, const char *from, size_t count, size_t *written)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buf_append(&tls->sealed, from, count);
    *written = buf_failed(&tls->sealed) ? 0 : count;
    return *written > 0;
}

static long bufs_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH; /* it stands in `sealed`: as good as sent */
}

BIO_METHOD *tls_make_bufs(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "pgshunt");

    if (method == NULL)
        return NULL;
    BIO_meth_set_read_ex(method, bufs_read);
    BIO_meth_set_write_ex(method, bufs_write);
    BIO_meth_set_ctrl(method, bufs_ctrl);
    return method;
}

/* ---- life ---- */

static struct tls *make(struct tls_set *set, const struct tls_end *end)
{
    struct tls *tls = calloc(1, sizeof *tls);
    BIO *bio;

    if (tls == NULL)
        return NULL;
    buf_init(&tls->raw);
    buf_init(&tls->sealed);
    tls->set = tls_set_take(set);
    tls->end = end;
    tls->ssl = SSL_new(end->context);
    bio = tls->ssl == NULL ? NULL : BIO_new(set->bufs);
    if (bio == NULL) {
        tls_free(tls);
        return NULL;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    return tls;
}

struct tls *tls_new_server(struct tls_set *set, const struct tls_end *end)
{
    struct tls *tls = make(set, end);

    if (tls == NULL)
        return NULL;
    tls->server = true;
    tls->binding = end->binding;
    SSL_set_accept_state(tls->ssl);
    return tls;
}

static bool is_address(const char *host)
{
    unsigned char address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

struct tls *tls_new_client(struct tls_set *set, const struct tls_end *end)
{
    struct tls *tls = make(set, end);

    if (tls == NULL)
        return NULL;
    SSL_set_connect_state(tls->ssl);
    if (end->host[0] != '\0' && !is_address(end->host)) /* RFC 6066: no addresses */
        SSL_set_tlsext_host_name(tls->ssl, end->host);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl); /* with its BIO */
    buf_done(&tls->raw);
    buf_done(&tls->sealed);
    free(tls->peer_name);
    tls_set_give(tls->set);
    free(tls);
}

struct buf *tls_raw(struct tls *tls)
{
    return &tls->raw;
}

struct buf *tls_sealed(struct tls *tls)
{
    return &tls->sealed;
}

/* ---- what goes wrong ---- */

static enum tls_result fail(struct tls *tls, const char *sqlstate, const char *what)
{
    tls->failed = true;
    error_set(&tls->why, sqlstate, "TLS: %s", what);
    ERR_clear_error();
    return TLS_FAILED;
}

/* OpenSSL's own reason, unless tls_on_verify() has already said a better one. */
static enum tls_result fail_by_openssl(struct tls *tls)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    struct error why = tls->why;

    fail(tls, "08P01",
         buf_failed(&tls->sealed) ? "out of memory"
         : reason == NULL         ? "connection lost"
                                  : reason);
    if (why.sqlstate[0] != '\0')
        tls->why = why;
    return TLS_FAILED;
}

int tls_on_verify(int good, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    const X509 *cert = X509_STORE_CTX_get_current_cert(chain);
    int code = X509_STORE_CTX_get_error(chain);
    char subject[160] = "";

    if (good)
        return 1;
    if (cert != NULL)
        tls_cert_subject(cert, subject, sizeof subject);
    error_set(&tls->why, tls->server ? "28000" : "08006", "TLS: %s certificate verification failed: %s",
              tls->server ? "client" : "server", X509_verify_cert_error_string(code));
    error_detail(&tls->why, "At depth %d, subject \"%s\" (not verified).",
                 X509_STORE_CTX_get_error_depth(chain), subject);
    return 0; /* OpenSSL tells the peer by an alert */
}

/* ---- handshake ---- */

/* A client's certificate, if it has sent one, has been verified by now. */
static enum tls_result meet_client(struct tls *tls)
{
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    struct error err;

    if (cert == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK)
        return TLS_UP;
    tls->peer_verified = true;
    return tls_cert_name(cert, &tls->peer_name, &err) ? TLS_UP : fail(tls, "28000", err.message);
}

static enum tls_result meet_server(struct tls *tls)
{
    X509 *cert = SSL_get0_peer_certificate(tls->ssl);
    char subject[160];

    if (cert == NULL)
        return fail(tls, "08006", "the server has no certificate");
    tls_cert_binding(cert, &tls->binding);
    if (tls->end->mode < TLS_VERIFY_FULL || tls_cert_is_for(cert, tls->end->host))
        return TLS_UP;
    tls_cert_subject(cert, subject, sizeof subject);
    fail(tls, "08006", "");
    error_set(&tls->why, "08006", "TLS: the server's certificate does not match host name \"%.150s\"",
              tls->end->host);
    error_detail(&tls->why, "Its subject is \"%s\".", subject);
    return TLS_FAILED;
}

enum tls_result tls_shake(struct tls *tls)
{
    int rc;

    if (tls->failed)
        return TLS_FAILED;
    ERR_clear_error();
    rc = SSL_do_handshake(tls->ssl);
    if (rc != 1) {
        rc = SSL_get_error(tls->ssl, rc);
        return rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE ? TLS_MORE : fail_by_openssl(tls);
    }
    if ((tls->server ? meet_client(tls) : meet_server(tls)) == TLS_FAILED)
        return TLS_FAILED;
    tls->up = true;
    return TLS_UP;
}

bool tls_is_up(const struct tls *tls)
{
    return tls->up && !tls->failed;
}

/* ---- bytes ---- */

enum tls_result tls_open(struct tls *tls, struct buf *plain, size_t *opened)
{
    *opened = 0;
    if (!tls_is_up(tls))
        return TLS_FAILED;
    for (;;) {
        size_t room = buf_bytes(&tls->raw) < TLS_RECORD_BYTES ? buf_bytes(&tls->raw) + 64 : TLS_RECORD_BYTES;
        size_t count = 0;
        char *at = buf_reserve(plain, room);
        int rc;

        if (at == NULL)
            return fail(tls, "53200", "out of memory");
        ERR_clear_error();
        rc = SSL_read_ex(tls->ssl, at, room, &count);
        if (rc == 1) {
            buf_grew(plain, count);
            *opened += count;
            continue;
        }
        rc = SSL_get_error(tls->ssl, rc);
        if (buf_bytes(&tls->sealed) > TLS_SEALED_BYTES_MAX)
            return fail(tls, "08P01", "the peer makes us answer without end");
        if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE) {
            buf_shrink(&tls->raw);
            return TLS_MORE;
        }
        return rc == SSL_ERROR_ZERO_RETURN ? TLS_ENDED : fail_by_openssl(tls);
    }
}

bool tls_seal(struct tls *tls, struct buf *plain)
{
    if (!tls_is_up(tls) || tls->shut)
        return !tls->failed;
    while (buf_bytes(plain) > 0 && buf_bytes(&tls->sealed) < TLS_SEALED_BYTES) {
        size_t count = buf_bytes(plain) < TLS_RECORD_BYTES ? buf_bytes(plain) : TLS_RECORD_BYTES, written = 0;
        int rc;

        ERR_clear_error();
        rc = SSL_write_ex(tls->ssl, buf_at(plain), count, &written);
        if (rc == 1) {
            buf_consume(plain, written);
            continue;
        }
        /* It may want the peer's answer first: the same bytes are tried again, they stay at the front. */
        rc = SSL_get_error(tls->ssl, rc);
        if (rc == SSL_ERROR_WANT_READ || rc == SSL_ERROR_WANT_WRITE)
            return true;
        fail_by_openssl(tls);
        return false;
    }
    return true;
}

bool tls_shut(struct tls *tls)
{
    size_t before = buf_bytes(&tls->sealed);

    if (tls->shut || !tls_is_up(tls))
        return false;
    tls->shut = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    ERR_clear_error();
    return buf_bytes(&tls->sealed) > before && !buf_failed(&tls->sealed);
}

/* ---- questions ---- */

const struct error *tls_why(const struct tls *tls)
{
    return &tls->why;
}

bool tls_peer_is_verified(const struct tls *tls)
{
    return tls->up && tls->peer_verified;
}

const char *tls_peer_name(const struct tls *tls)
{
    return tls->up ? tls->peer_name : NULL;
}

const struct scram_binding *tls_binding(const struct tls *tls)
{
    return &tls->binding;
}

bool tls_has_alpn(const struct tls *tls)
{
    const unsigned char *name;
    unsigned bytes = 0;

    SSL_get0_alpn_selected(tls->ssl, &name, &bytes);
    return bytes > 0;
}

const char *tls_version(const struct tls *tls)
{
    return SSL_get_version(tls->ssl);
}

const char *tls_cipher(const struct tls *tls)
{
    return SSL_get_cipher_name(tls->ssl);
}
