/* test_derive.c - keys are derived once per password, salt and count of rounds, and forgotten in order. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/derive.h"

static struct scram_keys derived(struct derive *derive, const char *password, const char *salt,
                                 int iterations)
{
    struct scram_keys keys = { 0 };

    assert_true(derive_keys(derive, password, (const unsigned char *)salt, strlen(salt), iterations, &keys));
    assert_true(keys.known);
    assert_int_equal(keys.iterations, iterations);
    assert_int_equal(keys.salt_bytes, strlen(salt));
    assert_memory_equal(keys.salt, salt, keys.salt_bytes);
    return keys;
}

static void the_same_is_derived_once_and_is_right(void **state)
{
    struct derive *derive = derive_new(8);
    struct scram_keys first = derived(derive, "pencil", "salt", 10),
                      second = derived(derive, "pencil", "salt", 10);
    struct scram_keys anew;

    (void)state;
    assert_int_equal(derive_computed(derive), 1);
    assert_true(scram_keys_derive(NULL, "pencil", (const unsigned char *)"salt", 4, 10, &anew));
    assert_memory_equal(first.client_key, anew.client_key, SCRAM_KEY_BYTES);
    assert_memory_equal(second.client_key, anew.client_key, SCRAM_KEY_BYTES);
    assert_memory_equal(second.server_key, anew.server_key, SCRAM_KEY_BYTES);
    derive_free(derive);
    derive_free(NULL);
}

static void another_password_salt_or_count_is_another_key(void **state)
{
    struct derive *derive = derive_new(8);
    struct scram_keys one = derived(derive, "pencil", "salt", 10);

    (void)state;
    assert_memory_not_equal(derived(derive, "pencils", "salt", 10).client_key, one.client_key,
                            SCRAM_KEY_BYTES);
    assert_memory_not_equal(derived(derive, "pencil", "salu", 10).client_key, one.client_key,
                            SCRAM_KEY_BYTES);
    assert_memory_not_equal(derived(derive, "pencil", "salt", 11).client_key, one.client_key,
                            SCRAM_KEY_BYTES);
    /* … also where password and salt run together to the same bytes */
    assert_memory_not_equal(derived(derive, "tpencil", "sal", 10).client_key, one.client_key,
                            SCRAM_KEY_BYTES);
    assert_int_equal(derive_computed(derive), 5);
    derive_free(derive);
}

static void what_was_used_longest_ago_goes_first(void **state)
{
    struct derive *derive = derive_new(2);

    (void)state;
    derived(derive, "a", "salt", 1);
    derived(derive, "b", "salt", 1);
    derived(derive, "a", "salt", 1); /* used again: b is the oldest now */
    derived(derive, "c", "salt", 1);
    assert_int_equal(derive_computed(derive), 3);
    derived(derive, "a", "salt", 1);
    assert_int_equal(derive_computed(derive), 3);
    derived(derive, "b", "salt", 1);
    assert_int_equal(derive_computed(derive), 4);
    derive_free(derive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_derived_once_and_is_right),
        cmocka_unit_test(another_password_salt_or_count_is_another_key),
        cmocka_unit_test(what_was_used_longest_ago_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
