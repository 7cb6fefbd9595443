/* test_tenant.c - spellings and binary values of tenants, and their one canonical form. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "fixture.h"

#define BYTES(text)                                                                                          \
    {                                                                                                        \
        text, sizeof text - 1                                                                                \
    }

enum { OID_NAME = 19, OID_INT2 = 21, OID_BPCHAR = 1042, OID_BOOL = 16 };

static const struct text_case {
    uint32_t type_oid;
    struct slice text;
    const char *canonical; /* NULL: none */
} texts[] = {
    { OID_UUID, BYTES("ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB"), TA },
    { OID_UUID, BYTES("{abcdefab-cdef-abcd-efab-cdefabcdefab}"), TA },
    { OID_UUID, BYTES("abcdefabcdefabcdefabcdefabcdefab"), TA },
    { OID_UUID, BYTES("abcdefab-cdef-abcd-efab-cdefabcdefa"), NULL },
    { OID_UUID, BYTES(" " TA), NULL },
    { OID_UUID, BYTES(""), NULL },
    { OID_TEXT, BYTES("Acme"), "Acme" },
    { OID_TEXT, BYTES(" a b "), " a b " },
    { OID_TEXT, BYTES("\xc3\xa4"), "\xc3\xa4" },
    { OID_TEXT, BYTES("\xe4"), NULL }, /* LATIN1: another client's bytes for the same tenant */
    { OID_TEXT, BYTES("\xc3"), NULL },
    { OID_TEXT, BYTES("\xc0\x80"), NULL },
    { OID_TEXT, BYTES(""), NULL },
    { OID_TEXT, BYTES("a\0b"), NULL },
    { OID_VARCHAR, BYTES("a"), "a" },
    { OID_VARCHAR, BYTES("a "), NULL },
    { OID_BPCHAR, BYTES("a  "), "a" },
    { OID_NAME, BYTES("abc"), "abc" },
    { OID_NAME, BYTES("abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd"), NULL },
    { OID_INT4, BYTES("42"), "42" },
    { OID_INT4, BYTES(" +0042 "), "42" },
    { OID_INT4, BYTES("-7"), "-7" },
    { OID_INT4, BYTES("-0"), "0" },
    { OID_INT4, BYTES("2147483648"), NULL },
    { OID_INT8, BYTES("2147483648"), "2147483648" },
    { OID_INT8, BYTES("9223372036854775808"), NULL },
    { OID_INT2, BYTES("32768"), NULL },
    { OID_INT4, BYTES("4.0"), NULL },
    { OID_INT4, BYTES("4e1"), NULL },
    { OID_INT4, BYTES("+"), NULL },
    { OID_INT4, BYTES(""), NULL },
    { OID_NUMERIC, BYTES("12"), "12" },
    { OID_NUMERIC, BYTES("12.0"), "12" },
    { OID_NUMERIC, BYTES(" +0012.00 "), "12" },
    { OID_NUMERIC, BYTES("-0.0"), "0" },
    { OID_NUMERIC, BYTES("-7."), "-7" },
    { OID_NUMERIC, BYTES("123456789012345678901234567890"), "123456789012345678901234567890" },
    { OID_NUMERIC, BYTES("12.5"), NULL }, /* numeric(9,0) would make 13 of it */
    { OID_NUMERIC, BYTES(".0"), NULL },
    { OID_NUMERIC, BYTES("1e2"), NULL },
    { OID_NUMERIC, BYTES("NaN"), NULL },
    { OID_NUMERIC, BYTES("12.0.0"), NULL },
    { OID_ENUM, BYTES("Gold"), "Gold" },
    { OID_ENUM, BYTES("abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd"), NULL },
    { OID_BOOL, BYTES("t"), NULL },
    { OID_CITEXT, BYTES("a"), NULL },
};

static void writes_one_form_for_every_spelling(void **state)
{
    char out[TENANT_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bool fine = tenant_canonical(texts[i].type_oid, texts[i].text, out);

        if (fine != (texts[i].canonical != NULL) || (fine && strcmp(out, texts[i].canonical) != 0))
            fail_msg("%u %s: %d %s", texts[i].type_oid, texts[i].text.at, fine, out);
    }
}

