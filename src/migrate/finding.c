/* finding.c - what a check has found, row by row.
 * Owns: the rows' texts. Leaves: looking to preflight*.c and aftermath.c. Thread: its owner's. Start at:
 * add(). */
#include "migrate/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/settings.h"

enum { FINDINGS_STEP = 32, FOUND_BYTES_MAX = 4096 };

void findings_init(struct findings *list)
{
    memset(list, 0, sizeof *list);
}

void findings_done(struct findings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->at[i].found);
        free(list->at[i].detail);
        free(list->at[i].hint);
    }
    free(list->at);
    findings_init(list);
}

static bool make_room(struct findings *list)
{
    struct finding *more;

    if (list->count < list->capacity)
        return true;
    more = realloc(list->at, (list->capacity + FINDINGS_STEP) * sizeof *more);
    if (more == NULL)
        return false;
    list->at = more;
    list->capacity += FINDINGS_STEP;
    return true;
}

static void add(struct findings *list, const char *check, enum finding_status status, const char *sqlstate,
                const char *found, const char *detail, const char *hint)
{
    struct finding *finding;

    if (list->failed || !make_room(list)) {
        list->failed = true;
        return;
    }
    finding = &list->at[list->count++];
    *finding = (struct finding){ .check = check, .status = status, .found = strdup(found) };
    snprintf(finding->sqlstate, sizeof finding->sqlstate, "%s", sqlstate);
    finding->detail = detail == NULL || *detail == '\0' ? NULL : strdup(detail);
    finding->hint = hint == NULL || *hint == '\0' || status == FINDING_OK ? NULL : strdup(hint);
    list->failed = finding->found == NULL || (detail != NULL && *detail != '\0' && finding->detail == NULL) ||
                   (hint != NULL && *hint != '\0' && status != FINDING_OK && finding->hint == NULL);
    if (finding->found == NULL)
        list->count--;
}

static void add_format(struct findings *list, const char *check, enum finding_status status,
                       const char *sqlstate, const char *hint, const char *fmt, va_list args)
{
    char found[FOUND_BYTES_MAX];

    vsnprintf(found, sizeof found, fmt, args);
    add(list, check, status, sqlstate, found, NULL, hint);
}

void finding_ok(struct findings *list, const char *check, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_format(list, check, FINDING_OK, "00000", NULL, fmt, args);
    va_end(args);
}

void finding_warning(struct findings *list, const char *check, const char *hint, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_format(list, check, FINDING_WARNING, "01000", hint, fmt, args);
    va_end(args);
}

void finding_blocker(struct findings *list, const char *check, const char *sqlstate, const char *hint,
                     const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add_format(list, check, FINDING_BLOCKER, sqlstate, hint, fmt, args);
    va_end(args);
}

void finding_error(struct findings *list, const char *check, enum finding_status status,
                   const struct error *err)
{
    add(list, check, status, err->sqlstate, err->message, err->detail, err->hint);
}

size_t findings_count_of(const struct findings *list, enum finding_status status)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        count += list->at[i].status == status;
    return count;
}

struct rows *findings_rows(const struct findings *list)
{
    static const char *const names[] = { "ok", "warning", "blocker" };
    static const struct rows_heading headings[] = { { "check", ROWS_TEXT }, { "status", ROWS_TEXT },
                                                    { "found", ROWS_TEXT }, { "hint", ROWS_TEXT },
                                                    { "ok", ROWS_BOOL },    { NULL, ROWS_TEXT } };
    struct rows *rows = list->failed ? NULL : rows_new();

    if (rows == NULL)
        return NULL;
    rows_columns(rows, headings);
    for (size_t i = 0; i < list->count; i++) {
        const struct finding *finding = &list->at[i];

        rows_text(rows, finding->check);
        rows_text(rows, names[finding->status]);
        if (finding->detail != NULL)
            rows_format(rows, "%s (%s)", finding->found, finding->detail);
        else
            rows_text(rows, finding->found);
        rows_text(rows, finding->hint);
        rows_flag(rows, finding->status != FINDING_BLOCKER);
    }
    return rows;
}

static void list_blockers(const struct findings *list, struct error *err)
{
    struct buf all;

    buf_init(&all);
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i].status == FINDING_BLOCKER)
            buf_append_format(&all, "%s%s: %s", buf_bytes(&all) == 0 ? "" : "\n", list->at[i].check,
                              list->at[i].found);
    }
    error_detail(err, "%s", buf_text(&all));
    buf_done(&all);
}

bool findings_pass(const struct findings *list, struct error *err)
{
    size_t blockers = findings_count_of(list, FINDING_BLOCKER);

    if (list->failed)
        return error_no_memory(err);
    for (size_t i = 0; i < list->count; i++) {
        const struct finding *finding = &list->at[i];

        if (finding->status != FINDING_BLOCKER)
            continue;
        error_set(err, finding->sqlstate, "%s", finding->found);
        if (blockers > 1)
            list_blockers(list, err);
        else if (finding->detail != NULL)
            error_detail(err, "%s", finding->detail);
        if (finding->hint != NULL)
            error_hint(err, "%s", finding->hint);
        return false;
    }
    return true;
}

void findings_warnings_json(const struct findings *list, struct buf *json)
{
    bool first = true;

    buf_append_text(json, "[");
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i].status != FINDING_WARNING)
            continue;
        buf_append_text(json, first ? "{\"check\": " : ", {\"check\": ");
        json_text(json, list->at[i].check);
        buf_append_text(json, ", \"found\": ");
        json_text(json, list->at[i].found);
        buf_append_text(json, "}");
        first = false;
    }
    buf_append_text(json, "]");
}
