/* literal.c - the content of a hole, as PostgreSQL reads it.
 * Owns:   quotes, doubled quotes, backslashes, Unicode escapes, continuation lines, dollar tags.
 * Leaves: where a literal begins and ends to token.c; what a value means to attribute.c.
 * Thread: any.   Start at: shape_literal(). */
#include "sql/shape.h"

#include <string.h>

#include "sql/token.h"

enum { RAW_BYTES_MAX = 2048 }; /* a U&'…' before its escapes are undone */

/* Writes a literal's content into the caller's space. */
struct writer {
    char *out;
    size_t bytes, room; /* room: without the terminator */
};

static bool put_byte(struct writer *writer, char c)
{
    if (c == '\0' || writer->bytes >= writer->room)
        return false;
    writer->out[writer->bytes++] = c;
    return true;
}

/* As UTF-8. Surrogates are the caller's to join. */
static bool put_code_point(struct writer *writer, uint32_t code)
{
    if (code < 0x80)
        return put_byte(writer, (char)code);
    if (code < 0x800)
        return put_byte(writer, (char)(0xc0 | code >> 6)) && put_byte(writer, (char)(0x80 | (code & 0x3f)));
    if (code >= 0xd800 && code <= 0xdfff)
        return false;
    if (code < 0x10000)
        return put_byte(writer, (char)(0xe0 | code >> 12)) &&
               put_byte(writer, (char)(0x80 | (code >> 6 & 0x3f))) &&
               put_byte(writer, (char)(0x80 | (code & 0x3f)));
    if (code > 0x10ffff)
        return false;
    return put_byte(writer, (char)(0xf0 | code >> 18)) &&
           put_byte(writer, (char)(0x80 | (code >> 12 & 0x3f))) &&
           put_byte(writer, (char)(0x80 | (code >> 6 & 0x3f))) &&
           put_byte(writer, (char)(0x80 | (code & 0x3f)));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `digits` hex digits at `at`. */
static bool read_hex(struct slice text, size_t at, unsigned digits, uint32_t *value)
{
    *value = 0;
    if (text.bytes < digits || at > text.bytes - digits)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_digit(text.at[at + i]);

        if (digit < 0)
            return false;
        *value = *value << 4 | (uint32_t)digit;
    }
    return true;
}

/* Joins surrogate pairs: `first` waits for its second half. */
static bool put_unicode(struct writer *writer, uint32_t *first, uint32_t code)
{
    if (*first != 0) {
        if (code < 0xdc00 || code > 0xdfff)
            return false;
        code = 0x10000 + ((*first & 0x3ff) << 10) + (code & 0x3ff);
        *first = 0;
    } else if (code >= 0xd800 && code <= 0xdbff) {
        *first = code;
        return true;
    }
    return put_code_point(writer, code);
}

/* A backslash escape of E'…'; *at stands behind the backslash. */
static bool put_escape(struct writer *writer, struct slice text, size_t *at, uint32_t *surrogate)
{
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    char c;
    const char *name;
    uint32_t value = 0;

    if (*at >= text.bytes)
        return false;
    c = text.at[(*at)++];
    if (c == 'u' || c == 'U') {
        unsigned digits = c == 'u' ? 4 : 8;

        if (!read_hex(text, *at, digits, &value))
            return false;
        *at += digits;
        return put_unicode(writer, surrogate, value);
    }
    if (*surrogate != 0)
        return false;
    if (c >= '0' && c <= '7') {
        value = (uint32_t)(c - '0');
        for (unsigned i = 0; i < 2 && *at < text.bytes && text.at[*at] >= '0' && text.at[*at] <= '7'; i++)
            value = value << 3 | (uint32_t)(text.at[(*at)++] - '0');
        return put_byte(writer, (char)value);
    }
    if (c == 'x' && read_hex(text, *at, 1, &value)) {
        unsigned digits = read_hex(text, *at, 2, &value) ? 2 : 1;

        if (digits == 1)
            read_hex(text, *at, 1, &value);
        *at += digits;
        return put_byte(writer, (char)value);
    }
    if (c == 'v')
        return false; /* differs between versions */
    name = strchr(names, c);
    return put_byte(writer, name != NULL ? values[name - names] : c);
}

