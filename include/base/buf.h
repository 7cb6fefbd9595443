/* buf.h - a byte queue: append at the back, consume at the front.
 * Invariant: data[head .. tail) are the bytes held, 0 <= head <= tail <= capacity.
 * A failed allocation is remembered (`failed`): later appends do nothing, and whoever sends or reads the buffer
 * asks buf_failed() once instead of at every append. One owner, one thread. */
#ifndef PGSHUNT_BASE_BUF_H
#define PGSHUNT_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct buf {
    char *data;
    size_t head, tail, capacity;
    bool failed;
};

void buf_init(struct buf *buf);   /* empty; allocates nothing */
void buf_done(struct buf *buf);   /* frees; the buf is as after buf_init() */
void buf_clear(struct buf *buf);  /* forgets the bytes and the failure, keeps the memory */
void buf_shrink(struct buf *buf); /* gives memory back when empty and larger than BUF_KEEP_BYTES */

/* Makes room for `bytes` at the back and returns where; NULL if out of memory. Follow with buf_grew(). */
char *buf_reserve(struct buf *buf, size_t bytes);
void buf_grew(struct buf *buf, size_t bytes);

void buf_append(struct buf *buf, const void *bytes, size_t count);
void buf_append_slice(struct buf *buf, struct slice slice);
void buf_append_text(struct buf *buf, const char *text); /* without its terminator */
void buf_append_format(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *buf, size_t bytes); /* bytes <= buf_bytes() */

/* The held bytes as a C string: appends a NUL behind the tail without counting it. "" if that failed. */
const char *buf_text(struct buf *buf);

static inline const char *buf_at(const struct buf *buf) /* NULL if it has no memory yet */
{
    return buf->head == 0 ? buf->data : buf->data + buf->head; /* C has no NULL + 0 */
}
static inline size_t buf_bytes(const struct buf *buf)
{
    return buf->tail - buf->head;
}
static inline bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}
static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){ buf_at(buf), buf->tail - buf->head };
}

#endif
