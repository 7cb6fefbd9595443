/* test_place.c - plan + attribution + routes -> one store, or an error. The tenants a1 and a2 live in
 * dedicated-a, b1 in dedicated-b, all others in the default store. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/place.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { E = TABLES_EVENT, C = TABLES_COMPANION, EVERY = TABLES_EVERYWHERE, D = TABLES_DEFAULT };
enum { R = CLASS_READ, W = CLASS_WRITE, N = CLASS_NEUTRAL };

static const struct store shared = { .name = "shared" }, dedicated_a = { .name = "dedicated-a", .index = 1 },
                          dedicated_b = { .name = "dedicated-b", .index = 2 };

static struct route_table *somebody_is_away, *nobody_is_away;

static void add(struct route_table *table, const char *tenant, const struct store *store)
{
    struct route route = { .store = store };

    strcpy(route.tenant, tenant);
    assert_true(route_table_add(table, &route));
}

static int make_tables(void **state)
{
    (void)state;
    somebody_is_away = route_table_new(1);
    add(somebody_is_away, "a1", &dedicated_a);
    add(somebody_is_away, "a2", &dedicated_a);
    add(somebody_is_away, "b1", &dedicated_b);
    add(somebody_is_away, "home", &shared); /* came back: has an entry, is not away */
    route_table_seal(somebody_is_away, &shared);
    nobody_is_away = route_table_new(1);
    add(nobody_is_away, "a1", &shared);
    route_table_seal(nobody_is_away, &shared);
    return 0;
}

static int give_tables(void **state)
{
    (void)state;
    route_table_give(somebody_is_away);
    route_table_give(nobody_is_away);
    return 0;
}

/* One statement: what the plan and the attribution know of it. */
struct said {
    int class;
    unsigned tables;
    bool locks;
    enum tenancy tenancy;
    bool null_tenant;
    const char *tenants[3];
};

struct verdict {
    const struct store *store; /* NULL: any will do */
    bool write, unknown_write;
    const char *error; /* its name in DESIGN §3.5; NULL: none */
};

static bool add_said(struct place *place, const struct place_rules *rules, const struct said *said,
                     struct error *err)
{
    const struct plan_statement statement = { .class = (enum statement_class)said->class,
                                              .tables = said->tables,
                                              .locks = said->locks };
    char tenants[3][TENANT_BYTES_MAX] = { "" };
    struct attribution attribution = { .tenancy = said->tenancy,
                                       .null_tenant = said->null_tenant,
                                       .tenants = tenants };

    for (; attribution.tenant_count < 3 && said->tenants[attribution.tenant_count] != NULL;
         attribution.tenant_count++)
        strcpy(tenants[attribution.tenant_count], said->tenants[attribution.tenant_count]);
    return place_add(place, rules, &statement, &attribution, err);
}

static void assert_place(const char *what, size_t row, bool fine, const struct place *place,
                         const struct error *err, const struct verdict *expected)
{
    bool right = fine == (expected->error == NULL);

    if (right && !fine)
        right =
            error_is(err, "0A000") && strncmp(err->message, expected->error, strlen(expected->error)) == 0 &&
            err->message[strlen(expected->error)] == ':' && err->detail[0] != '\0' && err->hint[0] != '\0';
    if (right && fine)
        right = place->store == expected->store && place->write == expected->write &&
                place->unknown_write == expected->unknown_write;
    if (!right)
        fail_msg("%s %zu: %s \"%s\" write %d unknown_write %d", what, row, fine ? "store" : "error",
                 !fine ? err->message : (place->store == NULL ? "" : place->store->name), place->write,
                 place->unknown_write);
}

