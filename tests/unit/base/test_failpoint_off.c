/* test_failpoint_off.c - a build without failpoints: nothing fires, and asking for one is an error. And the
 * real table is sound. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"

static const char *const names[] = {
#include "base/failpoint_names.h"
    NULL,
};

static void names_are_unique_and_say_their_module(void **state)
{
    (void)state;
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *dot = strchr(names[i], '.');

        assert_true(dot != NULL && dot > names[i] && dot[1] != '\0');
        assert_int_equal(strspn(names[i], "abcdefghijklmnopqrstuvwxyz0123456789_."), strlen(names[i]));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(names[i], names[j]);
    }
}

static void refuses_to_start_armed(void **state)
{
    struct error err;

    (void)state;
    unsetenv("PGSHUNT_FAILPOINT");
    assert_true(failpoint_init(&err));
    setenv("PGSHUNT_FAILPOINT", "", 1);
    assert_true(failpoint_init(&err));
    setenv("PGSHUNT_FAILPOINT", "x=error", 1);
    assert_false(failpoint_init(&err));
    assert_true(failpoint("no such name", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_say_their_module),
        cmocka_unit_test(refuses_to_start_armed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
