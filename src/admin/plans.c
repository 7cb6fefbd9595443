/* plans.c - see plans.h. Start at: plans_merge(). */
#include "admin/plans.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct merged;
#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>

enum { SHAPE, CLASS, TABLES, TENANT, HITS, MISSES, PARSE_US, USED_S };

struct merged {
    UT_hash_handle hh;
    bool lost;               /* uthash had no memory for it */
    const struct rows *rows; /* borrowed: where its words stand */
    size_t row;
    int64_t hits, misses, parse_us, used_s;
};

static int64_t number_at(const struct rows *rows, size_t row, size_t column)
{
    const char *value = rows_value(rows, row, column);

    return value == NULL ? 0 : strtoll(value, NULL, 10);
}

static bool add(struct merged **table, const struct rows *rows, size_t row)
{
    const char *shape = rows_value(rows, row, SHAPE);
    struct merged *one;

    if (shape == NULL)
        return true;
    HASH_FIND_STR(*table, shape, one);
    if (one == NULL) {
        one = calloc(1, sizeof *one);
        if (one == NULL)
            return false;
        one->rows = rows;
        one->row = row;
        HASH_ADD_KEYPTR(hh, *table, shape, strlen(shape), one);
        if (one->lost) {
            free(one);
            return false;
        }
    }
    one->hits += number_at(rows, row, HITS);
    one->misses += number_at(rows, row, MISSES);
    one->parse_us += number_at(rows, row, PARSE_US);
    if (number_at(rows, row, USED_S) > one->used_s) { /* its class may have changed with a table */
        one->used_s = number_at(rows, row, USED_S);
        one->rows = rows;
        one->row = row;
    }
    return true;
}

static int by_use(const struct merged *a, const struct merged *b)
{
    return a->hits == b->hits ? 0 : a->hits > b->hits ? -1 : 1;
}

static void put(const struct merged *one, struct rows *to)
{
    time_t at = (time_t)one->used_s;
    struct tm parts;
    char text[40];

    for (size_t column = SHAPE; column <= TENANT; column++)
        rows_text(to, rows_value(one->rows, one->row, column));
    rows_number(to, one->hits);
    rows_number(to, one->misses);
    rows_number(to, one->parse_us);
    gmtime_r(&at, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S+00", &parts);
    rows_text(to, text);
}

bool plans_merge(struct rows *const *parts, unsigned count, struct rows *to)
{
    struct merged *table = NULL, *one, *next;
    bool ok = true;

    for (unsigned i = 0; ok && i < count; i++) {
        ok = !rows_failed(parts[i]);
        for (size_t row = 0; ok && row < rows_count(parts[i]); row++)
            ok = add(&table, parts[i], row);
    }
    if (ok)
        HASH_SORT(table, by_use);
    HASH_ITER(hh, table, one, next) {
        if (ok)
            put(one, to);
        HASH_DEL(table, one);
        free(one);
    }
    return ok;
}
