/* test_table.c - the route table: look-ups, counts, order, references. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "route/table.h"

static const struct store shared = { .name = "shared" }, dedicated = { .name = "dedicated-a", .index = 1 };

static struct route a_route(const char *tenant, const struct store *store, enum routing_state migration_state)
{
    struct route route = { .store = store, .migration_state = migration_state, .generation = 3 };

    snprintf(route.tenant, sizeof route.tenant, "%s", tenant);
    return route;
}

static struct route_table *a_table(const struct route *routes, size_t count)
{
    struct route_table *table = route_table_new(7);

    for (size_t i = 0; i < count; i++)
        assert_true(route_table_add(table, &routes[i]));
    route_table_seal(table, &shared);
    return table;
}

/* One route: what it adds to the counts. */
static const struct count_case {
    const struct store *store;
    enum routing_state migration_state;
    size_t away, migrating, paused;
} count_cases[] = {
    { &shared, ROUTING_NORMAL, 0, 0, 0 },        { &shared, ROUTING_BULK_COPY, 0, 1, 0 },
    { &shared, ROUTING_DUAL_WRITE, 0, 1, 0 },    { &shared, ROUTING_CUTOVER_PAUSED, 0, 1, 1 },
    { &dedicated, ROUTING_NORMAL, 1, 0, 0 },     { &dedicated, ROUTING_BULK_COPY, 1, 1, 0 },
    { &dedicated, ROUTING_DUAL_WRITE, 1, 1, 0 }, { &dedicated, ROUTING_CUTOVER_PAUSED, 1, 1, 1 },
};

enum { COUNT_CASES = sizeof count_cases / sizeof count_cases[0] };

static void counts_who_is_away_migrating_and_paused(void **state)
{
    struct route routes[COUNT_CASES];
    struct route_table *table;
    char tenant[16];

    (void)state;
    for (size_t i = 0; i < COUNT_CASES; i++) {
        snprintf(tenant, sizeof tenant, "t%zu", i);
        routes[i] = a_route(tenant, count_cases[i].store, count_cases[i].migration_state);
        table = a_table(&routes[i], 1);
        assert_int_equal(route_table_away_count(table), count_cases[i].away);
        assert_int_equal(route_table_migrating_count(table), count_cases[i].migrating);
        assert_int_equal(route_table_paused_count(table), count_cases[i].paused);
        assert_int_equal(route_table_count(table), 1);
        route_table_give(table);
    }
    table = a_table(routes, COUNT_CASES);
    assert_int_equal(route_table_away_count(table), 4);
    assert_int_equal(route_table_migrating_count(table), 6);
    assert_int_equal(route_table_paused_count(table), 2);
    assert_int_equal(route_table_count(table), COUNT_CASES);
    route_table_give(table);
}

static void an_empty_table_says_default_store_to_everybody(void **state)
{
    struct route_table *table = a_table(NULL, 0);

    (void)state;
    assert_null(route_table_get(table, "t"));
    assert_null(route_table_get(table, ""));
    assert_null(route_table_at(table, 0));
    assert_int_equal(route_table_count(table), 0);
    assert_int_equal(route_table_away_count(table), 0);
    assert_int_equal(route_table_generation(table), 7);
    route_table_give(table);
}

static const char *const tenants[] = { "b", "a", "", "ab", "B", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" };
static const char *const absent[] = { "c", "A", "abc", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1" };

static void a_tenant_is_found_by_its_whole_text(void **state)
{
    struct route routes[sizeof tenants / sizeof tenants[0]];
    struct route_table *table;

    (void)state;
    for (size_t i = 0; i < sizeof tenants / sizeof tenants[0]; i++) {
        routes[i] = a_route(tenants[i], i % 2 == 0 ? &shared : &dedicated, ROUTING_NORMAL);
        routes[i].owner_epoch = i;
    }
    table = a_table(routes, sizeof tenants / sizeof tenants[0]);
    for (size_t i = 0; i < sizeof tenants / sizeof tenants[0]; i++) {
        const struct route *route = route_table_get(table, tenants[i]);

        assert_non_null(route);
        assert_string_equal(route->tenant, tenants[i]);
        assert_int_equal(route->owner_epoch, i);
        assert_ptr_equal(route->store, routes[i].store);
        assert_ptr_not_equal(route, &routes[i]); /* copied */
    }
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_null(route_table_get(table, absent[i]));
    route_table_give(table);
}

enum { MANY = 1000 };

/* Enough to make the table grow several times; added in an order of no pattern. */
static void stands_in_order_of_tenant_from_the_first_to_the_last(void **state)
{
    struct route_table *table = route_table_new(1);
    char tenant[16];

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        struct route route;

        snprintf(tenant, sizeof tenant, "t%03u", i * 389 % MANY);
        route = a_route(tenant, &shared, ROUTING_NORMAL);
        assert_true(route_table_add(table, &route));
    }
    route_table_seal(table, &shared);
    assert_int_equal(route_table_count(table), MANY);
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(tenant, sizeof tenant, "t%03u", i);
        assert_string_equal(route_table_at(table, i)->tenant, tenant);
        assert_ptr_equal(route_table_get(table, tenant), route_table_at(table, i));
    }
    assert_null(route_table_at(table, MANY));
    assert_null(route_table_at(table, SIZE_MAX));
    route_table_give(table);
}

static void lives_until_the_last_reference_is_given(void **state)
{
    const struct route route = a_route("t", &dedicated, ROUTING_NORMAL);
    struct route_table *table = a_table(&route, 1);

    (void)state;
    assert_ptr_equal(route_table_take(table), table);
    route_table_give(table);
    assert_non_null(route_table_get(table, "t"));
    route_table_give(table);
    route_table_give(NULL);
    route_table_give(route_table_new(1)); /* never sealed */
}

static const struct state_case {
    const char *name;
    bool good;
    enum routing_state migration_state;
} state_cases[] = {
    { "normal", true, ROUTING_NORMAL },
    { "bulk_copy", true, ROUTING_BULK_COPY },
    { "dual_write", true, ROUTING_DUAL_WRITE },
    { "cutover_paused", true, ROUTING_CUTOVER_PAUSED },
    { "migrated", false, 0 },
    { "Normal", false, 0 },
    { "normal ", false, 0 },
    { "", false, 0 },
};

static void states_have_the_names_of_the_control_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof state_cases / sizeof state_cases[0]; i++) {
        enum routing_state parsed = ROUTING_NORMAL;

        assert_int_equal(routing_state_parse(state_cases[i].name, &parsed), state_cases[i].good);
        if (!state_cases[i].good)
            continue;
        assert_int_equal(parsed, state_cases[i].migration_state);
        assert_string_equal(routing_state_name(parsed), state_cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_who_is_away_migrating_and_paused),
        cmocka_unit_test(an_empty_table_says_default_store_to_everybody),
        cmocka_unit_test(a_tenant_is_found_by_its_whole_text),
        cmocka_unit_test(stands_in_order_of_tenant_from_the_first_to_the_last),
        cmocka_unit_test(lives_until_the_last_reference_is_given),
        cmocka_unit_test(states_have_the_names_of_the_control_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
