/* gather.c - see gather.h.
 * CLIENTS and SERVERS are put one behind the other; the rows of POOLS and STATS with the same name are
 * summed. Start at: gather_end(). */
#include "admin/gather.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/plans.h"
#include "admin/show.h"

enum {
    NUMBERS_MAX = 16,
    STATS_NUMBERS = 7, /* of struct tally: each as total and as of the last period */
    STATS_PERIOD_SECONDS = 60,
    STATS_TIMES_FROM = 4, /* xact_time, query_time, wait_time */
};

void gather_begin(struct gather *gather, enum show_what what, unsigned loops)
{
    *gather = (struct gather){ .what = what, .left = loops };
}

void gather_take(struct gather *gather, struct show_letter *letter)
{
    if (gather->left > 0 && gather->count < LOOPS_MAX) {
        gather->left--;
        if (letter->rows != NULL)
            gather->parts[gather->count++] = letter->rows;
        letter->rows = NULL;
    }
    letter_drop(&letter->letter);
}

void gather_done(struct gather *gather)
{
    while (gather->count > 0)
        rows_free(gather->parts[--gather->count]);
    gather->left = 0;
}

/* ---- sums ---- */

struct sum {
    const char *names[3]; /* borrowed from the parts */
    int64_t numbers[NUMBERS_MAX];
};

struct sums {
    size_t name_count, number_count;
    size_t count, capacity;
    struct sum *at;
};

static bool same_names(const struct sums *sums, const struct sum *sum, const struct rows *rows, size_t row)
{
    for (size_t i = 0; i < sums->name_count; i++) {
        const char *name = rows_value(rows, row, i);

        if (strcmp(sum->names[i], name == NULL ? "" : name) != 0)
            return false;
    }
    return true;
}

static struct sum *find_sum(struct sums *sums, const struct rows *rows, size_t row)
{
    struct sum *grown;

    for (size_t i = 0; i < sums->count; i++)
        if (same_names(sums, &sums->at[i], rows, row))
            return &sums->at[i];
    if (sums->count == sums->capacity) {
        grown = reallocarray(sums->at, sums->capacity * 2 + 8, sizeof *grown);
        if (grown == NULL)
            return NULL;
        sums->at = grown;
        sums->capacity = sums->capacity * 2 + 8;
    }
    grown = &sums->at[sums->count++];
    memset(grown, 0, sizeof *grown);
    for (size_t i = 0; i < sums->name_count; i++) {
        const char *name = rows_value(rows, row, i);

        grown->names[i] = name == NULL ? "" : name;
    }
    return grown;
}

static int64_t number_at(const struct rows *rows, size_t row, size_t column)
{
    const char *value = rows_value(rows, row, column);

    return value == NULL ? 0 : strtoll(value, NULL, 10);
}

static bool add_part(struct sums *sums, const struct rows *rows)
{
    for (size_t row = 0; row < rows_count(rows); row++) {
        struct sum *sum = find_sum(sums, rows, row);

        if (sum == NULL)
            return false;
        for (size_t i = 0; i < sums->number_count; i++)
            sum->numbers[i] += number_at(rows, row, sums->name_count + i);
    }
    return true;
}

static bool add_all(struct sums *sums, const struct gather *gather)
{
    for (unsigned i = 0; i < gather->count; i++)
        if (rows_failed(gather->parts[i]) || !add_part(sums, gather->parts[i]))
            return false;
    return true;
}

static void put_names(struct rows *to, const struct sums *sums, const struct sum *sum)
{
    for (size_t i = 0; i < sums->name_count; i++)
        rows_text(to, sum->names[i]);
}

/* ---- POOLS ---- */

enum { POOL_COUNTS = 5, POOL_WAIT = 8 /* column of maxwait; maxwait_us and pool_mode behind it */ };

