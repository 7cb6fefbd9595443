/* uuid.c - libuuid's generator and printer; the reader is our own, because libuuid takes only one spelling.
 * Thread: any. */
#include "base/uuid.h"

#include <uuid/uuid.h>

void uuid_make_text(char text[UUID_TEXT_BYTES])
{
    uuid_t bytes;

    uuid_generate_random(bytes);
    uuid_unparse_lower(bytes, text);
}

void uuid_from_bytes(const unsigned char bytes[UUID_BYTES], char text[UUID_TEXT_BYTES])
{
    uuid_unparse_lower(bytes, text);
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* string_to_uuid() of PostgreSQL (src/backend/utils/adt/uuid.c), on a slice. */
bool uuid_canonical(struct slice spelling, char text[UUID_TEXT_BYTES])
{
    const char *at = spelling.at, *end = spelling.bytes == 0 ? at : at + spelling.bytes;
    unsigned char bytes[UUID_BYTES];
    bool braces = at < end && *at == '{';

    if (braces)
        at++;
    for (int i = 0; i < UUID_BYTES; i++) {
        int high = end - at >= 2 ? digit_value(at[0]) : -1;
        int low = end - at >= 2 ? digit_value(at[1]) : -1;

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
        at += 2;
        if (at < end && *at == '-' && i % 2 == 1 && i < UUID_BYTES - 1)
            at++;
    }
    if (braces && (at == end || *at++ != '}'))
        return false;
    if (at != end)
        return false;
    uuid_from_bytes(bytes, text);
    return true;
}
