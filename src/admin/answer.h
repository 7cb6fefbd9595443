/* answer.h - rows -> RowDescription and DataRow, each column in the format that was asked for. Pure. */
#ifndef PGSHUNT_ADMIN_ANSWER_H
#define PGSHUNT_ADMIN_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/command.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/rows.h"

enum { ANSWER_COLUMNS_MAX = 64 };

/* The formats of a Bind: none = all text, one = for all, else one per column. Borrowed. */
struct answer_formats {
    size_t count;
    const uint16_t *at;
};

/* What Describe says before there are rows. */
void answer_describe(struct buf *out, const struct command_column *columns,
                     const struct answer_formats *formats);
/* The same of rows at hand. */
void answer_describe_rows(struct buf *out, const struct rows *rows, const struct answer_formats *formats);

/* How many columns the list has. */
size_t answer_column_count(const struct command_column *columns);

/* `rows` with exactly `columns`, matched by name: what Describe has promised is what comes, whatever the
 * answering thread's version of the table is. A column that `rows` lacks is NULL. Takes `rows`. NULL: no
 * memory. */
struct rows *answer_fit(struct rows *rows, const struct command_column *columns);
bool answer_fits(const struct rows *rows, const struct command_column *columns);

/* Row number `row`. false: a value is not of its column's type (our own mistake, XX000); nothing is appended.
 */
bool answer_row(struct buf *out, const struct rows *rows, size_t row, const struct answer_formats *formats,
                struct error *err);

#endif
