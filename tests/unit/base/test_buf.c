/* test_buf.c - the byte queue: order, moving, growing, failing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

static void allocates_nothing_until_it_is_used(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf);
    assert_null(buf.data);
    assert_int_equal(buf_bytes(&buf), 0);
    buf_append(&buf, NULL, 0);
    assert_null(buf.data);
    buf_done(&buf);
}

static void appends_text_slices_and_formats(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf);
    buf_append_text(&buf, "one ");
    buf_append_slice(&buf, slice_of("two "));
    buf_append_format(&buf, "%d", 3);
    assert_true(slice_is(buf_slice(&buf), "one two 3"));
    assert_string_equal(buf_text(&buf), "one two 3");
    assert_int_equal(buf_bytes(&buf), 9);
    buf_consume(&buf, 4);
    assert_string_equal(buf_text(&buf), "two 3");
    buf_consume(&buf, 5);
    assert_string_equal(buf_text(&buf), "");
    buf_done(&buf);
}

/* Bytes come out in the order they went in, whatever the sizes; the memory stays in proportion to what is
 * held. */
static void keeps_bytes_in_order_through_moves(void **state)
{
    struct buf buf;
    unsigned char next_in = 0, next_out = 0;
    size_t held = 0, most = 0;
    unsigned random = 1;

    (void)state;
    buf_init(&buf);
    for (int i = 0; i < 20000; i++) {
        size_t in = (random = random * 1103515245u + 12345u) / 65536u % 700u;
        size_t out = (random = random * 1103515245u + 12345u) / 65536u % 800u;

        for (size_t j = 0; j < in; j++) {
            buf_append(&buf, &next_in, 1);
            next_in++;
        }
        held += in;
        most = held > most ? held : most;
        out = out > held ? held : out;
        for (size_t j = 0; j < out; j++)
            assert_int_equal((unsigned char)buf_at(&buf)[j], next_out++);
        buf_consume(&buf, out);
        held -= out;
        assert_int_equal(buf_bytes(&buf), held);
    }
    assert_true(buf.capacity <= 4 * most + 1024);
    buf_done(&buf);
}

static void reserves_room_that_is_counted_only_when_grown(void **state)
{
    struct buf buf;
    char *at;

    (void)state;
    buf_init(&buf);
    at = buf_reserve(&buf, 1000);
    assert_non_null(at);
    assert_int_equal(buf_bytes(&buf), 0);
    memset(at, 'x', 1000);
    buf_grew(&buf, 10);
    assert_int_equal(buf_bytes(&buf), 10);
    buf_done(&buf);
}

static void remembers_a_failed_allocation(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf);
    buf_append_text(&buf, "kept");
    assert_null(buf_reserve(&buf, SIZE_MAX / 4));
    assert_true(buf_failed(&buf));
    buf_append_text(&buf, "dropped");
    assert_true(slice_is(buf_slice(&buf), "kept"));
    assert_string_equal(buf_text(&buf), "");
    assert_null(buf_reserve(&buf, 1));
    buf_clear(&buf);
    assert_false(buf_failed(&buf));
    buf_append_text(&buf, "again");
    assert_string_equal(buf_text(&buf), "again");
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf_failed(&buf));
    buf_done(&buf);
}

static void shrinks_only_when_empty_and_large(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf);
    buf_reserve(&buf, 100);
    buf_shrink(&buf);
    assert_non_null(buf.data);
    buf_reserve(&buf, BUF_KEEP_BYTES + 1);
    buf_append_text(&buf, "x");
    buf_shrink(&buf);
    assert_string_equal(buf_text(&buf), "x");
    buf_consume(&buf, 1);
    buf_shrink(&buf);
    assert_null(buf.data);
    buf_append_text(&buf, "y");
    assert_string_equal(buf_text(&buf), "y");
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocates_nothing_until_it_is_used),
        cmocka_unit_test(appends_text_slices_and_formats),
        cmocka_unit_test(keeps_bytes_in_order_through_moves),
        cmocka_unit_test(reserves_room_that_is_counted_only_when_grown),
        cmocka_unit_test(remembers_a_failed_allocation),
        cmocka_unit_test(shrinks_only_when_empty_and_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
