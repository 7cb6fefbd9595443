/* dial.h - connect a stream to a store: by address, by name, by Unix-domain socket; with TLS where [tls] or
 * the store's connection string want it. One attempt, one answer. */
#ifndef PGSHUNT_PROXY_DIAL_H
#define PGSHUNT_PROXY_DIAL_H

#include <stdbool.h>
#include <uv.h>

#include "proxy/stream.h"
#include "route/store.h"

struct dial {
    struct stream *stream;
    const struct store *store;
    struct tls_set *tls;              /* a reference, until the answer is known */
    const struct stream_hooks *owner; /* the stream's own hooks, while ours stand there */
    struct error why;                 /* of TLS: dial_explain() */
    uv_loop_t *loop;
    uv_connect_t connect;
    uv_getaddrinfo_t resolve;
    bool resolving; /* libuv still holds `resolve`: the memory must stay until freed() */
    bool abandoned;
    int failed; /* it could not even begin: a libuv error, for the owner's clock to find; done() is not called
                 */
    void (*done)(struct dial *dial, int status); /* 0: connected; else a libuv error */
    void (*freed)(struct dial *dial);            /* after dial_abandon() while resolving: the memory may go */
};

/* Makes the stream's handle. done() is never called before this returns. While TLS is agreed on the stream's
 * hooks are the dial's; gone() reaches its owner all the same. */
void dial_begin(struct dial *dial, uv_loop_t *loop, struct stream *stream, const struct store *store,
                struct tls_set *tls);
/* The error that done() came with. */
void dial_explain(const struct dial *dial, int status, struct error *err);
/* done() will not be called any more. True: wait for freed() before the memory goes. */
bool dial_abandon(struct dial *dial);

#endif
