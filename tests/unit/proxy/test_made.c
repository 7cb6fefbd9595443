/* test_made.c - the prepared statements that one server has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/made.h"

static void knows_names_and_whose_they_are(void **state)
{
    struct made_set set = { 0 };

    (void)state;
    assert_false(made_knows(&set, slice_of("a")));
    made_note(&set, "a", 1, false);
    made_note(&set, "", 2, false);
    assert_true(made_is(&set, slice_of("a"), 1));
    assert_false(made_is(&set, slice_of("a"), 2));
    assert_true(made_is(&set, slice_of(""), 2));
    made_note(&set, "a", 3, false); /* made anew */
    assert_true(made_is(&set, slice_of("a"), 3));
    made_gone_serial(&set, 2);
    assert_false(made_is(&set, slice_of(""), 2));
    made_gone(&set, slice_of("a"));
    assert_false(made_knows(&set, slice_of("a")));
    made_done(&set);
}

static void the_least_recently_used_goes_first(void **state)
{
    struct made_set set = { 0 };

    (void)state;
    made_note(&set, "a", 1, true);
    made_note(&set, "b", 2, true);
    made_note(&set, "c", 3, true);
    made_note(&set, "mine", 4, false);
    assert_int_equal(set.shared_count, 3);
    assert_string_equal(made_oldest_shared(&set), "a");
    made_used(&set, "a");
    assert_string_equal(made_oldest_shared(&set), "b");
    made_used(&set, "a"); /* it is the last one already */
    made_gone(&set, slice_of("b"));
    assert_string_equal(made_oldest_shared(&set), "c");
    assert_string_equal(made_next_own(&set), "mine");
    made_gone(&set, slice_of("mine"));
    assert_null(made_next_own(&set));
    made_done(&set);
    assert_null(made_oldest_shared(&set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_names_and_whose_they_are),
        cmocka_unit_test(the_least_recently_used_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
