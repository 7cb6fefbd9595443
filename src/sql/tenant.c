/* tenant.c - the canonical form of a tenant, from text and from PostgreSQL's binary formats.
 * Owns:   which types a tenant may have, and when two spellings are one tenant.
 * Leaves: which value is the tenant to attribute.c.
 * Thread: any.   Start at: tenant_canonical().
 * A type that is not known here has no canonical form: its own equality might take different texts for one
 * value (citext, a collation), and then a tenant would be two. */
#include "sql/attribute.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "sql/type.h"

static bool copy_text(struct slice text, char out[TENANT_BYTES_MAX])
{
    if (text.bytes == 0 || text.bytes >= TENANT_BYTES_MAX || memchr(text.at, '\0', text.bytes) != NULL)
        return false;
    memcpy(out, text.at, text.bytes);
    out[text.bytes] = '\0';
    return true;
}

/* Bytes of the character at `at`, 0 if it is not UTF-8. */
static size_t utf8_bytes(struct slice text, size_t at)
{
    unsigned char c = (unsigned char)text.at[at];
    size_t bytes = c < 0x80                ? 1
                   : c >= 0xc2 && c < 0xe0 ? 2
                   : c >= 0xe0 && c < 0xf0 ? 3
                   : c >= 0xf0 && c < 0xf5 ? 4
                                           : 0;

    if (bytes == 0 || bytes > text.bytes - at)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        if (((unsigned char)text.at[at + i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

/* A client with another encoding would name the same tenant by other bytes: what is not UTF-8 is not
 * understood. */
static bool is_utf8(struct slice text)
{
    for (size_t at = 0; at < text.bytes;) {
        size_t bytes = utf8_bytes(text, at);

        if (bytes == 0)
            return false;
        at += bytes;
    }
    return true;
}

static bool canonical_text(uint32_t type_oid, struct slice text, char out[TENANT_BYTES_MAX])
{
    bool blank_end = text.bytes > 0 && text.at[text.bytes - 1] == ' ';

    if (type_oid == TYPE_BPCHAR)
        while (text.bytes > 0 && text.at[text.bytes - 1] == ' ')
            text.bytes--;
    if (type_oid == TYPE_VARCHAR && blank_end)
        return false; /* the column's length may cut blanks off */
    if (type_oid == TYPE_NAME && text.bytes >= IDENTIFIER_BYTES_MAX)
        return false; /* would be cut */
    return is_utf8(text) && copy_text(text, out);
}

static struct slice trim(struct slice text)
{
    while (text.bytes > 0 && strchr(" \t\n\v\f\r", text.at[0]) != NULL) {
        text.at++;
        text.bytes--;
    }
    while (text.bytes > 0 && strchr(" \t\n\v\f\r", text.at[text.bytes - 1]) != NULL)
        text.bytes--;
    return text;
}

static bool write_integer(int64_t value, char out[TENANT_BYTES_MAX])
{
    snprintf(out, TENANT_BYTES_MAX, "%lld", (long long)value);
    return true;
}

static bool integer_fits(uint32_t type_oid, int64_t value)
{
    if (type_oid == TYPE_INT2)
        return value >= INT16_MIN && value <= INT16_MAX;
    return type_oid != TYPE_INT4 || (value >= INT32_MIN && value <= INT32_MAX);
}

/* numeric only where it is an integer: 1.0 and 1 are one tenant, and nobody writes the first. */
static bool canonical_integer(uint32_t type_oid, struct slice text, char out[TENANT_BYTES_MAX])
{
    char digits[24];
    char *end;
    long long value;
    size_t sign;

    text = trim(text);
    sign = text.bytes > 0 && (text.at[0] == '-' || text.at[0] == '+');
    if (text.bytes == sign || text.bytes >= sizeof digits || memchr(text.at, '\0', text.bytes) != NULL)
        return false;
    for (size_t i = sign; i < text.bytes; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    memcpy(digits, text.at, text.bytes);
    digits[text.bytes] = '\0';
    errno = 0;
    value = strtoll(digits, &end, 10);
    return errno == 0 && *end == '\0' && integer_fits(type_oid, value) && write_integer(value, out);
}

bool tenant_canonical(uint32_t type_oid, struct slice text, char out[TENANT_BYTES_MAX])
{
    char uuid[UUID_TEXT_BYTES];

    out[0] = '\0';
    if (text.at == NULL)
        return false;
    switch (type_family(type_oid)) {
    case FAMILY_UUID:
        return uuid_canonical(text, uuid) && copy_text(slice_of(uuid), out);
    case FAMILY_TEXT:
        return canonical_text(type_oid, text, out);
    case FAMILY_INTEGER:
        return canonical_integer(type_oid, text, out);
    default:
        return false;
    }
}

static bool binary_integer(uint32_t type_oid, struct slice bytes, char out[TENANT_BYTES_MAX])
{
    size_t expected = type_oid == TYPE_INT2 ? 2 : type_oid == TYPE_INT4 ? 4 : type_oid == TYPE_INT8 ? 8 : 0;
    uint64_t value = 0;

    if (expected == 0 || bytes.bytes != expected)
        return false;
    for (size_t i = 0; i < expected; i++)
        value = value << 8 | (unsigned char)bytes.at[i];
    if (expected == 2)
        return write_integer((int16_t)value, out);
    if (expected == 4)
        return write_integer((int32_t)value, out);
    return write_integer((int64_t)value, out);
}

bool tenant_from_binary(uint32_t type_oid, struct slice bytes, char out[TENANT_BYTES_MAX])
{
    char uuid[UUID_TEXT_BYTES];

    out[0] = '\0';
    if (bytes.at == NULL)
        return false;
    switch (type_family(type_oid)) {
    case FAMILY_UUID:
        if (bytes.bytes != UUID_BYTES)
            return false;
        uuid_from_bytes((const unsigned char *)bytes.at, uuid);
        return copy_text(slice_of(uuid), out);
    case FAMILY_TEXT: /* the same bytes as the text format */
        return canonical_text(type_oid, bytes, out);
    case FAMILY_INTEGER:
        return binary_integer(type_oid, bytes, out);
    default:
        return false;
    }
}
