/* answer.c - rows on the wire.
 * Owns: nothing.   Leaves: what is in the rows to show.c and control.   Thread: any.   Start at:
 * answer_row(). */
#include "admin/answer.h"

#include <string.h>

#include "admin/encode.h"
#include "wire/msg.h"
#include "wire/write.h"

static uint16_t format_of(const struct answer_formats *formats, size_t column)
{
    if (formats == NULL || formats->count == 0)
        return 0;
    return formats->count == 1 ? formats->at[0] : formats->at[column];
}

static void describe_column(struct buf *out, const char *name, enum rows_type type, uint16_t format)
{
    write_text(out, name);
    write_u32(out, 0); /* no table … */
    write_u16(out, 0); /* … and no column of one */
    write_u32(out, (uint32_t)type);
    write_u16(out, (uint16_t)encode_type_bytes(type));
    write_u32(out, UINT32_MAX); /* no modifier */
    write_u16(out, format);
}

size_t answer_column_count(const struct command_column *columns)
{
    size_t count = 0;

    while (columns != NULL && columns[count].name != NULL)
        count++;
    return count;
}

void answer_describe(struct buf *out, const struct command_column *columns,
                     const struct answer_formats *formats)
{
    size_t mark = write_begin(out, BE_ROW_DESCRIPTION);
    size_t count = answer_column_count(columns);

    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++)
        describe_column(out, columns[i].name, columns[i].type, format_of(formats, i));
    write_end(out, mark);
}

void answer_describe_rows(struct buf *out, const struct rows *rows, const struct answer_formats *formats)
{
    size_t mark = write_begin(out, BE_ROW_DESCRIPTION);
    size_t count = rows_column_count(rows);

    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++)
        describe_column(out, rows_column_name(rows, i), rows_column_type(rows, i), format_of(formats, i));
    write_end(out, mark);
}

bool answer_fits(const struct rows *rows, const struct command_column *columns)
{
    size_t count = answer_column_count(columns);

    if (rows_column_count(rows) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (rows_column_type(rows, i) != columns[i].type ||
            strcmp(rows_column_name(rows, i), columns[i].name) != 0)
            return false;
    return true;
}

/* Where `rows` has a column of that name; SIZE_MAX: nowhere. */
static size_t place_of(const struct rows *rows, const char *name)
{
    for (size_t i = 0; i < rows_column_count(rows); i++)
        if (strcmp(rows_column_name(rows, i), name) == 0)
            return i;
    return SIZE_MAX;
}

struct rows *answer_fit(struct rows *rows, const struct command_column *columns)
{
    size_t count = answer_column_count(columns);
    struct rows *fitting;

    if (answer_fits(rows, columns))
        return rows;
    fitting = rows_new();
    for (size_t i = 0; fitting != NULL && i < count; i++)
        rows_column(fitting, columns[i].name, columns[i].type);
    for (size_t row = 0; fitting != NULL && row < rows_count(rows); row++) {
        for (size_t i = 0; i < count; i++) {
            size_t place = place_of(rows, columns[i].name);

            rows_text(fitting, place == SIZE_MAX ? NULL : rows_value(rows, row, place));
        }
    }
    rows_free(rows);
    if (fitting != NULL && rows_failed(fitting)) {
        rows_free(fitting);
        return NULL;
    }
    return fitting;
}

bool answer_row(struct buf *out, const struct rows *rows, size_t row, const struct answer_formats *formats,
                struct error *err)
{
    size_t count = rows_column_count(rows);
    size_t before = buf_bytes(out);
    size_t mark = write_begin(out, BE_DATA_ROW);

    write_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        const char *value = rows_value(rows, row, i);
        enum rows_type type = rows_column_type(rows, i);
        size_t length_at = buf_bytes(out);
        uint32_t length;

        if (value == NULL) {
            write_u32(out, UINT32_MAX);
            continue;
        }
        write_u32(out, 0);
        if (format_of(formats, i) == 0) {
            buf_append_text(out, value);
        } else if (!encode_binary(type, value, out)) {
            if (!buf_failed(out))
                out->tail = out->head + before; /* as if nothing had been written */
            return error_set(err, "XX000", "\"%s\" of column %s is not of type %d", value,
                             rows_column_name(rows, i), (int)type);
        }
        if (buf_failed(out))
            return error_no_memory(err);
        length = (uint32_t)(buf_bytes(out) - length_at - 4);
        for (int shift = 24, at = 0; shift >= 0; shift -= 8, at++)
            out->data[out->head + length_at + (size_t)at] = (char)(length >> shift);
    }
    write_end(out, mark);
    return true;
}
