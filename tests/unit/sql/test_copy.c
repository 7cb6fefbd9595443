/* test_copy.c - COPY … FROM STDIN: which column is the tenant's, and how its rows are written. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <cmocka.h>

#include "fixture.h"
#include "sql/copy.h"

static const struct copy_case {
    const char *statement, *expected; /* "format column/columns delimiter …"; "?": its rows cannot be read */
} cases[] = {
    { "copy events from stdin", "text 5/11 counted 9 null=\\N" },
    { "copy public.events (version, tenant_id) from stdin", "text 1/2 9 null=\\N" },
    { "COPY \"events\" (\"tenant_id\", version) FROM STDIN WITH (FORMAT csv)",
      "csv 0/2 44 null= quote=34 34" },
    { "copy events (tenant_id, version) from stdin csv", "csv 0/2 44 null= quote=34 34" },
    { "copy events (tenant_id, version) from stdin with csv header delimiter as ';' quote as '''' null as "
      "'NIL'",
      "csv 0/2 59 null=NIL quote=39 39 header" },
    { "copy events (tenant_id) from stdin (format 'csv', delimiter ';', quote '|', escape e'\\\\', header)",
      "csv 0/1 59 null= quote=124 92 header" },
    { "copy events (tenant_id) from stdin (format csv, delimiter \";\", header off)",
      "csv 0/1 59 null= quote=34 34" },
    { "copy events (tenant_id) from stdin (format csv, header 1)", "csv 0/1 44 null= quote=34 34 header" },
    { "copy events (tenant_id) from stdin (format csv, header 0)", "csv 0/1 44 null= quote=34 34" },
    { "copy events (tenant_id) from stdin (format csv, header match)",
      "csv 0/1 44 null= quote=34 34 header" },
    { "copy events (tenant_id) from stdin (header true)", "text 0/1 9 null=\\N header" },
    { "copy events (tenant_id) from stdin (format csv, force_null (tenant_id, version), null 'x')",
      "csv 0/1 44 null=x quote=34 34 force_null" },
    { "copy events (tenant_id) from stdin csv force not null tenant_id",
      "csv 0/1 44 null= quote=34 34 force_not_null" },
    { "copy events (tenant_id) from stdin (format csv, force_null (version))",
      "csv 0/1 44 null= quote=34 34" },
    { "copy events (tenant_id) from stdin using delimiters '|'", "text 0/1 124 null=\\N" },
    { "copy events (tenant_id) from stdin with delimiter $$|$$ null ''", "text 0/1 124 null=" },
    { "copy binary events (version, tenant_id) from stdin", "binary 1/2" },
    { "copy events (version, tenant_id) from stdin binary", "binary 1/2" },
    { "copy events (version, tenant_id) from stdin (format binary)", "binary 1/2" },
    { "copy outbox from stdin (format binary)", "binary 1/3 counted" },
    { "copy events (tenant_id, nonsense) from stdin", "text 0/2 9 null=\\N doubtful" },
    { "copy events (tenant_id, tenant_id) from stdin", "text 0/2 9 null=\\N doubtful" },
    { "copy events (tenant_id) from stdin (freeze, encoding 'UTF-8')", "text 0/1 9 null=\\N" },
    { "copy events (tenant_id) from stdin (encoding 'latin1')", "text 0/1 9 null=\\N ascii" },
    { "copy events (tenant_id) from stdin encoding 'win1252'", "text 0/1 9 null=\\N ascii" },
    /* neighbours that mislead */
    { "copy events (version) from stdin", "?" },
    { "copy events (tenant_id) from stdin where version > 3", "?" },
    { "copy events (tenant_id) from '/tmp/x'", "?" },
    { "copy events (tenant_id) from program 'cat /tmp/x'", "?" },
    { "copy events (tenant_id) to stdout", "?" },
    { "copy users (tenant_id) from stdin", "?" },
    { "copy events (tenant_id) from stdin (encoding 'sjis')", "?" },
    { "copy events (tenant_id) from stdin (encoding 'nonsense')", "?" },
    { "copy events (tenant_id) from stdin (format csv, on_error ignore)", "?" },
    { "copy events (tenant_id) from stdin (default 'x')", "?" },
    { "copy events (tenant_id) from stdin (format nonsense)", "?" },
    { "copy events (tenant_id) from stdin (format csv, quote '\\')", "?" },
    { "copy events (tenant_id) from stdin (format csv, quote 'ab')", "?" },
    { "copy events (tenant_id) from stdin (format csv, delimiter '\"')", "?" },
    { "copy events (tenant_id) from stdin (delimiter 'a')", "?" },
    { "copy events (tenant_id) from stdin (quote '\"')", "?" },
    { "copy events (tenant_id) from stdin (format binary, delimiter ',')", "?" },
    { "copy events (tenant_id) from stdin (format csv, format text)", "?" },
    { "copy events (tenant_id) from stdin (format csv, header 'perhaps')", "?" },
    { "copy orphans from stdin", "?" },
};

