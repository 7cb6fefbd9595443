/* copyrow.c - COPY BINARY, as little of it as is needed. Pure; any thread.   Start at: copyrow_field(). */
#include "migrate/copyrow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char header[] =
    "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";   /* signature, flags, length of an extension */
static const char trailer[] = "\377\377"; /* a row of -1 fields */

enum { SIGNATURE_BYTES = 11, HEADER_BYTES = 19 };

const struct slice copyrow_header = { header, HEADER_BYTES };
const struct slice copyrow_trailer = { trailer, 2 };

static uint32_t u32(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint16_t u16(const char *at)
{
    const unsigned char *b = (const unsigned char *)at;

    return (uint16_t)(b[0] << 8 | b[1]);
}

bool copyrow_skip_header(struct slice *message)
{
    uint32_t extension;

    if (message->bytes < HEADER_BYTES || memcmp(message->at, header, SIGNATURE_BYTES) != 0)
        return false;
    extension = u32(message->at + SIGNATURE_BYTES + 4);
    /* The upper half of the flags may not be ignored; nobody sets any of it today. */
    if (u32(message->at + SIGNATURE_BYTES) >> 16 != 0 || extension > message->bytes - HEADER_BYTES)
        return false;
    message->at += HEADER_BYTES + extension;
    message->bytes -= HEADER_BYTES + extension;
    return true;
}

bool copyrow_is_trailer(struct slice message)
{
    return message.bytes == 2 && u16(message.at) == 0xffff;
}

bool copyrow_field(struct slice row, unsigned count, unsigned index, struct slice *field)
{
    size_t at = 2;

    if (row.bytes < 2 || u16(row.at) != count || index >= count)
        return false;
    for (unsigned i = 0; i < count; i++) {
        uint32_t bytes;
        bool null;

        if (row.bytes - at < 4)
            return false;
        bytes = u32(row.at + at);
        null = bytes == UINT32_MAX;
        at += 4;
        if (!null && bytes > row.bytes - at)
            return false;
        if (i == index)
            *field = (struct slice){ null ? NULL : row.at + at, null ? 0 : bytes };
        at += null ? 0 : bytes;
    }
    return at == row.bytes;
}

bool copyrow_text_field(struct slice line, unsigned count, unsigned index, struct slice *field)
{
    const char *at = line.at, *end = line.at + line.bytes;
    unsigned fields = 0;

    if (line.bytes == 0 || end[-1] != '\n' || index >= count)
        return false;
    for (end--; at <= end; fields++) {
        const char *tab = memchr(at, '\t', (size_t)(end - at)); /* one in a value is escaped */
        const char *stop = tab == NULL ? end : tab;

        if (fields == index)
            *field = (struct slice){ at, (size_t)(stop - at) };
        at = stop + 1;
    }
    return fields == count;
}

bool copyrow_text_integer(struct slice field, int64_t *value)
{
    char text[24], *end;

    if (field.bytes == 0 || field.bytes >= sizeof text || strchr("-0123456789", field.at[0]) == NULL)
        return false;
    memcpy(text, field.at, field.bytes);
    text[field.bytes] = '\0';
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

bool copyrow_integer(struct slice field, int64_t *value)
{
    if (field.at == NULL)
        return false;
    switch (field.bytes) {
    case 2:
        *value = (int16_t)u16(field.at);
        return true;
    case 4:
        *value = (int32_t)u32(field.at);
        return true;
    case 8:
        *value = (int64_t)((uint64_t)u32(field.at) << 32 | u32(field.at + 4));
        return true;
    default:
        return false;
    }
}
