/* test_attribute.c - the order of evidence, contradictions, and reading values. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

struct bench {
    struct schema *schema;
    struct planner *planner;
    struct shape shape;
    struct plan *plan;
    struct attribution attribution;
    struct error err;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    bench->schema = fixture_schema();
    bench->planner = planner_new("app.tenant");
    shape_init(&bench->shape);
    attribution_init(&bench->attribution);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    plan_give(bench->plan);
    planner_free(bench->planner);
    schema_give(bench->schema);
    shape_done(&bench->shape);
    attribution_done(&bench->attribution);
    free(bench);
    return 0;
}

static bool say(struct bench *bench, const char *text, const struct parameters *params,
                const struct surroundings *around)
{
    const struct plan_context context = { .schema = bench->schema,
                                          .standard_conforming_strings = true,
                                          .encoding_safe = true };

    plan_give(bench->plan);
    assert_true(planner_plan(bench->planner, slice_of(text), &context, &bench->shape, &bench->plan));
    error_clear(&bench->err);
    return attribute(&bench->plan->statements[0], slice_of(text), &bench->shape, params, around,
                     &bench->attribution, &bench->err);
}

#define SILENT "select * from events"
#define SPOKEN "select * from events where tenant_id = '" T1 "'"

static const struct around_case {
    const char *text;
    struct surroundings around;
    bool fine;
    enum tenancy tenancy;
    enum evidence evidence;
    const char *tenant;
    bool contradicted;
} arounds[] = {
    { SILENT, { 0 }, true, TENANCY_UNKNOWN, EVIDENCE_NONE, NULL, false },
    { SILENT,
      { .transaction_tenant = T1, .setting_tenant = T1, .user_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_TRANSACTION,
      T1,
      false },
    { SILENT, { .setting_tenant = T1, .user_tenant = T2 }, true, TENANCY_KNOWN, EVIDENCE_SETTING, T1, false },
    { SILENT, { .setting_tenant = "", .user_tenant = T2 }, true, TENANCY_KNOWN, EVIDENCE_USER, T2, false },
    { SILENT,
      { .setting_tenant = "ABCDEFAB-CDEF-ABCD-EFAB-CDEFABCDEFAB" },
      true,
      TENANCY_KNOWN,
      EVIDENCE_SETTING,
      TA,
      false },
    { SILENT, { .setting_tenant = "no uuid" }, true, TENANCY_UNKNOWN, EVIDENCE_NONE, NULL, false },
    { SILENT,
      { .setting_unknown = true, .setting_tenant = T1, .user_tenant = T2 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      NULL,
      false },
    { SILENT,
      { .setting_unknown = true, .transaction_tenant = T1 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_TRANSACTION,
      T1,
      false },
    { SILENT,
      { .transaction_tenant = T1, .setting_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_TRANSACTION,
      T1,
      true },
    { SILENT,
      { .transaction_tenant = T1, .setting_tenant = T2, .strict = true },
      false,
      TENANCY_KNOWN,
      EVIDENCE_TRANSACTION,
      NULL,
      true },
    { SPOKEN, { 0 }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, false },
    { SPOKEN, { .transaction_tenant = T2 }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, false },
    { SPOKEN,
      { .transaction_tenant = T2, .strict = true },
      true,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      T1,
      false },
    { SPOKEN, { .setting_tenant = T1, .strict = true }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, false },
    { SPOKEN, { .setting_tenant = T2 }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, true },
    { SPOKEN, { .setting_tenant = T2, .strict = true }, false, TENANCY_KNOWN, EVIDENCE_LITERAL, NULL, true },
    { SPOKEN,
      { .setting_tenant = "no uuid", .strict = true },
      false,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      NULL,
      true },
    { SPOKEN, { .user_tenant = T2, .strict = true }, false, TENANCY_KNOWN, EVIDENCE_LITERAL, NULL, true },
    { SPOKEN,
      { .user_tenant = T2, .setting_tenant = T1, .strict = true },
      true,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      T1,
      false },
    { SPOKEN,
      { .setting_tenant = T2, .setting_unknown = true, .strict = true },
      true,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      T1,
      false },
    { SILENT,
      { .comment_tenant = T1, .transaction_tenant = T2, .user_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_COMMENT,
      T1,
      true },
    { SILENT,
      { .comment_tenant = T1, .setting_tenant = T2, .strict = true },
      false,
      TENANCY_KNOWN,
      0,
      NULL,
      true },
    { SILENT, { .comment_tenant = "no uuid" }, true, TENANCY_UNKNOWN, EVIDENCE_NONE, NULL, false },
    { SILENT,
      { .comment_unknown = true, .transaction_tenant = T1 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      NULL,
      false },
    { SPOKEN, { .comment_tenant = T1, .strict = true }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, false },
    { SPOKEN, { .comment_tenant = T2 }, true, TENANCY_KNOWN, EVIDENCE_LITERAL, T1, true },
    { SPOKEN, { .comment_tenant = T2, .strict = true }, false, TENANCY_KNOWN, 0, NULL, true },
    { "select * from users", { .setting_tenant = T1 }, true, TENANCY_NONE, EVIDENCE_NONE, NULL, false },
    { "insert into events select * from staging",
      { .transaction_tenant = T1 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      NULL,
      false },
    { "select * from events a, events b where a.tenant_id = '" T1 "'",
      { .transaction_tenant = T1 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      NULL,
      false },
    { "select * from outbox",
      { .setting_tenant = "Acme" },
      true,
      TENANCY_KNOWN,
      EVIDENCE_SETTING,
      "Acme",
      false },
    { "select * from accounts",
      { .setting_tenant = "0042" },
      true,
      TENANCY_KNOWN,
      EVIDENCE_SETTING,
      "42",
      false },
};

static void what_stands_around_has_its_order(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof arounds / sizeof arounds[0]; i++) {
        const struct around_case *row = &arounds[i];
        const struct attribution *a = &bench->attribution;
        bool fine = say(bench, row->text, NULL, &row->around);

        if (fine != row->fine || a->contradicted != row->contradicted)
            fail_msg("row %zu: %d, contradicted %d, %s", i, fine, a->contradicted, bench->err.message);
        if (!fine) {
            assert_true(error_is(&bench->err, "0A000"));
            assert_int_not_equal(bench->err.hint[0], '\0');
            continue;
        }
        if (a->tenancy != row->tenancy || a->evidence != row->evidence ||
            (row->tenant != NULL && (a->tenant_count != 1 || strcmp(a->tenants[0], row->tenant) != 0)))
            fail_msg("row %zu: tenancy %d by %s", i, a->tenancy, evidence_name(a->evidence));
        assert_int_equal(a->why != NULL, a->tenancy == TENANCY_UNKNOWN);
    }
}

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        text, sizeof text - 1                                                                                \
    }
#define BINARY_T1 "\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"

static const struct param_case {
    const char *text;
    uint32_t type;
    uint16_t format;
    struct slice value;
    const char *tenant; /* NULL: unknown */
} param_cases[] = {
    { "insert into events (tenant_id) values ($1)", 0, 0, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1)", OID_UUID, 0, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1)", 0, 1, TEXT(BINARY_T1), T1 },
    { "insert into events (tenant_id) values ($1)", OID_UUID, 1, TEXT(BINARY_T1), T1 },
    { "insert into events (tenant_id) values ($1)", OID_UUID, 1, TEXT(T1), NULL },
    { "insert into events (tenant_id) values ($1)", 705, 0, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1)", 16, 0, TEXT("t"), NULL },
    { "insert into events (tenant_id) values ($1)", 0, 2, TEXT(T1), NULL },
    { "insert into events (tenant_id) values ($1::text::uuid)", 0, 1, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1::text::uuid)", OID_TEXT, 1, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1::uuid)", OID_TEXT, 1, TEXT(T1), T1 },
    { "insert into events (tenant_id) values ($1::uuid)", 0, 1, TEXT(BINARY_T1), T1 },
    { "select * from events where tenant_id = $1", OID_VARCHAR, 0, TEXT("{11111111111111111111111111111111}"),
      T1 },
    { "select * from events where tenant_id::text = $1", 0, 1, TEXT(T1), T1 },
    { "select * from outbox where tenant_id = $1", 0, 1, TEXT("Acme"), "Acme" },
    { "select * from outbox where tenant_id = $1::uuid::text", 0, 0, TEXT(T1), NULL },
    { "select * from outbox where tenant_id = $1", OID_INT4, 1, TEXT("\0\0\0\x2a"), "42" },
    { "select * from accounts where tenant = $1", 0, 1, TEXT("\0\0\0\0\0\0\0\x2a"), "42" },
    { "select * from accounts where tenant = $1", OID_INT4, 1, TEXT("\0\0\0\x2a"), "42" },
    { "select * from accounts where tenant = $1", 0, 1, TEXT("\0\0\0\x2a"), NULL }, /* not an int8 */
    { "select * from accounts where tenant = $1::int", 0, 1, TEXT("\0\0\0\x2a"), "42" },
    { "select * from accounts where tenant = $1::text::int8", 0, 1, TEXT("1234"), "1234" },
    { "select * from labels where tenant_id = $1", 0, 0, TEXT("a"), "a" },
};

