/* test_execute.c - EXECUTE: which tenant it is about, by its arguments and what was prepared. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"
#include "sql/execute.h"

#define UPPER "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB"

static const struct execute_case {
    const char *prepare, *execute;
    enum statement_class class;
    unsigned tables;
    const char *tenants; /* "?" : unknown; "-" : none */
} cases[] = {
    { "prepare p (uuid) as select * from events where tenant_id = $1", "execute p ('" T1 "')", CLASS_READ,
      TABLES_EVENT, T1 },
    { "prepare p as select * from events where tenant_id = $1", "execute p ('" T1 "')", CLASS_READ,
      TABLES_EVENT, T1 },
    { "prepare p as delete from events where tenant_id = $1", "execute p ('" UPPER "'::uuid)", CLASS_WRITE,
      TABLES_EVENT, TA },
    { "prepare p as select * from events where tenant_id = $1", "execute p (uuid '{" UPPER "}')", CLASS_READ,
      TABLES_EVENT, TA },
    { "prepare p (int, uuid) as insert into events (version, tenant_id) values ($1, $2)",
      "execute p (3, E'" T1 "')", CLASS_WRITE, TABLES_EVENT, T1 },
    { "prepare p (int, uuid) as insert into events (version, tenant_id) values ($1, $2)",
      "execute p (3 + 4, '" T1 "')", CLASS_WRITE, TABLES_EVENT, T1 },
    { "prepare p (uuid, uuid) as select * from events where tenant_id in ($1, $2)",
      "execute p ('" T1 "', '" T2 "')", CLASS_READ, TABLES_EVENT, T1 "," T2 },
    { "prepare p as select * from events where tenant_id = '" T1 "'", "execute p", CLASS_READ, TABLES_EVENT,
      T1 },
    { "prepare p (uuid) as insert into events (tenant_id) values ($1)", "execute p (null)", CLASS_WRITE,
      TABLES_EVENT, "" },
    /* neighbours that mislead */
    { "prepare p (uuid) as delete from events where tenant_id = $1", "execute p (gen_random_uuid())",
      CLASS_WRITE, TABLES_EVENT, "?" },
    { "prepare p (uuid) as delete from events where tenant_id = $1", "execute p (lower('" T1 "')::uuid)",
      CLASS_WRITE, TABLES_EVENT, "?" },
    { "prepare p (uuid) as delete from events where tenant_id = $1", "execute p", CLASS_WRITE, TABLES_EVENT,
      "?" },
    { "prepare p (uuid) as delete from events where tenant_id = $1", "execute p ('no uuid')", CLASS_WRITE,
      TABLES_EVENT, "?" },
    { "prepare p (tenant_domain) as delete from events where tenant_id = $1", "execute p ('" T1 "')",
      CLASS_WRITE, TABLES_EVENT, "?" },
    { "prepare p (varchar(36)) as delete from outbox where tenant_id = $1", "execute p ('a')", CLASS_WRITE,
      TABLES_COMPANION, "?" },
    { "prepare p (text) as delete from outbox where tenant_id = $1", "execute p (007)", CLASS_WRITE,
      TABLES_COMPANION, "?" },
    { "prepare p (text) as delete from outbox where tenant_id = $1", "execute p ('a'::text::varchar(1))",
      CLASS_WRITE, TABLES_COMPANION, "?" },
    { "prepare p (text) as delete from outbox where tenant_id = $1", "execute p ('abc')", CLASS_WRITE,
      TABLES_COMPANION, "abc" },
    /* nested */
    { "prepare p (uuid) as delete from events where tenant_id = $1", "explain execute p ('" T1 "')",
      CLASS_READ, TABLES_EVENT, T1 },
    { "prepare p (uuid) as delete from events where tenant_id = $1", "explain analyze execute p ('" T1 "')",
      CLASS_WRITE, TABLES_EVENT, T1 },
    { "prepare p (uuid) as select * from events where tenant_id = $1",
      "create table copied as execute p ('" T1 "')", CLASS_WRITE, TABLES_EVENT | TABLES_DEFAULT, T1 },
    { "prepare p as select 1", "execute p", CLASS_NEUTRAL, 0, "-" },
    { "prepare p as select * from users", "execute p", CLASS_READ, TABLES_DEFAULT, "-" },
};