/* The longest wait is a maximum, not a sum. */
static void longest_wait(const struct gather *gather, const struct sums *sums, const struct sum *sum,
                         int64_t wait[2], const char **mode)
{
    wait[0] = wait[1] = 0;
    for (unsigned i = 0; i < gather->count; i++) {
        const struct rows *rows = gather->parts[i];

        for (size_t row = 0; row < rows_count(rows); row++) {
            int64_t seconds = number_at(rows, row, POOL_WAIT), us = number_at(rows, row, POOL_WAIT + 1);

            if (!same_names(sums, sum, rows, row))
                continue;
            *mode = rows_value(rows, row, POOL_WAIT + 2);
            if (seconds > wait[0] || (seconds == wait[0] && us > wait[1])) {
                wait[0] = seconds;
                wait[1] = us;
            }
        }
    }
}

static bool make_pools(const struct gather *gather, struct rows *to)
{
    struct sums sums = { .name_count = 3, .number_count = POOL_COUNTS };
    bool ok = add_all(&sums, gather);

    for (size_t i = 0; ok && i < sums.count; i++) {
        const char *mode = NULL;
        int64_t wait[2];

        put_names(to, &sums, &sums.at[i]);
        for (size_t j = 0; j < POOL_COUNTS; j++)
            rows_number(to, sums.at[i].numbers[j]);
        longest_wait(gather, &sums, &sums.at[i], wait, &mode);
        rows_number(to, wait[0]);
        rows_number(to, wait[1]);
        rows_text(to, mode);
    }
    free(sums.at);
    return ok;
}

/* ---- STATS ---- */

/* Counts and bytes a second; times per transaction and per query, in microseconds, as PgBouncer has them. */
static int64_t average(const int64_t last[static STATS_NUMBERS], size_t what)
{
    enum { XACTS, QUERIES, XACT_TIME = STATS_TIMES_FROM, QUERY_TIME, WAIT_TIME };
    int64_t events = what == XACT_TIME ? last[XACTS] : last[QUERIES];

    if (what < STATS_TIMES_FROM || what == WAIT_TIME)
        return last[what] / STATS_PERIOD_SECONDS;
    return events == 0 ? 0 : last[what] / events;
}

static bool make_stats(const struct gather *gather, struct rows *to)
{
    struct sums sums = { .name_count = 2, .number_count = 2 * STATS_NUMBERS };
    bool ok = add_all(&sums, gather);

    for (size_t i = 0; ok && i < sums.count; i++) {
        put_names(to, &sums, &sums.at[i]);
        for (size_t what = 0; what < STATS_NUMBERS; what++)
            rows_number(to, sums.at[i].numbers[what]);
        for (size_t what = 0; what < STATS_NUMBERS; what++)
            rows_number(to, average(sums.at[i].numbers + STATS_NUMBERS, what));
    }
    free(sums.at);
    return ok;
}

/* ---- CLIENTS, SERVERS ---- */

static bool copy_rows(const struct gather *gather, struct rows *to)
{
    for (unsigned i = 0; i < gather->count; i++) {
        const struct rows *rows = gather->parts[i];

        if (rows_failed(rows))
            return false;
        for (size_t row = 0; row < rows_count(rows); row++)
            for (size_t column = 0; column < rows_column_count(rows); column++)
                rows_text(to, rows_value(rows, row, column));
    }
    return true;
}

struct rows *gather_end(struct gather *gather, const struct command_info *info)
{
    struct rows *rows = show_rows_new(info);
    bool ok = rows != NULL;

    if (ok && gather->what == SHOW_POOLS)
        ok = make_pools(gather, rows);
    else if (ok && gather->what == SHOW_STATS)
        ok = make_stats(gather, rows);
    else if (ok && gather->what == SHOW_PLANS)
        ok = plans_merge(gather->parts, gather->count, rows);
    else if (ok)
        ok = copy_rows(gather, rows);
    gather_done(gather);
    if (ok && !rows_failed(rows))
        return rows;
    rows_free(rows);
    return NULL;
}
