/* test_stream.c - statements that name streams or events instead of tenants: which keys, and what becomes of
 * them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define S1    "aaaaaaaa-0000-0000-0000-000000000001"
#define S2    "aaaaaaaa-0000-0000-0000-000000000002"
#define NEW   "aaaaaaaa-0000-0000-0000-00000000000f"
#define MIXED "aaaaaaaa-0000-0000-0000-0000000000ff"
#define SLOW  "aaaaaaaa-0000-0000-0000-000000000aaa"
#define DOWN  "aaaaaaaa-0000-0000-0000-000000000ddd"
#define NOTEN "aaaaaaaa-0000-0000-0000-000000000eee"

struct bench {
    struct schema *schema;
    struct planner *planner;
    struct shape shape;
    struct plan *plan;
    struct attribution attribution;
    struct error err;
    char asked[4096];
    unsigned asked_count;
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

/* Notes what is asked for as "type/id", or "#id" of an event. S1 is T1's, S2 is T2's. */
static enum stream_answer find(void *who, struct slice key, char tenant[TENANT_BYTES_MAX])
{
    struct bench *bench = who;
    const char *id = key.at + 1;
    size_t used = strlen(bench->asked);

    if (key.at[0] == KEY_STREAM) {
        id = key.at + strlen(key.at + 1) + 2;
        snprintf(bench->asked + used, sizeof bench->asked - used, "%s%s/%s", used ? " " : "", key.at + 1, id);
    } else {
        snprintf(bench->asked + used, sizeof bench->asked - used, "%s#%s", used ? " " : "", id);
    }
    assert_int_equal(id + strlen(id) + 1 - key.at, key.bytes);
    bench->asked_count++;
    if (strcmp(id, S1) == 0 || strcmp(id, S2) == 0) {
        strcpy(tenant, strcmp(id, S1) == 0 ? T1 : T2);
        return STREAM_TENANT;
    }
    return strcmp(id, MIXED) == 0   ? STREAM_MIXED
           : strcmp(id, SLOW) == 0  ? STREAM_ASKED
           : strcmp(id, DOWN) == 0  ? STREAM_FAILED
           : strcmp(id, NOTEN) == 0 ? STREAM_NULL
                                    : STREAM_NOBODY;
}

static bool say(struct bench *bench, const char *text, const struct parameters *params,
                struct surroundings around)
{
    const struct plan_context context = { .schema = bench->schema,
                                          .standard_conforming_strings = true,
                                          .encoding_safe = true };
    struct stream_finder finder = { .find = find, .who = bench };

    around.streams = &finder;
    bench->asked[0] = '\0';
    bench->asked_count = 0;
    plan_give(bench->plan);
    assert_true(planner_plan(bench->planner, slice_of(text), &context, &bench->shape, &bench->plan));
    if (!bench->plan->parsed)
        fail_msg("not parsed: %s", text);
    error_clear(&bench->err);
    return attribute(&bench->plan->statements[0], slice_of(text), &bench->shape, params, &around,
                     &bench->attribution, &bench->err);
}

#define BY(id) "aggregate_type = 'order' and aggregate_id = '" id "'"
#define O(id)  "order/" id

