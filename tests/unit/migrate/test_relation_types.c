/* test_relation_types.c - which type takes every value of which, as the same text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "migrate/relation_types.h"

static const struct {
    const char *from, *to;
    bool takes;
} rows[] = {
    { "uuid", "uuid", true },
    { "mood[]", "mood[]", true },
    { "character varying(255)", "text", true },
    { "character varying", "text", true },
    { "character varying(255)", "character varying(300)", true },
    { "character varying(255)", "character varying", true },
    { "character varying(255)", "character varying(254)", false },
    { "character varying", "character varying(10)", false },
    { "text", "character varying", false },
    { "smallint", "integer", true },
    { "integer", "bigint", true },
    { "integer", "smallint", false },
    { "bigint", "numeric", true },
    { "bigint", "numeric(20,2)", false },
    { "numeric(10,2)", "numeric", true },
    { "numeric(10,2)", "numeric(12,2)", true },
    { "numeric(10,2)", "numeric(12,4)", false },
    { "numeric", "numeric(12,4)", false },
    { "timestamp(3) with time zone", "timestamp with time zone", true },
    { "timestamp(3) with time zone", "timestamp(6) with time zone", true },
    { "timestamp with time zone", "timestamp(3) with time zone", false },
    { "timestamp(3) without time zone", "timestamp with time zone", false },
    { "time(3) without time zone", "time without time zone", true },
    { "uuid", "text", true },
    { "uuid", "character varying(36)", true },
    { "uuid", "character varying(35)", false },
    { "json", "jsonb", false },
    { "jsonb", "json", false },
    { "real", "double precision", false },
    { "date", "timestamp without time zone", false },
    { "character(5)", "text", false },
    { "character varying(5)[]", "text[]", false },
    { "\"numeric(1,1)\"", "numeric", false },
    { "a type whose name is longer than any of PostgreSQL's own would be", "text", false },
};

static void takes_what_stays_the_same(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (relation_type_takes(rows[i].from, rows[i].to) != rows[i].takes)
            fail_msg("%s to %s", rows[i].from, rows[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(takes_what_stays_the_same) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
