/* Tests of migrate/failure: a class for every SQLSTATE, the longest that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "migrate/failure.h"

static const struct {
    const char *sqlstate, *severity;
    enum failure_kind kind;
} cases[] = {
    { "08006", "warning", FAILURE_TRANSIENT }, /* connection lost */
    { "53100", "error", FAILURE_TRANSIENT },   /* disk full */
    { "53300", "warning", FAILURE_TRANSIENT }, /* too many connections */
    { "57P01", "warning", FAILURE_TRANSIENT }, /* shut down */
    { "57P03", "warning", FAILURE_TRANSIENT }, /* starting up */
    { "57P04", "error", FAILURE_RECOVERABLE }, /* database dropped: longer than 57P0 */
    { "25006", "error", FAILURE_TRANSIENT },   /* read-only */
    { "40P01", "info", FAILURE_TRANSIENT },    /* deadlock */
    { "57014", "info", FAILURE_TRANSIENT },    /* cancelled */
    { "23514", "error", FAILURE_RECOVERABLE }, /* a check that rejects a row */
    { "23505", "error", FAILURE_RECOVERABLE }, /* a row in the way */
    { "22P02", "error", FAILURE_RECOVERABLE }, /* a value of another type */
    { "42501", "error", FAILURE_RECOVERABLE }, /* a right that is missing */
    { "28P01", "error", FAILURE_RECOVERABLE }, /* a password */
    { "55000", "error", FAILURE_RECOVERABLE }, /* changed under the migration */
    { "0A000", "critical", FAILURE_FATAL },    { "XX001", "critical", FAILURE_FATAL },
    { "42601", "critical", FAILURE_FATAL },    { "", "critical", FAILURE_FATAL },
};

static void every_sqlstate_has_a_class(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err;
        const struct failure_class *found;

        error_set(&err, cases[i].sqlstate, "a failure");
        found = failure_classify(&err);
        if (strcmp(found->severity, cases[i].severity) != 0 || found->kind != cases[i].kind)
            print_error("%s\n", cases[i].sqlstate);
        assert_string_equal(found->severity, cases[i].severity);
        assert_int_equal(found->kind, cases[i].kind);
        assert_int_equal(failure_is_transient(&err), cases[i].kind == FAILURE_TRANSIENT);
    }
}

static void a_hint_is_given_only_where_none_is(void **unused)
{
    struct error err;

    (void)unused;
    error_set(&err, "53100", "could not extend file");
    failure_explain(&err);
    assert_non_null(strstr(err.hint, "make room"));
    error_set(&err, "53100", "could not extend file");
    error_hint(&err, "Check free disk space.");
    failure_explain(&err);
    assert_string_equal(err.hint, "Check free disk space.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sqlstate_has_a_class),
        cmocka_unit_test(a_hint_is_given_only_where_none_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
