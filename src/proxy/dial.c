/* dial.c - see dial.h. */
#include "proxy/dial.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "wire/write.h"

/* ---- TLS: SSLRequest, its answer of one byte, the handshake ---- */

static const struct tls_end *end_of(const struct dial *dial)
{
    return &dial->tls->stores[dial->store->index];
}

static void answer(struct dial *dial, int status)
{
    if (dial->owner != NULL) {
        dial->stream->hooks = dial->owner;
        dial->stream->lender = NULL;
        dial->owner = NULL;
    }
    tls_set_give(dial->tls);
    dial->tls = NULL;
    dial->done(dial, status);
}

static void refuse(struct dial *dial, const char *what, const char *hint)
{
    error_set(&dial->why, "08001", "%s", what);
    if (hint != NULL)
        error_hint(&dial->why, "%s", hint);
    stream_pause(dial->stream);
    answer(dial, UV_EPROTO);
}

/* What an attacker in between writes before the handshake must not be taken for the server's words, least of
 * all bytes behind the answer (CVE-2021-23222) or an error's text (CVE-2024-10977). */
static void on_answer(struct dial *dial, char said)
{
    struct tls *tls;

    if (said == 'N' && end_of(dial)->mode >= TLS_REQUIRE) {
        refuse(dial, "the server does not support TLS, and sslmode asks for it",
               "Set ssl = on there, or a weaker sslmode in [stores] or server_tls_sslmode in [tls].");
    } else if (said == 'N') {
        answer(dial, 0);
    } else if (said != 'S') {
        refuse(dial, "the server did not answer an SSLRequest as PostgreSQL does", NULL);
    } else if ((tls = tls_new_client(dial->tls, end_of(dial))) == NULL) {
        answer(dial, UV_ENOMEM);
    } else {
        stream_secure(dial->stream, tls);
    }
}

static void on_came(struct stream *stream, size_t bytes)
{
    struct dial *dial = stream->lender;
    char said = buf_at(&stream->in)[0];

    (void)bytes;
    if (buf_bytes(&stream->in) > 1) {
        refuse(dial, "received unencrypted data after SSL response",
               "Either the server is broken, or somebody in between has put it there.");
        return;
    }
    buf_consume(&stream->in, 1);
    on_answer(dial, said);
}

static void on_ended(struct stream *stream, int status)
{
    struct dial *dial = stream->lender;

    if (stream_why(stream) != NULL)
        dial->why = *stream_why(stream);
    answer(dial, status);
}

static void on_eased(struct stream *stream)
{
    (void)stream;
}

static void on_gone(struct stream *stream)
{
    struct dial *dial = stream->lender;

    stream->hooks = dial->owner;
    stream->hooks->gone(stream);
}

static void on_secured(struct stream *stream)
{
    answer(stream->lender, 0);
}

static const struct stream_hooks hooks = { on_came, on_ended, on_eased, on_gone, on_secured };

static void connected(struct dial *dial)
{
    if (end_of(dial)->mode == TLS_DISABLE) {
        answer(dial, 0);
        return;
    }
    dial->owner = dial->stream->hooks;
    dial->stream->hooks = &hooks;
    dial->stream->lender = dial;
    write_ssl_request(stream_out(dial->stream));
    stream_start(dial->stream);
    stream_flush(dial->stream);
}

void dial_explain(const struct dial *dial, int status, struct error *err)
{
    const struct error *why = &dial->why;
    bool known = why->sqlstate[0] != '\0';

    error_set(err, "08001", "store_unavailable: store \"%s\": %s", dial->store->name,
              known ? why->message : uv_strerror(status));
    if (known && why->detail[0] != '\0')
        error_detail(err, "%s", why->detail);
    error_hint(err, "%s",
               known && why->hint[0] != '\0'
                   ? why->hint
                   : "SHOW STORES on the admin socket tells which stores can be reached.");
}

/* ---- the connection ---- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct dial *dial = connect->data;

    if (dial->abandoned || status == UV_ECANCELED)
        return;
    if (status == 0 && dial->store->host[0] != '/') {
        uv_tcp_nodelay(&dial->stream->uv.tcp, 1);
        uv_tcp_keepalive(&dial->stream->uv.tcp, 1, 60);
    }
    if (status == 0)
        connected(dial);
    else
        answer(dial, status);
}

static void connect_to(struct dial *dial, const struct sockaddr *address)
{
    int rc = stream_make(dial->stream, dial->loop, false);

    if (rc == 0)
        rc = uv_tcp_connect(&dial->connect, &dial->stream->uv.tcp, address, on_connected);
    dial->failed = rc;
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct dial *dial = resolve->data;

    dial->resolving = false;
    if (dial->abandoned)
        dial->freed(dial);
    else if (status != 0)
        answer(dial, status);
    else
        connect_to(dial, found->ai_addr);
    uv_freeaddrinfo(found);
}

static void connect_by_name(struct dial *dial)
{
    static const struct addrinfo wanted = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int rc = uv_getaddrinfo(dial->loop, &dial->resolve, on_resolved, dial->store->host, dial->store->port,
                            &wanted);

    dial->resolving = rc == 0;
    dial->failed = rc;
}

static void connect_unix(struct dial *dial)
{
    char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 64];

    snprintf(path, sizeof path, "%s/.s.PGSQL.%s", dial->store->host, dial->store->port);
    dial->failed = stream_make(dial->stream, dial->loop, true);
    if (dial->failed == 0)
        uv_pipe_connect(&dial->connect, &dial->stream->uv.pipe, path, on_connected);
}

void dial_begin(struct dial *dial, uv_loop_t *loop, struct stream *stream, const struct store *store,
                struct tls_set *tls)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int port = atoi(store->port);

    dial->loop = loop;
    dial->stream = stream;
    dial->store = store;
    dial->tls = tls_set_take(tls);
    dial->connect.data = dial;
    dial->resolve.data = dial;
    if (store->host[0] == '/')
        connect_unix(dial);
    else if (uv_ip4_addr(store->host, port, &v4) == 0)
        connect_to(dial, (const struct sockaddr *)&v4);
    else if (uv_ip6_addr(store->host, port, &v6) == 0)
        connect_to(dial, (const struct sockaddr *)&v6);
    else
        connect_by_name(dial);
}

bool dial_abandon(struct dial *dial)
{
    dial->abandoned = true;
    tls_set_give(dial->tls);
    dial->tls = NULL;
    if (dial->resolving)
        uv_cancel((uv_req_t *)&dial->resolve);
    return dial->resolving;
}
