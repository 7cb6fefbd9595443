/* test_failpoint.c - failpoints compiled in: the table, arming, what each action does. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"

static void arm(const char *format, const char *name)
{
    char text[256];
    struct error err;

    snprintf(text, sizeof text, format, name);
    setenv("PGSHUNT_FAILPOINT", text, 1);
    assert_true(failpoint_init(&err));
}

static void lists_every_name(void **state)
{
    char text[256] = "";
    FILE *file = tmpfile();

    (void)state;
    failpoint_list(fileno(file));
    assert_true(pread(fileno(file), text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "test.first\ntest.second\n");
    fclose(file);
}

static const char *const refused[] = {
    "no.such=crash",
    "=crash",
    ",",
    "%s",
    "%s=",
    "%s=explode",
    "%s=sleep",
    "%s=sleep:",
    "%s=sleep:x",
    "%s=sleep:-1",
    "%s=sleep:9999999999",
    "%s=error,",
    "%s=error,no.such=error",
};

static void refuses_what_it_does_not_understand(void **state)
{
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char text[256];

        snprintf(text, sizeof text, refused[i], "test.first"); /* NOLINT: our own table */
        setenv("PGSHUNT_FAILPOINT", text, 1);
        assert_false(failpoint_init(&err));
        assert_int_not_equal(err.hint[0], '\0');
    }
}

static void error_fails_sleep_sleeps_and_nothing_goes_on(void **state)
{
    struct error err;
    uint64_t began_ms;

    (void)state;
    unsetenv("PGSHUNT_FAILPOINT");
    assert_true(failpoint_init(&err));
    assert_true(failpoint("test.first", &err));
    arm("%s=error", "test.first");
    assert_false(failpoint("test.first", &err));
    assert_string_equal(err.sqlstate, "XX000");
    assert_non_null(strstr(err.message, "test.first"));
    assert_true(failpoint("test.second", &err));
    arm("%s=sleep:30", "test.first");
    began_ms = clock_ms();
    assert_true(failpoint("test.first", &err));
    assert_true(clock_ms() - began_ms >= 29);
    unsetenv("PGSHUNT_FAILPOINT");
    assert_true(failpoint_init(&err));
}

static void a_statements_fires_once(void **state)
{
    struct error err;

    (void)state;
    setenv("PGSHUNT_FAILPOINT", "sql.before.copy_rows=error,sql.after.copy_rows=partition", 1);
    assert_true(failpoint_init(&err));
    assert_int_equal(failpoint_statement(FAILPOINT_BEFORE, "copy_count"), FAILPOINT_GO);
    assert_int_equal(failpoint_statement(FAILPOINT_BEFORE, "copy_rows"), FAILPOINT_ERROR);
    assert_int_equal(failpoint_statement(FAILPOINT_BEFORE, "copy_rows"), FAILPOINT_GO);
    assert_int_equal(failpoint_statement(FAILPOINT_AFTER, "copy_rows"), FAILPOINT_CUT);
    assert_int_equal(failpoint_statement(FAILPOINT_AFTER, "copy_rows"), FAILPOINT_GO);
    setenv("PGSHUNT_FAILPOINT", "test.first=partition", 1); /* a place has no connection to cut */
    assert_false(failpoint_init(&err));
    unsetenv("PGSHUNT_FAILPOINT");
    assert_true(failpoint_init(&err));
}

static void a_trace_names_the_statements_passed(void **state)
{
    char path[] = "/tmp/pgshunt-trace-XXXXXX", text[256] = "";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    setenv("PGSHUNT_FAILPOINT_TRACE", path, 1);
    failpoint_statement(FAILPOINT_BEFORE, "copy_rows");
    failpoint_statement(FAILPOINT_AFTER, "copy_rows");
    unsetenv("PGSHUNT_FAILPOINT_TRACE");
    assert_true(read(fd, text, sizeof text - 1) > 0);
    assert_string_equal(text, "sql.before.copy_rows\nsql.after.copy_rows\n");
    close(fd);
    unlink(path);
}

static int how_it_died(const char *name, const char *arm_with)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        const struct rlimit none = { 0, 0 };
        struct error err;

        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        arm(arm_with, name);
        failpoint(name, &err);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void crash_is_sigkill_and_an_unknown_name_aborts(void **state)
{
    (void)state;
    assert_int_equal(how_it_died("not in the table", ""), SIGABRT);
    assert_int_equal(how_it_died("test.first", "%s=crash"), SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_every_name),
        cmocka_unit_test(refuses_what_it_does_not_understand),
        cmocka_unit_test(a_statements_fires_once),
        cmocka_unit_test(a_trace_names_the_statements_passed),
        cmocka_unit_test(error_fails_sleep_sleeps_and_nothing_goes_on),
        cmocka_unit_test(crash_is_sigkill_and_an_unknown_name_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
