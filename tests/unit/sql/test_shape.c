/* test_shape.c - texts and their shapes, holes, folds, bounds; the content of literals. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pg_query.h>

#include "base/limits.h"
#include "sql/shape.h"

static const struct shape_case {
    const char *text, *shape;
    size_t holes, slots;
} cases[] = {
    { "", "", 0, 0 },
    { " -- nothing\n /* at all */ ", "", 0, 0 },
    { "SELECT  1", "select 1", 1, 1 },
    { "select 'a' , $12", "select '?',$0", 2, 2 },
    { "Select \"Foo\" . Bar From t", "select \"Foo\".bar from t", 0, 0 },
    { "select $a$x$a$, E'\\n', U&'x' UESCAPE '!', b'1', X'f'", "select '?','?','?',b'',b''", 5, 5 },
    { "select n'x'", "select nchar '?'", 1, 1 },
    { "select U&\"a\" uescape '!'", "select U&\"a\" uescape '!'", 0, 0 },
    { "select true, NULL, -5", "select true,null,- 1", 1, 1 },
    { "select a- -1, a*/* x */-1", "select a - - 1,a * - 1", 2, 2 },
    { "select a::uuid , '1'::int[]", "select a::uuid,'?'::int[]", 1, 1 },
    { "select 1.5.x, $1.y", "select 1 .x,$0 .y", 2, 2 },
    { "select 1..2", "select 1 .. 1", 2, 2 },
    { "select t.*, count( * )", "select t.*,count(*)", 0, 0 },
    { "select 'a'\n'b' 'c'", "select '?' '?'", 2, 2 },
    { "select x in (1)", "select x in(1)", 1, 1 },
    { "select x in (1, 2,3)", "select x in(1/*,...*/)", 3, 1 },
    { "select x IN ($1,$2)", "select x in($0/*,...*/)", 2, 1 },
    { "select x in (1,'a','b',2)", "select x in(1,'?'/*,...*/,1)", 4, 3 },
    { "select x in ('a'::uuid, 'b'::uuid)", "select x in('?'::uuid/*,...*/)", 2, 1 },
    { "select x in (select a, a from t)", "select x in(select a,a from t)", 0, 0 },
    { "select x in (with w as (select 1, 1) select a, a from w)",
      "select x in(with w as(select 1,1) select a,a from w)", 2, 2 },
    { "select x in ((select 1) union select a, a)", "select x in((select 1) union select a,a)", 1, 1 },
    { "select f(1, 1), s.in(1, 1)", "select f(1,1),s.in(1,1)", 4, 4 },
    { "select (a,b) in ((1,2),(3,4))", "select(a,b) in((1,1)/*,...*/)", 4, 2 },
    { "values (1,'a'),(2,'b')", "values(1,'?')/*,...*/", 4, 2 },
    { "values (1,'a'),(2,null),(3,null)", "values(1,'?'),(1,null)/*,...*/", 4, 3 },
    { "insert into t values (1),(2) returning x", "insert into t values(1)/*,...*/ returning x", 2, 1 },
    { "insert into t values (1,f(2,$1)) , (3,f(4,$2)) on conflict (a) do nothing",
      "insert into t values(1,f(1,$0))/*,...*/ on conflict(a) do nothing", 6, 3 },
    { "values (x in (1,2)),(y in (1,2))", "values(x in(1/*,...*/)),(y in(1/*,...*/))", 4, 2 },
    { "values (x in (1,2)),(x in (3,4,5))", "values(x in(1/*,...*/))/*,...*/", 5, 1 },
    { "select * from (values (1),(2)) a, (values (3)) b", "select * from(values(1)/*,...*/) a,(values(1)) b",
      3, 2 },
    { "select s.values(1),(1)", "select s.values(1),(1)", 2, 2 },
    { "insert into t (values) values (1)", "insert into t(values) values(1)", 1, 1 },
    { "select set_config('a.b', 'c', true)", "select set_config('a.b','?',true)", 1, 1 },
    { "select \"set_config\"($$a$$, 'c', true)", "select \"set_config\"($$a$$,'?',true)", 1, 1 },
    { "select current_setting('x')::uuid", "select current_setting('x')::uuid", 0, 0 },
    { "prepare transaction 'gid'", "prepare transaction 'gid'", 0, 0 },
    { "commit  prepared 'g'; select 'x'", "commit prepared 'g';select '?'", 1, 1 },
    { "rollback prepared E'g\\''", "rollback prepared E'g\\''", 0, 0 },
    { "select a<>b, a !=b, a||b", "select a <> b,a != b,a || b", 0, 0 },
    { "select array[1,1][1]", "select array[1,1][1]", 3, 3 },
};

