/* buf.c - the byte queue behind every stream and message.
 * Owns: its memory.   Thread: its owner's.   Start at: buf_reserve(). */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

enum { BUF_FIRST_BYTES = 256 };

void buf_init(struct buf *buf)
{
    *buf = (struct buf){ 0 };
}

void buf_done(struct buf *buf)
{
    free(buf->data);
    buf_init(buf);
}

void buf_clear(struct buf *buf)
{
    buf->head = buf->tail = 0;
    buf->failed = false;
}

void buf_shrink(struct buf *buf)
{
    if (buf_bytes(buf) > 0 || buf->capacity <= BUF_KEEP_BYTES)
        return;
    free(buf->data);
    buf->data = NULL;
    buf->head = buf->tail = buf->capacity = 0;
}

static void move_to_front(struct buf *buf)
{
    size_t held = buf_bytes(buf);

    if (buf->head == 0)
        return;
    memmove(buf->data, buf->data + buf->head, held);
    buf->head = 0;
    buf->tail = held;
}

static bool grow(struct buf *buf, size_t need)
{
    size_t capacity = buf->capacity < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : buf->capacity;
    char *data;

    while (capacity < need)
        capacity = capacity > BUF_BYTES_MAX / 2 ? BUF_BYTES_MAX : capacity * 2;
    data = realloc(buf->data, capacity);
    if (data == NULL)
        return false;
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

char *buf_reserve(struct buf *buf, size_t bytes)
{
    size_t held = buf_bytes(buf);

    if (buf->failed)
        return NULL;
    if (buf->data != NULL && buf->capacity - buf->tail >= bytes)
        return buf->data + buf->tail;
    if (bytes > BUF_BYTES_MAX - held) {
        buf->failed = true;
        return NULL;
    }
    move_to_front(buf);
    /* More than half full: grow although it would fit, or a queue that stays nearly full would be moved for
     * every few bytes that go through it. */
    if (buf->data == NULL || held + bytes > buf->capacity || held > buf->capacity / 2) {
        size_t need = held + bytes;

        if (need <= buf->capacity && buf->capacity < BUF_BYTES_MAX)
            need = buf->capacity + 1;
        if (!grow(buf, need)) {
            buf->failed = true;
            return NULL;
        }
    }
    return buf->data + buf->tail;
}

void buf_grew(struct buf *buf, size_t bytes)
{
    assert(bytes <= buf->capacity - buf->tail);
    buf->tail += bytes;
}

void buf_append(struct buf *buf, const void *bytes, size_t count)
{
    char *at;

    if (count == 0)
        return;
    at = buf_reserve(buf, count);
    if (at == NULL)
        return;
    memcpy(at, bytes, count);
    buf->tail += count;
}

void buf_append_slice(struct buf *buf, struct slice slice)
{
    buf_append(buf, slice.at, slice.bytes);
}

void buf_append_text(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_append_format(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    int bytes;
    char *at;

    va_start(args, fmt);
    bytes = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (bytes < 0) {
        buf->failed = true;
        return;
    }
    at = buf_reserve(buf, (size_t)bytes + 1);
    if (at == NULL)
        return;
    va_start(args, fmt);
    vsnprintf(at, (size_t)bytes + 1, fmt, args);
    va_end(args);
    buf->tail += (size_t)bytes;
}

void buf_consume(struct buf *buf, size_t bytes)
{
    assert(bytes <= buf_bytes(buf));
    buf->head += bytes;
    if (buf->head == buf->tail)
        buf->head = buf->tail = 0;
}

const char *buf_text(struct buf *buf)
{
    char *end = buf_reserve(buf, 1);

    if (end == NULL)
        return "";
    *end = '\0';
    return buf->data + buf->head;
}
