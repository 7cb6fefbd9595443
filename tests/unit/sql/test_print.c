/* test_print.c - a shape as people read it: no content, one name per shape, bounded, ASCII. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sql/print.h"

static void print(struct slice text, struct buf *out)
{
    struct shape shape;

    shape_init(&shape);
    assert_true(shape_read(&shape, text, true));
    print_shape(buf_slice(&shape.text), true, out);
    assert_false(buf_failed(out));
    shape_done(&shape);
}

static const struct {
    const char *sql, *printed;
} rows[] = {
    { "SELECT * FROM Events WHERE tenant_id = 'secret'", "select * from events where tenant_id = ?" },
    { "select 1, 2.5, B'101', E'a\\'b', $$body$$, U&'x'", "select ?, ?, ?, ?, ?, ?" },
    { "select $1::uuid, $22", "select $n::uuid, $n" },
    { "do $x$ begin perform 'secret'; end $x$", "do ?" },
    { "select set_config('app.secret', 'x', true)", "select set_config(?, ?, true)" },
    { "prepare transaction 'secret'", "prepare transaction ?" },
    { "select /* secret */ 1 -- secret", "select ?" },
    { "select \"Se'cret\" from t", "select \"Se'cret\" from t" },
    { "select 1; insert into t values ('a')", "select ?; insert into t values(?)" },
};

static void squeeze(const char *text, char *out)
{
    for (; *text != '\0'; text++)
        if (*text != ' ')
            *out++ = *text;
    *out = '\0';
}

static void shows_no_content(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char found[200], expected[200];
        struct buf out;

        buf_init(&out);
        print(slice_of(rows[i].sql), &out);
        squeeze(buf_text(&out), found); /* blanks are the shape's own affair */
        squeeze(rows[i].printed, expected);
        assert_string_equal(found, expected);
        buf_done(&out);
    }
}

static void folded_rows_are_one_name(void **state)
{
    struct buf two, many;

    (void)state;
    buf_init(&two);
    buf_init(&many);
    print(slice_of("insert into t values (1, 'a'), (2, 'b')"), &two);
    print(slice_of("insert into t values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')"), &many);
    assert_string_equal(buf_text(&two), buf_text(&many));
    assert_non_null(strstr(buf_text(&many), ", ..."));
    buf_done(&two);
    buf_done(&many);
}

static void a_long_one_is_cut_and_stays_itself(void **state)
{
    char sql[3][4000] = { "select ", "select ", "select " };
    struct buf out[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int column = 0; column < 500; column++)
            snprintf(sql[i] + strlen(sql[i]), 8, "ä%d,", column % 10);
        strcat(sql[i], i == 2 ? "y" : "x");
        buf_init(&out[i]);
        print(slice_of(sql[i]), &out[i]);
        assert_true(buf_bytes(&out[i]) <= PRINT_BYTES_MAX);
        for (size_t at = 0; at < buf_bytes(&out[i]); at++)
            assert_true((unsigned char)buf_text(&out[i])[at] < 0x7f);
    }
    assert_string_equal(buf_text(&out[0]), buf_text(&out[1]));
    assert_string_not_equal(buf_text(&out[0]), buf_text(&out[2]));
    for (int i = 0; i < 3; i++)
        buf_done(&out[i]);
}

static void names_of_another_encoding_are_still_two(void **state)
{
    struct buf a, b;

    (void)state;
    buf_init(&a);
    buf_init(&b);
    print(slice_of("select \"\xe4\""), &a);
    print(slice_of("select \"\xf6\""), &b);
    assert_string_equal(buf_text(&a), "select \"\\xe4\"");
    assert_string_not_equal(buf_text(&a), buf_text(&b));
    buf_done(&a);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_no_content),
        cmocka_unit_test(folded_rows_are_one_name),
        cmocka_unit_test(a_long_one_is_cut_and_stays_itself),
        cmocka_unit_test(names_of_another_encoding_are_still_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
