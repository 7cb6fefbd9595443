/* read.c - the bounded cursor.   Thread: any.   Start at: take(). */
#include "wire/read.h"

#include <string.h>

struct read read_bytes_of(const char *bytes, size_t count)
{
    return (struct read){ bytes, count == 0 ? bytes : bytes + count, false }; /* C has no NULL + 0 */
}

struct read read_msg(const struct msg *msg)
{
    return read_bytes_of(msg->body, msg->body_bytes);
}

size_t read_left(const struct read *read)
{
    return (size_t)(read->end - read->at);
}

bool read_done(const struct read *read)
{
    return !read->bad && read->at == read->end;
}

/* The next `bytes`, NULL past the end: from then on there is nothing left to read. */
static const unsigned char *take(struct read *read, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)read->at;

    if (read->bad || bytes > read_left(read)) {
        read->bad = true;
        read->at = read->end;
        return NULL;
    }
    read->at += bytes;
    return at;
}

uint8_t read_u8(struct read *read)
{
    const unsigned char *at = take(read, 1);

    return at == NULL ? 0 : at[0];
}

uint16_t read_u16(struct read *read)
{
    const unsigned char *at = take(read, 2);

    return at == NULL ? 0 : (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t read_u32(struct read *read)
{
    const unsigned char *at = take(read, 4);

    return at == NULL ? 0 : (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

int32_t read_i32(struct read *read)
{
    return (int32_t)read_u32(read);
}

struct slice read_slice(struct read *read, size_t bytes)
{
    const unsigned char *at = take(read, bytes);

    return at == NULL ? (struct slice){ NULL, 0 } : (struct slice){ (const char *)at, bytes };
}

struct slice read_text(struct read *read)
{
    const size_t left = read_left(read);
    const char *end = left == 0 ? NULL : memchr(read->at, '\0', left);
    struct slice text;

    if (end == NULL) {
        take(read, left + 1); /* turns it bad */
        return (struct slice){ NULL, 0 };
    }
    text = (struct slice){ read->at, (size_t)(end - read->at) };
    read->at = end + 1;
    return text;
}

struct slice read_error_field(const struct msg *msg, char code)
{
    struct read read = read_msg(msg);

    for (;;) {
        char found = (char)read_u8(&read);
        struct slice text;

        if (found == '\0') /* the end, also of a body that is cut off */
            return (struct slice){ NULL, 0 };
        text = read_text(&read);
        if (found == code && !read.bad)
            return text;
    }
}
