/* test_channels.c - LISTEN and UNLISTEN: what a session hears, and from whom. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/channels.h"

static const struct slice none;

static void listen(struct channels *channels, const char *name, unsigned store, uint64_t sync)
{
    assert_true(channels_note(channels, slice_of(name), true, store, 0, sync, false));
}

static void a_listen_counts_from_its_commit(void **state)
{
    struct channels channels;

    (void)state;
    channels_init(&channels);
    listen(&channels, "news", 0, 1);
    listen(&channels, "later", 0, 2);
    assert_false(channels_hears(&channels, slice_of("news"), 1));
    channels_commit(&channels, 1);
    assert_true(channels.changed);
    assert_true(channels_hears(&channels, slice_of("news"), 1));
    assert_false(channels_hears(&channels, slice_of("later"), 1));
    channels_rollback(&channels, 2);
    assert_false(channels_hears(&channels, slice_of("later"), 1));
    assert_true(channels_is_any_on(&channels));
    channels_done(&channels);
}

static void nothing_is_heard_twice(void **state)
{
    struct channels channels;

    (void)state;
    channels_init(&channels);
    listen(&channels, "news", 2, 1);
    channels_commit(&channels, 1);
    assert_false(channels_hears(&channels, slice_of("news"), 2)); /* its own server there says it */
    assert_true(channels_hears_own(&channels, slice_of("news")));
    assert_true(channels_hears(&channels, slice_of("news"), 0));
    channels_lost(&channels, 2);
    assert_true(channels_hears(&channels, slice_of("news"), 2));
    channels_done(&channels);
}

static void an_unlisten_elsewhere_mutes_the_server_that_listens(void **state)
{
    struct channels channels;

    (void)state;
    channels_init(&channels);
    listen(&channels, "news", 0, 1);
    channels_commit(&channels, 1);
    assert_true(channels_note(&channels, none, false, 1, 0, 2, false)); /* UNLISTEN * at another store */
    assert_true(channels_hears_own(&channels, slice_of("news")));
    channels_commit(&channels, 2);
    assert_false(channels_hears_own(&channels, slice_of("news")));
    assert_false(channels_is_any_on(&channels));
    listen(&channels, "news", 1, 3);
    channels_commit(&channels, 3);
    assert_true(channels_hears_own(&channels, slice_of("news")));
    assert_false(channels_hears(&channels, slice_of("news"), 0));
    assert_false(channels_hears(&channels, slice_of("news"), 1));
    assert_true(channels_note(&channels, slice_of("news"), false, 0, 0, 4, false));
    assert_true(channels_note(&channels, slice_of("news"), false, 1, 0, 4, false));
    channels_commit(&channels, 4);
    assert_null(channels.all);
    channels_done(&channels);
}

static void a_savepoint_takes_its_listens_with_it(void **state)
{
    struct channels channels;

    (void)state;
    channels_init(&channels);
    assert_true(channels_note(&channels, slice_of("a"), true, 0, 0, 1, false));
    assert_true(channels_note(&channels, slice_of("b"), true, 0, 2, 1, false));
    assert_true(channels_note(&channels, slice_of("c"), true, 0, 1, 1, false));
    channels_release(&channels, 1); /* the inner savepoint */
    channels_rollback_to(&channels, 0);
    channels_commit(&channels, 1);
    assert_true(channels_hears(&channels, slice_of("a"), 1));
    assert_false(channels_hears(&channels, slice_of("b"), 1));
    assert_false(channels_hears(&channels, slice_of("c"), 1));
    channels_done(&channels);
}

static void in_a_message_that_commits_and_fails_a_listen_is_believed(void **state)
{
    struct channels channels;

    (void)state;
    channels_init(&channels);
    assert_true(channels_note(&channels, slice_of("a"), true, 0, 0, 1, true));
    channels_rollback(&channels, 1);
    assert_true(channels_is_any_on(&channels));
    channels_done(&channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listen_counts_from_its_commit),
        cmocka_unit_test(nothing_is_heard_twice),
        cmocka_unit_test(an_unlisten_elsewhere_mutes_the_server_that_listens),
        cmocka_unit_test(a_savepoint_takes_its_listens_with_it),
        cmocka_unit_test(in_a_message_that_commits_and_fails_a_listen_is_believed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
