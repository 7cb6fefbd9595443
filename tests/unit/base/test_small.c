/* test_small.c - uuid, clock and stats, a few lines each. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/stats.h"
#include "base/uuid.h"

#define CANONICAL "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

/* As PostgreSQL 15's uuid_in decides; NULL: it says 22P02. */
static const struct uuid_case {
    const char *spelling, *canonical;
} uuid_cases[] = {
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", CANONICAL },
    { "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", CANONICAL },
    { "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", CANONICAL },
    { "a0eebc999c0b4ef8bb6d6bb9bd380a11", CANONICAL },
    { "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", CANONICAL },
    { "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", CANONICAL },
    { "", NULL },
    { "{", NULL },
    { "{}", NULL },
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", NULL },
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", NULL },
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-", NULL },
    { "-a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "a0-eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", NULL },
    { "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}}", NULL },
    { " a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ", NULL },
    { "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
    { "0xeebc99-9c0b-4ef8-bb6d-6bb9bd380a11", NULL },
};

static void uuids_are_read_as_postgresql_reads_them(void **state)
{
    char text[UUID_TEXT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof uuid_cases / sizeof uuid_cases[0]; i++) {
        bool good = uuid_canonical(slice_of(uuid_cases[i].spelling), text);

        assert_int_equal(good, uuid_cases[i].canonical != NULL);
        if (good)
            assert_string_equal(text, uuid_cases[i].canonical);
    }
    assert_false(uuid_canonical((struct slice){ NULL, 0 }, text));
    assert_false(uuid_canonical((struct slice){ CANONICAL, 35 }, text));
}

static void uuids_are_made_random_and_canonical(void **state)
{
    char first[UUID_TEXT_BYTES], second[UUID_TEXT_BYTES], again[UUID_TEXT_BYTES];
    unsigned char bytes[UUID_BYTES];

    (void)state;
    uuid_make_text(first);
    uuid_make_text(second);
    assert_string_not_equal(first, second);
    assert_true(uuid_canonical(slice_of(first), again));
    assert_string_equal(first, again);
    for (int i = 0; i < UUID_BYTES; i++)
        bytes[i] = (unsigned char)(0xF0 + i);
    uuid_from_bytes(bytes, first);
    assert_string_equal(first, "f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff");
}

static void clocks_go_forward_in_their_units(void **state)
{
    uint64_t ms = clock_ms(), us = clock_us(), boot_ms = clock_boot_ms();

    (void)state;
    clock_sleep_ms(20);
    assert_true(clock_us() - us >= 20000);
    assert_true(clock_ms() - ms >= 19); /* two roundings */
    assert_true(clock_boot_ms() - boot_ms >= 19);
    assert_true(clock_us() / 1000 - clock_ms() <= 1000); /* the same clock */
}

static void counters_add_up_and_have_names_of_their_own(void **state)
{
    struct stats *stats = stats_new();

    (void)state;
    for (int i = 0; i < STAT_COUNT; i++) {
        assert_int_equal(stats_read(stats, (enum stats_counter)i), 0);
        assert_non_null(stats_name((enum stats_counter)i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(stats_name((enum stats_counter)i), stats_name((enum stats_counter)j));
    }
    stats_add(stats, STAT_STATEMENTS, 2);
    stats_add(stats, STAT_STATEMENTS, 1ull << 40);
    assert_int_equal(stats_read(stats, STAT_STATEMENTS), (1ull << 40) + 2);
    assert_int_equal(stats_read(stats, STAT_TRANSACTIONS), 0);
    stats_free(stats);
    stats_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uuids_are_read_as_postgresql_reads_them),
        cmocka_unit_test(uuids_are_made_random_and_canonical),
        cmocka_unit_test(clocks_go_forward_in_their_units),
        cmocka_unit_test(counters_add_up_and_have_names_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
