/* bench_attribution.c - what does it cost to know a statement's tenant? Relative to libpg_query's parse of
 * the same 300-byte literal INSERT (pg_query_parse_protobuf() and unpack), and to memchr() over the same
 * bytes; all of it in turns, in one run. A ratio that misses its bound ends in exit code 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "../tests/unit/sql/fixture.h"

enum { TURNS = 9, TEXTS = 64, MISSES = 400, ROWS = 1000 };

struct bench {
    struct schema *schema;
    struct plan_context context;
    struct planner *planner;
    struct shape shape;
    struct attribution found;
    struct buf texts[TEXTS]; /* of one shape */
    struct buf many;         /* of ROWS rows */
    struct buf bind;
    struct shape bind_shape;
    struct plan *bind_plan;
    unsigned serial;
};

static const struct surroundings nothing;

static void check(bool good)
{
    if (!good) {
        fprintf(stderr, "a statement was not understood\n");
        exit(2);
    }
}

static double now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

/* ---- what is measured: nanoseconds for one ---- */

static void attribute_text(struct bench *bench, struct slice text)
{
    struct plan *plan;
    struct error err;

    check(planner_plan(bench->planner, text, &bench->context, &bench->shape, &plan));
    check(attribute(&plan->statements[0], text, &bench->shape, NULL, &nothing, &bench->found, &err));
    check(bench->found.tenancy == TENANCY_KNOWN && bench->found.tenant_count == 1);
    plan_give(plan);
}

static double parse(struct bench *bench)
{
    double begin = now_ns();

    for (unsigned i = 0; i < MISSES; i++) {
        PgQueryProtobufParseResult result = pg_query_parse_protobuf(buf_text(&bench->texts[i % TEXTS]));
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                                                    (const uint8_t *)result.parse_tree.data);

        check(result.error == NULL && tree != NULL);
        pg_query__parse_result__free_unpacked(tree, NULL);
        pg_query_free_protobuf_parse_result(result);
    }
    return (now_ns() - begin) / MISSES;
}

static double hit(struct bench *bench)
{
    enum { COUNT = 20000 };
    double begin = now_ns();

    for (unsigned i = 0; i < COUNT; i++)
        attribute_text(bench, buf_slice(&bench->texts[i % TEXTS]));
    return (now_ns() - begin) / COUNT;
}

static void write_insert(struct buf *text, const char *alias, unsigned content)
{
    buf_clear(text);
    buf_append_format(text,
                      "INSERT INTO events%s (event_id, aggregate_id, tenant_id, version, aggregate_type, "
                      "event_type) VALUES "
                      "('%08x-0000-4000-8000-000000000001', '%08x-0000-4000-8000-000000000002', '" T1
                      "', %u, 'shop.order', 'OrderLineAdded-%08u-with-a-name') RETURNING version",
                      alias, content, content, content % 1000 + 1, content);
}

/* Each text has a shape that was never seen: what a text costs the first time, its place in the cache
 * included. */
static double miss(struct bench *bench)
{
    struct buf texts[MISSES];
    double begin, spent;

    for (unsigned i = 0; i < MISSES; i++) {
        char alias[32];

        snprintf(alias, sizeof alias, " as a%07u", bench->serial++);
        buf_init(&texts[i]);
        write_insert(&texts[i], alias, i);
    }
    begin = now_ns();
    for (unsigned i = 0; i < MISSES; i++)
        attribute_text(bench, buf_slice(&texts[i]));
    spent = now_ns() - begin;
    for (unsigned i = 0; i < MISSES; i++)
        buf_done(&texts[i]);
    return spent / MISSES;
}

static double bind(struct bench *bench)
{
    enum { COUNT = 100000 };
    static const char binary[16] = "\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11";
    const struct slice values[] = {
        { T2, 36 }, { T2, 36 }, { binary, 16 }, { "5", 1 }, { "a", 1 }, { "b", 1 }
    };
    const uint16_t formats[] = { 0, 0, 1, 0, 0, 0 };
    const struct parameters params = { .count = 6, .values = values, .formats = formats };
    struct error err;
    double begin = now_ns();

    for (unsigned i = 0; i < COUNT; i++)
        check(attribute(&bench->bind_plan->statements[0], buf_slice(&bench->bind), &bench->bind_shape,
                        &params, &nothing, &bench->found, &err) &&
              bench->found.tenant_count == 1);
    return (now_ns() - begin) / COUNT;
}