static void describe(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                     char *out, size_t bytes)
{
    static const char *const formats[] = { "text", "csv", "binary" };
    struct copy_options options;
    enum copy_encoding encoding;
    int n;

    if (statement->copy == NULL ||
        !copy_read_options(statement, text, shape, slice_of("UTF8"), &options, &encoding)) {
        snprintf(out, bytes, "?");
        return;
    }
    n = snprintf(out, bytes, "%s %u/%u%s", formats[options.format], options.column, options.columns,
                 options.count ? " counted" : "");
    if (options.format != COPY_BINARY)
        n += snprintf(out + n, bytes - (size_t)n, " %d null=%.*s", options.delimiter, (int)options.null_bytes,
                      options.null);
    if (options.format == COPY_CSV)
        n += snprintf(out + n, bytes - (size_t)n, " quote=%d %d", options.quote, options.escape);
    snprintf(out + n, bytes - (size_t)n, "%s%s%s%s%s", options.header ? " header" : "",
             options.force_null ? " force_null" : "", options.force_not_null ? " force_not_null" : "",
             statement->copy->doubtful ? " doubtful" : "", encoding == COPY_ENCODING_ASCII ? " ascii" : "");
}

static void reads_the_columns_and_the_options(void **state)
{
    struct schema *schema = fixture_schema();
    struct planner *planner = planner_new("app.tenant_id");
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct plan_context context = { .schema = schema,
                                        .standard_conforming_strings = true,
                                        .encoding_safe = true };
        struct slice text = slice_of(cases[i].statement);
        struct plan *plan;
        char found[256];

        assert_true(planner_plan(planner, text, &context, &shape, &plan));
        describe(&plan->statements[0], text, &shape, found, sizeof found);
        if (strcmp(found, cases[i].expected) != 0)
            fail_msg("%s: %s instead of %s", cases[i].statement, found, cases[i].expected);
        plan_give(plan);
        context.encoding_safe = false;
        assert_true(planner_plan(planner, text, &context, &shape, &plan));
        describe(&plan->statements[0], text, &shape, found, sizeof found);
        assert_string_equal(found, "?");
        plan_give(plan);
    }
    shape_done(&shape);
    planner_free(planner);
    schema_give(schema);
}

static void knows_encodings_by_any_spelling(void **state)
{
    (void)state;
    assert_int_equal(copy_encoding_named(slice_of("UTF8")), COPY_ENCODING_SAME);
    assert_int_equal(copy_encoding_named(slice_of("SQL_ASCII")), COPY_ENCODING_SAME);
    assert_int_equal(copy_encoding_named(slice_of("LATIN1")), COPY_ENCODING_ASCII);
    assert_int_equal(copy_encoding_named(slice_of("EUC_JP")), COPY_ENCODING_ASCII);
    assert_int_equal(copy_encoding_named(slice_of("SHIFT_JIS_2004")), COPY_ENCODING_UNSAFE);
    assert_int_equal(copy_encoding_named(slice_of("GB18030")), COPY_ENCODING_UNSAFE);
    assert_int_equal(copy_encoding_named((struct slice){ 0 }), COPY_ENCODING_UNSAFE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_columns_and_the_options),
        cmocka_unit_test(knows_encodings_by_any_spelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
