/* test_channels.c - LISTEN and UNLISTEN: what a session hears, and from whom. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/session.h"

static const struct slice none;

static void begin(struct session *session, struct channels **channels)
{
    session_init(session);
    *channels = &session->channels;
}

static void listen(struct channels *channels, const char *name, unsigned store)
{
    channels->journal->at = channels->journal->said++;
    assert_true(channels_note(channels, slice_of(name), true, store));
}

static void unlisten(struct channels *channels, struct slice name, unsigned store)
{
    channels->journal->at = channels->journal->said++;
    assert_true(channels_note(channels, name, false, store));
}

/* All that has been said is answered, and so ends its transaction. */
static void commit(struct channels *channels)
{
    journal_ready(channels->journal, channels->journal->said, 'I');
}

static void a_listen_counts_from_its_commit(void **state)
{
    struct session session;
    struct channels *channels;

    (void)state;
    begin(&session, &channels);
    listen(channels, "news", 0);
    assert_false(channels_hears(channels, slice_of("news"), 1));
    commit(channels);
    assert_true(channels->changed);
    assert_true(channels_hears(channels, slice_of("news"), 1));
    listen(channels, "later", 0);
    assert_false(channels_hears(channels, slice_of("later"), 1));
    journal_failed(channels->journal, 2, 2); /* its COMMIT */
    commit(channels);
    assert_false(channels_hears(channels, slice_of("later"), 1));
    assert_true(channels_is_any_on(channels));
    session_done(&session);
}

static void nothing_is_heard_twice(void **state)
{
    struct session session;
    struct channels *channels;

    (void)state;
    begin(&session, &channels);
    listen(channels, "news", 2);
    commit(channels);
    assert_false(channels_hears(channels, slice_of("news"), 2)); /* its own server there says it */
    assert_true(channels_hears_own(channels, slice_of("news")));
    assert_true(channels_hears(channels, slice_of("news"), 0));
    channels_lost(channels, 2);
    assert_true(channels_hears(channels, slice_of("news"), 2));
    session_done(&session);
}

static void an_unlisten_elsewhere_mutes_the_server_that_listens(void **state)
{
    struct session session;
    struct channels *channels;

    (void)state;
    begin(&session, &channels);
    listen(channels, "news", 0);
    commit(channels);
    unlisten(channels, none, 1); /* UNLISTEN * at another store */
    assert_true(channels_hears_own(channels, slice_of("news")));
    commit(channels);
    assert_false(channels_hears_own(channels, slice_of("news")));
    assert_false(channels_is_any_on(channels));
    listen(channels, "news", 1);
    commit(channels);
    assert_true(channels_hears_own(channels, slice_of("news")));
    assert_false(channels_hears(channels, slice_of("news"), 0));
    assert_false(channels_hears(channels, slice_of("news"), 1));
    unlisten(channels, slice_of("news"), 0);
    unlisten(channels, slice_of("news"), 1);
    commit(channels);
    assert_null(channels->all);
    session_done(&session);
}

static void a_savepoint_takes_its_listens_with_it(void **state)
{
    struct session session;
    struct channels *channels;

    (void)state;
    begin(&session, &channels);
    listen(channels, "a", 0);
    session_say(&session, JOURNAL_SAVEPOINT, "outer");
    session_say(&session, JOURNAL_SAVEPOINT, "inner");
    listen(channels, "b", 0);
    session_say(&session, JOURNAL_RELEASE, "inner");
    listen(channels, "c", 0);
    session_say(&session, JOURNAL_ROLLBACK_TO, "outer");
    commit(channels);
    assert_true(channels_hears(channels, slice_of("a"), 1));
    assert_false(channels_hears(channels, slice_of("b"), 1));
    assert_false(channels_hears(channels, slice_of("c"), 1));
    assert_int_equal(channels->change_count, 0);
    session_done(&session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listen_counts_from_its_commit),
        cmocka_unit_test(nothing_is_heard_twice),
        cmocka_unit_test(an_unlisten_elsewhere_mutes_the_server_that_listens),
        cmocka_unit_test(a_savepoint_takes_its_listens_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
