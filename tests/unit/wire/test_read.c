/* test_read.c - the bounded cursor. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "wire/read.h"

static void reads_network_order(void **state)
{
    struct read read = read_bytes_of("\xFE\xFD\xFC\x01\x02\x03\x04\xFF\xFF\xFF\xFE"
                                     "ab\0cd",
                                     16);

    (void)state;
    assert_int_equal(read_u8(&read), 0xFE);
    assert_int_equal(read_u16(&read), 0xFDFC);
    assert_int_equal(read_u32(&read), 0x01020304);
    assert_int_equal(read_i32(&read), -2);
    assert_true(slice_is(read_text(&read), "ab"));
    assert_int_equal(read_left(&read), 2);
    assert_false(read_done(&read));
    assert_true(slice_is(read_slice(&read, 2), "cd"));
    assert_true(read_done(&read));
}

enum kind { U8, U16, U32, I32, TEXT, SLICE };

/* One read past the end. */
static const struct short_case {
    const char *bytes;
    size_t count;
    enum kind kind;
} short_cases[] = {
    { "", 0, U8 },      { "a", 1, U16 }, { "abc", 3, U32 },   { "abc", 3, I32 },
    { "abc", 3, TEXT }, { "", 0, TEXT }, { "abc", 3, SLICE },
};

static void a_read_past_the_end_is_zero_and_stays_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof short_cases / sizeof short_cases[0]; i++) {
        struct read read = read_bytes_of(short_cases[i].bytes, short_cases[i].count);

        switch (short_cases[i].kind) {
        case U8:
            assert_int_equal(read_u8(&read), 0);
            break;
        case U16:
            assert_int_equal(read_u16(&read), 0);
            break;
        case U32:
            assert_int_equal(read_u32(&read), 0);
            break;
        case I32:
            assert_int_equal(read_i32(&read), 0);
            break;
        case TEXT:
            assert_int_equal(read_text(&read).bytes, 0);
            break;
        case SLICE:
            assert_int_equal(read_slice(&read, 4).bytes, 0);
            break;
        }
        assert_true(read.bad);
        assert_false(read_done(&read));
        assert_int_equal(read_left(&read), 0);
        assert_int_equal(read_u8(&read), 0); /* although there were bytes left before */
        assert_int_equal(read_slice(&read, 0).bytes, 0);
        assert_true(read.bad);
    }
}

static void an_endless_length_is_past_the_end(void **state)
{
    struct read read = read_bytes_of("abc", 3);

    (void)state;
    assert_null(read_slice(&read, SIZE_MAX).at);
    assert_true(read.bad);
}

#define BODY "SERROR\0C23505\0Mduplicate\0"

static const struct field_case {
    const char *bytes;
    size_t count;
    char code;
    const char *value;
} field_cases[] = {
    { BODY "\0", sizeof BODY, 'S', "ERROR" },
    { BODY "\0", sizeof BODY, 'C', "23505" },
    { BODY "\0", sizeof BODY, 'M', "duplicate" },
    { BODY "\0", sizeof BODY, 'D', "" },
    { BODY "\0Dbehind the end\0", sizeof BODY + 15, 'D', "" },
    { BODY, sizeof BODY - 1, 'M', "duplicate" }, /* no terminator */
    { BODY, sizeof BODY - 2, 'M', "" },          /* cut inside */
    { BODY, sizeof BODY - 1, 'D', "" },
    { "", 0, 'S', "" },
    { "S", 1, 'S', "" },
};

static void finds_the_fields_of_an_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof field_cases / sizeof field_cases[0]; i++) {
        struct msg msg = { 'E', field_cases[i].bytes, field_cases[i].count, field_cases[i].count + 5 };

        assert_true(slice_is(read_error_field(&msg, field_cases[i].code), field_cases[i].value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_network_order),
        cmocka_unit_test(a_read_past_the_end_is_zero_and_stays_bad),
        cmocka_unit_test(an_endless_length_is_past_the_end),
        cmocka_unit_test(finds_the_fields_of_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
