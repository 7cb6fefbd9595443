/* secure.c - see secure.h. */
#include "proxy/secure.h"

#include "base/config.h"
#include "proxy/client.h"
#include "proxy/loop.h"
#include "proxy/peer.h"

enum {
    TLS_HANDSHAKE_BYTE = 0x16
}; /* no startup packet begins like this: it would be hundreds of megabytes long */

static const struct tls_end *end_of(const struct client *client)
{
    return &client->loop->settings->tls->clients;
}

static bool is_offered(const struct client *client)
{
    return end_of(client)->mode != TLS_DISABLE && !stream_is_unix(&client->stream) &&
           client->stream.tls == NULL;
}

static void begin_tls(struct client *client)
{
    struct tls *tls = tls_new_server(client->loop->settings->tls, end_of(client));
    struct error err;

    if (tls == NULL) {
        error_no_memory(&err);
        client_fail(client, &err);
        return;
    }
    stream_secure(&client->stream, tls);
}

bool secure_is_direct(const struct client *client)
{
    return (unsigned char)buf_at(&client->stream.in)[0] == TLS_HANDSHAKE_BYTE && client->stream.tls == NULL &&
           !client->asked_ssl && !client->asked_gssenc;
}

void secure_begin_direct(struct client *client)
{
    if (!is_offered(client)) { /* nothing that we could say would be understood */
        log_line(client->loop->shared->log, LOG_INFO, "proxy",
                 "closed a connection: direct TLS is not accepted (client_tls_sslmode = disable)");
        client_close(client);
        return;
    }
    client->direct_tls = true;
    begin_tls(client);
}

/* Each kind of encryption may be asked for once, and none inside of TLS that was asked for
 * (ProcessStartupPacket of PostgreSQL). */
static bool asks_first(struct client *client, enum startup_kind kind)
{
    bool *asked = kind == STARTUP_SSL ? &client->asked_ssl : &client->asked_gssenc;
    bool first = !*asked;

    *asked = true;
    return first;
}

static void refuse_again(struct client *client, enum startup_kind kind)
{
    struct error err;

    error_set(&err, "0A000", "unsupported frontend protocol 1234.%d: server supports 3.0 to 3.%d",
              kind == STARTUP_SSL ? 5679 : 5680, STARTUP_MINOR_MAX);
    client_fail(client, &err);
}

/* Bytes behind the request are not encrypted, whoever has put them there: they must never be taken for what
 * comes through TLS (CVE-2021-23214). */
static void refuse_injection(struct client *client, enum startup_kind kind)
{
    struct error err;

    error_set(&err, "08P01", "received unencrypted data after %s request",
              kind == STARTUP_SSL ? "SSL" : "GSSAPI encryption");
    error_detail(&err, "This could be either a client-software bug or evidence of an attempted "
                       "man-in-the-middle attack.");
    client_fail(client, &err);
}

void secure_asked(struct client *client, const struct startup *request)
{
    const enum startup_kind kind = request->kind;
    bool yes = kind == STARTUP_SSL && is_offered(client);

    if (!asks_first(client, kind)) {
        refuse_again(client, kind);
        return;
    }
    buf_consume(&client->stream.in, request->total_bytes);
    if (buf_bytes(&client->stream.in) > 0) {
        refuse_injection(client, kind);
        return;
    }
    stream_send(&client->stream, yes ? "S" : "N", 1);
    stream_flush(&client->stream);
    if (!yes || client->state == CLIENT_CLOSING)
        return;
    client->asked_gssenc = true;
    begin_tls(client);
}

void secure_done(struct client *client)
{
    const struct tls *tls = client->stream.tls;
    const char *name = tls_peer_name(tls);
    struct log *log = client->loop->shared->log;

    if (client->direct_tls &&
        !tls_has_alpn(tls)) { /* a client of another protocol could have been led here */
        log_line(log, LOG_INFO, "proxy",
                 "closed a connection: direct TLS without ALPN (the protocol must be \"postgresql\")");
        client_close(client);
        return;
    }
    log_line(log, LOG_DEBUG, "proxy", "client connection is encrypted: %s, %s, certificate of %s",
             tls_version(tls), tls_cipher(tls), name == NULL ? "nobody" : name);
}

void secure_failed(struct client *client)
{
    const struct error *why = stream_why(&client->stream);
    struct peer peer;

    if (why == NULL)
        return;
    peer_of(&client->stream, &peer);
    log_error(client->loop->shared->log, LOG_WARN, "proxy", why, "the TLS connection of a client at %s failed",
              peer.text);
}

bool secure_is_enough(const struct client *client, struct error *err)
{
    const enum tls_mode mode = end_of(client)->mode;

    if (stream_is_unix(&client->stream) || mode < TLS_REQUIRE)
        return true;
    if (!stream_is_encrypted(&client->stream)) {
        error_set(err, "28000", "connection requires TLS");
        return error_hint(
            err, "Connect with sslmode=require; it is client_tls_sslmode of pgshunt that asks for it.");
    }
    if (mode >= TLS_VERIFY_CA && !tls_peer_is_verified(client->stream.tls)) {
        error_set(err, "28000", "connection requires a valid client certificate");
        return error_hint(
            err, "Connect with sslcert=… and sslkey=…; the certificate must come from an authority in "
                 "client_tls_ca_file of pgshunt.");
    }
    return true;
}
