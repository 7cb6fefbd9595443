/* test_cache.c - the plan cache: bounded, least recently used, whole keys, references. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"
#include "sql/cache.h"

static struct plan *empty_plan(void)
{
    struct plan *plan = calloc(1, sizeof *plan);

    assert_non_null(plan);
    plan->refs = 1;
    return plan;
}

static void add(struct cache *cache, const char *key, struct schema *schema)
{
    struct plan *plan = empty_plan();

    cache_add(cache, slice_of(key), plan, schema);
    plan_give(plan);
}

static void forgets_what_was_not_used_for_longest(void **state)
{
    struct cache *cache = cache_new();
    char key[32];

    (void)state;
    add(cache, "kept", NULL);
    for (unsigned i = 0; i < PLAN_CACHE_ENTRIES_MAX + 10; i++) {
        snprintf(key, sizeof key, "key %u", i);
        add(cache, key, NULL);
        assert_non_null(cache_find(cache, slice_of("kept")));
    }
    assert_int_equal(cache_count(cache), PLAN_CACHE_ENTRIES_MAX);
    assert_null(cache_find(cache, slice_of("key 0")));
    assert_null(cache_find(cache, slice_of("key 10")));
    assert_non_null(cache_find(cache, slice_of("key 11")));
    assert_null(cache_find(cache, slice_of("key")));
    cache_free(cache);
    cache_free(NULL);
}

static void bounds_its_bytes(void **state)
{
    struct cache *cache = cache_new();
    char *key = calloc(1, 256 * 1024 + 1);

    (void)state;
    assert_non_null(key);
    for (unsigned i = 0; i < 400; i++) { /* 100 MB of shapes */
        memset(key, 'x', 256 * 1024);
        key[snprintf(key, 16, "%u", i)] = 'y';
        add(cache, key, NULL);
    }
    assert_int_equal(cache_count(cache), 256);
    free(key);
    cache_free(cache);
}

static void a_plan_outlives_its_place_in_the_cache(void **state)
{
    struct schema *schema = fixture_schema();
    struct cache *cache = cache_new();
    struct plan *plan = empty_plan();

    (void)state;
    cache_add(cache, slice_of("a"), plan, schema);
    assert_int_equal(plan->refs, 2);
    assert_int_equal(schema->refs, 2);
    assert_ptr_equal(cache_find(cache, slice_of("a")), plan);
    cache_free(cache);
    assert_int_equal(plan->refs, 1);
    assert_int_equal(schema->refs, 1);
    plan_give(plan);
    schema_give(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forgets_what_was_not_used_for_longest),
        cmocka_unit_test(bounds_its_bytes),
        cmocka_unit_test(a_plan_outlives_its_place_in_the_cache),
    };

    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
