/* encode.c - text <-> binary of the few types that the console speaks.
 * Formats: the send and receive functions of PostgreSQL's src/backend/utils/adt.
 * Owns: nothing.   Thread: any.   Start at: encode_binary(). */
#include "admin/encode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/uuid.h"
#include "wire/write.h"

/* What a parameter may be declared as, besides enum rows_type. */
enum { OID_NAME = 19, OID_INT2 = 21, OID_UNKNOWN = 705, OID_BPCHAR = 1042, OID_VARCHAR = 1043 };

static const int64_t US_PER_SECOND = 1000000, SECONDS_PER_DAY = 86400;
static const int64_t DAYS_TO_2000 = 10957; /* from 1970-01-01 */

int16_t encode_type_bytes(enum rows_type type)
{
    switch (type) {
    case ROWS_BOOL:
        return 1;
    case ROWS_INT4:
        return 4;
    case ROWS_INT8:
    case ROWS_FLOAT8:
    case ROWS_TIMESTAMPTZ:
        return 8;
    case ROWS_UUID:
        return UUID_BYTES;
    case ROWS_TEXT:
        break;
    }
    return -1;
}

static void write_u64(struct buf *out, uint64_t value)
{
    write_u32(out, (uint32_t)(value >> 32));
    write_u32(out, (uint32_t)value);
}

static bool put_bool(const char *text, struct buf *out)
{
    bool yes = strcmp(text, "t") == 0 || strcmp(text, "true") == 0;

    if (!yes && strcmp(text, "f") != 0 && strcmp(text, "false") != 0)
        return false;
    write_u8(out, yes);
    return true;
}

static bool read_integer(const char *text, int64_t min, int64_t max, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *value >= min && *value <= max;
}

static bool put_int4(const char *text, struct buf *out)
{
    int64_t value;

    if (!read_integer(text, INT32_MIN, INT32_MAX, &value))
        return false;
    write_u32(out, (uint32_t)value);
    return true;
}

static bool put_int8(const char *text, struct buf *out)
{
    int64_t value;

    if (!read_integer(text, INT64_MIN, INT64_MAX, &value))
        return false;
    write_u64(out, (uint64_t)value);
    return true;
}

static bool put_float8(const char *text, struct buf *out)
{
    char *end;
    double value = strtod(text, &end); /* reads NaN and Infinity as PostgreSQL writes them */
    uint64_t bits;

    if (end == text || *end != '\0')
        return false;
    memcpy(&bits, &value, sizeof bits);
    write_u64(out, bits);
    return true;
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c - 'a' + 10; /* canonical: lower case */
}

static bool put_uuid(const char *text, struct buf *out)
{
    char canonical[UUID_TEXT_BYTES];

    if (!uuid_canonical(slice_of(text), canonical))
        return false;
    for (const char *at = canonical; *at != '\0'; at += 2) {
        if (*at == '-')
            at++;
        write_u8(out, (uint8_t)(hex_of(at[0]) << 4 | hex_of(at[1])));
    }
    return true;
}

/* Days since 1970-01-01 of a Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
 */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    int64_t era, year_of_era, day_of_year;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* ".5" → 500000; `at` is moved behind it. */
static int64_t read_fraction_us(const char **at)
{
    int64_t us = 0, unit = US_PER_SECOND / 10;

    if (**at != '.')
        return 0;
    for ((*at)++; **at >= '0' && **at <= '9'; (*at)++) {
        us += (**at - '0') * unit;
        unit /= 10;
    }
    return us;
}

/* "+02", "-03:30", "+00:19:32", "Z": seconds east of UTC. */
static bool read_zone(const char *at, int64_t *seconds)
{
    int hours, minutes = 0, secs = 0, used = 0;
    char sign;

    if (strcmp(at, "Z") == 0 || strcmp(at, "UTC") == 0) {
        *seconds = 0;
        return true;
    }
    sign = *at;
    if (sign != '+' && sign != '-')
        return false;
    at++;
    if (sscanf(at, "%2d%n", &hours, &used) != 1)
        return false;
    at += used;
    if (*at == ':' && sscanf(at, ":%2d%n", &minutes, &used) == 1)
        at += used;
    if (*at == ':' && sscanf(at, ":%2d%n", &secs, &used) == 1)
        at += used;
    if (*at != '\0' || hours < 0 || hours > 15 || minutes < 0 || minutes > 59 || secs < 0 || secs > 59)
        return false;
    *seconds = ((int64_t)hours * 3600 + minutes * 60 + secs) * (sign == '-' ? -1 : 1);
    return true;
}

