/* test_print.c - rows as a table and as JSON; a result is made without a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/print.h"

enum { TEXT = 25, INT8 = 20, BOOL = 16, FLOAT8 = 701, JSONB = 3802 };

static PGresult *rows_of(size_t columns, const char *const *names, const Oid *types, size_t rows,
                         const char *const *values)
{
    PGresult *result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc described[16] = { 0 };

    for (size_t i = 0; i < columns; i++)
        described[i] =
            (PGresAttDesc){ .name = (char *)names[i], .typid = types[i], .typlen = -1, .atttypmod = -1 };
    assert_true(PQsetResultAttrs(result, (int)columns, described));
    for (size_t i = 0; i < rows * columns; i++)
        assert_true(PQsetvalue(result, (int)(i / columns), (int)(i % columns), (char *)values[i],
                               values[i] == NULL ? -1 : (int)strlen(values[i])));
    return result;
}

static const char *const names[] = { "name", "events", "ok" };
static const Oid types[] = { TEXT, INT8, BOOL };
static const char *const values[] = { "Zürich", "12", "t", "a\nb", NULL, "f" };

static void a_table_is_aligned(void **state)
{
    PGresult *result = rows_of(3, names, types, 2, values);
    struct buf out;

    (void)state;
    buf_init(&out);
    print_table(result, &out);
    assert_string_equal(buf_text(&out), "name    events  ok\n"
                                        "Zürich      12  t\n"
                                        "a b             f\n");
    buf_done(&out);
    PQclear(result);
}

static void json_is_json(void **state)
{
    PGresult *result = rows_of(3, names, types, 2, values);
    static const char *const odd_names[] = { "x", "y", "z\"" };
    static const Oid odd_types[] = { FLOAT8, JSONB, TEXT };
    static const char *const odd[] = { "NaN", "{\"a\": 1}", "\\\x01" };
    struct buf out;

    (void)state;
    buf_init(&out);
    print_json(result, &out);
    assert_string_equal(buf_text(&out), "[\n  {\"name\": \"Zürich\", \"events\": 12, \"ok\": true},\n"
                                        "  {\"name\": \"a\\u000ab\", \"events\": null, \"ok\": false}\n]\n");
    PQclear(result);
    buf_clear(&out);
    result = rows_of(3, odd_names, odd_types, 1, odd);
    print_json(result, &out);
    assert_string_equal(buf_text(&out),
                        "[\n  {\"x\": \"NaN\", \"y\": {\"a\": 1}, \"z\\\"\": \"\\\\\\u0001\"}\n]\n");
    PQclear(result);
    buf_clear(&out);
    result = rows_of(3, names, types, 0, NULL);
    print_json(result, &out);
    assert_string_equal(buf_text(&out), "[]\n");
    assert_string_equal(print_value(result, 0, "name"), "");
    assert_string_equal(print_value(result, 0, "none"), "");
    buf_done(&out);
    PQclear(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_table_is_aligned),
                                        cmocka_unit_test(json_is_json) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
