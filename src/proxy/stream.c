/* stream.c - see stream.h. Writes go out at once where the kernel takes them (uv_try_write), the rest by
 * uv_write; at most one uv_write is under way, and what comes meanwhile is gathered for the next.
 * With TLS, what goes to the wire is tls_sealed() instead of `out`, and what is read goes to tls_raw() first.
 */
#include "proxy/stream.h"

#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/limits.h"

enum { READ_BYTES_FIRST = 8192, WRITE_ONCE_BYTES = 1024 * 1024 };

void stream_init(struct stream *stream, const struct stream_hooks *hooks)
{
    memset(stream, 0, sizeof *stream);
    stream->hooks = hooks;
    stream->read_bytes = READ_BYTES_FIRST;
    buf_init(&stream->in);
    buf_init(&stream->out);
    buf_init(&stream->flying);
}

int stream_make(struct stream *stream, uv_loop_t *loop, bool unix_socket)
{
    int rc = unix_socket ? uv_pipe_init(loop, &stream->uv.pipe, 0) : uv_tcp_init(loop, &stream->uv.tcp);

    if (rc == 0) {
        stream->uv.handle.data = stream;
        stream->opened = true;
    }
    return rc;
}

static bool is_unix_socket(int fd)
{
    int domain = AF_UNSPEC;
    socklen_t bytes = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0 && domain == AF_UNIX;
}

bool stream_accept(struct stream *stream, uv_loop_t *loop, int fd)
{
    bool local = is_unix_socket(fd);

    if (stream_make(stream, loop, local) != 0 ||
        (local ? uv_pipe_open(&stream->uv.pipe, fd) : uv_tcp_open(&stream->uv.tcp, fd)) != 0) {
        close(fd);
        return false;
    }
    if (!local) {
        uv_tcp_nodelay(&stream->uv.tcp, 1);
        uv_tcp_keepalive(&stream->uv.tcp, 1, 60);
    }
    return true;
}

bool stream_is_unix(const struct stream *stream)
{
    return stream->opened && stream->uv.handle.type == UV_NAMED_PIPE;
}