/* The parts of a quoted literal whose content begins at `at`. *end: behind the last quote. */
static bool put_quoted(struct writer *writer, struct slice text, size_t at, bool backslashes, size_t *end)
{
    uint32_t surrogate = 0;

    while (at < text.bytes) {
        char c = text.at[at++];

        if (c == '\\' && backslashes) {
            if (!put_escape(writer, text, &at, &surrogate))
                return false;
            continue;
        }
        if (c == '\'' && (at >= text.bytes || text.at[at] != '\'')) {
            uint32_t next = token_continuation(text.at, (uint32_t)text.bytes, (uint32_t)at);

            *end = at;
            if (next == 0)
                return surrogate == 0;
            at = next;
            continue;
        }
        if (c == '\'')
            at++;
        if (surrogate != 0 || !put_byte(writer, c))
            return false;
    }
    return false;
}

/* The escape character of U&'…'; `text` is what follows the string: nothing, or UESCAPE 'c'. */
static bool read_uescape(struct slice text, char *escape)
{
    struct lexer lexer;
    struct token token;

    *escape = '\\';
    lexer_init(&lexer, text, true);
    lexer_next(&lexer, &token);
    if (token.kind == TOKEN_END)
        return true;
    lexer_next(&lexer, &token);
    if (token.kind != TOKEN_STRING || token.end - token.begin != 3)
        return false;
    *escape = text.at[token.begin + 1];
    return hex_digit(*escape) < 0 && strchr("+'\" \t\n\r\f", *escape) == NULL;
}

static bool put_unescaped(struct writer *writer, struct slice raw, char escape)
{
    uint32_t surrogate = 0;
    uint32_t code;

    for (size_t at = 0; at < raw.bytes;) {
        char c = raw.at[at++];

        if (c != escape || (at < raw.bytes && raw.at[at] == escape)) {
            at += c == escape;
            if (surrogate != 0 || !put_byte(writer, c))
                return false;
        } else if (read_hex(raw, at, 4, &code)) {
            at += 4;
            if (!put_unicode(writer, &surrogate, code))
                return false;
        } else if (at < raw.bytes && raw.at[at] == '+' && read_hex(raw, at + 1, 6, &code)) {
            at += 7;
            if (!put_unicode(writer, &surrogate, code))
                return false;
        } else {
            return false;
        }
    }
    return surrogate == 0;
}

static bool put_unicode_literal(struct writer *writer, struct slice text)
{
    char space[RAW_BYTES_MAX];
    struct writer raw = { .out = space, .room = sizeof space };
    char escape;
    size_t end;

    if (!put_quoted(&raw, text, 3, false, &end))
        return false;
    return read_uescape((struct slice){ text.at + end, text.bytes - end }, &escape) &&
           put_unescaped(writer, (struct slice){ space, raw.bytes }, escape);
}

static bool put_plain(struct writer *writer, struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (!put_byte(writer, text.at[i]))
            return false;
    return true;
}

static bool put_dollar(struct writer *writer, struct slice text)
{
    const char *tag_end = memchr(text.at + 1, '$', text.bytes - 1);
    size_t tag_bytes = tag_end == NULL ? 0 : (size_t)(tag_end - text.at) + 1;

    if (tag_end == NULL || text.bytes < 2 * tag_bytes)
        return false;
    return put_plain(writer, (struct slice){ text.at + tag_bytes, text.bytes - 2 * tag_bytes });
}

bool shape_literal(const struct shape *shape, struct slice text, size_t hole, char *out, size_t out_bytes)
{
    const struct hole *h = &shape->holes[hole];
    struct slice literal = { text.at + h->begin, h->bytes };
    struct writer writer = { .out = out, .room = out_bytes - 1 };
    bool fine = false;
    size_t end;

    switch ((enum hole_kind)h->kind) {
    case HOLE_STRING:
        fine = put_quoted(&writer, literal, 1, false, &end);
        break;
    case HOLE_ESCAPE:
        fine = put_quoted(&writer, literal, literal.at[0] == '\'' ? 1 : 2, true, &end);
        break;
    case HOLE_UNICODE:
        fine = put_unicode_literal(&writer, literal);
        break;
    case HOLE_DOLLAR:
        fine = put_dollar(&writer, literal);
        break;
    case HOLE_BITS:
        fine = put_quoted(&writer, literal, 2, false, &end);
        break;
    case HOLE_NUMBER:
        fine = put_plain(&writer, literal);
        break;
    case HOLE_PARAM:
        break;
    }
    out[fine ? writer.bytes : 0] = '\0';
    return fine;
}

uint32_t shape_param(const struct shape *shape, struct slice text, size_t hole)
{
    const struct hole *h = &shape->holes[hole];
    uint32_t number = 0;

    if (h->kind != HOLE_PARAM)
        return 0;
    for (uint32_t i = 1; i < h->bytes; i++) {
        number = number * 10 + (uint32_t)(text.at[h->begin + i] - '0');
        if (number > UINT16_MAX)
            return 0;
    }
    return number;
}
