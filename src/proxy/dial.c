/* dial.c - see dial.h. */
#include "proxy/dial.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

static void on_connected(uv_connect_t *connect, int status)
{
    struct dial *dial = connect->data;

    if (dial->abandoned || status == UV_ECANCELED)
        return;
    if (status == 0 && dial->store->host[0] != '/') {
        uv_tcp_nodelay(&dial->stream->uv.tcp, 1);
        uv_tcp_keepalive(&dial->stream->uv.tcp, 1, 60);
    }
    dial->done(dial, status);
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
        dial->done(dial, status);
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

void dial_begin(struct dial *dial, uv_loop_t *loop, struct stream *stream, const struct store *store)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int port = atoi(store->port);

    dial->loop = loop;
    dial->stream = stream;
    dial->store = store;
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
    if (dial->resolving)
        uv_cancel((uv_req_t *)&dial->resolve);
    return dial->resolving;
}