bool stream_peer_user(const struct stream *stream, uid_t *uid)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    uv_os_fd_t fd;

    if (!stream_is_unix(stream) || uv_fileno(&stream->uv.handle, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
        return false;
    *uid = peer.uid;
    return true;
}

/* Where bytes of the wire are read to, and written from. */
static struct buf *wire_in(struct stream *stream)
{
    return stream->tls == NULL ? &stream->in : tls_raw(stream->tls);
}

static struct buf *wire_out(struct stream *stream)
{
    return stream->tls == NULL ? &stream->out : tls_sealed(stream->tls);
}

static void end(struct stream *stream, int status)
{
    stream_pause(stream);
    stream->hooks->ended(stream, status);
}

/* ---- TLS ---- */

/* What TLS has to say at the end: now or never. */
static void say_last(struct stream *stream)
{
    struct buf *sealed = tls_sealed(stream->tls);
    uv_buf_t chunk = uv_buf_init((char *)buf_at(sealed), (unsigned)buf_bytes(sealed));

    if (stream->opened && !stream->writing && buf_bytes(sealed) > 0)
        uv_try_write(&stream->uv.stream, &chunk, 1);
}

/* An alert tells the peer why. */
static void end_tls(struct stream *stream)
{
    say_last(stream);
    end(stream, UV_EPROTO);
}

/* false: the handshake is not over, or the stream is. */
static bool shake(struct stream *stream)
{
    enum tls_result result = tls_shake(stream->tls);

    if (result == TLS_FAILED) {
        end_tls(stream);
        return false;
    }
    stream_flush(stream);
    if (result != TLS_UP || !stream_is_open(stream))
        return false;
    if (stream->hooks->secured != NULL)
        stream->hooks->secured(stream);
    return stream_is_open(stream);
}

/* What has come on the wire, as far as it can be opened. */
static void take_sealed(struct stream *stream)
{
    enum tls_result result;
    size_t opened;

    if (!tls_is_up(stream->tls) && !shake(stream))
        return;
    result = tls_open(stream->tls, &stream->in, &opened);
    if (buf_bytes(tls_sealed(stream->tls)) > 0)
        stream_flush(stream); /* TLS has something to say for itself */
    if (opened > 0 && stream_is_open(stream))
        stream->hooks->came(stream, opened);
    if (!stream_is_open(stream))
        return;
    if (result == TLS_FAILED)
        end_tls(stream);
    else if (result == TLS_ENDED)
        end(stream, UV_EOF);
}

void stream_secure(struct stream *stream, struct tls *tls)
{
    buf_append_slice(tls_sealed(tls), buf_slice(&stream->out));
    buf_consume(&stream->out, buf_bytes(&stream->out));
    buf_append_slice(tls_raw(tls), buf_slice(&stream->in));
    buf_consume(&stream->in, buf_bytes(&stream->in));
    stream->tls = tls;
    if (buf_failed(tls_sealed(tls)) || buf_failed(tls_raw(tls)) || buf_failed(&stream->out))
        end(stream, UV_ENOMEM);
    else
        take_sealed(stream);
}

bool stream_is_encrypted(const struct stream *stream)
{
    return stream->tls != NULL && tls_is_up(stream->tls);
}

const char *stream_peer_name(const struct stream *stream)
{
    return stream->tls == NULL ? NULL : tls_peer_name(stream->tls);
}

const struct scram_binding *stream_binding(const struct stream *stream)
{
    static const struct scram_binding none = { 0 };

    return stream_is_encrypted(stream) ? tls_binding(stream->tls) : &none;
}

const struct error *stream_why(const struct stream *stream)
{
    const struct error *why = stream->tls == NULL ? NULL : tls_why(stream->tls);

    return why != NULL && why->sqlstate[0] != '\0' ? why : NULL;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct stream *stream = handle->data;
    char *at = buf_reserve(wire_in(stream), stream->read_bytes);

    (void)suggested;
    *room = uv_buf_init(at, at == NULL ? 0 : stream->read_bytes); /* no room: libuv reports UV_ENOBUFS */
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *room)
{
    struct stream *stream = handle->data;

    (void)room;
    if (nread > 0) {
        buf_grew(wire_in(stream), (size_t)nread);
        if ((size_t)nread == stream->read_bytes && stream->read_bytes < READ_CHUNK_BYTES)
            stream->read_bytes *= 2;
        if (stream->tls == NULL)
            stream->hooks->came(stream, (size_t)nread);
        else
            take_sealed(stream);
    } else if (nread < 0) {
        end(stream, (int)nread);
    }
}

void stream_start(struct stream *stream)
{
    if (stream->reading || !stream_is_open(stream))
        return;
    stream->reading = uv_read_start(&stream->uv.stream, on_alloc, on_read) == 0;
}

void stream_pause(struct stream *stream)
{
    if (!stream->reading)
        return;
    stream->reading = false;
    uv_read_stop(&stream->uv.stream);
}

void stream_send(struct stream *stream, const void *bytes, size_t count)
{
    buf_append(&stream->out, bytes, count);
}

struct buf *stream_out(struct stream *stream)
{
    return &stream->out;
}

size_t stream_waiting_bytes(const struct stream *stream)
{
    return buf_bytes(&stream->out) + buf_bytes(&stream->flying) +
           (stream->tls == NULL ? 0 : buf_bytes(tls_sealed(stream->tls)));
}

bool stream_is_full(struct stream *stream)
{
    if (stream_waiting_bytes(stream) >= STREAM_HIGH_BYTES)
        stream->full = true;
    return stream->full;
}

bool stream_is_open(const struct stream *stream)
{
    return stream->opened && !stream->closing;
}

/* Nothing is on its way any more. */
static void on_emptied(struct stream *stream)
{
    if (!stream->finishing)
        return;
    if (stream->tls != NULL && tls_shut(stream->tls))
        stream_flush(stream); /* close_notify, then we are here again */
    else
        stream_close(stream);
}

static void ease(struct stream *stream)
{
    if (stream->full && stream_waiting_bytes(stream) <= STREAM_LOW_BYTES) {
        stream->full = false;
        stream->hooks->eased(stream);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct stream *stream = write->handle->data;

    stream->writing = false;
    stream->out_bytes += buf_bytes(&stream->flying);
    buf_clear(&stream->flying);
    buf_shrink(&stream->flying);
    if (stream->closing)
        return;
    if (status < 0)
        end(stream, status);
    else
        stream_flush(stream);
}

static void write_rest(struct stream *stream)
{
    struct buf swap = stream->flying, *wire = wire_out(stream);
    uv_buf_t chunk;

    stream->flying = *wire;
    *wire = swap;
    chunk = uv_buf_init(stream->flying.data + stream->flying.head, (unsigned)buf_bytes(&stream->flying));
    stream->writing = uv_write(&stream->write, &stream->uv.stream, &chunk, 1, on_written) == 0;
    if (!stream->writing) {
        buf_clear(&stream->flying);
        end(stream, UV_EIO);
    }
}

/* What the kernel takes at once. false: broken, the owner knows. */
static bool write_some(struct stream *stream, struct buf *wire)
{
    size_t bytes = buf_bytes(wire);
    uv_buf_t chunk;
    int written;

    if (bytes == 0)
        return true;
    chunk =
        uv_buf_init(wire->data + wire->head, (unsigned)(bytes > WRITE_ONCE_BYTES ? WRITE_ONCE_BYTES : bytes));
    written = uv_try_write(&stream->uv.stream, &chunk, 1);
    if (written < 0 && written != UV_EAGAIN) {
        end(stream, written);
        return false;
    }
    if (written > 0) {
        stream->out_bytes += (size_t)written;
        buf_consume(wire, (size_t)written);
    }
    return true;
}

/* The same, of plain bytes that are sealed as the wire takes them. */
static bool seal_some(struct stream *stream)
{
    struct buf *sealed = tls_sealed(stream->tls);

    for (;;) {
        size_t before = buf_bytes(&stream->out);

        if (!tls_seal(stream->tls, &stream->out)) {
            end_tls(stream);
            return false;
        }
        if (!write_some(stream, sealed))
            return false;
        if (buf_bytes(sealed) > 0 || buf_bytes(&stream->out) == 0 || buf_bytes(&stream->out) == before)
            return true;
    }
}

void stream_flush(struct stream *stream)
{
    struct buf *wire = wire_out(stream);

    if (!stream_is_open(stream) || stream->writing)
        return;
    if (buf_failed(&stream->out) ||
        buf_failed(wire)) { /* bytes are missing: nothing after them may be sent */
        end(stream, UV_ENOMEM);
        return;
    }
    if (!(stream->tls == NULL ? write_some(stream, wire) : seal_some(stream)))
        return;
    if (buf_bytes(wire) > 0) {
        write_rest(stream);
    } else {
        buf_shrink(wire);
        buf_shrink(&stream->out);
        on_emptied(stream);
    }
    if (!stream->closing)
        ease(stream);
}

void stream_finish(struct stream *stream)
{
    if (!stream_is_open(stream) || stream->finishing)
        return;
    stream_pause(stream);
    stream->finishing = true;
    if (stream->tls != NULL && !tls_is_up(stream->tls))
        stream_close(stream); /* in the middle of a handshake nothing can be said */
    else
        stream_flush(stream); /* closes when all has been written */
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;

    buf_done(&stream->in);
    buf_done(&stream->out);
    buf_done(&stream->flying);
    tls_free(stream->tls);
    stream->hooks->gone(stream);
}

void stream_close_by(struct stream *stream, struct stream **line, uint64_t close_by_ms)
{
    if (stream->closing || stream->line != NULL)
        return;
    stream->line = line;
    stream->close_by_ms = close_by_ms;
    DL_APPEND(*line, stream);
}

void streams_expire(struct stream **line, uint64_t now_ms)
{
    struct stream *stream, *next;

    DL_FOREACH_SAFE(*line, stream, next)
        if (now_ms >= stream->close_by_ms)
            stream_close(stream);
}

void stream_close(struct stream *stream)
{
    if (stream->closing)
        return;
    stream->closing = true;
    if (stream->line != NULL)
        DL_DELETE(*stream->line, stream);
    if (stream->tls != NULL && tls_shut(stream->tls))
        say_last(stream); /* close_notify */
    if (stream->opened)
        uv_close(&stream->uv.handle, on_closed);
    else {
        buf_done(&stream->in);
        buf_done(&stream->out);
        stream->hooks->gone(stream);
    }
}
