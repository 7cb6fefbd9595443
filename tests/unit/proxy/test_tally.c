/* test_tally.c - transactions, queries and times out of requests and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/tally.h"

static void a_transaction_of_two_queries(void **state)
{
    struct tally tally = { 0 };
    struct tally_clock clock = { 0, 0 };

    (void)state;
    tally_asked(&clock, 1000);
    tally_ready(&tally, &clock, false, false, 1100);
    assert_int_equal(tally.total[TALLY_XACTS], 0);
    tally_asked(&clock, 5000);
    tally_asked(&clock, 5001); /* Bind, Execute, Sync are one */
    tally_ready(&tally, &clock, true, false, 5200);
    assert_int_equal(tally.total[TALLY_QUERIES], 2);
    assert_int_equal(tally.total[TALLY_QUERY_US], 300);
    assert_int_equal(tally.total[TALLY_XACTS], 1);
    assert_int_equal(tally.total[TALLY_XACT_US], 4200);
}

static void a_pipeline_is_counted_answer_by_answer(void **state)
{
    struct tally tally = { 0 };
    struct tally_clock clock = { 0, 0 };

    (void)state;
    tally_asked(&clock, 1000);
    tally_ready(&tally, &clock, true, true, 1100);
    tally_ready(&tally, &clock, true, false, 1300);
    assert_int_equal(tally.total[TALLY_QUERIES], 2);
    assert_int_equal(tally.total[TALLY_XACTS], 2);
    assert_int_equal(tally.total[TALLY_XACT_US], 300);
}

static void an_answer_that_nobody_timed_counts_nothing(void **state)
{
    struct tally tally = { 0 };
    struct tally_clock clock = { 0, 0 };

    (void)state;
    tally_ready(&tally, &clock, true, false, 1100);
    assert_int_equal(tally.total[TALLY_QUERIES], 0);
    assert_int_equal(tally.total[TALLY_XACT_US], 0);
}

static void a_time_is_in_one_class(void **state)
{
    struct tally tally = { 0 };
    struct tally_clock clock = { 0, 0 };

    (void)state;
    tally_asked(&clock, 1000);
    tally_ready(&tally, &clock, true, false, 1100); /* the first bound: at most 100 */
    assert_int_equal(tally.spread[SPREAD_QUERY][0], 1);
    tally_waited(&tally, tally_bounds_us[TALLY_BOUNDS - 1] + 1);
    assert_int_equal(tally.spread[SPREAD_WAIT][TALLY_BOUNDS], 1);
    assert_int_equal(tally.total[TALLY_WAIT_US], tally_bounds_us[TALLY_BOUNDS - 1] + 1);
    tally_waited(&tally, tally_bounds_us[3]);
    assert_int_equal(tally.spread[SPREAD_WAIT][3], 1);
}

static void the_last_period_is_what_it_brought(void **state)
{
    struct tally tally = { 0 };

    (void)state;
    tally.total[TALLY_SENT_BYTES] = 100;
    tally_end_period(&tally);
    assert_int_equal(tally.last_period[TALLY_SENT_BYTES], 100);
    tally.total[TALLY_SENT_BYTES] = 130;
    assert_int_equal(tally.last_period[TALLY_SENT_BYTES], 100);
    tally_end_period(&tally);
    assert_int_equal(tally.last_period[TALLY_SENT_BYTES], 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_of_two_queries),
        cmocka_unit_test(a_pipeline_is_counted_answer_by_answer),
        cmocka_unit_test(an_answer_that_nobody_timed_counts_nothing),
        cmocka_unit_test(a_time_is_in_one_class),
        cmocka_unit_test(the_last_period_is_what_it_brought),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
