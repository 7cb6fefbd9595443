/* error.c - fills the caller's struct error; text is cut, never lost to an allocation.
 * Owns: nothing.   Thread: any.   Start at: error_set(). */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FORMAT_BYTES = 1024 }; /* the largest field of struct error */

/* Bytes of `text` that end at a character's end, given that it was cut at `bytes`. */
static size_t whole_characters(const char *text, size_t bytes)
{
    size_t start = bytes;
    unsigned char lead;
    size_t want;

    while (start > 0 && bytes - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return bytes;
    lead = (unsigned char)text[start - 1];
    want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return bytes - (start - 1) < want ? start - 1 : bytes;
}

/* Formats beside the field first: an argument may be the error's own text. */
static void fill(char *field, size_t field_bytes, const char *fmt, va_list args)
{
    char text[FORMAT_BYTES];
    int wanted = vsnprintf(text, sizeof text, fmt, args);
    size_t bytes = wanted < 0 ? 0 : (size_t)wanted;

    if (bytes >= field_bytes)
        bytes = whole_characters(text, field_bytes - 1);
    memcpy(field, text, bytes);
    field[bytes] = '\0';
}

bool error_set(struct error *err, const char *sqlstate, const char *fmt, ...)
{
    char state[sizeof err->sqlstate];
    va_list args;

    snprintf(state, sizeof state, "%s", sqlstate);
    va_start(args, fmt);
    fill(err->message, sizeof err->message, fmt, args);
    va_end(args);
    memcpy(err->sqlstate, state, sizeof state);
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    return false;
}

bool error_detail(struct error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fill(err->detail, sizeof err->detail, fmt, args);
    va_end(args);
    return false;
}

bool error_hint(struct error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fill(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
    return false;
}

bool error_no_memory(struct error *err)
{
    return error_set(err, "53200", "out of memory");
}

void error_clear(struct error *err)
{
    err->sqlstate[0] = err->message[0] = err->detail[0] = err->hint[0] = '\0';
}

bool error_is(const struct error *err, const char *sqlstate)
{
    return strcmp(err->sqlstate, sqlstate) == 0;
}

bool error_is_set(const struct error *err)
{
    return err->sqlstate[0] != '\0';
}
