/* row.c - rows behind VALUES that are like the one before them but for their literals: the short way.
 * Owns:   how such a row is told, byte by byte, from the shape of the kept one.
 * Leaves: everything that is not plainly so (other literals, comments, expressions) to reader.c, token by
 * token. Thread: any.   Start at: row_skip().
 *
 * Nothing is decided here that the long way would decide otherwise: a row that matches has the kept row's
 * tokens, with literals of the same kinds in the same places. That is what an insert of a thousand rows is
 * read by. */
#include "sql/row.h"

#include <string.h>

#include "sql/hole.h"

enum { SHORT_ROW_BYTES_MAX = 4096 /* of a row's shape that is compared the short way */ };

static uint32_t skip_blanks(struct slice text, uint32_t at)
{
    while (at < text.bytes &&
           (text.at[at] == ' ' || text.at[at] == '\n' || text.at[at] == '\t' || text.at[at] == '\r'))
        at++;
    return at;
}

static bool ends_value(struct slice text, uint32_t at)
{
    at = skip_blanks(text, at);
    return at < text.bytes && (text.at[at] == ',' || text.at[at] == ')');
}

/* Behind a literal of that kind at `at`; 0: it is another, or one that needs a closer look. */
static uint32_t match_literal(struct slice text, enum hole_kind kind, uint32_t at)
{
    uint32_t bytes = (uint32_t)text.bytes;
    uint32_t begin = at;

    if (kind == HOLE_STRING) {
        if (at >= bytes || text.at[at] != '\'')
            return 0;
        for (at++; at < bytes; at += 2) {
            const char *quote = memchr(text.at + at, '\'', bytes - at);

            if (quote == NULL)
                return 0;
            at = (uint32_t)(quote - text.at);
            if (at + 1 >= bytes || text.at[at + 1] != '\'')
                break;
        }
        return at < bytes && ends_value(text, at + 1) ? at + 1 : 0;
    }
    if (kind == HOLE_PARAM && at < bytes && text.at[at] == '$')
        begin = ++at;
    else if (kind != HOLE_NUMBER)
        return 0;
    while (at < bytes && text.at[at] >= '0' && text.at[at] <= '9')
        at++;
    return at > begin && ends_value(text, at) ? at : 0;
}

/* Behind a row at `at` that is the kept one but for its contents; 0: it is not, or not plainly so. Its holes
 * come behind the others. */
static uint32_t match_row(struct shape *shape, struct slice text, const struct row_kept *kept, uint32_t at)
{
    const char *written = buf_at(&shape->text);
    size_t holes = shape->hole_count;
    uint32_t slot = kept->slot;

    for (uint32_t k = kept->begin; k < kept->end;) {
        if (slot < shape->slot_count && shape->slots[slot].at == k) {
            size_t first = kept->hole + (slot - kept->slot);
            enum hole_kind kind = (enum hole_kind)shape->holes[first].kind;
            struct token token = { .begin = skip_blanks(text, at) };

            token.end = match_literal(text, kind, token.begin);
            if (token.end == 0 || !hole_push_more(shape, &token, kind, slot)) {
                shape->hole_count = holes;
                return 0;
            }
            at = token.end;
            k += kind == HOLE_STRING ? 3 : kind == HOLE_NUMBER ? 1 : 2;
            slot++;
        } else if (written[k] == ' ') {
            k++;
        } else {
            at = skip_blanks(text, at);
            if ((written[k] != '(' && written[k] != ')' && written[k] != ',') || at >= text.bytes ||
                text.at[at] != written[k]) {
                shape->hole_count = holes;
                return 0;
            }
            at++;
            k++;
        }
    }
    return at;
}

/* Where the next row begins, behind a comma; 0: there is none. */
static uint32_t next_row(struct slice text, uint32_t at)
{
    at = skip_blanks(text, at);
    if (at >= text.bytes || text.at[at] != ',')
        return 0;
    at = skip_blanks(text, at + 1);
    return at < text.bytes && text.at[at] == '(' ? at : 0;
}

uint32_t row_skip(struct shape *shape, struct slice text, const struct row_kept *kept, uint32_t at,
                  uint32_t *count)
{
    uint32_t row = next_row(text, at);

    *count = 0;
    while (row != 0 && kept->end - kept->begin < SHORT_ROW_BYTES_MAX) {
        size_t holes = shape->hole_count;
        uint32_t end = match_row(shape, text, kept, row);

        row = end == 0 ? 0 : next_row(text, end);
        if (row == 0) {
            shape->hole_count = holes; /* the last one, or not one of them */
            break;
        }
        at = end;
        ++*count;
    }
    return at;
}
