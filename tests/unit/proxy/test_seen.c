/* test_seen.c - what a loop remembers of shapes: one entry per shape, bounded, and nothing forgotten that an operator
 * must know. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/seen.h"

enum { WHAT, MIGRATION, SHAPE, WHY, COUNT };

static struct seen_shape *look(struct seen *seen, const char *shape)
{
    struct plan_statement statement = { .mark = 0 };

    return seen_look(seen, &statement, slice_of(shape), true);
}

static struct rows *findings(const struct seen *seen)
{
    struct rows *rows = rows_new();

    assert_non_null(rows);
    seen_tell_findings(seen, rows);
    assert_false(rows_failed(rows));
    return rows;
}

static void a_mark_leads_to_its_shape(void **state)
{
    struct seen *seen = seen_new();
    struct plan_statement a = { .mark = 0 }, b = { .mark = 0 };
    struct seen_shape *first = seen_look(seen, &a, slice_of("select 1 from t"), true);

    (void)state;
    assert_int_not_equal(a.mark, 0);
    assert_ptr_equal(seen_look(seen, &a, (struct slice){ "", 0 }, true), first); /* its text is not needed */
    assert_ptr_equal(seen_look(seen, &b, slice_of("select 2 from t"), true), first);
    assert_int_equal(b.mark, a.mark);
    assert_ptr_not_equal(look(seen, "select 1 from u"), first);
    seen_free(seen);
    seen_free(NULL);
}

static void each_finding_is_counted_by_migration(void **state)
{
    struct seen *seen = seen_new();
    struct seen_shape *shape = look(seen, "select 1 from t");
    struct rows *rows;

    (void)state;
    seen_find(seen, shape, FINDING_FEED, "", "nobody says", 10);
    seen_find(seen, shape, FINDING_FEED, "", "nobody says", 20);
    seen_find(seen, shape, FINDING_MISSED_ROWS, "m", NULL, 30);
    rows = findings(seen);
    assert_int_equal(rows_count(rows), 2);
    for (size_t row = 0; row < 2; row++) {
        bool feed = strcmp(rows_value(rows, row, WHAT), "feed") == 0;

        assert_string_equal(rows_value(rows, row, MIGRATION), feed ? "" : "m");
        assert_string_equal(rows_value(rows, row, COUNT), feed ? "2" : "1");
        assert_string_equal(rows_value(rows, row, SHAPE), "select ? from t");
    }
    rows_free(rows);
    seen_free(seen);
}

static void what_has_no_room_is_found_under_one_name(void **state)
{
    struct seen *seen = seen_new();
    struct rows *rows;
    char text[64];

    (void)state;
    for (int i = 0; i < SEEN_SHAPES_MAX + 500; i++) {
        snprintf(text, sizeof text, "select c%d from t", i);
        seen_find(seen, look(seen, text), FINDING_FEED, "", NULL, 1);
    }
    rows = findings(seen);
    assert_int_equal(rows_count(rows), SEEN_SHAPES_MAX + 1);
    assert_string_equal(rows_value(rows, SEEN_SHAPES_MAX, SHAPE), "(more shapes than are kept)");
    assert_string_equal(rows_value(rows, SEEN_SHAPES_MAX, COUNT), "500");
    rows_free(rows);

    for (int i = 0; i < SEEN_FINDINGS_MAX; i++) { /* and of findings */
        snprintf(text, sizeof text, "migration %d", i);
        seen_find(seen, look(seen, "select c1 from t"), FINDING_CROSS_STORE_STATEMENT, text, NULL, 1);
    }
    rows = findings(seen);
    assert_true(rows_count(rows) <= SEEN_FINDINGS_MAX + SEEN_FINDINGS_MAX);
    rows_free(rows);
    seen_free(seen);
}

static void what_cannot_be_remembered_is_a_feed_without_a_name(void **state)
{
    struct seen *seen = seen_new();
    struct rows *rows;

    (void)state;
    seen_doubt(seen);
    rows = findings(seen);
    assert_int_equal(rows_count(rows), 1);
    assert_string_equal(rows_value(rows, 0, WHAT), "feed");
    rows_free(rows);
    seen_free(seen);
}

static void what_could_not_be_read_has_a_name(void **state)
{
    struct seen *seen = seen_new();

    (void)state;
    assert_non_null(look(seen, ""));
    assert_ptr_equal(look(seen, ""), look(seen, ""));
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_leads_to_its_shape),
        cmocka_unit_test(each_finding_is_counted_by_migration),
        cmocka_unit_test(what_has_no_room_is_found_under_one_name),
        cmocka_unit_test(what_cannot_be_remembered_is_a_feed_without_a_name),
        cmocka_unit_test(what_could_not_be_read_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
