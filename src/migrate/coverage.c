/* coverage.c - see coverage.h.
 * One list, by shape: first what the loops have seen, then what the control database has recorded, then what
 * the stores tell. pg_stat_statements has a parameter for every literal, so shapes are compared as if they
 * all had. Start at: coverage_check(). */
#include "migrate/coverage.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "migrate/coverage_store.h"
#include "migrate/settings.h"
#include "sql/print.h"
#include "sql_embedded.h"

#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>

enum {
    TENANT_BYTES = 160,
    NUMBERED_AT_ONCE = 100 /* of what only stores know, most frequent first: the control database keeps few */
};

struct entry {
    UT_hash_handle hh;
    bool lost; /* uthash had no memory for it */
    const char *source;
    char class[12], tables[64], tenant[TENANT_BYTES], why[200];
    int64_t calls, unattributed, first_s, last_s, n;
    bool recorded, accepted;
    char *shape; /* in `key`'s memory, behind it */
    char key[];
};

struct listing {
    struct entry *table;
};

/* `$n` is `?`, as in the other place. */
static void write_key(const char *shape, char *key)
{
    while (*shape != '\0') {
        bool parameter = shape[0] == '$' && shape[1] == 'n';

        *key++ = parameter ? '?' : *shape;
        shape += parameter ? 2 : 1;
    }
    *key = '\0';
}

/* The shape's entry, a new one if need be (`source` NULL then). NULL: no memory. */
static struct entry *entry_of(struct listing *listing, const char *shape)
{
    size_t bytes = strlen(shape) + 1;
    struct entry *made = calloc(1, sizeof *made + 2 * bytes), *there;

    if (made == NULL)
        return NULL;
    write_key(shape, made->key);
    made->shape = made->key + bytes;
    memcpy(made->shape, shape, bytes);
    HASH_FIND_STR(listing->table, made->key, there);
    if (there != NULL) {
        free(made);
        return there;
    }
    HASH_ADD_STR(listing->table, key, made);
    if (!made->lost)
        return made;
    free(made);
    return NULL;
}

static void copy(char *to, size_t bytes, const char *from)
{
    snprintf(to, bytes, "%s", from == NULL ? "" : from);
}

static void add_words(char *to, size_t bytes, const char *more)
{
    size_t used = strlen(to);

    if (more != NULL && strstr(to, more) == NULL && used < bytes)
        snprintf(to + used, bytes - used, "%s%s", used == 0 ? "" : ", ", more);
}

/* ---- what the loops have seen ---- */

enum { SHAPE, CLASS, TABLES, TENANT, COUNT, UNATTRIBUTED, CONTRADICTED, WHY, FIRST, LAST };

static int64_t number(const struct rows *rows, size_t row, size_t column)
{
    const char *value = rows_value(rows, row, column);

    return value == NULL ? 0 : strtoll(value, NULL, 10);
}

static bool add_seen(struct listing *listing, const struct rows *rows, size_t row)
{
    struct entry *entry = entry_of(listing, rows_value(rows, row, SHAPE));
    int64_t first_s = number(rows, row, FIRST), last_s = number(rows, row, LAST);

    if (entry == NULL)
        return false;
    entry->source = "pgshunt";
    copy(entry->class, sizeof entry->class, rows_value(rows, row, CLASS));
    copy(entry->tables, sizeof entry->tables, rows_value(rows, row, TABLES));
    add_words(entry->tenant, sizeof entry->tenant, rows_value(rows, row, TENANT));
    if (rows_value(rows, row, WHY) != NULL)
        copy(entry->why, sizeof entry->why, rows_value(rows, row, WHY));
    entry->calls += number(rows, row, COUNT);
    entry->unattributed += number(rows, row, UNATTRIBUTED);
    if (entry->first_s == 0 || first_s < entry->first_s)
        entry->first_s = first_s;
    if (last_s > entry->last_s)
        entry->last_s = last_s;
    return true;
}

static bool add_all_seen(struct listing *listing, const struct coverage_setup *setup)
{
    for (unsigned i = 0; i < setup->seen_count; i++) {
        const struct rows *rows = setup->seen[i];

        for (size_t row = 0; rows != NULL && row < rows_count(rows); row++)
            if (!add_seen(listing, rows, row))
                return false;
    }
    return true;
}