static void reads_parameters_by_their_types(void **state)
{
    const struct surroundings nothing = { 0 };
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof param_cases / sizeof param_cases[0]; i++) {
        const struct param_case *row = &param_cases[i];
        const struct parameters params = { .count = 1,
                                           .values = &row->value,
                                           .formats = &row->format,
                                           .type_count = row->type == 0 ? 0 : 1,
                                           .types = &row->type };
        const struct attribution *a = &bench->attribution;

        assert_true(say(bench, row->text, &params, &nothing));
        if (row->tenant == NULL ? a->tenancy != TENANCY_UNKNOWN
                                : a->tenancy != TENANCY_KNOWN || a->evidence != EVIDENCE_PARAMETER ||
                                      strcmp(a->tenants[0], row->tenant) != 0)
            fail_msg("row %zu (%s): tenancy %d", i, row->text, a->tenancy);
    }
}

static void a_parameter_without_a_value_is_unknown(void **state)
{
    const struct surroundings around = { .setting_tenant = T1 };
    struct bench *bench = *state;

    assert_true(say(bench, "select * from events where tenant_id = $1", NULL, &around));
    assert_int_equal(bench->attribution.tenancy, TENANCY_UNKNOWN);
    assert_true(say(bench, "select * from events", NULL, &around));
    assert_int_equal(bench->attribution.tenancy, TENANCY_KNOWN);
}

