/* test_rows.c - the small typed table. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/rows.h"

static struct rows *two_columns(void)
{
    struct rows *rows = rows_new();

    rows_column(rows, "name", ROWS_TEXT);
    rows_column(rows, "value", ROWS_INT8);
    return rows;
}

static void keeps_columns_values_and_nulls(void **state)
{
    struct rows *rows = two_columns();

    (void)state;
    assert_int_equal(rows_count(rows), 0);
    rows_text(rows, "a");
    rows_number(rows, INT64_MIN);
    rows_text(rows, NULL);
    rows_flag(rows, true);
    rows_text(rows, "");
    rows_format(rows, "%d-%s", 7, "x");
    assert_false(rows_failed(rows));
    assert_int_equal(rows_column_count(rows), 2);
    assert_int_equal(rows_count(rows), 3);
    assert_string_equal(rows_column_name(rows, 1), "value");
    assert_int_equal(rows_column_type(rows, 1), ROWS_INT8);
    assert_string_equal(rows_value(rows, 0, 0), "a");
    assert_string_equal(rows_value(rows, 0, 1), "-9223372036854775808");
    assert_null(rows_value(rows, 1, 0));
    assert_string_equal(rows_value(rows, 1, 1), "t");
    assert_string_equal(rows_value(rows, 2, 0), "");
    assert_string_equal(rows_value(rows, 2, 1), "7-x");
    rows_free(rows);
}

static void an_incomplete_row_is_a_failure(void **state)
{
    struct rows *rows = two_columns();

    (void)state;
    rows_text(rows, "a");
    assert_true(rows_failed(rows));
    rows_flag(rows, false);
    assert_false(rows_failed(rows));
    assert_string_equal(rows_value(rows, 0, 1), "f");
    rows_free(rows);
}

static void holds_thousands_of_rows(void **state)
{
    struct rows *rows = two_columns();

    (void)state;
    for (int i = 0; i < 5000; i++) {
        rows_format(rows, "row %d", i);
        rows_number(rows, i);
    }
    assert_false(rows_failed(rows));
    assert_int_equal(rows_count(rows), 5000);
    assert_string_equal(rows_value(rows, 4999, 0), "row 4999");
    assert_string_equal(rows_value(rows, 0, 0), "row 0");
    rows_free(rows);
    rows_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_columns_values_and_nulls),
        cmocka_unit_test(an_incomplete_row_is_a_failure),
        cmocka_unit_test(holds_thousands_of_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