static void writes_the_shape_of_the_table(void **state)
{
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!shape_read(&shape, slice_of(cases[i].text), true))
            fail_msg("%s: not read", cases[i].text);
        if (strcmp(buf_text(&shape.text), cases[i].shape) != 0)
            fail_msg("%s: expected %s, got %s", cases[i].text, cases[i].shape, buf_text(&shape.text));
        if (shape.hole_count != cases[i].holes || shape.slot_count != cases[i].slots)
            fail_msg("%s: %zu holes, %u slots", cases[i].text, shape.hole_count, shape.slot_count);
    }
    shape_done(&shape);
}

/* A shape is SQL that reads as itself, and each slot is where the shape says. */
static void a_shape_is_its_own_shape(void **state)
{
    struct shape shape, again;

    (void)state;
    shape_init(&shape);
    shape_init(&again);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(shape_read(&shape, slice_of(cases[i].text), true));
        assert_true(shape_read(&again, buf_slice(&shape.text), true));
        if (!shape.folded && !slice_equal(buf_slice(&shape.text), buf_slice(&again.text)))
            fail_msg("%s becomes %s", buf_text(&shape.text), buf_text(&again.text));
        assert_int_equal(shape.slot_count, again.hole_count);
        for (uint32_t slot = 0; slot < shape.slot_count; slot++) {
            assert_int_equal(shape.slots[slot].at, again.holes[slot].begin);
            assert_int_equal(shape_slot(&shape, shape.slots[slot].at), slot);
        }
    }
    shape_done(&shape);
    shape_done(&again);
}

/* Shapes are equal exactly where the texts differ in nothing but contents, space, case and number of rows. */
static const struct pair_case {
    const char *a, *b;
    bool equal;
} pairs[] = {
    { "select * from t where a = 1", "SELECT *\nFROM t /* x */ WHERE a=22.5", true },
    { "select 'a'", "select $$b'$$", true },
    { "select 'a'", "select $1", false },
    { "select 'a'", "select b'1'", false },
    { "select 1", "select '1'", false },
    { "select 1", "select -1", false },
    { "select null", "select 1", false },
    { "select true", "select false", false },
    { "values (1),(2)", "values (1),(2),(3)", true },
    { "values (1),(2)", "values (1)", false },
    { "values (1),(null)", "values (1),(2)", false },
    { "select a in (1,2)", "select a in (3,4,5,6)", true },
    { "select a in (1,2)", "select a in (1)", false },
    { "select a in (1,'x')", "select a in ('x',1)", false },
    { "select f(1,2)", "select f(1,2,3)", false },
    { "select array[1,2]", "select array[1,2,3]", false },
    { "select \"a\"", "select a", false },
    { "select \"A\"", "select \"a\"", false },
    { "select A", "select a", true },
    { "select 1; select 2", "select 1 select 2", false },
    { "select a -1", "select a - 1", true },
    { "select a --1\n", "select a - -1", false },
    { "select uuid 'x'", "select uuid('x')", false },
    { "select set_config('a','x',true)", "select set_config('b','x',true)", false },
    { "select set_config('a','x',true)", "select set_config('a','y',true)", true },
    { "prepare transaction 'a'", "prepare transaction 'b'", false },
    { "select 'a' 'b'", "select 'a'\n'b'", false },
    { "select a.b", "select a . b", true },
    { "select U&\"x\" uescape '!'", "select U&\"x\" uescape '#'", false },
};