/* ---- what has been recorded, by an earlier process or another instance, and what was said of it ---- */

static bool add_recorded(struct listing *listing, const struct coverage_setup *setup, struct error *err)
{
    enum { WHAT_OF, SHAPE_OF, WHY_OF, N_OF, ACCEPTED_OF, COUNT_OF, FIRST_OF, LAST_OF };
    PGresult *result = pg_query(ledger_pg(setup->ledger), sql_coverage_recorded, 0, NULL, err);
    bool fine = true;

    if (result == NULL)
        return false;
    for (int row = 0; fine && row < PQntuples(result); row++) {
        struct entry *entry = entry_of(listing, PQgetvalue(result, row, SHAPE_OF));

        fine = entry != NULL || error_no_memory(err);
        if (!fine)
            break;
        entry->recorded = true;
        entry->accepted = *PQgetvalue(result, row, ACCEPTED_OF) == 't';
        entry->n = strtoll(PQgetvalue(result, row, N_OF), NULL, 10);
        if (entry->source != NULL)
            continue;
        entry->source = "recorded";
        copy(entry->class, sizeof entry->class,
             strcmp(PQgetvalue(result, row, WHAT_OF), "feed") == 0 ? "read" : "write");
        copy(entry->why, sizeof entry->why, PQgetvalue(result, row, WHY_OF));
        entry->calls = entry->unattributed = strtoll(PQgetvalue(result, row, COUNT_OF), NULL, 10);
        entry->first_s = strtoll(PQgetvalue(result, row, FIRST_OF), NULL, 10);
        entry->last_s = strtoll(PQgetvalue(result, row, LAST_OF), NULL, 10);
    }
    PQclear(result);
    return fine;
}

/* ---- what the stores tell ---- */

static bool add_told(void *who, const struct store_statement *told)
{
    struct listing *listing = who;
    struct entry *entry = entry_of(listing, told->shape);
    bool says = strncmp(told->tenant, "none", 4) != 0 && strcmp(told->tenant, "around it") != 0;

    if (entry == NULL)
        return false;
    if (entry->source != NULL) /* it is known better */
        return true;
    entry->source = "pg_stat_statements";
    copy(entry->class, sizeof entry->class, told->class);
    copy(entry->tables, sizeof entry->tables, told->tables);
    entry->calls = told->calls;
    if (says) {
        copy(entry->tenant, sizeof entry->tenant, told->tenant);
        return true;
    }
    entry->unattributed = told->calls;
    snprintf(entry->why, sizeof entry->why, "store \"%s\" has seen it, pgshunt has not; %s",
             told->store->name,
             strcmp(told->tenant, "around it") == 0
                 ? "it names no tenant, so its transaction or session would have to"
                 : told->tenant + strlen("none: "));
    return true;
}

/* What only the stores know and nobody can explain gets a number, to be accepted by. */
static bool write_unnumbered(const struct listing *listing, struct buf *json)
{
    const struct entry *entry;
    size_t count = 0;

    for (entry = listing->table; entry != NULL && count < NUMBERED_AT_ONCE; entry = entry->hh.next) {
        if (entry->unattributed == 0 || entry->recorded)
            continue;
        count++;
        buf_append_text(json, buf_bytes(json) == 0 ? "[{\"what\":" : ",{\"what\":");
        json_text(json, strcmp(entry->class, "write") == 0 ? "unattributed_write" : "feed");
        buf_append_text(json, ",\"shape\":");
        json_text(json, entry->shape);
        buf_append_text(json, ",\"why\":");
        json_text(json, entry->why);
        buf_append_text(json, "}");
    }
    if (buf_bytes(json) > 0)
        buf_append_text(json, "]");
    return !buf_failed(json);
}

