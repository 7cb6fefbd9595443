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
    if ((type_oid == TYPE_NAME || type_oid == TYPE_ENUM) && text.bytes >= IDENTIFIER_BYTES_MAX)
        return false; /* would be cut; no label is that long */
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

/* numeric only where it is an integer: 12.0 and 12 are one tenant. A column's scale would round others. */
static bool canonical_numeric(struct slice text, char out[TENANT_BYTES_MAX])
{
    size_t begin = text.bytes > 0 && (text.at[0] == '-' || text.at[0] == '+');
    bool minus = begin > 0 && text.at[0] == '-';
    size_t digits, end, written = 0;

    for (digits = begin; digits < text.bytes && text.at[digits] >= '0' && text.at[digits] <= '9'; digits++)
        ;
    if (digits == begin)
        return false;
    for (end = digits + 1; end < text.bytes && text.at[end] == '0'; end++)
        ;
    if (digits < text.bytes && (text.at[digits] != '.' || end < text.bytes))
        return false;
    while (begin + 1 < digits && text.at[begin] == '0')
        begin++;
    if (digits - begin + minus >= TENANT_BYTES_MAX)
        return false;
    if (minus && text.at[begin] != '0')
        out[written++] = '-';
    memcpy(out + written, text.at + begin, digits - begin);
    out[written + digits - begin] = '\0';
    return true;
}

static bool canonical_integer(uint32_t type_oid, struct slice text, char out[TENANT_BYTES_MAX])
{
    char digits[24];
    char *end;
    long long value;
    size_t sign;

    text = trim(text);
    if (type_oid == TYPE_NUMERIC)
        return canonical_numeric(text, out);
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

bool tenant_type_is_known(uint32_t type_oid)
{
    return type_family(type_oid) != FAMILY_NONE;
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

static unsigned read_u16(struct slice bytes, size_t at)
{
    return (unsigned)(unsigned char)bytes.at[at] << 8 | (unsigned char)bytes.at[at + 1];
}

/* numeric_recv() of PostgreSQL: digits to the base of 10,000, the first one worth 10,000 ^ weight. */
static bool binary_numeric(struct slice bytes, char out[TENANT_BYTES_MAX])
{
    enum { HEAD_BYTES = 8, PLUS = 0, MINUS = 0x4000 };
    char text[TENANT_BYTES_MAX];
    size_t written = 0;
    unsigned count, sign;
    int weight;

    if (bytes.bytes < HEAD_BYTES)
        return false;
    count = read_u16(bytes, 0);
    weight = (int16_t)read_u16(bytes, 2);
    sign = read_u16(bytes, 4);
    if (bytes.bytes != HEAD_BYTES + 2 * (size_t)count || (sign != PLUS && sign != MINUS) ||
        weight >= TENANT_BYTES_MAX / 4 - 1)
        return false;
    if (sign == MINUS)
        text[written++] = '-';
    text[written++] = '0';
    for (int i = 0; i < (int)count || i <= weight; i++) {
        unsigned digit = i < (int)count ? read_u16(bytes, HEAD_BYTES + 2 * (size_t)i) : 0;

        if (digit > 9999 || (i > weight && digit != 0))
            return false; /* a fraction */
        if (i <= weight)
            written += (size_t)snprintf(text + written, sizeof text - written, "%04u", digit);
    }
    return canonical_numeric((struct slice){ text, written }, out);
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
        return type_oid == TYPE_NUMERIC ? binary_numeric(bytes, out) : binary_integer(type_oid, bytes, out);
    default:
        return false;
    }
}