static double many(struct bench *bench)
{
    enum { COUNT = 100 };
    double begin = now_ns();

    for (unsigned i = 0; i < COUNT; i++)
        attribute_text(bench, buf_slice(&bench->many));
    return (now_ns() - begin) / COUNT;
}

static double scan(struct bench *bench)
{
    enum { COUNT = 2000 };
    struct slice text = buf_slice(&bench->many);
    double begin = now_ns();

    for (unsigned i = 0; i < COUNT; i++) {
        const void *found = memchr(text.at, '\0', text.bytes);

        __asm__ volatile("" : : "r"(found) : "memory");
    }
    return (now_ns() - begin) / COUNT;
}

/* ---- the run ---- */

static void setup(struct bench *bench)
{
    bench->schema = fixture_schema();
    bench->planner = planner_new("app.tenant_id");
    bench->context = (struct plan_context){ .schema = bench->schema,
                                            .standard_conforming_strings = true,
                                            .encoding_safe = true };
    shape_init(&bench->shape);
    shape_init(&bench->bind_shape);
    attribution_init(&bench->found);
    for (unsigned i = 0; i < TEXTS; i++) {
        buf_init(&bench->texts[i]);
        write_insert(&bench->texts[i], "", i);
    }
    buf_init(&bench->many);
    buf_append_text(&bench->many,
                    "INSERT INTO events (event_id, version, tenant_id, event_type, payload) VALUES ");
    for (unsigned i = 0; i < ROWS; i++)
        buf_append_format(
            &bench->many,
            "%s('%08x-0000-4000-8000-000000000001', %u, '" T1
            "', 'OrderLineAdded', '{\"product\": \"p-%u\", \"quantity\": %u, \"note\": \"left at the door, "
            "as it was asked for\", \"price\": \"19.99\", \"currency\": \"EUR\"}')",
            i == 0 ? "" : ", ", i, i, i, i % 7);
    buf_init(&bench->bind);
    buf_append_text(&bench->bind,
                    "INSERT INTO events (event_id, aggregate_id, tenant_id, version, aggregate_type, "
                    "event_type) VALUES ($1, $2, $3, $4, $5, $6)");
    check(planner_plan(bench->planner, buf_slice(&bench->bind), &bench->context, &bench->bind_shape,
                       &bench->bind_plan));
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The ratio as a line; how many bounds it misses. */
static int report(const char *what, double ns, double base_ns, double bound, const char *of)
{
    double ratio = ns / base_ns;
    bool good = ratio <= bound;

    printf("%-44s %10.0f ns   %7.4f of %s, bound %.4f   %s\n", what, ns, ratio, of, bound,
           good ? "ok" : "MISSED");
    return good ? 0 : 1;
}

int main(void)
{
    static double (*const measures[])(struct bench *) = { parse, hit, miss, bind, many, scan };
    enum { PARSE, HIT, MISS, BIND, MANY, SCAN, MEASURES };
    static struct bench bench;
    double turns[MEASURES][TURNS];
    double ns[MEASURES];
    int missed = 0;

    setup(&bench);
    for (unsigned m = 0; m < MEASURES; m++)
        measures[m](&bench); /* warm */
    for (unsigned turn = 0; turn < TURNS; turn++)
        for (unsigned m = 0; m < MEASURES; m++)
            turns[m][turn] = measures[m](&bench);
    for (unsigned m = 0; m < MEASURES; m++) {
        qsort(turns[m], TURNS, sizeof turns[m][0], compare);
        ns[m] = turns[m][TURNS / 2];
    }
    printf("%-44s %10.0f ns   (%zu bytes)\n", "libpg_query: parse and unpack", ns[PARSE],
           buf_bytes(&bench.texts[0]));
    printf("%-44s %10.0f ns   (%zu bytes)\n", "memchr", ns[SCAN], buf_bytes(&bench.many));
    missed += report("plan-cache hit and attribution", ns[HIT], ns[PARSE], 1.0 / 30, "a parse");
    missed += report("plan-cache miss and attribution", ns[MISS], ns[PARSE], 1.5, "a parse");
    missed += report("Bind on a known plan", ns[BIND], ns[PARSE], 1.0 / 150, "a parse");
    missed += report("hit of 1,000 rows and attribution", ns[MANY], ns[SCAN], 40, "memchr");
    return missed > 0;
}