static void equal_shapes_are_equal_texts_but_for_contents(void **state)
{
    struct shape a, b;

    (void)state;
    shape_init(&a);
    shape_init(&b);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_true(shape_read(&a, slice_of(pairs[i].a), true));
        assert_true(shape_read(&b, slice_of(pairs[i].b), true));
        if (slice_equal(buf_slice(&a.text), buf_slice(&b.text)) != pairs[i].equal)
            fail_msg("%s / %s: %s / %s", pairs[i].a, pairs[i].b, buf_text(&a.text), buf_text(&b.text));
    }
    shape_done(&a);
    shape_done(&b);
}

/* The grammar's fingerprint leaves out contents too: the shape of a text that does not fold has the text's
 * own. */
static void a_shape_has_the_fingerprint_of_its_text(void **state)
{
    static const char *const texts[] = {
        "SELECT * FROM events e WHERE e.tenant_id = 'x' AND (version > 5 OR payload->>'a' = $1) ORDER BY 1 "
        "LIMIT 10",
        "INSERT INTO t (a, b) VALUES ($1, now()), (DEFAULT, 'x'::uuid) ON CONFLICT (a) DO UPDATE SET b = "
        "excluded.b",
        "update t set a = -1.5e3, b[1] = 'x' where c between 1 and 2 and d is not null returning *",
        "with recursive w(n) as (select 1 union all select n+1 from w where n<5) select sum(n) over (order "
        "by n) from w",
        "select case when a then 'x' else 'y' end, cast('1' as numeric(10,2)), interval '1' day, a #>> '{b}' "
        "from t",
        "delete from t using u where t.id = u.id and u.x ~* 'abc' and t.y @> '{}'::jsonb",
        "select extract(year from d), d at time zone 'UTC', array[1,2], row(1,2), x'1f', (a).b, t.*, "
        "\"Q\".\"q\" from t",
        "create table t (a int default 5 check (a > 0), b varchar(10))",
        "merge into t using u on t.a = u.a when matched then update set b = 1 when not matched then insert "
        "values (2)",
    };
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        PgQueryFingerprintResult text = pg_query_fingerprint(texts[i]);
        PgQueryFingerprintResult same;

        assert_true(shape_read(&shape, slice_of(texts[i]), true));
        same = pg_query_fingerprint(buf_text(&shape.text));
        assert_null(text.error);
        assert_null(same.error);
        if (text.fingerprint != same.fingerprint)
            fail_msg("%s / %s", texts[i], buf_text(&shape.text));
        pg_query_free_fingerprint_result(text);
        pg_query_free_fingerprint_result(same);
    }
    shape_done(&shape);
}

static void statements_end_at_top_level_semicolons(void **state)
{
    static const struct {
        const char *text;
        size_t begins, ends;
        const char *second;
    } rows[] = {
        { "select 1", 1, 0, NULL },
        { "select 1;", 1, 1, NULL },
        { ";; select 1 ;; select ';' ; ", 2, 5, "select ';' " },
        { "select 'a;b'; select 2", 2, 1, "select 2" },
        { "create rule r as on insert to t do (delete from a; delete from b); select 2", 2, 1, "select 2" },
        { "create function f() returns int begin atomic select case when a then 1 end; select 2; end; select "
          "3",
          2, 1, "select 3" },
        { "create or replace procedure p() begin atomic insert into t values (1); end; begin; end", 3, 2,
          "begin" },
        { "begin; select 1; end", 3, 2, "select 1" },
    };
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice second;

        assert_true(shape_read(&shape, slice_of(rows[i].text), true));
        assert_int_equal(shape.begin_count, rows[i].begins);
        if (shape.end_count != rows[i].ends && i != 2)
            fail_msg("%s: %zu ends", rows[i].text, shape.end_count);
        assert_int_equal(shape_statement(&shape, slice_of(rows[i].text), 1, &second), rows[i].second != NULL);
        if (rows[i].second != NULL && !slice_is(second, rows[i].second))
            fail_msg("%s: %.*s", rows[i].text, (int)second.bytes, second.at);
    }
    shape_done(&shape);
}