static bool number_all(struct listing *listing, const struct coverage_setup *setup, struct error *err)
{
    const char *values[1];
    PGresult *result = NULL;
    struct buf json;
    bool fine;

    buf_init(&json);
    fine = write_unnumbered(listing, &json) || error_no_memory(err);
    if (fine && buf_bytes(&json) > 0) {
        values[0] = buf_text(&json);
        result = pg_query(ledger_pg(setup->ledger), sql_coverage_number, 1, values, err);
        fine = result != NULL;
    }
    for (int row = 0; fine && result != NULL && row < PQntuples(result); row++) {
        struct entry *entry = entry_of(listing, PQgetvalue(result, row, 0));

        if (entry == NULL) /* it is there: no memory for the question */
            continue;
        entry->recorded = true;
        entry->n = strtoll(PQgetvalue(result, row, 1), NULL, 10);
        entry->accepted = *PQgetvalue(result, row, 2) == 't';
    }
    PQclear(result);
    buf_done(&json);
    return fine;
}

/* ---- rows ---- */

static void put_time(struct rows *rows, int64_t at_s)
{
    time_t at = (time_t)at_s;
    struct tm parts;
    char text[40];

    if (at_s == 0) {
        rows_text(rows, NULL);
        return;
    }
    gmtime_r(&at, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S+00", &parts);
    rows_text(rows, text);
}

static const char *text_or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static bool is_unexplained(const struct entry *entry)
{
    return entry->unattributed > 0 && !entry->accepted;
}

static void put(const struct entry *entry, struct rows *rows)
{
    rows_text(rows, is_unexplained(entry) ? "unexplained" : entry->unattributed == 0 ? "found" : "accepted");
    if (entry->recorded)
        rows_number(rows, entry->n);
    else
        rows_text(rows, NULL);
    rows_text(rows, entry->source);
    rows_text(rows, entry->shape);
    rows_text(rows, entry->class);
    rows_text(rows, text_or_null(entry->tables));
    rows_text(rows, text_or_null(entry->tenant));
    rows_number(rows, entry->calls);
    rows_number(rows, entry->unattributed);
    put_time(rows, entry->first_s);
    put_time(rows, entry->last_s);
    rows_text(rows, text_or_null(entry->why));
}

/* What is unexplained first, then what is used most. */
static int by_need(const struct entry *a, const struct entry *b)
{
    if (is_unexplained(a) != is_unexplained(b))
        return is_unexplained(a) ? -1 : 1;
    return a->calls == b->calls ? strcmp(a->key, b->key) : a->calls > b->calls ? -1 : 1;
}

static void put_all(struct listing *listing, struct coverage *coverage)
{
    static const struct rows_heading headings[] = {
        { "status", ROWS_TEXT },
        { "n", ROWS_INT8 },
        { "source", ROWS_TEXT },
        { "shape", ROWS_TEXT },
        { "class", ROWS_TEXT },
        { "tables", ROWS_TEXT },
        { "tenant", ROWS_TEXT },
        { "calls", ROWS_INT8 },
        { "unattributed", ROWS_INT8 },
        { "first_seen", ROWS_TIMESTAMPTZ },
        { "last_seen", ROWS_TIMESTAMPTZ },
        { "why", ROWS_TEXT },
        { NULL, ROWS_TEXT },
    };
    const struct entry *entry;

    rows_columns(coverage->rows, headings);
    HASH_SORT(listing->table, by_need);
    for (entry = listing->table; entry != NULL; entry = entry->hh.next) {
        put(entry, coverage->rows);
        coverage->unexplained += is_unexplained(entry);
    }
}

static void listing_done(struct listing *listing)
{
    struct entry *entry, *next;

    HASH_ITER(hh, listing->table, entry, next) {
        HASH_DEL(listing->table, entry);
        free(entry);
    }
}

bool coverage_check(const struct coverage_setup *setup, struct coverage *coverage, struct error *err)
{
    struct listing listing = { NULL };
    bool fine;

    memset(coverage, 0, sizeof *coverage);
    coverage->rows = rows_new();
    fine = coverage->rows != NULL && add_all_seen(&listing, setup) ? true : error_no_memory(err);
    fine = fine && add_recorded(&listing, setup, err) &&
           coverage_stores(setup, add_told, &listing, coverage->left_out, sizeof coverage->left_out, err) &&
           number_all(&listing, setup, err);
    if (fine)
        put_all(&listing, coverage);
    listing_done(&listing);
    if (fine && !rows_failed(coverage->rows))
        return true;
    rows_free(coverage->rows);
    coverage->rows = NULL;
    return fine ? error_no_memory(err) : false;
}
