/* test_relation.c - which two tables fit each other, and how a difference between two fingerprints is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "migrate/relation.h"

enum { COLUMNS = 4 };

#define TEXT(literal) ((char *)(literal)) /* a relation owns its strings; these are never freed */

struct pair {
    struct relation_column source_columns[COLUMNS], target_columns[COLUMNS];
    struct relation source, target;
};

static void fill(struct relation *rel, struct relation_column *columns, const char *system_identifier)
{
    const struct relation_column plain[COLUMNS] = {
        { TEXT("position"), TEXT("bigint"), 20, .not_null = true, .is_position = true, .has_default = true,
          .copied = true },
        { TEXT("id"), TEXT("uuid"), 2950, .not_null = true, .is_event_id = true, .copied = true },
        { TEXT("tenant"), TEXT("text"), 25, .is_tenant = true, .copied = true },
        { TEXT("kind"), TEXT("public.kind"), 16500, .copied = true },
    };

    memcpy(columns, plain, sizeof plain);
    *rel = (struct relation){ .oid = 16400,
                              .qualified = TEXT("\"public\".\"events\""),
                              .column_count = COLUMNS,
                              .columns = columns,
                              .key_columns = TEXT("\"id\""),
                              .key_count = 1,
                              .key_names = { TEXT("id") },
                              .key_unique = true,
                              .system_identifier = (char *)system_identifier,
                              .database_oid = 5 };
}

static struct pair two(void)
{
    struct pair pair;

    fill(&pair.source, pair.source_columns, "1");
    fill(&pair.target, pair.target_columns, "2");
    return pair;
}

static void assert_refused(struct pair *pair, const char *sqlstate)
{
    struct error err;

    pair->source.columns = pair->source_columns;
    pair->target.columns = pair->target_columns;
    error_clear(&err);
    assert_false(relation_fits(&pair->source, &pair->target, &err));
    assert_string_equal(err.sqlstate, sqlstate);
}

static void two_equal_tables_fit(void **unused)
{
    struct pair pair = two();
    struct error err;

    (void)unused;
    pair.source.columns = pair.source_columns;
    pair.target.columns = pair.target_columns;
    assert_true(relation_fits(&pair.source, &pair.target, &err));
    /* In another order, and with a column more that may be left out. */
    pair.target_columns[3] = pair.source_columns[2];
    pair.target_columns[2] = pair.source_columns[3];
    pair.source.column_count = COLUMNS;
    assert_true(relation_fits(&pair.source, &pair.target, &err));
}

static void refuses_what_would_lose_a_value(void **unused)
{
    struct pair pair = two();

    (void)unused;
    pair.target_columns[2].type = TEXT("character varying(20)");
    assert_refused(&pair, "42804");
    pair = two();
    pair.target_columns[3].name = TEXT("another");
    assert_refused(&pair, "42703");
    pair = two();
    pair.target_columns[3].generated = true;
    assert_refused(&pair, "42804");
    pair = two();
    pair.source.column_count = 3;
    pair.target_columns[3].not_null = true;
    assert_refused(&pair, "42703");
}

static void refuses_what_belongs_to_the_cluster_unless_it_is_made_anew(void **unused)
{
    struct pair pair = two();
    struct error err;

    (void)unused;
    pair.source_columns[3].of_cluster = true;
    assert_refused(&pair, "0A000");
    pair.source_columns[3].regenerated = true;
    pair.source_columns[3].copied = false;
    assert_true(relation_fits(&pair.source, &pair.target, &err));
    pair.target_columns[3].not_null = true;
    assert_refused(&pair, "42804");
    pair.target_columns[3].has_default = true;
    assert_true(relation_fits(&pair.source, &pair.target, &err));
    pair.source_columns[2].regenerated = true; /* the tenant itself */
    assert_refused(&pair, "22023");
}

