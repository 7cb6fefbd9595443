/* shapes.c - see shapes.h. Start at: shapes_take(), then shapes_write(). */
#include "migrate/shapes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "migrate/settings.h"

#define HASH_NONFATAL_OOM          1
#define uthash_nonfatal_oom(entry) ((entry)->lost = true)
#include <uthash.h>

enum {
    WHAT,
    MIGRATION,
    SHAPE,
    WHY,
    COUNT,
    FIRST,
    LAST,
    WRITTEN_AT_ONCE = 50 /* in one statement: some milliseconds of the control connection */
};

struct known {
    UT_hash_handle hh;
    bool lost;                            /* uthash had no memory for it */
    char *what, *migration, *shape, *why; /* in `key`'s memory */
    int64_t totals[LOOPS_MAX];
    int64_t written, first_s, last_s;
    int64_t sending; /* total in the statement that is under way: letters come meanwhile */
    bool writing;    /* in that statement */
    size_t key_bytes;
    char key[]; /* what, migration, shape, each with its NUL; why behind it */
};

struct shapes {
    const char *instance;
    struct log *log;
    struct known *table;
};

struct shapes *shapes_new(const char *instance, struct log *log)
{
    struct shapes *shapes = calloc(1, sizeof *shapes);

    if (shapes == NULL)
        return NULL;
    shapes->instance = instance;
    shapes->log = log;
    return shapes;
}

void shapes_free(struct shapes *shapes)
{
    struct known *known, *next;

    if (shapes == NULL)
        return;
    HASH_ITER(hh, shapes->table, known, next) {
        HASH_DEL(shapes->table, known);
        free(known);
    }
    free(shapes);
}

static const char *value(const struct rows *rows, size_t row, size_t column)
{
    const char *text = rows_value(rows, row, column);

    return text == NULL ? "" : text;
}

static int64_t number(const struct rows *rows, size_t row, size_t column)
{
    return strtoll(value(rows, row, column), NULL, 10);
}

static char *put(char *to, const char *text)
{
    size_t bytes = strlen(text) + 1;

    memcpy(to, text, bytes);
    return to + bytes;
}

/* With everything but its counts. NULL: no memory. */
static struct known *known_new(const struct rows *rows, size_t row)
{
    size_t bytes = 0;
    struct known *known;

    for (size_t column = WHAT; column <= WHY; column++)
        bytes += strlen(value(rows, row, column)) + 1;
    known = calloc(1, sizeof *known + bytes);
    if (known == NULL)
        return NULL;
    known->what = known->key;
    known->migration = put(known->what, value(rows, row, WHAT));
    known->shape = put(known->migration, value(rows, row, MIGRATION));
    known->why = put(known->shape, value(rows, row, SHAPE));
    known->key_bytes = (size_t)(known->why - known->key);
    put(known->why, value(rows, row, WHY));
    return known;
}

static void tell(const struct shapes *shapes, const struct known *known)
{
    const char *because = known->why[0] == '\0' ? "" : ": ";

    if (known->migration[0] != '\0')
        log_line(shapes->log, LOG_WARN, "rehearsal", "after the cutover of migration %s, %s%s%s: %s",
                 known->migration, known->what, because, known->why, known->shape);
    else
        log_line(shapes->log, LOG_INFO, "shapes", "%s%s%s: %s", known->what, because, known->why,
                 known->shape);
}

static struct known *find(struct shapes *shapes, const struct rows *rows, size_t row)
{
    struct known *made = known_new(rows, row), *known;

    if (made == NULL)
        return NULL;
    HASH_FIND(hh, shapes->table, made->key, made->key_bytes, known);
    if (known != NULL) {
        free(made);
        return known;
    }
    HASH_ADD_KEYPTR(hh, shapes->table, made->key, made->key_bytes, made);
    if (made->lost) {
        free(made);
        return NULL;
    }
    tell(shapes, made);
    return made;
}

bool shapes_take(struct shapes *shapes, unsigned loop, const struct rows *findings)
{
    bool fine = findings != NULL && !rows_failed(findings) && loop < LOOPS_MAX;

    for (size_t row = 0; fine && row < rows_count(findings); row++) {
        struct known *known = find(shapes, findings, row);
        int64_t first_s = number(findings, row, FIRST), last_s = number(findings, row, LAST);

        fine = known != NULL;
        if (!fine)
            break;
        known->totals[loop] = number(findings, row, COUNT);
        if (known->first_s == 0 || first_s < known->first_s)
            known->first_s = first_s;
        if (last_s > known->last_s)
            known->last_s = last_s;
    }
    return fine;
}

static int64_t total(const struct known *known)
{
    int64_t sum = 0;

    for (int i = 0; i < LOOPS_MAX; i++)
        sum += known->totals[i];
    return sum;
}

bool shapes_are_written(const struct shapes *shapes)
{
    const struct known *known;

    for (known = shapes->table; known != NULL; known = known->hh.next)
        if (total(known) != known->written)
            return false;
    return true;
}

static void put_note(struct buf *json, const struct known *known)
{
    buf_append_text(json, buf_bytes(json) == 0 ? "[{\"what\":" : ",{\"what\":");
    json_text(json, known->what);
    buf_append_text(json, ",\"migration\":");
    json_text(json, known->migration);
    buf_append_text(json, ",\"shape\":");
    json_text(json, known->shape);
    buf_append_text(json, ",\"why\":");
    json_text(json, known->why);
    buf_append_format(json, ",\"count\":%" PRId64 ",\"first\":%" PRId64 ",\"last\":%" PRId64 "}",
                      known->sending - known->written, known->first_s, known->last_s);
}

/* *more: there is more to write. */
static bool write_some(struct shapes *shapes, struct ledger *ledger, bool *more, struct error *err)
{
    struct known *known;
    struct buf json;
    const char *values[2] = { shapes->instance };
    size_t count = 0;
    bool fine;

    *more = false;
    buf_init(&json);
    for (known = shapes->table; known != NULL; known = known->hh.next) {
        known->writing = total(known) != known->written && count < WRITTEN_AT_ONCE;
        *more = *more || (total(known) != known->written && !known->writing);
        if (!known->writing)
            continue;
        known->sending = total(known);
        put_note(&json, known);
        count++;
    }
    buf_append_text(&json, "]");
    values[1] = buf_failed(&json) ? NULL : buf_text(&json);
    fine = values[1] == NULL
               ? error_no_memory(err)
               : count == 0 || pg_run(ledger_pg(ledger), "SELECT shapes_note($1, $2)", 2, values, err);
    for (known = shapes->table; fine && known != NULL; known = known->hh.next)
        if (known->writing)
            known->written = known->sending;
    buf_done(&json);
    return fine;
}

bool shapes_write(struct shapes *shapes, struct ledger *ledger, struct error *err)
{
    bool more = !shapes_are_written(shapes);

    while (more)
        if (!write_some(shapes, ledger, &more, err))
            return false;
    return true;
}