static void a_thousand_rows_fold_in_one_pass(void **state)
{
    enum { ROWS = 1000 };
    struct buf text;
    struct shape shape;
    size_t hole, count = 0;

    (void)state;
    buf_init(&text);
    shape_init(&shape);
    buf_append_text(&text, "INSERT INTO events (event_id, tenant_id, payload) VALUES ");
    for (unsigned i = 0; i < ROWS; i++)
        buf_append_format(&text, "%s('%u', 't%u', $%u)", i == 0 ? "" : ", ", i, i, i + 1);
    assert_true(shape_read(&shape, buf_slice(&text), true));
    assert_string_equal(buf_text(&shape.text),
                        "insert into events(event_id,tenant_id,payload) values('?','?',$0)/*,...*/");
    assert_int_equal(shape.hole_count, 3 * ROWS);
    assert_int_equal(shape.slot_count, 3);
    hole = shape.slots[1].first;
    do { /* every row's tenant, in order */
        char content[16], expected[16];

        snprintf(expected, sizeof expected, "t%zu", count);
        assert_true(shape_literal(&shape, buf_slice(&text), hole, content, sizeof content));
        assert_string_equal(content, expected);
        count++;
        hole = shape.holes[hole].next;
    } while (hole != 0);
    assert_int_equal(count, ROWS);
    assert_int_equal(shape_param(&shape, buf_slice(&text), shape.hole_count - 1), ROWS);
    shape_done(&shape);
    buf_done(&text);
}

static char *repeat(const char *before, const char *piece, size_t count, const char *after)
{
    struct buf text;

    buf_init(&text);
    buf_append_text(&text, before);
    for (size_t i = 0; i < count; i++)
        buf_append_text(&text, piece);
    buf_append_text(&text, after);
    assert_non_null(buf_text(&text));
    return text.data;
}

/* Whatever is let through to the grammar must not overflow its stack; whatever real applications send must
 * pass. */
static void bounds_the_depth_of_the_tree(void **state)
{
    static const struct {
        const char *before, *piece, *after;
        size_t count;
        bool fine;
    } rows[] = {
        { "select 1", "+1", "", 150, true },
        { "select 1", "+1", "", 5000, false },
        { "select 1", "::int", "", 5000, false },
        { "select 1", " is null", "", 5000, false },
        { "select ", "not ", "true", 5000, false },
        { "select ", "- ", "1", 5000, false },
        { "select ", "(", "1", 5000, false },
        { "select ", "(select ", "1", 2000, false },
        { "select ", "case when ", "a", 2000, false },
        { "select 1", " union select 1", "", 5000, false },
        { "select 1", " union select 1", "", 300, true },
        { "select * from t", " join t on a=b and c=d", "", 5000, false },
        { "select * from t", " join t on a=b and c=d", "", 100, true },
        { "select a", "[1]", "", 5000, false },
        { "select 1 between 2 and 3", " is null between 2 and 3", "", 3000, false },
        { "select * from t where a=1", " or a=1", "", 20000, true },
        { "select * from t where a=1", " and a=1", "", 20000, true },
        { "select 1", ",f(1,2)", "", 20000, true },
        { "select case ", " when a=1 then 2+3 ", "end", 5000, true },
        { "update t set (", "a,", "b)=(1)", 2000, false },
        { "update t set (", "a,", "b)=(1)", 200, true },
    };
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = repeat(rows[i].before, rows[i].piece, rows[i].count, rows[i].after);

        if (shape_read(&shape, slice_of(text), true) != rows[i].fine)
            fail_msg("%s%s… %zu times", rows[i].before, rows[i].piece, rows[i].count);
        assert_false(buf_failed(&shape.text));
        free(text);
    }
    shape_done(&shape);
}