static void no_tenant_is_known_and_points_at_nothing(void **state)
{
    const struct surroundings nothing = { 0 };
    struct bench *bench = *state;

    assert_true(say(bench, "select * from events where tenant_id is null", NULL, &nothing));
    assert_int_equal(bench->attribution.tenancy, TENANCY_KNOWN);
    assert_int_equal(bench->attribution.tenant_count, 0);
    assert_true(bench->attribution.null_tenant);
    assert_string_equal(bench->attribution.tenants[0], "");
}

static void counts_many_tenants_once_each(void **state)
{
    const struct surroundings nothing = { 0 };
    struct bench *bench = *state;
    struct buf text;

    for (unsigned distinct = 1; distinct <= 1025; distinct += 128) {
        buf_init(&text);
        buf_append_text(&text, "insert into outbox (tenant_id) values ");
        for (unsigned i = 0; i < 3 * distinct; i++)
            buf_append_format(&text, "%s('t%u')", i == 0 ? "" : ",", i % distinct);
        assert_true(say(bench, buf_text(&text), NULL, &nothing));
        assert_int_equal(bench->attribution.tenancy, distinct <= 1024 ? TENANCY_KNOWN : TENANCY_UNKNOWN);
        assert_int_equal(bench->attribution.tenant_count, distinct <= 1024 ? distinct : 0);
        buf_done(&text);
    }
}

