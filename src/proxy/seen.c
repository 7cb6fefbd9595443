/* seen.c - see seen.h. Start at: seen_look(). */
#include "proxy/seen.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sql/print.h"

#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>
#include <utlist.h>

enum { EVIDENCES_MAX = 16 };

static const char unread[] = "(statements that cannot be read: too long, or with a quote that does not end)";
static const char others[] = "(more shapes than are kept)";
static const char forgotten[] = "(a statement that could not be remembered)";

static const char *const finding_names[FINDINGS] = {
    [FINDING_FEED] = "feed",
    [FINDING_UNATTRIBUTED_WRITE] = "unattributed_write",
    [FINDING_MISSED_ROWS] = "missed_rows",
    [FINDING_CROSS_STORE_STATEMENT] = "cross_store_statement",
    [FINDING_CROSS_STORE_TRANSACTION] = "cross_store_transaction",
    [FINDING_CONFLICTING_EVIDENCE] = "conflicting_evidence",
};

struct found {
    struct found *next;
    const struct seen_shape *shape;
    enum finding finding;
    char migration[UUID_TEXT_BYTES];
    const char *why; /* static */
    uint64_t count;
    int64_t first_s, last_s;
};

struct seen_shape {
    UT_hash_handle hh;
    bool lost;       /* uthash had no memory for it */
    uint32_t number; /* from 1 */
    enum statement_class class;
    unsigned tables;
    uint64_t by[EVIDENCES_MAX]; /* statements whose tenant was found by that evidence */
    uint64_t unattributed, contradicted;
    const char *why; /* static: of the last one whose tenant was not found */
    int64_t first_s, last_s;
    struct found *found; /* list */
    char text[];
};

struct seen {
    struct seen_shape *table;
    struct seen_shape *at[SEEN_SHAPES_MAX + 1]; /* by number - 1; the last place is for all others */
    uint32_t count;
    size_t found_count;
    bool doubt;      /* memory has failed: something is missing here */
    struct buf text; /* scratch */
};

struct seen *seen_new(void)
{
    struct seen *seen = calloc(1, sizeof *seen);

    if (seen != NULL)
        buf_init(&seen->text);
    return seen;
}

void seen_free(struct seen *seen)
{
    struct seen_shape *shape, *next;
    struct found *found, *after;

    if (seen == NULL)
        return;
    HASH_ITER(hh, seen->table, shape, next) {
        HASH_DEL(seen->table, shape);
        LL_FOREACH_SAFE(shape->found, found, after)
            free(found);
        free(shape);
    }
    buf_done(&seen->text);
    free(seen);
}

static struct seen_shape *add(struct seen *seen, const char *text)
{
    size_t bytes = strlen(text);
    struct seen_shape *shape;

    HASH_FIND(hh, seen->table, text, bytes, shape);
    if (shape != NULL)
        return shape;
    if (seen->count >= SEEN_SHAPES_MAX && text != others)
        return add(seen, others);
    shape = calloc(1, sizeof *shape + bytes + 1);
    if (shape == NULL)
        return NULL;
    memcpy(shape->text, text, bytes + 1);
    HASH_ADD_KEYPTR(hh, seen->table, shape->text, bytes, shape);
    if (shape->lost) {
        free(shape);
        return NULL;
    }
    seen->at[seen->count++] = shape;
    shape->number = seen->count;
    return shape;
}

struct seen_shape *seen_look(struct seen *seen, struct plan_statement *statement, struct slice text,
                             bool standard_conforming_strings)
{
    struct seen_shape *shape;

    if (statement->mark > 0 && statement->mark <= seen->count)
        return seen->at[statement->mark - 1];
    buf_clear(&seen->text);
    if (text.bytes > 0)
        print_shape(print_part(text, statement), standard_conforming_strings, &seen->text);
    if (buf_failed(&seen->text))
        return NULL;
    shape = add(seen, buf_bytes(&seen->text) == 0 ? unread : buf_text(&seen->text));
    if (shape != NULL)
        statement->mark = shape->number;
    return shape;
}

static void note_time(int64_t *first_s, int64_t *last_s, int64_t now_s)
{
    if (*first_s == 0)
        *first_s = now_s;
    *last_s = now_s;
}

void seen_count(struct seen_shape *shape, const struct seen_sight *sight, int64_t now_s)
{
    shape->class = sight->class;
    shape->tables = sight->tables;
    note_time(&shape->first_s, &shape->last_s, now_s);
    shape->contradicted += sight->contradicted;
    if (sight->tenancy == TENANCY_UNKNOWN) {
        shape->unattributed++;
        shape->why = sight->why;
    } else if ((int)sight->evidence < EVIDENCES_MAX) {
        shape->by[sight->evidence]++;
    }
}