static void refuses_what_could_not_be_mirrored(void **unused)
{
    struct pair pair = two();

    (void)unused;
    pair.target.key_unique = false;
    assert_refused(&pair, "42P10");
    pair = two();
    pair.source_columns[1].not_null = false;
    assert_refused(&pair, "42P10");
    pair = two();
    pair.source.inheritance_children = true;
    assert_refused(&pair, "0A000");
}

static void reads_rows_so_that_the_target_takes_them(void **unused)
{
    struct pair pair = two();
    struct error err;

    (void)unused;
    pair.source.columns = pair.source_columns;
    pair.target.columns = pair.target_columns;
    pair.source_columns[3].type = TEXT("integer");
    pair.target_columns[3].type = TEXT("bigint");
    assert_true(relation_fits(&pair.source, &pair.target, &err));
    assert_true(relation_adapt(&pair.source, &pair.target, &err));
    assert_string_equal(pair.source_columns[3].cast, "bigint");
    assert_null(pair.source_columns[0].cast);
    assert_false(pair.source.as_text);
    pair.target_columns[3].type = pair.source_columns[3].type;
    pair.source_columns[3].text_only = true;
    assert_true(relation_adapt(&pair.source, &pair.target, &err));
    assert_null(pair.source_columns[3].cast);
    assert_int_equal(pair.source.as_text, pair.source_columns[3].copied);
}

static void refuses_an_order_it_cannot_copy_in(void **unused)
{
    struct pair pair = two();

    (void)unused;
    pair.source_columns[0].type = pair.target_columns[0].type = TEXT("numeric");
    assert_refused(&pair, "0A000");
    pair = two();
    pair.source_columns[0].not_null = false;
    assert_refused(&pair, "0A000");
    pair = two();
    pair.source_columns[0].is_position = false;
    assert_refused(&pair, "0A000");
}

static void refuses_to_copy_a_database_onto_itself(void **unused)
{
    struct pair pair = two();

    (void)unused;
    pair.target.system_identifier = TEXT("1");
    assert_refused(&pair, "22023");
}

static void names_the_part_that_has_changed(void **unused)
{
    static const struct {
        const char *now, *word;
    } rows[] = {
        { "c2\nt\np\nf\n", "columns" },   { "c\nt2\np\nf\n", "types" }, { "c\nt\n\nf\n", "partitions" },
        { "c\nt\np\nf2\n", "truncated" }, { "c\nt\np", "truncated" },   { "", "columns" },
    };
    struct error err;

    (void)unused;
    assert_true(relation_same_fingerprint("events", "c\nt\np\nf\n", "c\nt\np\nf\n", &err));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(relation_same_fingerprint("events", "c\nt\np\nf\n", rows[i].now, &err));
        assert_string_equal(err.sqlstate, "55000");
        assert_non_null(strstr(err.message, rows[i].word));
    }
}

static void lists_the_columns_that_are_copied(void **unused)
{
    struct pair pair = two();
    struct buf out;

    (void)unused;
    pair.source.columns = pair.source_columns;
    pair.source_columns[1].copied = false;
    pair.source_columns[2].name = TEXT("ten\"ant");
    buf_init(&out);
    assert_true(relation_column_list(&pair.source, "e.", &out));
    assert_string_equal(buf_text(&out), "e.\"position\", e.\"ten\"\"ant\", e.\"kind\"");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_equal_tables_fit),
        cmocka_unit_test(refuses_what_would_lose_a_value),
        cmocka_unit_test(refuses_what_belongs_to_the_cluster_unless_it_is_made_anew),
        cmocka_unit_test(refuses_what_could_not_be_mirrored),
        cmocka_unit_test(reads_rows_so_that_the_target_takes_them),
        cmocka_unit_test(refuses_an_order_it_cannot_copy_in),
        cmocka_unit_test(refuses_to_copy_a_database_onto_itself),
        cmocka_unit_test(names_the_part_that_has_changed),
        cmocka_unit_test(lists_the_columns_that_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
