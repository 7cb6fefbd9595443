/* test_copyrow.c - one field out of a row of COPY BINARY, and every way such a row can lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "migrate/copyrow.h"

#define BYTES(text) ((struct slice){ (text), sizeof(text) - 1 })

/* Three fields: int8 5, NULL, 'ab'. */
static const char row_bytes[] = "\0\3"
                                "\0\0\0\10\0\0\0\0\0\0\0\5"
                                "\377\377\377\377"
                                "\0\0\0\2ab";

static void finds_each_field(void **unused)
{
    struct slice row = BYTES(row_bytes), field;
    int64_t value;

    (void)unused;
    assert_true(copyrow_field(row, 3, 0, &field));
    assert_true(copyrow_integer(field, &value));
    assert_int_equal(value, 5);
    assert_true(copyrow_field(row, 3, 1, &field));
    assert_null(field.at);
    assert_false(copyrow_integer(field, &value));
    assert_true(copyrow_field(row, 3, 2, &field));
    assert_true(slice_is(field, "ab"));
}

static void refuses_every_row_that_is_cut_short_or_too_long(void **unused)
{
    struct slice field;
    char longer[sizeof row_bytes + 1];

    (void)unused;
    for (size_t bytes = 0; bytes < sizeof row_bytes - 1; bytes++) {
        char *copy = malloc(bytes + 1); /* of its exact size, for the sanitizer */

        memcpy(copy, row_bytes, bytes);
        assert_false(copyrow_field((struct slice){ copy, bytes }, 3, 0, &field));
        free(copy);
    }
    memcpy(longer, row_bytes, sizeof row_bytes);
    assert_false(copyrow_field((struct slice){ longer, sizeof row_bytes }, 3, 0, &field));
}

static void refuses_another_number_of_fields(void **unused)
{
    struct slice field;

    (void)unused;
    assert_false(copyrow_field(BYTES(row_bytes), 2, 0, &field));
    assert_false(copyrow_field(BYTES(row_bytes), 4, 0, &field));
    assert_false(copyrow_field(BYTES(row_bytes), 3, 3, &field));
}

static void refuses_a_length_that_is_negative_or_huge(void **unused)
{
    struct slice field;

    (void)unused;
    assert_false(copyrow_field(BYTES("\0\1\377\377\377\376ab"), 1, 0, &field));
    assert_false(copyrow_field(BYTES("\0\1\177\377\377\377ab"), 1, 0, &field));
}

static void reads_integers_of_every_size(void **unused)
{
    int64_t value;

    (void)unused;
    assert_true(copyrow_integer(BYTES("\377\376"), &value));
    assert_int_equal(value, -2);
    assert_true(copyrow_integer(BYTES("\200\0\0\0"), &value));
    assert_int_equal(value, INT32_MIN);
    assert_true(copyrow_integer(BYTES("\200\0\0\0\0\0\0\0"), &value));
    assert_true(value == INT64_MIN);
    assert_false(copyrow_integer(BYTES("\0\0\0"), &value));
    assert_false(copyrow_integer(BYTES(""), &value));
}

static void cuts_the_header_off(void **unused)
{
    struct slice message = BYTES("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\2xyrest");

    (void)unused;
    assert_true(copyrow_skip_header(&message));
    assert_true(slice_is(message, "rest"));
    message = copyrow_header;
    assert_true(copyrow_skip_header(&message));
    assert_int_equal(message.bytes, 0);
    assert_true(copyrow_is_trailer(copyrow_trailer));
    assert_false(copyrow_is_trailer(BYTES("\0\3")));
}

static void refuses_a_header_it_does_not_know(void **unused)
{
    struct slice wrong[] = {
        BYTES(""),
        BYTES("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"), /* one byte short */
        BYTES("pgcopy\n\377\r\n\0\0\0\0\0\0\0\0\0"),
        BYTES("PGCOPY\n\377\r\n\0\0\1\0\0\0\0\0\0"),   /* a flag that may not be ignored */
        BYTES("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\3xy"), /* an extension longer than the message */
        BYTES("PGCOPY\n\377\r\n\0\0\0\0\0\377\377\377\377xy"),
    };

    (void)unused;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(copyrow_skip_header(&wrong[i]));
}

static void finds_a_field_of_a_line(void **unused)
{
    struct slice field;
    int64_t value;

    (void)unused;
    assert_true(copyrow_text_field(BYTES("-5\t\\N\tab\n"), 3, 0, &field));
    assert_true(copyrow_text_integer(field, &value));
    assert_int_equal(value, -5);
    assert_true(copyrow_text_field(BYTES("1\t\t9223372036854775807\n"), 3, 2, &field));
    assert_true(copyrow_text_integer(field, &value));
    assert_true(value == INT64_MAX);
    assert_true(copyrow_text_field(BYTES("1\t\n"), 2, 1, &field));
    assert_int_equal(field.bytes, 0);
    assert_false(copyrow_text_integer(field, &value));
    assert_false(copyrow_text_integer(BYTES("9223372036854775808"), &value));
    assert_false(copyrow_text_integer(BYTES("1 "), &value));
    assert_false(copyrow_text_integer(BYTES("\\N"), &value));
    assert_false(copyrow_text_field(BYTES("1\t2"), 2, 0, &field));
    assert_false(copyrow_text_field(BYTES("1\t2\n"), 3, 0, &field));
    assert_false(copyrow_text_field(BYTES("1\t2\n"), 1, 0, &field));
    assert_false(copyrow_text_field(BYTES(""), 1, 0, &field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_field),
        cmocka_unit_test(refuses_every_row_that_is_cut_short_or_too_long),
        cmocka_unit_test(refuses_another_number_of_fields),
        cmocka_unit_test(refuses_a_length_that_is_negative_or_huge),
        cmocka_unit_test(reads_integers_of_every_size),
        cmocka_unit_test(cuts_the_header_off),
        cmocka_unit_test(refuses_a_header_it_does_not_know),
        cmocka_unit_test(finds_a_field_of_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
