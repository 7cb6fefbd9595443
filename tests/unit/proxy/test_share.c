/* test_share.c - the name under which clients share a prepared statement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/share.h"

static void equal_statements_have_equal_names(void **state)
{
    static const uint32_t types[] = { 23, 25 };
    char first[SHARE_NAME_BYTES], again[SHARE_NAME_BYTES], others[5][SHARE_NAME_BYTES];
    const struct slice text = slice_of("SELECT $1, $2");

    (void)state;
    assert_true(share_name(text, types, 2, 7, first));
    assert_true(share_name(text, types, 2, 7, again));
    assert_string_equal(first, again);
    assert_int_equal(strlen(first), SHARE_NAME_BYTES - 1);
    assert_memory_equal(first, "pgshunt_", 8);
    assert_true(share_name(slice_of("SELECT $1, $2 "), types, 2, 7, others[0]));
    assert_true(share_name(text, types, 1, 7, others[1]));
    assert_true(share_name(text, types + 1, 1, 7, others[2]));
    assert_true(share_name(text, types, 2, 8, others[3]));
    assert_true(share_name(text, NULL, 0, 7, others[4]));
    for (size_t i = 0; i < 5; i++) {
        assert_string_not_equal(others[i], first);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(others[i], others[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(equal_statements_have_equal_names) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
