/* rows.h - a small table of text values with typed columns: what a SHOW answers.
 * Built by whoever knows (control, a loop), carried by a letter, written by the console. One owner at a time. */
#ifndef PGSHUNT_BASE_ROWS_H
#define PGSHUNT_BASE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The type OIDs that a driver may decode (pg_type.dat of PostgreSQL). */
enum rows_type {
    ROWS_BOOL = 16,
    ROWS_INT8 = 20,
    ROWS_INT4 = 23,
    ROWS_TEXT = 25,
    ROWS_FLOAT8 = 701,
    ROWS_TIMESTAMPTZ = 1184,
    ROWS_UUID = 2950,
};

struct rows;

struct rows *rows_new(void);
void rows_free(struct rows *rows);
/* A list of columns; a NULL name ends it. */
struct rows_heading {
    const char *name;
    enum rows_type type;
};
void rows_columns(struct rows *rows, const struct rows_heading *headings);
void rows_column(struct rows *rows, const char *name, enum rows_type type); /* before the first value */
/* Values go in row by row, column by column; NULL is SQL NULL. Copies. */
void rows_text(struct rows *rows, const char *value);
void rows_format(struct rows *rows, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rows_number(struct rows *rows, int64_t value);
void rows_flag(struct rows *rows, bool value);
bool rows_failed(const struct rows *rows); /* an allocation failed, or a row is incomplete */

size_t rows_column_count(const struct rows *rows);
size_t rows_count(const struct rows *rows);
const char *rows_column_name(const struct rows *rows, size_t column);
enum rows_type rows_column_type(const struct rows *rows, size_t column);
const char *rows_value(const struct rows *rows, size_t row, size_t column); /* NULL: SQL NULL */

#endif
