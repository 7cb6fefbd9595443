/* print.c - see print.h.   Start at: print_table(), print_json(). */
#include "ctl/print.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { /* pg_type.dat */
       BOOL_OID = 16,
       INT8_OID = 20,
       INT2_OID = 21,
       INT4_OID = 23,
       JSON_OID = 114,
       FLOAT4_OID = 700,
       FLOAT8_OID = 701,
       NUMERIC_OID = 1700,
       JSONB_OID = 3802,
       WIDE_COLUMNS = 8, /* one row with more than that is printed upright */
};

static bool is_number(Oid type)
{
    return type == INT2_OID || type == INT4_OID || type == INT8_OID || type == FLOAT4_OID ||
           type == FLOAT8_OID || type == NUMERIC_OID;
}

/* Characters, not bytes; one cell each. */
static size_t width(const char *text)
{
    size_t cells = 0;

    for (; *text != '\0'; text++)
        cells += ((unsigned char)*text & 0xc0) != 0x80;
    return cells;
}

static void pad(struct buf *out, size_t cells)
{
    while (cells-- > 0)
        buf_append(out, " ", 1);
}

/* A value's own line breaks would break the table's. */
static void append_flat(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++)
        buf_append(out, *text == '\n' || *text == '\t' ? " " : text, 1);
}

static void cell(struct buf *out, const char *text, size_t cells, bool right, bool last)
{
    size_t used = width(text), space = cells > used ? cells - used : 0;

    if (right)
        pad(out, space);
    append_flat(out, text);
    if (!right && !last)
        pad(out, space);
    buf_append_text(out, last ? "\n" : "  ");
}

static void print_upright(const PGresult *result, struct buf *out)
{
    size_t widest = 0;

    for (int i = 0; i < PQnfields(result); i++) {
        if (width(PQfname(result, i)) > widest)
            widest = width(PQfname(result, i));
    }
    for (int i = 0; i < PQnfields(result); i++) {
        cell(out, PQfname(result, i), widest, false, false);
        append_flat(out, PQgetvalue(result, 0, i));
        buf_append_text(out, "\n");
    }
}

void print_table(const PGresult *result, struct buf *out)
{
    int columns = PQnfields(result), rows = PQntuples(result);
    size_t *widths;

    if (rows == 1 && columns > WIDE_COLUMNS) {
        print_upright(result, out);
        return;
    }
    widths = columns == 0 ? NULL : calloc((size_t)columns, sizeof *widths);
    if (widths == NULL)
        return; /* a command without rows */
    for (int i = 0; i < columns; i++) {
        widths[i] = width(PQfname(result, i));
        for (int row = 0; row < rows; row++) {
            if (width(PQgetvalue(result, row, i)) > widths[i])
                widths[i] = width(PQgetvalue(result, row, i));
        }
    }
    for (int row = -1; row < rows; row++) {
        for (int i = 0; i < columns; i++)
            cell(out, row < 0 ? PQfname(result, i) : PQgetvalue(result, row, i), widths[i],
                 is_number(PQftype(result, i)), i == columns - 1);
    }
    free(widths);
}

/* --- JSON --- */

/* JSON has no NaN and no infinity. */
static bool is_json_number(const char *text)
{
    return *text != '\0' && strspn(text, "+-.0123456789eE") == strlen(text);
}

static void json_value(struct buf *out, const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    Oid type = PQftype(result, column);

    if (PQgetisnull(result, row, column))
        buf_append_text(out, "null");
    else if (type == BOOL_OID)
        buf_append_text(out, *text == 't' ? "true" : "false");
    else if ((is_number(type) && is_json_number(text)) || type == JSON_OID || type == JSONB_OID)
        buf_append_text(out, text);
    else
        json_text(out, text);
}

void print_json(const PGresult *result, struct buf *out)
{
    buf_append_text(out, "[");
    for (int row = 0; row < PQntuples(result); row++) {
        buf_append_text(out, row == 0 ? "\n  {" : ",\n  {");
        for (int i = 0; i < PQnfields(result); i++) {
            buf_append_text(out, i == 0 ? "" : ", ");
            json_text(out, PQfname(result, i));
            buf_append_text(out, ": ");
            json_value(out, result, row, i);
        }
        buf_append_text(out, "}");
    }
    buf_append_text(out, PQntuples(result) == 0 ? "]\n" : "\n]\n");
}

const char *print_value(const PGresult *result, int row, const char *column)
{
    int at = PQfnumber(result, column);

    return at < 0 || row >= PQntuples(result) ? "" : PQgetvalue(result, row, at);
}
