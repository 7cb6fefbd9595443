/* test_breaker.c - when a failing target is left alone, and when it is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "migrate/breaker.h"

static void opens_after_failures_in_a_row(void **unused)
{
    struct breaker breaker;

    (void)unused;
    breaker_init(&breaker, 3, 1000, 2);
    breaker_failure(&breaker, 10);
    breaker_failure(&breaker, 20);
    breaker_success(&breaker); /* not in a row any more */
    breaker_failure(&breaker, 30);
    breaker_failure(&breaker, 40);
    assert_true(breaker_allows(&breaker, 50));
    breaker_failure(&breaker, 60);
    assert_int_equal(breaker.state, BREAKER_OPEN);
    assert_false(breaker_allows(&breaker, 1059));
}

static void tries_again_when_its_time_is_over(void **unused)
{
    struct breaker breaker;

    (void)unused;
    breaker_init(&breaker, 1, 1000, 2);
    breaker_failure(&breaker, 0);
    assert_true(breaker_allows(&breaker, 1000));
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
    breaker_success(&breaker);
    assert_int_equal(breaker.state, BREAKER_HALF_OPEN); /* one good answer proves little */
    breaker_success(&breaker);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void one_failed_trial_opens_it_again(void **unused)
{
    struct breaker breaker;

    (void)unused;
    breaker_init(&breaker, 5, 1000, 3);
    for (int i = 0; i < 5; i++)
        breaker_failure(&breaker, 0);
    assert_true(breaker_allows(&breaker, 1000));
    breaker_success(&breaker);
    breaker_failure(&breaker, 1100);
    assert_false(breaker_allows(&breaker, 2000));
    assert_true(breaker_allows(&breaker, 2100));
    assert_int_equal(breaker.trials_left, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_after_failures_in_a_row),
        cmocka_unit_test(tries_again_when_its_time_is_over),
        cmocka_unit_test(one_failed_trial_opens_it_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
