/* test_encode.c - values in PostgreSQL's binary form: the bytes are those that a PostgreSQL 15 server sends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/encode.h"

static const struct {
    enum rows_type type;
    const char *text, *hex; /* hex NULL: not a value of that type */
} values[] = {
    { ROWS_BOOL, "t", "01" },
    { ROWS_BOOL, "f", "00" },
    { ROWS_BOOL, "perhaps", NULL },
    { ROWS_INT4, "0", "00000000" },
    { ROWS_INT4, "-1", "ffffffff" },
    { ROWS_INT4, "2147483647", "7fffffff" },
    { ROWS_INT4, "2147483648", NULL },
    { ROWS_INT4, "", NULL },
    { ROWS_INT4, "1x", NULL },
    { ROWS_INT8, "1", "0000000000000001" },
    { ROWS_INT8, "-9223372036854775808", "8000000000000000" },
    { ROWS_INT8, "9223372036854775808", NULL },
    { ROWS_FLOAT8, "1", "3ff0000000000000" },
    { ROWS_FLOAT8, "99.5", "4058e00000000000" },
    { ROWS_FLOAT8, "-0.1", "bfb999999999999a" },
    { ROWS_FLOAT8, "", NULL },
    { ROWS_FLOAT8, "1 %", NULL },
    { ROWS_TEXT, "", "" },
    { ROWS_TEXT, "ab", "6162" },
    { ROWS_UUID, "0d9c4f8e-7a2b-4c1d-9e3f-123456789abc", "0d9c4f8e7a2b4c1d9e3f123456789abc" },
    { ROWS_UUID, "0D9C4F8E7A2B4C1D9E3F123456789ABC", "0d9c4f8e7a2b4c1d9e3f123456789abc" },
    { ROWS_UUID, "0d9c4f8e", NULL },
    /* SELECT timestamptz_send('…') */
    { ROWS_TIMESTAMPTZ, "2000-01-01 00:00:00+00", "0000000000000000" },
    { ROWS_TIMESTAMPTZ, "2000-01-01 00:00:00.000001+00", "0000000000000001" },
    { ROWS_TIMESTAMPTZ, "1999-12-31 23:59:59.999999+00", "ffffffffffffffff" },
    { ROWS_TIMESTAMPTZ, "2024-02-29 12:34:56.789+02", "0002b581944b3e08" },
    { ROWS_TIMESTAMPTZ, "2000-01-01 00:00:00-03:30", "00000002ef04be00" },
    { ROWS_TIMESTAMPTZ, "2000-01-01T00:00:01Z", "00000000000f4240" },
    { ROWS_TIMESTAMPTZ, "infinity", "7fffffffffffffff" },
    { ROWS_TIMESTAMPTZ, "-infinity", "8000000000000000" },
    { ROWS_TIMESTAMPTZ, "2000-01-01 00:00:00", NULL },
    { ROWS_TIMESTAMPTZ, "2000-01-01", NULL },
    { ROWS_TIMESTAMPTZ, "2000-13-01 00:00:00+00", NULL },
    { ROWS_TIMESTAMPTZ, "2000-01-01 00:00:00+0x", NULL },
    { ROWS_TIMESTAMPTZ, "yesterday", NULL },
};

static void to_hex(const struct buf *bytes, char *hex)
{
    for (size_t i = 0; i < buf_bytes(bytes); i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)buf_at(bytes)[i]);
    hex[2 * buf_bytes(bytes)] = '\0';
}

static void encodes_as_postgresql_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct buf out;
        char hex[256];
        bool good;

        buf_init(&out);
        good = encode_binary(values[i].type, values[i].text, &out);
        to_hex(&out, hex);
        if (good != (values[i].hex != NULL) || (good && strcmp(hex, values[i].hex) != 0))
            fail_msg("type %d \"%s\": %s %s", (int)values[i].type, values[i].text, good ? "yes" : "no", hex);
        if (!good)
            assert_int_equal(buf_bytes(&out), 0);
        else if (encode_type_bytes(values[i].type) >= 0)
            assert_int_equal(buf_bytes(&out), encode_type_bytes(values[i].type));
        buf_done(&out);
    }
}

static const struct {
    uint32_t type;
    const char *bytes;
    size_t count;
    const char *text; /* NULL: refused */
} parameters[] = {
    { 0, "abc", 3, "abc" },
    { 25, "abc", 3, "abc" },
    { 1043, "", 0, "" },
    { 705, "x", 1, "x" },
    { 21, "\xff\xfe", 2, "-2" },
    { 23, "\x00\x00\x00\x1e", 4, "30" },
    { 20, "\x80\x00\x00\x00\x00\x00\x00\x00", 8, "-9223372036854775808" },
    { 701, "\x3f\xf8\x00\x00\x00\x00\x00\x00", 8, "1.5" },
    { 16, "\x01", 1, "t" },
    { 2950, "\x0d\x9c\x4f\x8e\x7a\x2b\x4c\x1d\x9e\x3f\x12\x34\x56\x78\x9a\xbc", 16,
      "0d9c4f8e-7a2b-4c1d-9e3f-123456789abc" },
    { 23, "\x00\x00\x1e", 3, NULL },
    { 2950, "\x0d", 1, NULL },
    { 16, "", 0, NULL },
    { 1700, "\x00\x01", 2, NULL },
};

static void reads_binary_parameters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++) {
        struct slice bytes = { parameters[i].bytes, parameters[i].count };
        struct buf out;
        bool good;

        buf_init(&out);
        good = encode_text_of(parameters[i].type, bytes, &out);
        if (good != (parameters[i].text != NULL) || (good && strcmp(buf_text(&out), parameters[i].text) != 0))
            fail_msg("row %zu: %s \"%s\"", i, good ? "yes" : "no", buf_text(&out));
        buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_postgresql_does),
        cmocka_unit_test(reads_binary_parameters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