/* `asked` NULL: the directory has nothing to do with it. */
static const struct keys_case {
    const char *text, *asked;
} keys[] = {
    { "select max(version) from events where " BY(S1), O(S1) },
    { "select max(version) from events where '" S1 "'::uuid = aggregate_id and 'order' = aggregate_type",
      O(S1) },
    { "select * from public.events e where e.aggregate_id = '" S1 "' and e.aggregate_type = 'order'", O(S1) },
    { "select * from events where aggregate_id = '{AAAAAAAA-0000-0000-0000-000000000001}' and aggregate_type "
      "= "
      "'order'",
      O(S1) },
    { "select * from events where aggregate_id in ('" S1 "', '" S2 "') and aggregate_type = 'order'",
      O(S1) " " O(S2) },
    { "select * from events where aggregate_id = any ('{" S1 "," S2 "}') and aggregate_type = 'order'",
      O(S1) " " O(S2) },
    { "select * from events where (aggregate_type, aggregate_id) = ('order', '" S1 "')", O(S1) },
    { "select * from events where (" BY(S1) ") or (aggregate_type = 'x' and aggregate_id = '" S2 "')",
      O(S1) " " O(S2) " x/" S1 " x/" S2 }, /* more than it means, and so no less safe */
    { "select * from events where " BY(S1) " union all select * from events where " BY(S2), O(S1) " " O(S2) },
    { "with s as (select * from events where " BY(S1) ") select count(*) from s", O(S1) },
    { "select (select max(version) from events where " BY(S1) ")", O(S1) },
    { "select * from events a join events b using (aggregate_type, aggregate_id) where a." BY(
          S1) " and b.version = 1",
      O(S1) " " O(S1) }, /* the bare name is the merged column of both */
    { "select * from events a join events b on a.aggregate_id = b.aggregate_id and a.aggregate_type = "
      "b.aggregate_type where a.aggregate_id = '" S1 "' and a.aggregate_type = 'order'",
      O(S1) " " O(S1) },
    { "select * from events a natural join snapshots b where a.aggregate_id = '" S1
      "' and a.aggregate_type = 'order'",
      O(S1) " " O(S1) },
    { "update events set payload = '{}' where " BY(S1) " and version = 1", O(S1) },
    { "delete from events where " BY(S1), O(S1) },
    { "select version from events where " BY(S1) " order by version desc limit 1 for update", O(S1) },
    { "declare c cursor for select * from events where " BY(S1), O(S1) },
    { "explain select * from events where " BY(S1), O(S1) },
    { "copy (select * from events where " BY(S1) ") to stdout", O(S1) },
    { "select * from events where event_id = '" S1 "'", "#" S1 },
    { "select * from snapshots where " BY(S1), O(S1) },
    { "insert into events (tenant_id, aggregate_type, aggregate_id, version) select '" T1 "', 'order', '" S1
      "', 1 + (select count(*) from events where " BY(S1) ")",
      O(S1) },
    /* a tenant that is in the statement needs no directory */
    { "select * from events where " BY(S1) " and tenant_id = '" T1 "'", NULL },
    { "insert into events (tenant_id, aggregate_id, aggregate_type) values ('" T1 "', '" S1 "', 'order')",
      NULL },
    /* not all of a stream's columns, or not in every reference */
    { "select * from events where aggregate_id = '" S1 "'", NULL },
    { "select * from events where aggregate_type = 'order'", NULL },
    { "select * from events where aggregate_type = 'order' or aggregate_id = '" S1 "'", NULL },
    { "select * from events where not (" BY(S1) ")", NULL },
    { "select * from events where aggregate_type = 'order' and aggregate_id > '" S1 "'", NULL },
    { "select * from events where aggregate_type = 'order' and aggregate_id <> '" S1 "'", NULL },
    { "select * from events where aggregate_type = 'order' and aggregate_id is null", NULL },
    { "select * from events where aggregate_type like 'order' and aggregate_id = '" S1 "'", NULL },
    { "select * from events where lower(aggregate_type) = 'order' and aggregate_id = '" S1 "'", NULL },
    { "select * from events where " BY(S1) " union all select * from events", NULL },
    { "select * from events a, events b where a." BY(S1), NULL },
    { "select * from events a left join events b on a.aggregate_id = '" S1 "' and a.aggregate_type = 'order'",
      NULL },
    { "select * from events a left join events b on b.aggregate_id = '" S1 "' and b.aggregate_type = 'order'",
      NULL },
    { "select * from snapshots where event_id = '" S1 "'", NULL }, /* unique among events only */
    { "select * from events a (x, y, aggregate_id) where aggregate_type = 'order' and y = '" S1 "' and "
      "aggregate_id = '" S1 "'",
      "#" S1 }, /* y is event_id, which is enough */
    { "insert into events (aggregate_id, aggregate_type) values ('" S1 "', 'order')", NULL },
    { "select * from events where " BY(S1) " and tenant_id = current_setting('app.tenant')::uuid", NULL },
    { "insert into events select * from events where " BY(S1), NULL }, /* rows unseen */
    { "truncate events", NULL },
    { "select * from es.\"Events\" where id = 1", NULL },
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In what order references are asked for is nobody's business. */
static void sort_words(char *text)
{
    char *words[64], copy[4096];
    size_t count = 0;

    strcpy(copy, text);
    for (char *word = strtok(copy, " "); word != NULL && count < 64; word = strtok(NULL, " "))
        words[count++] = word;
    qsort(words, count, sizeof *words, by_text);
    *text = '\0';
    for (size_t i = 0; i < count; i++)
        sprintf(text + strlen(text), "%s%s", i == 0 ? "" : " ", words[i]);
}

static void finds_streams(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *asked = keys[i].asked == NULL ? "" : keys[i].asked;

        say(bench, keys[i].text, NULL, (struct surroundings){ 0 });
        sort_words(bench->asked);
        if (strcmp(bench->asked, asked) != 0)
            fail_msg("%s\n asks for \"%s\", not \"%s\"", keys[i].text, bench->asked, asked);
    }
}