/* ISO as PostgreSQL writes it: "2026-01-02 03:04:05.678+00". */
static bool put_timestamptz(const char *text, struct buf *out)
{
    int year, month, day, hour, minute, second, used = 0;
    int64_t zone, us, seconds;
    const char *at;

    if (strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0) {
        write_u64(out, *text == '-' ? (uint64_t)INT64_MIN : (uint64_t)INT64_MAX);
        return true;
    }
    if (sscanf(text, "%6d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
               &used) != 6 ||
        used == 0)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 24 || minute < 0 ||
        minute > 59 || second < 0 || second > 60)
        return false;
    at = text + used;
    us = read_fraction_us(&at);
    if (!read_zone(at, &zone))
        return false;
    seconds = (days_from_civil(year, month, day) - DAYS_TO_2000) * SECONDS_PER_DAY + hour * 3600 +
              minute * 60 + second - zone;
    if (seconds > INT64_MAX / US_PER_SECOND - 1) /* a year that PostgreSQL does not have */
        return false;
    write_u64(out, (uint64_t)(seconds * US_PER_SECOND + us));
    return true;
}

bool encode_binary(enum rows_type type, const char *text, struct buf *out)
{
    switch (type) {
    case ROWS_BOOL:
        return put_bool(text, out);
    case ROWS_INT4:
        return put_int4(text, out);
    case ROWS_INT8:
        return put_int8(text, out);
    case ROWS_FLOAT8:
        return put_float8(text, out);
    case ROWS_TIMESTAMPTZ:
        return put_timestamptz(text, out);
    case ROWS_UUID:
        return put_uuid(text, out);
    case ROWS_TEXT:
        buf_append_text(out, text);
        return true;
    }
    return false;
}

/* Big-endian, sign-extended. */
static int64_t read_signed(struct slice binary)
{
    uint64_t value = (unsigned char)binary.at[0] & 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < binary.bytes; i++)
        value = value << 8 | (unsigned char)binary.at[i];
    return (int64_t)value;
}

static bool text_of_integer(struct slice binary, size_t bytes, struct buf *out)
{
    if (binary.bytes != bytes)
        return false;
    buf_append_format(out, "%" PRId64, read_signed(binary));
    return true;
}

static bool text_of_float8(struct slice binary, struct buf *out)
{
    uint64_t bits;
    double value;

    if (binary.bytes != sizeof bits)
        return false;
    bits = (uint64_t)read_signed(binary);
    memcpy(&value, &bits, sizeof value);
    buf_append_format(out, "%.17g", value);
    return true;
}

static bool text_of_uuid(struct slice binary, struct buf *out)
{
    char text[UUID_TEXT_BYTES];

    if (binary.bytes != UUID_BYTES)
        return false;
    uuid_from_bytes((const unsigned char *)binary.at, text);
    buf_append_text(out, text);
    return true;
}

bool encode_text_of(uint32_t type_oid, struct slice binary, struct buf *out)
{
    switch (type_oid) {
    case 0:
    case OID_UNKNOWN:
    case ROWS_TEXT:
    case OID_NAME:
    case OID_BPCHAR:
    case OID_VARCHAR:
        buf_append_slice(out, binary);
        return true;
    case OID_INT2:
        return text_of_integer(binary, 2, out);
    case ROWS_INT4:
        return text_of_integer(binary, 4, out);
    case ROWS_INT8:
        return text_of_integer(binary, 8, out);
    case ROWS_FLOAT8:
        return text_of_float8(binary, out);
    case ROWS_UUID:
        return text_of_uuid(binary, out);
    case ROWS_BOOL:
        if (binary.bytes != 1)
            return false;
        buf_append_text(out, binary.at[0] != 0 ? "t" : "f");
        return true;
    default:
        return false;
    }
}
