/* test_belongings.c - temporary tables, cursors and locks: where they are, and how long. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/belongings.h"

static const struct slice nameless;

static void note(struct belongings *b, enum belonging_kind kind, const char *name, unsigned store,
                 uint64_t sync)
{
    assert_true(belongings_note(b, kind, slice_of(name), store, 0, sync));
}

static void a_table_is_there_at_once_and_stays_if_it_is_committed(void **state)
{
    struct belongings b;

    (void)state;
    belongings_init(&b);
    note(&b, BELONGING_TABLE, "scratch", 1, 1);
    assert_int_equal(belongings_table(&b, slice_of("scratch")), 1);
    assert_false(belongings_are_at(&b, 1));
    belongings_rollback(&b, 1);
    assert_int_equal(belongings_table(&b, slice_of("scratch")), -1);
    note(&b, BELONGING_TABLE, "scratch", 1, 2);
    belongings_commit(&b, 2);
    assert_int_equal(belongings_table(&b, slice_of("scratch")), 1);
    assert_int_equal(belongings_cursor(&b, slice_of("scratch")), -1);
    assert_true(belongings_are_at(&b, 1));
    assert_false(belongings_are_at(&b, 0));
    assert_true(belongings_drop(&b, BELONGING_TABLE, slice_of("scratch"), 0, 3));
    assert_int_equal(belongings_table(&b, slice_of("scratch")), -1);
    belongings_rollback(&b, 3);
    assert_int_equal(belongings_table(&b, slice_of("scratch")), 1);
    assert_true(belongings_drop(&b, BELONGING_TABLE, nameless, 0, 4));
    belongings_commit(&b, 4);
    assert_false(belongings_are_at(&b, 1));
    assert_int_equal(b.count, 0);
    belongings_done(&b);
}

static void a_cursor_goes_with_its_transaction_unless_it_is_held(void **state)
{
    struct belongings b;

    (void)state;
    belongings_init(&b);
    note(&b, BELONGING_CURSOR, "short", 0, 1);
    note(&b, BELONGING_HELD, "long", 2, 1);
    assert_int_equal(belongings_cursor(&b, slice_of("short")), 0);
    assert_int_equal(belongings_cursor(&b, slice_of("long")), 2);
    belongings_commit(&b, 1);
    assert_int_equal(belongings_cursor(&b, slice_of("short")), -1);
    assert_int_equal(belongings_cursor(&b, slice_of("long")), 2);
    assert_true(belongings_drop(&b, BELONGING_CURSOR, slice_of("long"), 0, 2));
    belongings_commit(&b, 2);
    assert_int_equal(belongings_cursor(&b, slice_of("long")), -1);
    belongings_done(&b);
}

static void a_savepoint_takes_with_it_what_came_behind(void **state)
{
    struct belongings b;

    (void)state;
    belongings_init(&b);
    note(&b, BELONGING_TABLE, "early", 0, 1);
    assert_true(belongings_note(&b, BELONGING_TABLE, slice_of("late"), 0, 1, 1));
    assert_true(belongings_note(&b, BELONGING_TABLE, slice_of("later"), 0, 2, 1));
    belongings_release(&b, 1);
    belongings_rollback_to(&b, 0);
    belongings_commit(&b, 1);
    assert_int_equal(belongings_table(&b, slice_of("early")), 0);
    assert_int_equal(belongings_table(&b, slice_of("late")), -1);
    assert_int_equal(belongings_table(&b, slice_of("later")), -1);
    belongings_done(&b);
}

static void locks_do_not_care_about_transactions(void **state)
{
    struct belongings b;

    (void)state;
    belongings_init(&b);
    assert_int_equal(belongings_lock(&b), -1);
    note(&b, BELONGING_LOCK, "", 1, 1);
    note(&b, BELONGING_LOCK, "", 1, 1);
    belongings_rollback(&b, 1);
    assert_int_equal(belongings_lock(&b), 1);
    assert_true(belongings_are_at(&b, 1));
    note(&b, BELONGING_LOCK, "", 0, 2);
    assert_int_equal(belongings_lock(&b), -1);
    belongings_unlock_all(&b);
    assert_false(belongings_are_at(&b, 0));
    assert_false(belongings_are_at(&b, 1));
    belongings_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_there_at_once_and_stays_if_it_is_committed),
        cmocka_unit_test(a_cursor_goes_with_its_transaction_unless_it_is_held),
        cmocka_unit_test(a_savepoint_takes_with_it_what_came_behind),
        cmocka_unit_test(locks_do_not_care_about_transactions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
