/* rowtext.c - a row as text. Pure.   Start at: rowtext_digest_bytes(). */
#include "migrate/rowtext.h"

#include <string.h>

const char *rowtext_type(const struct relation *rel, const char *column)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, column) == 0)
            return rel->columns[i].type;
    }
    return "text";
}

static void append_column(struct buf *out, bool first, const char *name)
{
    buf_append_text(out, first ? "e." : ", e.");
    relation_append_identifier(out, name);
    buf_append_text(out, "::text");
}

void rowtext_digest_bytes(const struct relation *rel, struct buf *out)
{
    bool first = true;

    buf_append_text(out, "sha256(convert_to(ROW(");
    for (size_t i = 0; i < rel->column_count; i++) {
        if (!rel->columns[i].copied || rel->columns[i].assigned)
            continue;
        append_column(out, first, rel->columns[i].name);
        first = false;
    }
    buf_append_text(out, ")::text, 'UTF8'))");
}

void rowtext_digest(const struct relation *rel, struct buf *out)
{
    buf_append_text(out, "encode(");
    rowtext_digest_bytes(rel, out);
    buf_append_text(out, ", 'hex')");
}

void rowtext_record(char *const *columns, size_t count, struct buf *out)
{
    buf_append_text(out, "ROW(");
    for (size_t i = 0; i < count; i++)
        append_column(out, i == 0, columns[i]);
    buf_append_text(out, ")::text");
}
