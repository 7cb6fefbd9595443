/* stream.h - one byte stream, to a client or to a server: what came in, what must go out, and the brakes.
 * Owns: the libuv handle, `in` (bytes received, not consumed) and the bytes on their way out; the TLS
 * session, if there is one: its owner reads and writes plain bytes all the same. Leaves: what the bytes mean;
 * when TLS begins (secure, dial). Thread: the loop's. A stream is embedded in its owner, whose memory must
 * last until hooks->gone(). */
#ifndef PGSHUNT_PROXY_STREAM_H
#define PGSHUNT_PROXY_STREAM_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/slice.h"
#include "proxy/tls.h"

struct stream;

struct stream_hooks {
    void (*came)(struct stream *stream, size_t bytes); /* appended to stream->in */
    void (*ended)(struct stream *stream, int status); /* the peer closed (UV_EOF) or the connection broke; not
                                                         closed yet: call stream_close() */
    void (*eased)(struct stream *stream);             /* what waits to go out fell below STREAM_LOW_BYTES */
    void (*gone)(struct stream *stream);              /* closed: the owner's memory may go */
    void (*secured)(struct stream *stream); /* the TLS handshake is done; NULL: nobody asks for TLS */
};

struct stream {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    const struct stream_hooks *hooks;
    struct buf in;
    struct buf out;    /* plain, not sealed or given to libuv yet */
    struct buf flying; /* given to uv_write(), not written yet */
    uv_write_t write;
    struct tls *tls; /* NULL: plain */
    void *lender;    /* whose hooks stand in for the owner's for a while (dial); NULL: nobody's */
    struct stream *prev, *next, **line; /* stream_close_by() */
    uint64_t close_by_ms;
    uint64_t out_bytes;  /* written, ever */
    uint32_t read_bytes; /* how much room the next read gets; grows with what comes */
    bool opened, reading, writing, full, finishing, closing;
};

/* Only remembers; the handle is made by one of the two below. */
void stream_init(struct stream *stream, const struct stream_hooks *hooks);
/* An accepted socket; takes the descriptor. false: it was closed. */
bool stream_accept(struct stream *stream, uv_loop_t *loop, int fd);
bool stream_is_unix(
    const struct stream *stream); /* a Unix-domain socket: there is no address, but a system user */
bool stream_peer_user(const struct stream *stream,
                      uid_t *uid); /* its SO_PEERCRED; false: not a Unix-domain socket */
/* The handle for a connection to be made: uv_tcp_connect / uv_pipe_connect are the caller's. */
int stream_make(struct stream *stream, uv_loop_t *loop, bool unix_socket);
void stream_start(struct stream *stream); /* reads from now on; may be called again after stream_pause() */
void stream_pause(struct stream *stream);

void stream_send(struct stream *stream, const void *bytes, size_t count); /* queues; nothing is written yet */
struct buf *stream_out(struct stream *stream);                            /* to append messages to */
void stream_flush(struct stream *stream);
size_t stream_waiting_bytes(const struct stream *stream);
bool stream_is_full(struct stream *stream); /* at or above STREAM_HIGH_BYTES: hooks->eased() will follow */
bool stream_is_open(const struct stream *stream); /* opened and not closing */

/* From here on TLS; takes `tls`. What is queued goes out before it, plain; what stands in `in` is taken for
 * the peer's first bytes of it. hooks->secured() or hooks->ended() follows, perhaps before this returns. */
void stream_secure(struct stream *stream, struct tls *tls);
bool stream_is_encrypted(const struct stream *stream); /* TLS, and its handshake is done */
const char *stream_peer_name(
    const struct stream *stream); /* common name of the client's verified certificate, or NULL */
const struct scram_binding *stream_binding(const struct stream *stream); /* bytes 0 where there is none */
/* Why it ended, where TLS knows; NULL: the status says all. */
const struct error *stream_why(const struct stream *stream);

/* Writes what is queued, then closes. */
void stream_finish(struct stream *stream);
/* Closes it at that time (clock_ms) at the latest, by streams_expire(): a peer that does not read or answer
 * must not hold a descriptor for ever. `line` is the loop's list. */
void stream_close_by(struct stream *stream, struct stream **line, uint64_t close_by_ms);
void streams_expire(struct stream **line, uint64_t now_ms);
/* Closes now. hooks->gone() follows, once, also for a stream that never had a handle… which is why that one
 * is called directly. Fine to call twice. */
void stream_close(struct stream *stream);

#endif