static const struct comment_case {
    const char *text;
    size_t index;
    const char *tenant; /* "?": unknown; NULL: nothing */
} comments[] = {
    { "select 1 /*tenant_id='a'*/", 0, "a" },
    { "/*tenant_id='a'*/ select 1", 0, "a" },
    { "select /* action='%2Frun', tenant_id='a%20b' */ 1 /* traceparent='x' */", 0, "a b" },
    { "select 1 /*tenant_id='a\\'b'*/", 0, "a'b" },
    { "select 1 /*tenant_id='a'*/ /*other='b'*/ -- x", 0, "a" },
    { "select 1 /*tenant_id='a'*/ /*tenant_id='a'*/", 0, "a" },
    { "select 1 /*tenant_id='a'*/ /*tenant_id='b'*/", 0, "?" },
    { "select 1 /*tenant_id='a',tenant_id='b'*/", 0, "?" },
    { "select 1 /*tenant_id=''*/", 0, "?" },
    { "begin /*tenant_id='a'*/; select 1 /*tenant_id='b'*/; select 2", 0, "a" },
    { "begin /*tenant_id='a'*/; select 1 /*tenant_id='b'*/; select 2", 1, "b" },
    { "begin /*tenant_id='a'*/; select 1 /*tenant_id='b'*/; select 2", 2, NULL },
    { "begin; /*tenant_id='a'*/ select 1 /* */", 1, "a" },
    { "begin; /*tenant_id='a'*/ select 1 /* */", 0, NULL },
    { "select 1 -- tenant_id='a'", 0, NULL },
    { "select 1 -- /*tenant_id='a'*/\n /* */", 0, NULL },
    { "select '/*tenant_id=''a''*/' /* */", 0, NULL },
    { "select $$ /*tenant_id='a'*/ $$ /* */", 0, NULL },
    { "select 1 /* see tenant_id='a' */", 0, NULL },
    { "select 1 /*tenant_id=a*/", 0, NULL },
    { "select 1 /*tenant_id='a*/", 0, NULL },
    { "select 1 /*tenant_id='a'b*/", 0, NULL },
    { "select 1 /*tenant_id='a', more*/", 0, NULL },
    { "select 1 /* /*tenant_id='a'*/ */", 0, NULL },
    { "select 1 /*my_tenant_id='a'*/", 0, NULL },
    { "select 1 /*Tenant_id='a'*/", 0, NULL },
    { "select U&'x' /*tenant_id='a'*/ uescape '!'", 0, NULL }, /* inside of a literal's own words */
    { "select U&'x' uescape '!' /*tenant_id='a'*/", 0, "a" },
};

static void reads_the_comments_of_a_statement(void **state)
{
    struct bench *bench = *state;
    const struct surroundings nothing = { 0 };
    char tenant[TENANT_BYTES_MAX];

    assert_string_equal(attribute_comment_key("app.tenant_id"), "tenant_id");
    assert_string_equal(attribute_comment_key("tenant"), "tenant");
    for (size_t i = 0; i < sizeof comments / sizeof comments[0]; i++) {
        const struct comment_case *row = &comments[i];
        enum comment_reading found, expected;

        expected = row->tenant == NULL     ? COMMENT_NONE
                   : row->tenant[0] == '?' ? COMMENT_UNKNOWN
                                           : COMMENT_TENANT;
        assert_true(say(bench, row->text, NULL, &nothing));
        found = attribute_read_comment(&bench->shape, slice_of(row->text), row->index, "tenant_id", tenant);
        if (found != expected || (found == COMMENT_TENANT && strcmp(tenant, row->tenant) != 0))
            fail_msg("%s: %d %s", row->text, found, tenant);
    }
    assert_int_equal(attribute_read_comment(&bench->shape, slice_of("select 1"), 7, "x", tenant),
                     COMMENT_NONE);
}

static void evidence_has_names(void **state)
{
    (void)state;
    assert_string_equal(evidence_name(EVIDENCE_NONE), "none");
    assert_string_equal(evidence_name(EVIDENCE_USER), "user");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_stands_around_has_its_order, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_parameters_by_their_types, setup, teardown),
        cmocka_unit_test_setup_teardown(a_parameter_without_a_value_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(no_tenant_is_known_and_points_at_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_many_tenants_once_each, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_the_comments_of_a_statement, setup, teardown),
        cmocka_unit_test(evidence_has_names),
    };

    return cmocka_run_group_tests_name("attribute", tests, NULL, NULL);
}
