/* test_verb.c - words of a shell and the console's command they become, or what is said about them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/verb.h"

enum { WORDS_MAX = 12 };

static int count(const char *const *words)
{
    int argc = 0;

    while (words[argc] != NULL)
        argc++;
    return argc;
}

static const struct {
    const char *words[WORDS_MAX];
    const char *command;
} good[] = {
    { { "status" }, "SHOW MIGRATIONS" },
    { { "list", "--all" }, "SHOW MIGRATIONS ALL" },
    { { "list", "--tenant=x" }, "SHOW MIGRATIONS TENANT 'x'" },
    { { "show", "deadbeef" }, "SHOW MIGRATION 'deadbeef'" },
    { { "start", "--tenant", "t", "--to", "a" }, "START MIGRATION TENANT 't' TO 'a'" },
    { { "start", "--to", "a", "--tenant", "t", "--from", "s" },
      "START MIGRATION TENANT 't' FROM 's' TO 'a'" },
    { { "start", "--with", "batch_size=10", "--tenant", "t", "--to", "a", "--with=guard=off" },
      "START MIGRATION TENANT 't' TO 'a' WITH (batch_size = '10', guard = 'off')" },
    { { "start", "--tenant", "it's", "--to", "a'); SHUTDOWN --" },
      "START MIGRATION TENANT 'it''s' TO 'a''); SHUTDOWN --'" },
    { { "cutover", "ab", "--force" }, "CUTOVER MIGRATION 'ab' FORCE" },
    { { "cutover", "--when-ready", "ab", "--with", "cutover_timeout_ms=9" },
      "CUTOVER MIGRATION 'ab' WHEN READY WITH (cutover_timeout_ms = '9')" },
    { { "alter", "ab", "batch_size=5", "max_bulk_copy_rate=0" },
      "ALTER MIGRATION 'ab' SET (batch_size = '5', max_bulk_copy_rate = '0')" },
    { { "abort", "ab", "--purge-target", "--reason", "no --force" },
      "ABORT MIGRATION 'ab' REASON 'no --force' PURGE TARGET" },
    { { "wait", "ab", "--for", "dual_write", "--timeout", "2.5" },
      "WAIT MIGRATION 'ab' FOR dual_write TIMEOUT 2.5" },
    { { "wait", "--timeout", "2", "--for", "paused", "ab" }, "WAIT MIGRATION 'ab' FOR paused TIMEOUT 2" },
    { { "repair", "ab", "--stream", "Order", "17" }, "REPAIR MIGRATION 'ab' STREAM 'Order' '17'" },
    { { "translate", "ab", "17", "--nearest" }, "TRANSLATE POSITION 'ab' 17 NEAREST" },
    { { "explain", "SELECT", "1" }, "EXPLAIN ROUTE SELECT 1" },
    { { "console", "SHOW HELP" }, " SHOW HELP" },
    { { "emergency-stop" }, "EMERGENCY STOP" },
    { { "emergency-stop", "--tenant", "t" }, "EMERGENCY STOP TENANT 't'" },
    { { "accept", "3", "--reason", "known" }, "ACCEPT SHAPE 3 REASON 'known'" },
    { { "shutdown", "--graceful" }, "SHUTDOWN GRACEFUL" },
};

static void words_become_commands(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct verb *verb = verb_find(good[i].words[0]);
        struct error err;
        struct buf command;

        assert_non_null(verb);
        buf_init(&command);
        if (!verb_command(verb, count(good[i].words) - 1, (char *const *)&good[i].words[1], &command, &err))
            fail_msg("%s: %s", good[i].command, err.message);
        assert_string_equal(buf_text(&command), good[i].command);
        buf_done(&command);
    }
}

static const struct {
    const char *words[WORDS_MAX];
    const char *said;
} bad[] = {
    { { "status", "now" }, "status: one word too many: \"now\"" },
    { { "show" }, "show: what is missing is \"ID\"" },
    { { "show", "a", "b" }, "show: one word too many: \"b\"" },
    { { "show", "a", "--force" }, "show: there is no option \"--force\"" },
    { { "start", "--to", "a" }, "start: what is missing is \"--tenant\"" },
    { { "start", "--tenant", "--to", "a" }, "start: a value was expected behind \"--tenant\"" },
    { { "start", "--tenant", "t", "--to" }, "start: a value was expected behind \"--to\"" },
    { { "start", "--tenant", "t", "--to", "a", "--with", "guard" },
      "start: NAME=VALUE was expected, not \"guard\"" },
    { { "start", "--tenant", "t", "--to", "a", "--with", "a b=1" },
      "start: not the name of a setting: \"a b=1\"" },
    { { "cutover", "ab", "--force=yes" }, "cutover: no value was expected behind \"--force\"" },
    { { "alter", "ab" }, "alter: what is missing is \"NAME=VALUE\"" },
    { { "wait", "ab", "--for", "dual write" }, "wait: one word was expected, not \"dual write\"" },
    { { "wait", "ab", "--for", "paused", "--timeout", "soon" }, "wait: a number was expected, not \"soon\"" },
    { { "accept", "3; SHUTDOWN" }, "accept: a number was expected, not \"3; SHUTDOWN\"" },
    { { "explain" }, "explain: what is missing is \"STATEMENT\"" },
};

static void what_is_wrong_is_said_with_the_usage(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error err;
        struct buf command;

        buf_init(&command);
        assert_false(verb_command(verb_find(bad[i].words[0]), count(bad[i].words) - 1,
                                  (char *const *)&bad[i].words[1], &command, &err));
        assert_string_equal(err.message, bad[i].said);
        assert_non_null(strstr(err.hint, bad[i].words[0]));
        buf_done(&command);
    }
}

static void every_row_has_a_usage_and_a_help(void **state)
{
    (void)state;
    for (size_t i = 0; verb_at(i) != NULL; i++) {
        struct buf usage;

        buf_init(&usage);
        verb_usage(verb_at(i), &usage);
        assert_true(strncmp(buf_text(&usage), verb_at(i)->name, strlen(verb_at(i)->name)) == 0);
        assert_non_null(verb_at(i)->help);
        assert_ptr_equal(verb_find(verb_at(i)->name), verb_at(i)); /* no name twice */
        buf_done(&usage);
    }
    assert_null(verb_find("status "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_commands),
        cmocka_unit_test(what_is_wrong_is_said_with_the_usage),
        cmocka_unit_test(every_row_has_a_usage_and_a_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
