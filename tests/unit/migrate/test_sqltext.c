/* test_sqltext.c - placeholders, quoting, arrays: what stands between a tenant's name and our SQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "migrate/sqltext.h"

static void assert_expands(const char *sql, const char *schema, const char *wanted)
{
    const struct sqltext_value values[] = { { "key", "42" }, { "key_column", "\"id\"" }, { "empty", "" } };
    struct buf out;

    buf_init(&out);
    sqltext_expand(&out, sql, schema, values, 3);
    assert_string_equal(buf_text(&out), wanted);
    buf_done(&out);
}

static void replaces_schema_and_placeholders(void **unused)
{
    (void)unused;
    assert_expands("SELECT {key}, {key_column} FROM pgshunt.tap{empty}", "moves",
                   "SELECT 42, \"id\" FROM moves.tap");
    assert_expands("SET pgshunt.copier = on", "moves", "SET pgshunt.copier = on");
    assert_expands("'{}' {unknown} {key", "moves", "'{}' {unknown} {key");
    assert_expands("p{key}p", "moves", "p42p");
    assert_expands("", "moves", "");
}

static void a_value_is_not_expanded_again(void **unused)
{
    const struct sqltext_value values[] = { { "a", "{b} pgshunt.x" }, { "b", "no" } };
    struct buf out;

    (void)unused;
    buf_init(&out);
    sqltext_expand(&out, "{a}", "moves", values, 2);
    assert_string_equal(buf_text(&out), "{b} pgshunt.x");
    buf_done(&out);
}

static void quotes_whatever_comes(void **unused)
{
    static const struct {
        const char *text, *quoted;
    } rows[] = {
        { "plain", "'plain'" },
        { "", "''" },
        { "o'neill", "'o''neill'" },
        { "back\\slash", " E'back\\\\slash'" },
        { "\\'; DROP TABLE events; --", " E'\\\\''; DROP TABLE events; --'" },
    };

    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf out;

        buf_init(&out);
        sqltext_literal(&out, rows[i].text);
        assert_string_equal(buf_text(&out), rows[i].quoted);
        buf_done(&out);
    }
}

static void builds_arrays(void **unused)
{
    struct buf out;

    (void)unused;
    buf_init(&out);
    sqltext_array_end(&out);
    assert_string_equal(buf_text(&out), "{}");
    buf_clear(&out);
    sqltext_array_add(&out, "a,b}");
    sqltext_array_add(&out, "");
    sqltext_array_add(&out, "\"\\");
    sqltext_array_add(&out, "NULL");
    sqltext_array_end(&out);
    assert_string_equal(buf_text(&out), "{\"a,b}\",\"\",\"\\\"\\\\\",\"NULL\"}");
    buf_done(&out);
}

static void takes_only_plain_schemas(void **unused)
{
    struct error err;

    (void)unused;
    assert_true(sqltext_schema_ok("pgshunt", &err));
    assert_true(sqltext_schema_ok("_moves_2", &err));
    assert_false(sqltext_schema_ok("", &err));
    assert_false(sqltext_schema_ok("2moves", &err));
    assert_false(sqltext_schema_ok("Moves", &err));
    assert_false(sqltext_schema_ok("a'b", &err));
    assert_true(error_is(&err, "42602"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_schema_and_placeholders),
        cmocka_unit_test(a_value_is_not_expanded_again),
        cmocka_unit_test(quotes_whatever_comes),
        cmocka_unit_test(builds_arrays),
        cmocka_unit_test(takes_only_plain_schemas),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