static const struct text_case binaries[] = {
    { OID_UUID, BYTES("\xab\xcd\xef\xab\xcd\xef\xab\xcd\xef\xab\xcd\xef\xab\xcd\xef\xab"), TA },
    { OID_UUID, BYTES("short"), NULL },
    { OID_INT2, BYTES("\xff\xfe"), "-2" },
    { OID_INT4, BYTES("\0\0\0\x2a"), "42" },
    { OID_INT4, BYTES("\0\0\0\0\0\0\0\x2a"), NULL },
    { OID_INT8, BYTES("\xff\xff\xff\xff\xff\xff\xff\xff"), "-1" },
    { OID_TEXT, BYTES("Acme"), "Acme" },
    { OID_TEXT, BYTES("a\0b"), NULL },
    { OID_NUMERIC, BYTES("\0\1\0\0\0\0\0\0\0\1"), "1" },
    { OID_NUMERIC, BYTES("\0\0\0\0\0\0\0\2"), "0" },
    { OID_NUMERIC, BYTES("\0\2\0\1\x40\0\0\0\0\1\0\2"), "-10002" },
    { OID_NUMERIC, BYTES("\0\1\0\1\0\0\0\0\0\1"), "10000" },
    { OID_NUMERIC, BYTES("\0\2\0\0\0\0\0\4\0\1\0\2"), NULL }, /* 1.0002 */
    { OID_NUMERIC, BYTES("\0\1\xff\xff\0\0\0\4\0\1"), NULL }, /* 0.0001 */
    { OID_NUMERIC, BYTES("\0\2\0\0\0\0\0\1\0\1\0\0"), "1" },  /* 1.0 */
    { OID_NUMERIC, BYTES("\0\0\0\0\xc0\0\0\0"), NULL },       /* NaN */
    { OID_NUMERIC, BYTES("\0\1\0\0\0\0\0\0\x27\x10"), NULL }, /* no digit */
    { OID_NUMERIC, BYTES("\0\1\x7f\xff\0\0\0\0\0\1"), NULL }, /* too long */
    { OID_NUMERIC, BYTES("\0\2\0\0\0\0\0\0\0\1"), NULL },     /* cut off */
    { OID_NUMERIC, BYTES("\0"), NULL },
    { OID_ENUM, BYTES("Gold"), "Gold" },
};

static void reads_binary_values(void **state)
{
    char out[TENANT_BYTES_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof binaries / sizeof binaries[0]; i++) {
        bool fine = tenant_from_binary(binaries[i].type_oid, binaries[i].text, out);

        if (fine != (binaries[i].canonical != NULL) || (fine && strcmp(out, binaries[i].canonical) != 0))
            fail_msg("row %zu: %d %s", i, fine, out);
    }
    assert_false(tenant_from_binary(OID_TEXT, (struct slice){ NULL, 0 }, out));
    assert_false(tenant_canonical(OID_TEXT, (struct slice){ NULL, 0 }, out));
}

static void a_tenant_has_a_longest_length(void **state)
{
    char text[TENANT_BYTES_MAX];
    char out[TENANT_BYTES_MAX];

    (void)state;
    memset(text, 'x', sizeof text);
    assert_true(tenant_canonical(OID_TEXT, (struct slice){ text, TENANT_BYTES_MAX - 1 }, out));
    assert_int_equal(strlen(out), TENANT_BYTES_MAX - 1);
    assert_false(tenant_canonical(OID_TEXT, (struct slice){ text, TENANT_BYTES_MAX }, out));
}

static void a_schema_finds_tables_by_name(void **state)
{
    struct schema *schema = fixture_schema();

    (void)state;
    assert_string_equal(schema_find(schema, "", "events")->name, "events");
    assert_non_null(schema_find(schema, "public", "events"));
    assert_null(schema_find(schema, "es", "events"));
    assert_non_null(schema_find(schema, "es", "Events"));
    assert_null(schema_find(schema, "", "EVENTS"));
    assert_non_null(schema_find(schema, "public", "outbox")); /* declared without a schema */
    assert_null(schema_find(schema, "other", "outbox"));
    assert_null(schema_find(schema, "", "users"));
    assert_null(schema_find(NULL, "", "events"));
    schema_take(schema);
    schema_give(schema);
    assert_int_equal(schema->refs, 1);
    schema_give(schema);
    schema_give(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_one_form_for_every_spelling),
        cmocka_unit_test(reads_binary_values),
        cmocka_unit_test(a_tenant_has_a_longest_length),
        cmocka_unit_test(a_schema_finds_tables_by_name),
    };

    return cmocka_run_group_tests_name("tenant", tests, NULL, NULL);
}