static void refuses_what_is_out_of_bounds(void **state)
{
    static const char *const bad[] = {
        "select 'a", "select \"a", "/* x", "$a$", "select 1a", "select e'a\\'"
    };
    struct shape shape;
    char *text;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(shape_read(&shape, slice_of(bad[i]), true));
        assert_int_equal(shape.hole_count, 0);
    }
    assert_false(shape_read(&shape, (struct slice){ "select\0 1", 9 }, true));
    text = repeat("select 1", ",abcdefgh", SHAPE_BYTES_MAX / 9 + 1, "");
    assert_false(shape_read(&shape, slice_of(text), true));
    free(text);
    text = repeat("select '", "xxxxxxxxxxxxxxxx", ATTRIBUTE_BYTES_MAX / 16, "'");
    assert_false(shape_read(&shape, slice_of(text), true));
    assert_true(shape_read(&shape, (struct slice){ "select 1", 8 }, true));
    free(text);
    shape_done(&shape);
}

static const struct literal_case {
    const char *text;
    bool conforming;
    const char *content; /* NULL: not readable */
} literals[] = {
    { "'abc'", true, "abc" },
    { "'it''s'", true, "it's" },
    { "''", true, "" },
    { "'a\\n'", true, "a\\n" },
    { "'a\\n'", false, "a\n" },
    { "'a'\n'b'", true, "ab" },
    { "'a'\n -- x\n 'b''c'", true, "ab'c" },
    { "E'a\\'b\\\\\\t\\x41\\101'", true, "a'b\\\tAA" },
    { "e'\\u00e4\\U0001F600'", true, "\xc3\xa4\xf0\x9f\x98\x80" },
    { "e'\\ud83d\\ude00'", true, "\xf0\x9f\x98\x80" },
    { "e'\\ud83d'", true, NULL },
    { "e'\\ude00'", true, NULL },
    { "e'\\u12'", true, NULL },
    { "e'\\000'", true, NULL },
    { "e'\\q\\8'", true, "q8" },
    { "e'\\x'", true, "x" },
    { "U&'d\\0061t\\+000061'", true, "data" },
    { "U&'d!0061!!' UESCAPE '!'", true, "da!" },
    { "U&'d!00' uescape '!'", true, NULL },
    { "U&'a' uescape 'a'", true, NULL },
    { "U&'\\d83d\\de00'", true, "\xf0\x9f\x98\x80" },
    { "$$it's$$", true, "it's" },
    { "$tag$a$$b$tag$", true, "a$$b" },
    { "b'0101'", true, "0101" },
    { "12.5e3", true, "12.5e3" },
    { "$1", true, NULL },
    { "'12345678901234567890123456789012'", true, NULL }, /* longer than the space */
};

static void undoes_quotes_and_escapes(void **state)
{
    struct shape shape;

    (void)state;
    shape_init(&shape);
    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++) {
        char content[32];
        bool fine;

        assert_true(shape_read(&shape, slice_of(literals[i].text), literals[i].conforming));
        assert_int_equal(shape.hole_count, 1);
        fine = shape_literal(&shape, slice_of(literals[i].text), 0, content, sizeof content);
        if (fine != (literals[i].content != NULL) || (fine && strcmp(content, literals[i].content) != 0))
            fail_msg("%s: %d %s", literals[i].text, fine, content);
    }
    shape_done(&shape);
}

