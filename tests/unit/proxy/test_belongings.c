/* test_belongings.c - temporary tables, cursors and locks: where they are, and how long. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/session.h"

static const struct slice nameless;

static struct belongings *begin(struct session *session)
{
    session_init(session);
    return &session->belongings;
}

static void note(struct belongings *b, enum belonging_kind kind, const char *name, unsigned store)
{
    b->journal->at = b->journal->said++;
    assert_true(belongings_note(b, kind, slice_of(name), store));
}

static void drop(struct belongings *b, enum belonging_kind kind, struct slice name)
{
    b->journal->at = b->journal->said++;
    assert_true(belongings_note_gone(b, kind, name));
}

static void commit(struct belongings *b)
{
    journal_ready(b->journal, b->journal->said, 'I');
}

static void rollback(struct belongings *b)
{
    journal_failed(b->journal, b->journal->said, b->journal->said); /* what came last */
    commit(b);
}

static void a_table_is_there_at_once_and_stays_if_it_is_committed(void **state)
{
    struct session session;
    struct belongings *b = begin(&session);

    (void)state;
    note(b, BELONGING_TABLE, "scratch", 1);
    assert_int_equal(belongings_table(b, slice_of("scratch")), 1);
    assert_false(belongings_are_at(b, 1));
    rollback(b);
    assert_int_equal(belongings_table(b, slice_of("scratch")), -1);
    note(b, BELONGING_TABLE, "scratch", 1);
    commit(b);
    assert_int_equal(belongings_table(b, slice_of("scratch")), 1);
    assert_int_equal(belongings_cursor(b, slice_of("scratch")), -1);
    assert_true(belongings_are_at(b, 1));
    assert_false(belongings_are_at(b, 0));
    drop(b, BELONGING_TABLE, slice_of("scratch"));
    assert_int_equal(belongings_table(b, slice_of("scratch")), -1);
    rollback(b);
    assert_int_equal(belongings_table(b, slice_of("scratch")), 1);
    drop(b, BELONGING_TABLE, nameless);
    commit(b);
    assert_false(belongings_are_at(b, 1));
    assert_int_equal(b->count, 0);
    session_done(&session);
}

static void a_cursor_goes_with_its_transaction_unless_it_is_held(void **state)
{
    struct session session;
    struct belongings *b = begin(&session);

    (void)state;
    note(b, BELONGING_CURSOR, "short", 0);
    note(b, BELONGING_HELD, "long", 2);
    assert_int_equal(belongings_cursor(b, slice_of("short")), 0);
    assert_int_equal(belongings_cursor(b, slice_of("long")), 2);
    commit(b);
    assert_int_equal(belongings_cursor(b, slice_of("short")), -1);
    assert_int_equal(belongings_cursor(b, slice_of("long")), 2);
    drop(b, BELONGING_CURSOR, slice_of("long"));
    commit(b);
    assert_int_equal(belongings_cursor(b, slice_of("long")), -1);
    session_done(&session);
}

static void a_savepoint_takes_with_it_what_came_behind(void **state)
{
    struct session session;
    struct belongings *b = begin(&session);

    (void)state;
    note(b, BELONGING_TABLE, "early", 0);
    session_say(&session, JOURNAL_SAVEPOINT, "a");
    note(b, BELONGING_TABLE, "late", 0);
    session_say(&session, JOURNAL_SAVEPOINT, "b");
    note(b, BELONGING_TABLE, "later", 0);
    session_say(&session, JOURNAL_RELEASE, "b");
    session_say(&session, JOURNAL_ROLLBACK_TO, "a");
    assert_int_equal(belongings_table(b, slice_of("later")), -1);
    commit(b);
    assert_int_equal(belongings_table(b, slice_of("early")), 0);
    assert_int_equal(belongings_table(b, slice_of("late")), -1);
    assert_int_equal(belongings_table(b, slice_of("later")), -1);
    session_done(&session);
}

static void locks_do_not_care_about_transactions(void **state)
{
    struct session session;
    struct belongings *b = begin(&session);

    (void)state;
    assert_int_equal(belongings_lock(b), -1);
    note(b, BELONGING_LOCK, "", 1);
    note(b, BELONGING_LOCK, "", 1);
    rollback(b);
    assert_int_equal(belongings_lock(b), 1);
    assert_true(belongings_are_at(b, 1));
    note(b, BELONGING_LOCK, "", 0);
    assert_int_equal(belongings_lock(b), -1);
    session_done(&session);
}

/* DISCARD ALL at store 1, which may be refused there. */
static void a_sweep_is_due_once_it_has_been_executed(void **state)
{
    struct session session;
    struct belongings *b = begin(&session);

    (void)state;
    note(b, BELONGING_LOCK, "", 0);
    note(b, BELONGING_TABLE, "scratch", 2);
    commit(b);
    b->journal->at = b->journal->said++;
    assert_true(belongings_note_sweep(b, SWEEP_LOCKS | SWEEP_TABLES, 1));
    journal_failed(b->journal, b->journal->said - 1, b->journal->said);
    commit(b);
    assert_int_equal(b->sweeps, 0);
    assert_int_equal(belongings_lock(b), 0);
    b->journal->at = b->journal->said++;
    assert_true(belongings_note_sweep(b, SWEEP_LOCKS | SWEEP_TABLES, 1));
    drop(b, BELONGING_TABLE, nameless);
    commit(b);
    assert_int_equal(b->swept_stores, 1 << 0 | 1 << 2);
    assert_int_equal(belongings_take_sweep(b), SWEEP_LOCKS | SWEEP_TABLES);
    assert_int_equal(belongings_take_sweep(b), 0);
    assert_int_equal(belongings_lock(b), -1);
    assert_int_equal(b->count, 0);
    session_done(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_there_at_once_and_stays_if_it_is_committed),
        cmocka_unit_test(a_cursor_goes_with_its_transaction_unless_it_is_held),
        cmocka_unit_test(a_savepoint_takes_with_it_what_came_behind),
        cmocka_unit_test(locks_do_not_care_about_transactions),
        cmocka_unit_test(a_sweep_is_due_once_it_has_been_executed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