void seen_doubt(struct seen *seen)
{
    seen->doubt = true;
}

void seen_find(struct seen *seen, struct seen_shape *shape, enum finding finding, const char *migration,
               const char *why, int64_t now_s)
{
    struct found *found;

    LL_FOREACH(shape->found, found)
        if (found->finding == finding && strcmp(found->migration, migration) == 0)
            break;
    if (found == NULL && seen->found_count >= SEEN_FINDINGS_MAX && shape != add(seen, others)) {
        shape = add(seen, others);
        if (shape != NULL)
            seen_find(seen, shape, finding, migration, why, now_s);
        else
            seen->doubt = true;
        return;
    }
    if (found == NULL) {
        found = calloc(1, sizeof *found);
        if (found == NULL) {
            seen->doubt = true;
            return;
        }
        found->shape = shape;
        found->finding = finding;
        strncpy(found->migration, migration, sizeof found->migration - 1);
        LL_PREPEND(shape->found, found);
        seen->found_count++;
    }
    found->count++;
    found->why = why;
    note_time(&found->first_s, &found->last_s, now_s);
}

/* ---- told ---- */

static uint64_t total(const struct seen_shape *shape)
{
    uint64_t sum = shape->unattributed;

    for (int i = 0; i < EVIDENCES_MAX; i++)
        sum += shape->by[i];
    return sum;
}

/* "parameter 12, transaction 3" */
static void put_evidence(const struct seen_shape *shape, struct rows *rows)
{
    struct buf text;

    buf_init(&text);
    for (int i = 0; i < EVIDENCES_MAX; i++)
        if (shape->by[i] > 0)
            buf_append_format(&text, "%s%s", buf_bytes(&text) == 0 ? "" : ", ", evidence_name(i));
    rows_text(rows, buf_failed(&text) || buf_bytes(&text) == 0 ? NULL : buf_text(&text));
    buf_done(&text);
}

void seen_tell(const struct seen *seen, struct rows *rows)
{
    static const struct rows_heading headings[] = {
        { "shape", ROWS_TEXT },        { "class", ROWS_TEXT }, { "tables", ROWS_TEXT },
        { "tenant", ROWS_TEXT },       { "count", ROWS_INT8 }, { "unattributed", ROWS_INT8 },
        { "contradicted", ROWS_INT8 }, { "why", ROWS_TEXT },   { "first_s", ROWS_INT8 },
        { "last_s", ROWS_INT8 },       { NULL, ROWS_TEXT },
    };
    char tables[64];

    rows_columns(rows, headings);
    for (uint32_t i = 0; i < seen->count; i++) {
        const struct seen_shape *shape = seen->at[i];

        if (shape->last_s == 0) /* only ever in a rehearsal's findings */
            continue;
        print_tables(shape->tables, tables, sizeof tables);
        rows_text(rows, shape->text);
        rows_text(rows, print_class(shape->class));
        rows_text(rows, tables);
        put_evidence(shape, rows);
        rows_number(rows, (int64_t)total(shape));
        rows_number(rows, (int64_t)shape->unattributed);
        rows_number(rows, (int64_t)shape->contradicted);
        rows_text(rows, shape->why);
        rows_number(rows, shape->first_s);
        rows_number(rows, shape->last_s);
    }
}

static void put_finding(struct rows *rows, const char *what, const char *migration, const char *shape,
                        const char *why, int64_t count, int64_t first_s, int64_t last_s)
{
    rows_text(rows, what);
    rows_text(rows, migration);
    rows_text(rows, shape);
    rows_text(rows, why);
    rows_number(rows, count);
    rows_number(rows, first_s);
    rows_number(rows, last_s);
}

void seen_tell_findings(const struct seen *seen, struct rows *rows)
{
    static const struct rows_heading headings[] = {
        { "what", ROWS_TEXT },  { "migration", ROWS_TEXT }, { "shape", ROWS_TEXT },  { "why", ROWS_TEXT },
        { "count", ROWS_INT8 }, { "first_s", ROWS_INT8 },   { "last_s", ROWS_INT8 }, { NULL, ROWS_TEXT },
    };
    const struct found *found;

    rows_columns(rows, headings);
    if (seen->doubt)
        put_finding(rows, finding_names[FINDING_FEED], "", forgotten, "there was no memory for it", 1, 0, 0);
    for (uint32_t i = 0; i < seen->count; i++) {
        LL_FOREACH(seen->at[i]->found, found) {
            put_finding(rows, finding_names[found->finding], found->migration, seen->at[i]->text, found->why,
                        (int64_t)found->count, found->first_s, found->last_s);
        }
    }
}