struct bench {
    struct schema *schema;
    struct planner *planner;
    struct plan *plan[2];
    struct shape shape[2];
    struct execute_arguments arguments;
    struct attribution found;
};

static void read_both(struct bench *bench, const struct execute_case *one)
{
    const struct plan_context context = { .schema = bench->schema,
                                          .standard_conforming_strings = true,
                                          .encoding_safe = true };
    const char *texts[] = { one->prepare, one->execute };

    for (int i = 0; i < 2; i++) {
        shape_init(&bench->shape[i]);
        assert_true(
            planner_plan(bench->planner, slice_of(texts[i]), &context, &bench->shape[i], &bench->plan[i]));
        assert_true(bench->plan[i]->parsed);
    }
    assert_int_equal(bench->plan[1]->statements[0].kind, STATEMENT_EXECUTE);
    assert_string_equal(bench->plan[1]->statements[0].name, "p");
}

static void check_tenants(const struct attribution *found, const char *expected)
{
    char seen[1024] = "";

    for (size_t i = 0; i < found->tenant_count; i++) {
        strcat(seen, i > 0 ? "," : "");
        strcat(seen, found->tenants[i]);
    }
    if (found->tenancy == TENANCY_UNKNOWN)
        strcpy(seen, "?");
    if (found->tenancy == TENANCY_NONE)
        strcpy(seen, "-");
    assert_string_equal(seen, expected);
}

static void run_case(struct bench *bench, const struct execute_case *one)
{
    const struct plan_statement *prepare, *execute;
    const struct surroundings nothing = { 0 };
    struct plan_statement joined;
    struct error err;

    read_both(bench, one);
    prepare = &bench->plan[0]->statements[0];
    execute = &bench->plan[1]->statements[0];
    assert_true(execute_read_arguments(execute, slice_of(one->execute), &bench->shape[1], prepare->types,
                                       prepare->type_count, &bench->arguments));
    joined = execute_joined(execute, prepare);
    assert_int_equal(joined.kind, STATEMENT_EXECUTE);
    assert_int_equal(joined.class, one->class);
    assert_int_equal(joined.tables, one->tables);
    assert_true(attribute(&joined, slice_of(one->prepare), &bench->shape[0], &bench->arguments.params,
                          &nothing, &bench->found, &err));
    check_tenants(&bench->found, one->tenants);
    for (int i = 0; i < 2; i++) {
        plan_give(bench->plan[i]);
        shape_done(&bench->shape[i]);
    }
}

static void arguments_are_the_parameters(void **state)
{
    struct bench bench = { .schema = fixture_schema(), .planner = planner_new("app.tenant") };

    (void)state;
    attribution_init(&bench.found);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        print_message("%s; %s\n", cases[i].prepare, cases[i].execute);
        run_case(&bench, &cases[i]);
    }
    execute_arguments_done(&bench.arguments);
    attribution_done(&bench.found);
    planner_free(bench.planner);
    schema_give(bench.schema);
}

static void what_nobody_knows_is_a_write_of_unknown_tenants(void **state)
{
    const struct plan_statement execute = { .kind = STATEMENT_EXECUTE };
    const struct plan_statement unknown = execute_unknown(&execute);

    (void)state;
    assert_int_equal(unknown.class, CLASS_WRITE);
    assert_int_equal(unknown.tables, TABLES_EVENT);
    assert_true(unknown.tenants_partial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_the_parameters),
        cmocka_unit_test(what_nobody_knows_is_a_write_of_unknown_tenants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