static const struct answer_case {
    const char *text;
    struct surroundings around;
    bool fine;
    enum tenancy tenancy;
    enum evidence evidence;
    const char *tenants; /* with commas */
    bool null_tenant, nobodys;
} answers[] = {
    { "select * from events where " BY(S1), { 0 }, true, TENANCY_KNOWN, EVIDENCE_STREAM, T1, false, false },
    /* in the statement, so before what stands around; which must not contradict it */
    { "select * from events where " BY(S1),
      { .transaction_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_STREAM,
      T1,
      false,
      false },
    { "select * from events where " BY(S1),
      { .setting_tenant = T2, .strict = true },
      false,
      TENANCY_KNOWN,
      EVIDENCE_STREAM,
      T1,
      false,
      false },
    { "select * from events where " BY(S1),
      { .comment_tenant = T1, .setting_tenant = T1, .strict = true },
      true,
      TENANCY_KNOWN,
      EVIDENCE_STREAM,
      T1,
      false,
      false },
    { "select * from events where aggregate_type = 'order' and aggregate_id in ('" S1 "', '" NEW "', '" S2
      "')",
      { 0 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_STREAM,
      T1 "," T2,
      false,
      false },
    { "select * from events where " BY(NOTEN), { 0 }, true, TENANCY_KNOWN, EVIDENCE_STREAM, "", true, false },
    /* nobody has it: what stands around decides, else nothing is there to be found */
    { "select * from events where " BY(NEW), { 0 }, true, TENANCY_KNOWN, EVIDENCE_STREAM, "", true, true },
    { "select * from events where aggregate_type = 'order' and aggregate_id = any ('{}')",
      { 0 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_STREAM,
      "",
      true,
      true },
    { "select * from events where " BY(NEW),
      { .transaction_tenant = T2, .setting_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_TRANSACTION,
      T2,
      false,
      false },
    { "select * from events where " BY(NEW),
      { .setting_unknown = true },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      "",
      false,
      false },
    { "select * from events where " BY(SLOW),
      { .setting_tenant = T2 },
      true,
      TENANCY_ASKED,
      EVIDENCE_STREAM,
      NULL,
      false,
      false },
    { "select * from events where " BY(DOWN),
      { 0 },
      true,
      TENANCY_FAILED,
      EVIDENCE_NONE,
      NULL,
      false,
      false },
    { "select * from events where " BY(DOWN),
      { .setting_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_SETTING,
      T2,
      false,
      false },
    { "select * from events where aggregate_type = 'order' and aggregate_id in ('" S1 "', '" DOWN "')",
      { .setting_tenant = T1 },
      true,
      TENANCY_FAILED,
      EVIDENCE_STREAM,
      NULL,
      false,
      false },
    { "select * from events where " BY(MIXED),
      { 0 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      "",
      false,
      false },
    /* beside a tenant: both count */
    { "select * from events where tenant_id = '" T2 "' union all select * from events where " BY(S1),
      { 0 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      T2 "," T1,
      false,
      false },
    { "select * from events where tenant_id = '" T2 "' union all select * from events where " BY(NEW),
      { 0 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_LITERAL,
      T2,
      false,
      false },
    { "select * from events where aggregate_type = 'order' and aggregate_id = 'no uuid'",
      { .setting_tenant = T2 },
      true,
      TENANCY_KNOWN,
      EVIDENCE_SETTING,
      T2,
      false,
      false },
    { "select * from events where aggregate_type = 'order' and aggregate_id = null",
      { 0 },
      true,
      TENANCY_UNKNOWN,
      EVIDENCE_NONE,
      "",
      false,
      false },
};

static void adds_up_answers(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const struct answer_case *c = &answers[i];
        const struct attribution *got = &bench->attribution;
        char tenants[512] = "";

        if (say(bench, c->text, NULL, c->around) != c->fine)
            fail_msg("%s: case %zu: %s", c->text, i, bench->err.message);
        if (!c->fine) {
            assert_string_equal(bench->err.sqlstate, "0A000");
            continue;
        }
        for (size_t t = 0; t < got->tenant_count; t++)
            sprintf(tenants + strlen(tenants), "%s%s", t == 0 ? "" : ",", got->tenants[t]);
        if (got->tenancy != c->tenancy || got->evidence != c->evidence ||
            (c->tenants != NULL && strcmp(tenants, c->tenants) != 0) ||
            (c->tenants != NULL && (got->null_tenant != c->null_tenant || got->nobodys != c->nobodys)))
            fail_msg("%s: case %zu: tenancy %d by %s: \"%s\" (%s)", c->text, i, got->tenancy,
                     evidence_name(got->evidence), tenants, got->why == NULL ? "" : got->why);
    }
}

/* uuid in binary, text in both; an array in binary. */
static void reads_parameters(void **state)
{
    struct bench *bench = *state;
    static const char uuid[16] = "\xaa\xaa\xaa\xaa\0\0\0\0\0\0\0\0\0\0\0\x01";
    static const char array[] = "\0\0\0\1"
                                "\0\0\0\0"
                                "\0\0\x0b\x86"
                                "\0\0\0\1"
                                "\0\0\0\1"
                                "\0\0\0\x10"
                                "\xaa\xaa\xaa\xaa\0\0\0\0\0\0\0\0\0\0\0\x01";
    struct slice values[2] = { { uuid, 16 }, { "order", 5 } };
    uint16_t formats[2] = { 1, 0 };
    struct parameters params = { .count = 2, .values = values, .formats = formats };

    assert_true(say(bench, "select max(version) from events where aggregate_id = $1 and aggregate_type = $2",
                    &params, (struct surroundings){ 0 }));
    assert_string_equal(bench->asked, O(S1));
    values[0] = (struct slice){ array, sizeof array - 1 };
    assert_true(say(bench, "select * from events where aggregate_id = any ($1) and aggregate_type = $2",
                    &params, (struct surroundings){ 0 }));
    assert_string_equal(bench->asked, O(S1));
    assert_int_equal(bench->attribution.tenancy, TENANCY_KNOWN);
    values[0].bytes = 3; /* too short for an array */
    assert_true(say(bench, "select * from events where aggregate_id = any ($1) and aggregate_type = $2",
                    &params, (struct surroundings){ 0 }));
    assert_int_equal(bench->attribution.tenancy, TENANCY_UNKNOWN);
    assert_true(say(bench, "select * from events where aggregate_id = $1 and aggregate_type = $2", NULL,
                    (struct surroundings){ 0 }));
    assert_int_equal(bench->attribution.tenancy, TENANCY_UNKNOWN);
    assert_string_equal(bench->attribution.why, "the stream is a parameter whose value is not known yet");
}

static void stops_at_many(void **state)
{
    struct bench *bench = *state;
    char text[STREAM_KEYS_MAX * 50 + 400] =
        "select * from events where aggregate_type = 'order' and aggregate_id in (";

    for (unsigned i = 0; i <= STREAM_KEYS_MAX; i++)
        sprintf(text + strlen(text), "%s'aaaaaaaa-0000-0000-0000-%012u'", i == 0 ? "" : ",", i);
    strcat(text, ")");
    assert_true(say(bench, text, NULL, (struct surroundings){ 0 }));
    assert_int_equal(bench->attribution.tenancy, TENANCY_UNKNOWN);
    assert_string_equal(bench->attribution.why, "the statement names too many streams");
}

static void says_why_not(void **state)
{
    struct bench *bench = *state;

    bench->schema->keys[KEY_STREAM].why_not = "a stream may be of several tenants";
    assert_true(say(bench, "select * from events where " BY(S1), NULL, (struct surroundings){ 0 }));
    assert_int_equal(bench->attribution.tenancy, TENANCY_UNKNOWN);
    assert_string_equal(bench->attribution.why, "a stream may be of several tenants");
    assert_string_equal(bench->asked, "");
}

static void note_row(void *who, struct slice key, const char *tenant)
{
    char *text = who;
    const char *id = key.at + 1 + strlen(key.at + 1) + 1;

    assert_int_equal(key.at[0], KEY_STREAM);
    sprintf(text + strlen(text), "%s%s/%s=%s", text[0] == '\0' ? "" : " ", key.at + 1, id, tenant);
}

#define INTO "insert into events (aggregate_id, version, aggregate_type, tenant_id) "

/* What a commit will show: which rows are whose streams'. */
static void knows_what_an_insert_writes(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *text, *rows;
    } cases[] = {
        { INTO "values ('" S1 "', 1, 'order', '" T1 "')", O(S1) "=" T1 },
        { INTO "values ('" S1 "', 1, 'order', '" T1 "'), ('" S2 "', 1, 'cart', '" T2 "') returning version",
          O(S1) "=" T1 " cart/" S2 "=" T2 },
        { "insert into events values (default, '" NEW "', '" S1 "', 'order', 'made', '" T1 "', null, 1)",
          O(S1) "=" T1 },
        { "with made as (" INTO "values ('" S1 "', 1, 'order', '" T1 "') returning 1) select * from made",
          O(S1) "=" T1 },
        { INTO "values ('" S1 "', 1, 'order', null)", "" },
        { INTO "values ('" S1 "', 1, upper('order'), '" T1 "')", "" },
        { INTO "values ('" S1 "', 1, 'order', '" T1 "') on conflict do nothing",
          "" }, /* perhaps it writes nothing */
        { INTO "select '" S1 "', 1, 'order', '" T1 "' where false", "" },
        { "insert into events (aggregate_id, tenant_id) values ('" S1 "', '" T1 "')", "" },
        { "insert into snapshots (aggregate_id, aggregate_type, tenant_id) values ('" S1 "', 'order', '" T1
          "')",
          "" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char rows[1024] = "";

        say(bench, cases[i].text, NULL, (struct surroundings){ 0 });
        attribute_each_row(&bench->plan->statements[0], slice_of(cases[i].text), &bench->shape, NULL,
                           note_row, rows);
        if (strcmp(rows, cases[i].rows) != 0)
            fail_msg("%s\n writes \"%s\"", cases[i].text, rows);
    }
}

static void notes_what_unsettles(void **state)
{
    struct bench *bench = *state;
    static const struct {
        const char *text;
        bool unsettles;
    } cases[] = {
        { "delete from events where " BY(S1), true },
        { "update events set tenant_id = '" T2 "' where " BY(S1), true },
        { "update events set aggregate_id = '" S2 "' where " BY(S1), true },
        { "update events set payload = '{}' where " BY(S1), false },
        { "truncate events", true },
        { "insert into events (tenant_id) values ('" T1 "')", false },
        { "with gone as (delete from events where " BY(S1) " returning 1) select * from gone", true },
        { "select * from events", false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        say(bench, cases[i].text, NULL, (struct surroundings){ 0 });
        if (bench->plan->statements[0].unsettles != cases[i].unsettles)
            fail_msg("%s", cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(adds_up_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_at_many, setup, teardown),
        cmocka_unit_test_setup_teardown(says_why_not, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_what_an_insert_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(notes_what_unsettles, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
