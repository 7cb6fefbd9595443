/* test_directory.c - what is kept, and what goes when there is no more room. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "route/directory.h"

static char tenant[TENANT_BYTES_MAX];

static struct slice key_of(unsigned number)
{
    static char key[64];

    key[0] = 0;
    sprintf(key + 1, "order%c%08u", 0, number);
    return (struct slice){ key, 1 + 6 + 9 };
}

static void keeps_the_latest_word(void **state)
{
    struct directory *directory = directory_new(100 * 1000);

    (void)state;
    assert_false(directory_find(directory, key_of(1), tenant));
    directory_keep(directory, key_of(1), "t-1");
    directory_keep(directory, key_of(2), "");
    assert_true(directory_find(directory, key_of(1), tenant));
    assert_string_equal(tenant, "t-1");
    assert_true(directory_find(directory, key_of(2), tenant));
    assert_string_equal(tenant, "");
    directory_keep(directory, key_of(1), "t-1");
    directory_keep(directory, key_of(1), "another tenant");
    assert_true(directory_find(directory, key_of(1), tenant));
    assert_string_equal(tenant, "another tenant");
    assert_int_equal(directory_count(directory), 2);
    directory_forget(directory, key_of(1));
    directory_forget(directory, key_of(3));
    assert_false(directory_find(directory, key_of(1), tenant));
    directory_clear(directory);
    assert_int_equal(directory_count(directory), 0);
    assert_int_equal(directory_bytes(directory), 0);
    assert_false(directory_find(directory, key_of(2), tenant));
    directory_free(directory);
}

static void tells_keys_apart_by_all_bytes(void **state)
{
    struct directory *directory = directory_new(100 * 1000);

    (void)state;
    directory_keep(directory, (struct slice){ "\0a\0bc\0", 6 }, "one");
    directory_keep(directory, (struct slice){ "\0ab\0c\0", 6 }, "two");
    directory_keep(directory, (struct slice){ "\1a\0bc\0", 6 }, "three");
    assert_true(directory_find(directory, (struct slice){ "\0a\0bc\0", 6 }, tenant));
    assert_string_equal(tenant, "one");
    assert_true(directory_find(directory, (struct slice){ "\0ab\0c\0", 6 }, tenant));
    assert_string_equal(tenant, "two");
    assert_true(directory_find(directory, (struct slice){ "\1a\0bc\0", 6 }, tenant));
    assert_string_equal(tenant, "three");
    directory_free(directory);
}

/* 1 is used again and again, and stays; of the others the oldest go. */
static void drops_the_least_recently_used(void **state)
{
    struct directory *directory = directory_new(20 * 1000);

    (void)state;
    for (unsigned i = 1; i <= 10000; i++) {
        directory_keep(directory, key_of(i), "t");
        assert_true(directory_bytes(directory) <= 20 * 1000);
        assert_true(directory_find(directory, key_of(1), tenant));
    }
    assert_true(directory_count(directory) > 10);
    assert_true(directory_find(directory, key_of(10000), tenant));
    assert_true(directory_find(directory, key_of(9995), tenant));
    assert_false(directory_find(directory, key_of(2), tenant));
    assert_false(directory_find(directory, key_of(5000), tenant));
    directory_free(directory);
}

static void has_bounds(void **state)
{
    struct directory *directory = directory_new(100);
    char long_tenant[TENANT_BYTES_MAX + 1];

    (void)state;
    directory_keep(directory, key_of(1), "too large for so small a memory");
    assert_false(directory_find(directory, key_of(1), tenant));
    directory_free(directory);
    directory = directory_new(10 * 1000);
    memset(long_tenant, 'x', TENANT_BYTES_MAX);
    long_tenant[TENANT_BYTES_MAX] = '\0';
    directory_keep(directory, key_of(1), "t");
    directory_keep(directory, key_of(1),
                   long_tenant); /* cannot be told: nothing is better than the old one */
    assert_false(directory_find(directory, key_of(1), tenant));
    long_tenant[TENANT_BYTES_MAX - 1] = '\0';
    directory_keep(directory, key_of(1), long_tenant);
    assert_true(directory_find(directory, key_of(1), tenant));
    assert_string_equal(tenant, long_tenant);
    directory_free(directory);
    directory_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_latest_word),
        cmocka_unit_test(tells_keys_apart_by_all_bytes),
        cmocka_unit_test(drops_the_least_recently_used),
        cmocka_unit_test(has_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
