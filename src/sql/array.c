/* array.c - array_in() and array_recv() of PostgreSQL, as far as elements are concerned.
 * Leaves: what an element means to attribute.c.
 * Thread: any.   Start at: array_next().
 * What is malformed here may be accepted as far as braces are concerned (rows of different lengths): the
 * server refuses it, and nothing happens. */
#include "sql/array.h"

#include <string.h>
#include <strings.h>

enum { DIMENSIONS_MAX = 6 /* MAXDIM of PostgreSQL */ };

void array_open_text(struct array_reader *array, struct slice text)
{
    *array = (struct array_reader){ .text = text };
}

static bool read_u32(struct array_reader *array, uint32_t *value)
{
    const unsigned char *at = (const unsigned char *)array->text.at;

    if (array->text.bytes < 4)
        return false;
    *value = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    array->text.at += 4;
    array->text.bytes -= 4;
    return true;
}

bool array_open_binary(struct array_reader *array, struct slice bytes)
{
    uint32_t dimensions, flags, size, lower;
    uint64_t count = 1;

    *array = (struct array_reader){ .text = bytes, .binary = true };
    if (bytes.at == NULL || !read_u32(array, &dimensions) || !read_u32(array, &flags) ||
        !read_u32(array, &array->element_oid) || dimensions > DIMENSIONS_MAX)
        return false;
    for (uint32_t i = 0; i < dimensions; i++) {
        if (!read_u32(array, &size) || !read_u32(array, &lower))
            return false;
        count *= size;
        if (count > bytes.bytes / 4) /* every element has a length of four bytes */
            return false;
    }
    array->left = dimensions == 0 ? 0 : (uint32_t)count;
    return true;
}

static void put(char *element, size_t room, size_t *bytes, char c)
{
    if (element != NULL && *bytes + 1 < room)
        element[*bytes] = c;
    ++*bytes;
}

static enum array_step finish(char *element, size_t room, size_t bytes)
{
    if (element != NULL && room > 0)
        element[bytes < room ? bytes : room - 1] = '\0';
    return ARRAY_ELEMENT;
}

static enum array_step next_binary(struct array_reader *array, char *element, size_t room, size_t *bytes)
{
    uint32_t length;

    if (array->left == 0)
        return array->text.bytes == 0 ? ARRAY_END : ARRAY_BAD;
    array->left--;
    if (!read_u32(array, &length))
        return ARRAY_BAD;
    if (length == UINT32_MAX)
        return ARRAY_NULL;
    if (length > array->text.bytes)
        return ARRAY_BAD;
    *bytes = length;
    if (element != NULL && length < room)
        memcpy(element, array->text.at, length);
    array->text.at += length;
    array->text.bytes -= length;
    return finish(element, room, *bytes);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(struct array_reader *array)
{
    while (array->text.bytes > 0 && is_space(array->text.at[0])) {
        array->text.at++;
        array->text.bytes--;
    }
}

static char take(struct array_reader *array)
{
    array->text.bytes--;
    return *array->text.at++;
}

static enum array_step read_quoted(struct array_reader *array, char *element, size_t room, size_t *bytes)
{
    while (array->text.bytes > 0) {
        char c = take(array);

        if (c == '"')
            return finish(element, room, *bytes);
        if (c == '\\') {
            if (array->text.bytes == 0)
                return ARRAY_BAD;
            c = take(array);
        }
        put(element, room, bytes, c);
    }
    return ARRAY_BAD;
}

/* White space around it does not count, and NULL is nothing; an escaped character is always one of its own.
 */
static enum array_step read_bare(struct array_reader *array, char *element, size_t room, size_t *bytes)
{
    const char *begin = array->text.at;
    size_t kept = 0;
    bool escaped = false;

    while (array->text.bytes > 0 && strchr(",{}\"", array->text.at[0]) == NULL) {
        char c = take(array);

        if (c == '\0')
            return ARRAY_BAD;
        if (c == '\\') {
            if (array->text.bytes == 0)
                return ARRAY_BAD;
            c = take(array);
            escaped = true;
            put(element, room, bytes, c);
            kept = *bytes;
            continue;
        }
        put(element, room, bytes, c);
        if (!is_space(c))
            kept = *bytes;
    }
    if (kept == 0 || array->text.bytes == 0 || array->text.at[0] == '{' || array->text.at[0] == '"')
        return ARRAY_BAD;
    if (!escaped && kept == 4 && strncasecmp(begin, "null", 4) == 0)
        return ARRAY_NULL;
    *bytes = kept;
    return finish(element, room, kept);
}

/* Braces and commas in front of the next element. ELEMENT: it begins here. */
static enum array_step next_begin(struct array_reader *array)
{
    for (;;) {
        char c;

        skip_space(array);
        if (array->text.bytes == 0)
            return array->begun && array->depth == 0 ? ARRAY_END : ARRAY_BAD;
        c = array->text.at[0];
        if (array->begun && array->depth == 0)
            return ARRAY_BAD; /* something behind the last brace */
        if (!array->begun && c != '{')
            return ARRAY_BAD;
        if (c == '{') {
            if (array->closed)
                return ARRAY_BAD;
            array->begun = true;
            array->separated = false;
            if (++array->depth > DIMENSIONS_MAX)
                return ARRAY_BAD;
        } else if (c == '}') {
            if (array->separated)
                return ARRAY_BAD;
            array->depth--;
            array->closed = true;
        } else if (c == ',') {
            if (!array->closed)
                return ARRAY_BAD;
            array->closed = false;
            array->separated = true;
        } else {
            return array->closed ? ARRAY_BAD : ARRAY_ELEMENT;
        }
        take(array);
    }
}

static enum array_step next_text(struct array_reader *array, char *element, size_t room, size_t *bytes)
{
    enum array_step step = next_begin(array);

    if (step != ARRAY_ELEMENT)
        return step;
    array->separated = false;
    array->closed = true; /* a comma or a brace must follow */
    if (array->text.at[0] == '"') {
        take(array);
        return read_quoted(array, element, room, bytes);
    }
    return read_bare(array, element, room, bytes);
}

enum array_step array_next(struct array_reader *array, char *element, size_t room, size_t *bytes)
{
    *bytes = 0;
    return array->binary ? next_binary(array, element, room, bytes) : next_text(array, element, room, bytes);
}