/* clang-format off */
static const struct one_case {
    struct said said;
    struct verdict away; /* while some tenant lives elsewhere, unattributed_writes = reject */
} one_cases[] = {
    /* neither event nor companion tables */
    { { N, 0, false, TENANCY_NONE, false, { NULL } }, { NULL, false, false, NULL } },
    { { R, D, false, TENANCY_NONE, false, { NULL } }, { &shared, false, false, NULL } },
    { { W, D, false, TENANCY_NONE, false, { NULL } }, { &shared, false, false, NULL } },
    { { R, EVERY, false, TENANCY_NONE, false, { NULL } }, { NULL, false, false, NULL } },
    { { R, EVERY | D, false, TENANCY_NONE, false, { NULL } }, { &shared, false, false, NULL } },
    /* one tenant */
    { { R, E, false, TENANCY_KNOWN, false, { "a1" } }, { &dedicated_a, false, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "a1" } }, { &dedicated_a, true, false, NULL } },
    { { R, E, true, TENANCY_KNOWN, false, { "a1" } }, { &dedicated_a, true, false, NULL } },
    { { W, C, false, TENANCY_KNOWN, false, { "b1" } }, { &dedicated_b, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "other" } }, { &shared, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "home" } }, { &shared, true, false, NULL } },
    { { R, E | EVERY, false, TENANCY_KNOWN, false, { "a1" } }, { &dedicated_a, false, false, NULL } },
    /* several */
    { { W, E, false, TENANCY_KNOWN, false, { "a1", "a2" } }, { &dedicated_a, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "home", "other" } }, { &shared, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "a1", "b1" } }, { .error = "cross_store_statement" } },
    { { R, E, false, TENANCY_KNOWN, false, { "a1", "a2", "other" } }, { .error = "cross_store_statement" } },
    /* rows without a tenant live in the default store */
    { { W, E, false, TENANCY_KNOWN, true, { NULL } }, { &shared, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, true, { "other" } }, { &shared, true, false, NULL } },
    { { R, E, false, TENANCY_KNOWN, true, { "a1" } }, { .error = "cross_store_statement" } },
    /* a default table beside a tenant's rows */
    { { R, E | D, false, TENANCY_KNOWN, false, { "other" } }, { &shared, false, false, NULL } },
    { { R, E | D, false, TENANCY_KNOWN, false, { "a1" } }, { .error = "cross_store_statement" } },
    { { W, E | D, false, TENANCY_KNOWN, false, { "b1" } }, { .error = "cross_store_statement" } },
    /* unknown */
    { { R, E, false, TENANCY_UNKNOWN, false, { NULL } }, { &shared, false, false, NULL } },
    { { W, E, false, TENANCY_UNKNOWN, false, { NULL } }, { .error = "unattributed_write" } },
    { { W, C, false, TENANCY_UNKNOWN, false, { NULL } }, { .error = "unattributed_write" } },
    { { R, E, true, TENANCY_UNKNOWN, false, { NULL } }, { .error = "unattributed_write" } },
};
/* clang-format on */

static void a_statement_goes_where_its_rows_live(void **state)
{
    const struct place_rules rules = { .table = somebody_is_away,
                                       .default_store = &shared,
                                       .reject_unattributed = true };

    (void)state;
    for (size_t i = 0; i < COUNT(one_cases); i++) {
        struct place place;
        struct error err;
        bool fine;

        place_init(&place);
        fine = add_said(&place, &rules, &one_cases[i].said, &err);
        assert_place("one_cases", i, fine, &place, &err, &one_cases[i].away);
    }
}

static void while_everybody_is_at_home_everything_goes_there(void **state)
{
    const struct place_rules rules = { .table = nobody_is_away,
                                       .default_store = &shared,
                                       .reject_unattributed = true };

    (void)state;
    for (size_t i = 0; i < COUNT(one_cases); i++) {
        struct place place;
        struct error err;

        place_init(&place);
        assert_true(add_said(&place, &rules, &one_cases[i].said, &err));
        if (place.store != NULL)
            assert_ptr_equal(place.store, &shared);
    }
}

/* unattributed_writes, and whether some tenant is away: what becomes of a write of an unknown tenant. */
static const struct unknown_case {
    bool away, reject;
    bool refused;
} unknown_cases[] = {
    { false, false, false },
    { false, true, false },
    { true, false, false },
    { true, true, true },
};

static void an_unknown_write_asks_every_gate_or_is_refused(void **state)
{
    static const struct said write = { W, E, false, TENANCY_UNKNOWN, false, { NULL } };
    static const struct verdict passes = { &shared, true, true, NULL },
                                refused = { .error = "unattributed_write" };

    (void)state;
    for (size_t i = 0; i < COUNT(unknown_cases); i++) {
        const struct place_rules rules = { .table = unknown_cases[i].away ? somebody_is_away : nobody_is_away,
                                           .default_store = &shared,
                                           .reject_unattributed = unknown_cases[i].reject };
        const struct verdict *expected = unknown_cases[i].refused ? &refused : &passes;
        struct place place;
        struct error err;
        bool fine;

        place_init(&place);
        fine = add_said(&place, &rules, &write, &err);
        assert_place("unknown_cases", i, fine, &place, &err, expected);
        place_init(&place);
        fine = place_add_unparsed(&place, &rules, true, &err); /* what cannot be read may write anything */
        assert_place("unparsed", i, fine, &place, &err, expected);
    }
}

static void what_cannot_be_read_but_names_no_declared_table_is_the_default_stores(void **state)
{
    const struct place_rules rules = { .table = somebody_is_away,
                                       .default_store = &shared,
                                       .reject_unattributed = true };
    static const struct verdict expected = { &shared, false, false, NULL };
    struct place place;
    struct error err;
    bool fine;

    (void)state;
    place_init(&place);
    fine = place_add_unparsed(&place, &rules, false, &err);
    assert_place("unparsed", 0, fine, &place, &err, &expected);
}

