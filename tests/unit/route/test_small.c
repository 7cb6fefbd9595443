/* test_small.c - stores, catalogue and lease, a few lines each. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "route/catalogue.h"
#include "route/lease.h"
#include "route/store.h"

static void a_store_is_found_by_its_whole_name(void **state)
{
    struct stores *stores = calloc(1, sizeof *stores);
    static const char *const names[] = { "shared", "dedicated-a", "dedicated" };

    (void)state;
    stores->count = 3;
    stores->default_index = 0;
    for (unsigned i = 0; i < 3; i++) {
        strcpy(stores->at[i].name, names[i]);
        stores->at[i].index = i;
        stores->at[i].conninfo = strdup("password=secret");
        stores->at[i].password = i == 0 ? NULL : strdup("secret"); /* half built is fine */
        stores->at[i].host = strdup("localhost");
    }
    assert_ptr_equal(stores_default(stores), &stores->at[0]);
    assert_ptr_equal(stores_get(stores, "dedicated"), &stores->at[2]);
    assert_ptr_equal(stores_get(stores, "dedicated-a"), &stores->at[1]);
    assert_null(stores_get(stores, "Shared"));
    assert_null(stores_get(stores, ""));
    stores->default_index = 2;
    assert_ptr_equal(stores_default(stores), &stores->at[2]);
    stores_free(stores);
    stores_free(NULL);
}

static void the_last_reference_of_a_catalogue_gives_its_schemas(void **state)
{
    struct catalogue *catalogue = catalogue_new(4, 2);
    struct schema *schema = schema_new(0);

    (void)state;
    assert_int_equal(catalogue->generation, 4);
    assert_int_equal(catalogue->store_count, 2);
    catalogue->schemas[0] = schema_take(schema); /* the second store has none: half built is fine */
    assert_ptr_equal(catalogue_take(catalogue), catalogue);
    catalogue_give(catalogue);
    assert_int_equal(schema->refs, 2);
    catalogue_give(catalogue);
    assert_int_equal(schema->refs, 1);
    schema_give(schema);
    catalogue_give(NULL);
}

/* Extended to `until`, asked at `now`; 0: never extended. */
static const struct lease_case {
    uint64_t until, now;
    bool valid;
} lease_cases[] = {
    { 0, 0, false },   { 0, 5, false },     { 100, 0, true },
    { 100, 99, true }, { 100, 100, false }, { 100, 101, false },
};

static void a_lease_is_over_at_its_very_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lease_cases / sizeof lease_cases[0]; i++) {
        struct lease lease = { 0 };

        if (lease_cases[i].until != 0)
            lease_extend(&lease, lease_cases[i].until);
        assert_int_equal(lease_is_valid(&lease, lease_cases[i].now), lease_cases[i].valid);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_is_found_by_its_whole_name),
        cmocka_unit_test(the_last_reference_of_a_catalogue_gives_its_schemas),
        cmocka_unit_test(a_lease_is_over_at_its_very_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
