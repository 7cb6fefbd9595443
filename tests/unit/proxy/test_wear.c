/* test_wear.c - what is said to a server that wears one session's settings so that it wears another's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/session.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* "x=SET x TO 1|y=SET y TO 2"; a name "?" may be any. */
static void settle(struct session *session, const char *script)
{
    char copy[256], *rest = copy, *each;

    session_init(session);
    snprintf(copy, sizeof copy, "%s", script);
    while (*script != '\0' && (each = strsep(&rest, "|")) != NULL) {
        char *statement = strchr(each, '=');

        *statement++ = '\0';
        assert_true(session_set(session, strcmp(each, "?") == 0 ? (struct slice){ 0 } : slice_of(each),
                                slice_of(statement), (struct slice){ 0 }, false));
    }
    journal_ready(&session->journal, 1, 'I');
}

static const struct change_case {
    const char *from, *to, *said;
    bool unknown;
} changes[] = {
    { "", "", "" },
    { "", "x=SET x TO 1", "SET x TO 1\n;" },
    { "x=SET x TO 1", "x=SET x TO 1", "" },
    { "x=SET x TO 1", "", "RESET \"x\";" },
    { "x=SET x TO 1", "x=SET x TO 2", "SET x TO 2\n;" },
    { "x=SET x TO 1", "y=SET y TO 1", "RESET \"x\";SET y TO 1\n;" },
    { "x=SET x TO 1|y=SET y TO 1", "y=SET y TO 1", "RESET \"x\";" },
    { "app.tenant=SET app.tenant TO 1", "", "RESET \"app\".\"tenant\";" },
    { "role=SET ROLE a", "", "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;" },
    { "", "role=SET ROLE a", "SET ROLE a\n;" },
    { "x=SET x TO 1", "role=SET ROLE a", "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;SET ROLE a\n;" },
    { "?=SELECT set_config($1, '', false)", "x=SET x TO 1",
      "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;SET x TO 1\n;" },
    { "session characteristics=SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "",
      "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;" },
    { "x=SELECT set_config('x', '1', false)", "", "RESET \"x\";" },
    { "x=SELECT set_config('x', '1', false), set_config('y', '1', false)", "",
      "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;" },
    { "x=SET x TO 1", "x=SET x TO 1", "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;SET x TO 1\n;",
      true },
};

static void says_only_what_differs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        struct session from, to;
        struct wear *worn, *wanted;
        struct buf text;

        settle(&from, changes[i].from);
        settle(&to, changes[i].to);
        buf_init(&text);
        assert_true(session_wear(&from, &worn));
        assert_true(session_wear(&to, &wanted));
        wear_change(worn, !changes[i].unknown, wanted, &text);
        assert_string_equal(buf_text(&text), changes[i].said);
        assert_int_equal(wear_equal(worn, wanted), strcmp(changes[i].from, changes[i].to) == 0);
        buf_done(&text);
        session_done(&from);
        session_done(&to);
    }
}

static void a_snapshot_outlives_its_session(void **state)
{
    struct session session;
    struct wear *worn;

    (void)state;
    settle(&session, "x=SET x TO 1");
    assert_true(session_wear(&session, &worn));
    wear_take(worn);
    session_done(&session);
    assert_string_equal(worn->items[0].name, "x");
    wear_give(worn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_only_what_differs),
        cmocka_unit_test(a_snapshot_outlives_its_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