/* clang-format off */
/* Two statements of one message. */
static const struct pair_case {
    struct said first, second;
    struct verdict together;
} pair_cases[] = {
    { { N, 0, false, TENANCY_NONE, false, { NULL } }, { W, E, false, TENANCY_KNOWN, false, { "a1" } },
      { &dedicated_a, true, false, NULL } },
    { { R, E, false, TENANCY_KNOWN, false, { "a1" } }, { W, C, false, TENANCY_KNOWN, false, { "a2" } },
      { &dedicated_a, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "a1" } }, { R, E, false, TENANCY_KNOWN, false, { "a1" } },
      { &dedicated_a, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "a1" } }, { W, E, false, TENANCY_KNOWN, false, { "other" } },
      { .error = "cross_store_statement" } },
    { { R, E, false, TENANCY_KNOWN, false, { "b1" } }, { R, D, false, TENANCY_NONE, false, { NULL } },
      { .error = "cross_store_statement" } },
    { { R, D, false, TENANCY_NONE, false, { NULL } }, { W, E, false, TENANCY_KNOWN, false, { "other" } },
      { &shared, true, false, NULL } },
    { { W, E, false, TENANCY_KNOWN, false, { "a1" } }, { R, E, false, TENANCY_UNKNOWN, false, { NULL } },
      { .error = "cross_store_statement" } },
};
/* clang-format on */

static void a_message_goes_to_one_store_with_all_its_statements(void **state)
{
    const struct place_rules rules = { .table = somebody_is_away,
                                       .default_store = &shared,
                                       .reject_unattributed = true };

    (void)state;
    for (size_t i = 0; i < COUNT(pair_cases); i++) {
        struct place place;
        struct error err;
        bool fine;

        place_init(&place);
        assert_true(add_said(&place, &rules, &pair_cases[i].first, &err));
        fine = add_said(&place, &rules, &pair_cases[i].second, &err);
        assert_place("pair_cases", i, fine, &place, &err, &pair_cases[i].together);
    }
}

static void an_error_names_what_is_to_be_done(void **state)
{
    const struct place_rules rules = { .table = somebody_is_away,
                                       .default_store = &shared,
                                       .reject_unattributed = true };
    static const struct said cross = { R, E, false, TENANCY_KNOWN, false, { "a1", "b1" } };
    const struct plan_statement write = { .class = CLASS_WRITE, .tables = TABLES_EVENT };
    struct attribution attribution;
    struct place place;
    struct error err;

    (void)state;
    place_init(&place);
    assert_false(add_said(&place, &rules, &cross, &err));
    assert_non_null(strstr(err.message, "\"dedicated-a\""));
    assert_non_null(strstr(err.message, "\"dedicated-b\""));
    attribution_init(&attribution);
    attribution.tenancy = TENANCY_UNKNOWN;
    attribution.why = "the moon is full";
    place_init(&place);
    assert_false(place_add(&place, &rules, &write, &attribution, &err));
    assert_non_null(strstr(err.detail, "the moon is full"));
    attribution_done(&attribution);
}

/* The same verdict, whether a tenant has moved or only on paper. */
static void assert_same(const struct place_rules *real, const struct place_rules *paper)
{
    for (size_t i = 0; i < COUNT(one_cases); i++) {
        struct place places[2];
        struct error errs[2] = { 0 };
        bool fine[2];

        place_init(&places[0]);
        place_init(&places[1]);
        fine[0] = add_said(&places[0], real, &one_cases[i].said, &errs[0]);
        fine[1] = add_said(&places[1], paper, &one_cases[i].said, &errs[1]);
        if (fine[0] != fine[1] || places[0].store != places[1].store || places[0].write != places[1].write ||
            places[0].unknown_write != places[1].unknown_write ||
            strcmp(errs[0].message, errs[1].message) != 0)
            fail_msg("one_cases %zu: \"%s\", on paper \"%s\"", i, errs[0].message, errs[1].message);
    }
}

static void on_paper_is_as_it_will_be(void **state)
{
    struct route_table *moved = route_table_new(2);
    struct route there = { .tenant = "a1", .store = &shared, .target = &dedicated_a };
    struct route back = { .tenant = "a1", .store = &dedicated_a, .target = &shared };
    struct place_rules at_home = { .table = nobody_is_away,
                                   .default_store = &shared,
                                   .reject_unattributed = true },
                       away = at_home, paper;

    (void)state;
    add(moved, "a1", &dedicated_a);
    route_table_seal(moved, &shared);
    away.table = moved;
    paper = at_home;
    paper.moved = &there;
    assert_same(&away, &paper);
    paper = away;
    paper.moved = &back;
    assert_same(&at_home, &paper);
    route_table_give(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_goes_where_its_rows_live),
        cmocka_unit_test(while_everybody_is_at_home_everything_goes_there),
        cmocka_unit_test(an_unknown_write_asks_every_gate_or_is_refused),
        cmocka_unit_test(what_cannot_be_read_but_names_no_declared_table_is_the_default_stores),
        cmocka_unit_test(a_message_goes_to_one_store_with_all_its_statements),
        cmocka_unit_test(an_error_names_what_is_to_be_done),
        cmocka_unit_test(on_paper_is_as_it_will_be),
    };

    return cmocka_run_group_tests(tests, make_tables, give_tables);
}
