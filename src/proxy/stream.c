/* stream.c - see stream.h. Writes go out at once where the kernel takes them (uv_try_write), the rest by
 * uv_write; at most one uv_write is under way, and what comes meanwhile is gathered for the next. */
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

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    struct stream *stream = handle->data;
    char *at = buf_reserve(&stream->in, stream->read_bytes);

    (void)suggested;
    *room = uv_buf_init(at, at == NULL ? 0 : stream->read_bytes); /* no room: libuv reports UV_ENOBUFS */
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *room)
{
    struct stream *stream = handle->data;

    (void)room;
    if (nread > 0) {
        buf_grew(&stream->in, (size_t)nread);
        if ((size_t)nread == stream->read_bytes && stream->read_bytes < READ_CHUNK_BYTES)
            stream->read_bytes *= 2;
        stream->hooks->came(stream, (size_t)nread);
    } else if (nread < 0) {
        stream_pause(stream);
        stream->hooks->ended(stream, (int)nread);
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
    return buf_bytes(&stream->out) + buf_bytes(&stream->flying);
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
    if (stream->finishing)
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
    buf_clear(&stream->flying);
    buf_shrink(&stream->flying);
    if (stream->closing)
        return;
    if (status < 0) {
        stream_pause(stream);
        stream->hooks->ended(stream, status);
        return;
    }
    stream_flush(stream);
}

static void write_rest(struct stream *stream)
{
    struct buf swap = stream->flying;
    uv_buf_t chunk;

    stream->flying = stream->out;
    stream->out = swap;
    chunk = uv_buf_init(stream->flying.data + stream->flying.head, (unsigned)buf_bytes(&stream->flying));
    stream->writing = uv_write(&stream->write, &stream->uv.stream, &chunk, 1, on_written) == 0;
    if (!stream->writing) {
        buf_clear(&stream->flying);
        stream_pause(stream);
        stream->hooks->ended(stream, UV_EIO);
    }
}

void stream_flush(struct stream *stream)
{
    if (!stream_is_open(stream) || stream->writing)
        return;
    if (buf_failed(&stream->out)) { /* bytes are missing: nothing after them may be sent */
        stream_pause(stream);
        stream->hooks->ended(stream, UV_ENOMEM);
        return;
    }
    if (buf_bytes(&stream->out) > 0) {
        size_t bytes = buf_bytes(&stream->out);
        uv_buf_t chunk = uv_buf_init(stream->out.data + stream->out.head,
                                     (unsigned)(bytes > WRITE_ONCE_BYTES ? WRITE_ONCE_BYTES : bytes));
        int written = uv_try_write(&stream->uv.stream, &chunk, 1);

        if (written < 0 && written != UV_EAGAIN) {
            stream_pause(stream);
            stream->hooks->ended(stream, written);
            return;
        }
        if (written > 0)
            buf_consume(&stream->out, (size_t)written);
    }
    if (buf_bytes(&stream->out) > 0) {
        write_rest(stream);
    } else {
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
    if (!stream->writing && buf_bytes(&stream->out) == 0) {
        stream_close(stream);
        return;
    }
    stream_flush(stream); /* closes when all has been written */
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *stream = handle->data;

    buf_done(&stream->in);
    buf_done(&stream->out);
    buf_done(&stream->flying);
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
    if (stream->opened)
        uv_close(&stream->uv.handle, on_closed);
    else {
        buf_done(&stream->in);
        buf_done(&stream->out);
        stream->hooks->gone(stream);
    }
}
