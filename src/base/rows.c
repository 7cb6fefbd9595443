/* rows.c - column names, and all values one behind the other in one buf.
 * Owns: everything in it.   Thread: one owner at a time.   Start at: put(). */
#include "base/rows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define IS_NULL SIZE_MAX

struct column {
    char *name;
    enum rows_type type;
};

struct rows {
    struct column *columns;
    size_t column_count;
    size_t *values; /* row by row: where in `text` a value begins, or IS_NULL */
    size_t value_count, value_capacity;
    struct buf text; /* the values with their terminators; never consumed, so an offset stays good */
    bool failed;
};

struct rows *rows_new(void)
{
    return calloc(1, sizeof(struct rows));
}

void rows_free(struct rows *rows)
{
    if (rows == NULL)
        return;
    for (size_t i = 0; i < rows->column_count; i++)
        free(rows->columns[i].name);
    free(rows->columns);
    free(rows->values);
    buf_done(&rows->text);
    free(rows);
}

void rows_column(struct rows *rows, const char *name, enum rows_type type)
{
    struct column *columns;
    char *copy;

    assert(rows->value_count == 0);
    if (rows->failed)
        return;
    columns = reallocarray(rows->columns, rows->column_count + 1, sizeof *columns);
    if (columns != NULL)
        rows->columns = columns;
    copy = strdup(name);
    if (columns == NULL || copy == NULL) {
        free(copy);
        rows->failed = true;
        return;
    }
    columns[rows->column_count++] = (struct column){ copy, type };
}

static void put(struct rows *rows, size_t offset)
{
    if (rows->failed || buf_failed(&rows->text)) {
        rows->failed = true;
        return;
    }
    if (rows->value_count == rows->value_capacity) {
        size_t capacity = rows->value_capacity == 0 ? 64 : rows->value_capacity * 2;
        size_t *values = reallocarray(rows->values, capacity, sizeof *values);

        if (values == NULL) {
            rows->failed = true;
            return;
        }
        rows->values = values;
        rows->value_capacity = capacity;
    }
    rows->values[rows->value_count++] = offset;
}

void rows_columns(struct rows *rows, const struct rows_heading *headings)
{
    for (; headings->name != NULL; headings++)
        rows_column(rows, headings->name, headings->type);
}

void rows_text(struct rows *rows, const char *value)
{
    size_t offset = buf_bytes(&rows->text);

    if (value == NULL) {
        put(rows, IS_NULL);
        return;
    }
    buf_append(&rows->text, value, strlen(value) + 1);
    put(rows, offset);
}

void rows_format(struct rows *rows, const char *fmt, ...)
{
    size_t offset = buf_bytes(&rows->text);
    va_list args;
    char *value = NULL;

    va_start(args, fmt);
    if (vasprintf(&value, fmt, args) < 0)
        value = NULL;
    va_end(args);
    if (value == NULL) {
        rows->failed = true;
        return;
    }
    buf_append(&rows->text, value, strlen(value) + 1);
    put(rows, offset);
    free(value);
}

void rows_number(struct rows *rows, int64_t value)
{
    rows_format(rows, "%" PRId64, value);
}

void rows_flag(struct rows *rows, bool value)
{
    rows_text(rows, value ? "t" : "f"); /* bool's text form on the wire */
}

bool rows_failed(const struct rows *rows)
{
    if (rows->failed)
        return true;
    return rows->column_count == 0 ? rows->value_count > 0 : rows->value_count % rows->column_count != 0;
}

size_t rows_column_count(const struct rows *rows)
{
    return rows->column_count;
}

size_t rows_count(const struct rows *rows)
{
    return rows->column_count == 0 ? 0 : rows->value_count / rows->column_count;
}

const char *rows_column_name(const struct rows *rows, size_t column)
{
    assert(column < rows->column_count);
    return rows->columns[column].name;
}

enum rows_type rows_column_type(const struct rows *rows, size_t column)
{
    assert(column < rows->column_count);
    return rows->columns[column].type;
}

const char *rows_value(const struct rows *rows, size_t row, size_t column)
{
    size_t index = row * rows->column_count + column;

    assert(column < rows->column_count && index < rows->value_count);
    return rows->values[index] == IS_NULL ? NULL : buf_at(&rows->text) + rows->values[index];
}
