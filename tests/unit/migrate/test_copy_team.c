/* test_copy_team.c - how a copy is divided, what its parts add up to, and the rate they share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "migrate/copy_team.h"

/* Every position from low to high belongs to exactly one part. */
static void check(int64_t low, int64_t high, size_t wanted, size_t expected)
{
    struct cursor parts[CURSORS_MAX] = { { .position = INT64_MIN, .high = high, .source_identity = "it" } };
    size_t count = copy_team_divide(low, wanted, parts);

    assert_int_equal(count, expected);
    assert_true(parts[0].position == INT64_MIN);
    assert_true(parts[count - 1].high == high);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(parts[i].worker, i);
        assert_true(parts[i].position == parts[i - 1].high);
        assert_true(parts[i].high > parts[i].position);
        assert_string_equal(parts[i].source_identity, "it");
    }
}

static void divides_without_gap_or_overlap(void **unused)
{
    (void)unused;
    check(1, 1000, 4, 4);
    check(1, 1000, 1, 1);
    check(7, 7, 4, 1);
    check(7, 8, 4, 1);
    check(7, 9, 4, 2);
    check(-5, 5, 3, 3);
    check(1, 1000003, 100, CURSORS_MAX);
    check(INT64_MIN, INT64_MAX, 16, 16);
    check(9, 3, 4, 1);
}

static void adds_up_until_the_first_says_done(void **unused)
{
    struct cursor parts[2] = { { .events = 3, .bytes = 30, .high = 50, .position = 20 },
                               { .worker = 1, .events = 4, .bytes = 40, .high = 90, .position = 60 } };
    struct cursor sum;

    (void)unused;
    cursor_sum(parts, 2, &sum);
    assert_int_equal(sum.events, 7);
    assert_int_equal(sum.bytes, 70);
    assert_int_equal(sum.high, 90);
    assert_int_equal(sum.position, 20);
    parts[0] = sum;
    parts[0].done = true;
    cursor_sum(parts, 2, &sum);
    assert_int_equal(sum.events, 7);
}

static void shares_one_rate(void **unused)
{
    struct copy_pace pace = { .until_ms = 0 };
    uint64_t now_ms = clock_ms(), first, second;

    (void)unused;
    pthread_mutex_init(&pace.lock, NULL);
    first = copy_pace_take(&pace, 1000, 100);
    second = copy_pace_take(&pace, 500, 100);
    assert_true(first >= now_ms + 10000);
    assert_true(second == first + 5000);
    assert_true(copy_pace_take(&pace, 1000000, 0) <= clock_ms());
    pthread_mutex_destroy(&pace.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divides_without_gap_or_overlap),
        cmocka_unit_test(adds_up_until_the_first_says_done),
        cmocka_unit_test(shares_one_rate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
