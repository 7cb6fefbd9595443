/* test_remember.c - what a login reported, for the next one of the same user and database. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "proxy/remember.h"

static void log_in(struct remember *remember, const char *user, const char *database, const char *zone)
{
    struct session session;

    session_init(&session);
    session_report(&session, slice_of("TimeZone"), slice_of(zone));
    remember_login(remember, user, database, &session);
    session_done(&session);
}

/* The time zone of the last login; NULL: none is remembered. */
static const char *recall(const struct remember *remember, const char *user, const char *database)
{
    static char zone[64];
    struct session session;
    bool known;

    session_init(&session);
    known = remember_recall(remember, user, database, &session);
    assert_int_equal(session.reported.count, known);
    if (known)
        snprintf(zone, sizeof zone, "%s", session_reported(&session, "TimeZone"));
    session_done(&session);
    return known ? zone : NULL;
}

static void the_last_login_of_the_same_user_and_database_serves(void **state)
{
    struct remember *remember = remember_new();

    (void)state;
    assert_null(recall(remember, "app", "events"));
    log_in(remember, "app", "events", "UTC");
    log_in(remember, "app", "other", "Asia/Tokyo");
    assert_string_equal(recall(remember, "app", "events"), "UTC");
    assert_string_equal(recall(remember, "app", "other"), "Asia/Tokyo");
    assert_null(recall(remember, "ap", "pevents"));
    assert_null(recall(remember, "App", "events"));
    assert_null(recall(remember, "app", ""));
    log_in(remember, "app", "events", "Europe/Berlin");
    assert_string_equal(recall(remember, "app", "events"), "Europe/Berlin");
    remember_free(remember);
    remember_free(NULL);
}

static void a_name_longer_than_postgresqls_is_not_remembered(void **state)
{
    struct remember *remember = remember_new();
    char name[300];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    log_in(remember, name, "events", "UTC");
    log_in(remember, "app", name, "UTC");
    assert_null(recall(remember, name, "events"));
    assert_null(recall(remember, "app", name));
    name[IDENTIFIER_BYTES_MAX - 1] = '\0';
    log_in(remember, name, name, "UTC");
    assert_string_equal(recall(remember, name, name), "UTC");
    remember_free(remember);
}

static void more_users_than_it_holds_are_served_as_before(void **state)
{
    struct remember *remember = remember_new();
    char user[16];

    (void)state;
    for (int i = 0; i <= REMEMBERED_LOGINS_MAX; i++) {
        snprintf(user, sizeof user, "u%d", i);
        log_in(remember, user, "events", "UTC");
    }
    assert_null(recall(remember, user, "events"));
    log_in(remember, "u0", "events", "Asia/Tokyo"); /* who is known is kept up to date */
    assert_string_equal(recall(remember, "u0", "events"), "Asia/Tokyo");
    remember_free(remember);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_login_of_the_same_user_and_database_serves),
        cmocka_unit_test(a_name_longer_than_postgresqls_is_not_remembered),
        cmocka_unit_test(more_users_than_it_holds_are_served_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
