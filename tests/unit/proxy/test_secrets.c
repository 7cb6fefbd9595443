/* test_secrets.c - answers of auth_query: for a while, and not too many. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "proxy/secrets.h"

static void it_is_known_until_its_time_is_over(void **state)
{
    struct secrets *secrets = secrets_new(8);
    const char *secret;

    (void)state;
    assert_false(secrets_recall(secrets, "app", 0, &secret));
    secrets_keep(secrets, "app", "pencil", 100);
    secrets_keep(secrets, "nobody", NULL, 100);
    assert_true(secrets_recall(secrets, "app", 99, &secret));
    assert_string_equal(secret, "pencil");
    assert_true(secrets_recall(secrets, "nobody", 99, &secret));
    assert_null(secret);
    assert_false(secrets_recall(secrets, "App", 99, &secret));
    assert_false(secrets_recall(secrets, "app", 100, &secret));
    secrets_keep(secrets, "app", "other", 200);
    secrets_keep(secrets, "app", "third", 200);
    assert_true(secrets_recall(secrets, "app", 100, &secret));
    assert_string_equal(secret, "third");
    secrets_forget(secrets, "app");
    secrets_forget(secrets, "never known");
    assert_false(secrets_recall(secrets, "app", 100, &secret));
    secrets_free(secrets);
    secrets_free(NULL);
}

static void the_oldest_goes_first(void **state)
{
    struct secrets *secrets = secrets_new(2);
    const char *secret;

    (void)state;
    secrets_keep(secrets, "a", "1", 100);
    secrets_keep(secrets, "b", "2", 100);
    secrets_keep(secrets, "c", "3", 100);
    assert_false(secrets_recall(secrets, "a", 0, &secret));
    assert_true(secrets_recall(secrets, "b", 0, &secret));
    assert_true(secrets_recall(secrets, "c", 0, &secret));
    secrets_forget_all(secrets);
    assert_false(secrets_recall(secrets, "c", 0, &secret));
    secrets_free(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_known_until_its_time_is_over),
        cmocka_unit_test(the_oldest_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