static void reads_the_number_of_a_parameter(void **state)
{
    const char *text = "select $1, $65535, $65536, $0, 1";
    struct shape shape;

    (void)state;
    shape_init(&shape);
    assert_true(shape_read(&shape, slice_of(text), true));
    assert_int_equal(shape_param(&shape, slice_of(text), 0), 1);
    assert_int_equal(shape_param(&shape, slice_of(text), 1), 65535);
    assert_int_equal(shape_param(&shape, slice_of(text), 2), 0);
    assert_int_equal(shape_param(&shape, slice_of(text), 3), 0);
    assert_int_equal(shape_param(&shape, slice_of(text), 4), 0);
    shape_done(&shape);
}

/* A comment between two rows makes the reader go the long way. */
static void write_rows(struct buf *text, unsigned seed, const char *between)
{
    static const char *const values[] = { "'a'", "'b''c'", "1",         "2.5", "$1",       "$22", "null",
                                          "-1",  "E'x'",   "'y'::uuid", "(1)", "'a'  'b'", "''",  "default" };
    unsigned random = seed * 2654435761u;
    unsigned rows = 1 + random % 7;
    bool same = random % 3 != 0;

    buf_append_text(text, "insert into t values ");
    for (unsigned row = 0; row < rows; row++) {
        buf_append_format(text, "%s(", row == 0 ? "" : between);
        for (unsigned i = 0; i < 3; i++) {
            unsigned pick = (random >> (3 * i)) + (same ? 0 : row * (i + seed));

            buf_append_format(text, "%s%s", i == 0 ? "" : row % 2 ? " ,\n" : ",", values[pick % 14]);
        }
        buf_append_text(text, ")");
    }
    buf_append_text(text, " returning '1', $9");
}

static void the_short_way_through_rows_is_the_long_way(void **state)
{
    struct shape quick, slow;
    struct buf a, b;

    (void)state;
    shape_init(&quick);
    shape_init(&slow);
    buf_init(&a);
    buf_init(&b);
    for (unsigned seed = 0; seed < 20000; seed++) {
        buf_clear(&a);
        buf_clear(&b);
        write_rows(&a, seed, " , ");
        write_rows(&b, seed, "/**/,/**/");
        assert_true(shape_read(&quick, slice_of(buf_text(&a)), true) ==
                    shape_read(&slow, slice_of(buf_text(&b)), true));
        assert_string_equal(buf_text(&quick.text), buf_text(&slow.text));
        assert_int_equal(quick.hole_count, slow.hole_count);
        assert_int_equal(quick.slot_count, slow.slot_count);
        assert_int_equal(quick.folded, slow.folded);
        for (size_t i = 0; i < quick.hole_count; i++) {
            const struct hole *h = &quick.holes[i];
            const struct hole *k = &slow.holes[i];

            assert_int_equal(h->slot, k->slot);
            assert_int_equal(h->next, k->next);
            assert_int_equal(h->kind, k->kind);
            assert_int_equal(h->bytes, k->bytes);
            assert_memory_equal(buf_text(&a) + h->begin, buf_text(&b) + k->begin, h->bytes);
        }
    }
    shape_done(&quick);
    shape_done(&slow);
    buf_done(&a);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_shape_of_the_table),
        cmocka_unit_test(a_shape_is_its_own_shape),
        cmocka_unit_test(equal_shapes_are_equal_texts_but_for_contents),
        cmocka_unit_test(a_shape_has_the_fingerprint_of_its_text),
        cmocka_unit_test(statements_end_at_top_level_semicolons),
        cmocka_unit_test(a_thousand_rows_fold_in_one_pass),
        cmocka_unit_test(bounds_the_depth_of_the_tree),
        cmocka_unit_test(refuses_what_is_out_of_bounds),
        cmocka_unit_test(undoes_quotes_and_escapes),
        cmocka_unit_test(reads_the_number_of_a_parameter),
        cmocka_unit_test(the_short_way_through_rows_is_the_long_way),
    };

    return cmocka_run_group_tests_name("shape", tests, NULL, NULL);
}
