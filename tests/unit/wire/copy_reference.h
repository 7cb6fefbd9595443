/* copy_reference.h - the rows of COPY text and csv data as PostgreSQL 15 reads them, written down once more
 * after CopyReadLineText() and CopyReadAttributes…(): over the whole data at once, a line and then its
 * fields, slowly. What wire/copy_rows finds in a stream is compared with it (test_copy_rows.c, tests/fuzz).
 */
#ifndef PGSHUNT_TEST_COPY_REFERENCE_H
#define PGSHUNT_TEST_COPY_REFERENCE_H

#include <string.h>

#include "wire/copy_rows.h"

struct reference_row {
    size_t end;      /* behind its last byte in the data */
    bool has_column; /* the wanted column is there */
    bool null;
    size_t bytes;
    char value[8192]; /* tests are shorter */
};

struct reference {
    const struct copy_options *options;
    const char *data;
    size_t count, at;
    char eol; /* 0, 'n', 'r', 'b' (both) */
    bool failed, ended;
    struct reference_row row;
};

/* One line: [*from, *to) without its end. false: no more, or an error. */
static bool reference_line(struct reference *r, size_t *from, size_t *to)
{
    bool csv = r->options->format == COPY_CSV, in_quote = false, last_was_esc = false, first = true;
    char quote = csv ? r->options->quote : 0, escape = csv ? r->options->escape : 0;

    if (escape == quote)
        escape = 0;
    *from = r->at;
    for (;;) {
        size_t here = r->at;
        char c, next;

        if (here >= r->count) { /* end of the data */
            *to = here;
            return here > *from && !r->failed;
        }
        c = r->data[r->at++];
        next = r->at < r->count ? r->data[r->at] : 0;
        if (csv) {
            if (in_quote && escape != 0 && c == escape)
                last_was_esc = !last_was_esc;
            if (c == quote && !last_was_esc)
                in_quote = !in_quote;
            if (escape == 0 || c != escape)
                last_was_esc = false;
        }
        if (c == '\r' && !(csv && in_quote)) {
            if (r->eol == 0 || r->eol == 'b') {
                if (next == '\n' && r->at < r->count) {
                    r->at++;
                    r->eol = 'b';
                } else if (r->eol == 'b') {
                    return !(r->failed = true);
                } else {
                    r->eol = 'r';
                }
            } else if (r->eol == 'n') {
                return !(r->failed = true);
            }
            *to = here;
            return true;
        }
        if (c == '\n' && !(csv && in_quote)) {
            if (r->eol == 'r' || r->eol == 'b')
                return !(r->failed = true);
            r->eol = 'n';
            *to = here;
            return true;
        }
        if (c == '\\' && (!csv || first)) {
            if (r->at >= r->count) {
                *to = r->at;
                return true;
            }
            if (next == '.') {
                size_t at = r->at + 1;
                char end = at < r->count ? r->data[at++] : 0;

                if (r->eol == 'b' && end == '\r')
                    end = at < r->count ? r->data[at++] : 0;
                else if (r->eol == 'b')
                    end = end == '\n' && !csv ? 0
                          : end == '\n'       ? 'x'
                                              : end; /* \n alone is none of its ends */
                if (end == '\r' || end == '\n') {
                    if ((r->eol == 'n' && end != '\n') || (r->eol == 'b' && end != '\n') ||
                        (r->eol == 'r' && end != '\r'))
                        return !(r->failed = true);
                    *to = here;
                    r->at = at;
                    if (!csv)
                        r->ended = true;
                    if (here > *from)
                        return true;
                    if (!csv)
                        return false;
                    if (r->eol == 0 && end == '\r' && at < r->count && r->data[at] == '\n')
                        r->at++; /* read on as copy_rows does: a line like others */
                    r->eol = r->eol != 0 ? r->eol : end == '\n' ? 'n' : r->at > at ? 'b' : 'r';
                    if (r->options->header && r->row.end == 0)
                        return true; /* the header, to a server that does not know the marker */
                    *from = r->at;
                    first = true;
                    continue;
                }
                if (!csv)
                    return !(r->failed = true);
            } else if (!csv) {
                r->at++;
            }
        }
        first = false;
    }
}

static int reference_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

static void reference_put(struct reference_row *row, bool wanted, char c)
{
    if (wanted && row->bytes < sizeof row->value)
        row->value[row->bytes++] = c;
}

/* One field of text from *at on; *more: a delimiter stood behind it. */
static void reference_text_field(struct reference *r, size_t *at, size_t to, bool wanted, bool *more)
{
    size_t start = *at, end;

    *more = false;
    while (*at < to) {
        char c = r->data[(*at)++];

        if (c == r->options->delimiter) {
            *more = true;
            break;
        }
        if (c == '\\' && *at < to) {
            c = r->data[(*at)++];
            if (c >= '0' && c <= '7') {
                int value = c - '0';

                for (int i = 0; i < 2 && *at < to && r->data[*at] >= '0' && r->data[*at] <= '7'; i++)
                    value = value * 8 + (r->data[(*at)++] - '0');
                c = (char)(value & 0377);
            } else if (c == 'x' && *at < to && reference_digit(r->data[*at]) < 16) {
                int value = reference_digit(r->data[(*at)++]);

                if (*at < to && reference_digit(r->data[*at]) < 16)
                    value = value * 16 + reference_digit(r->data[(*at)++]);
                c = (char)(value & 0xff);
            } else {
                c = c == 'b'   ? '\b'
                    : c == 'f' ? '\f'
                    : c == 'n' ? '\n'
                    : c == 'r' ? '\r'
                    : c == 't' ? '\t'
                    : c == 'v' ? '\v'
                               : c;
            }
        }
        reference_put(&r->row, wanted, c);
    }
    end = *more ? *at - 1 : *at;
    if (wanted)
        r->row.null = end - start == r->options->null_bytes &&
                      memcmp(r->data + start, r->options->null, end - start) == 0;
}

static void reference_csv_field(struct reference *r, size_t *at, size_t to, bool wanted, bool *more)
{
    size_t start = *at, end;
    bool quoted = false, in_quote = false;
    const struct copy_options *o = r->options;

    *more = false;
    for (;;) {
        char c;

        end = *at;
        if (*at >= to) {
            if (in_quote)
                r->failed = true;
            break;
        }
        c = r->data[(*at)++];
        if (!in_quote) {
            if (c == o->delimiter) {
                *more = true;
                break;
            }
            if (c == o->quote)
                quoted = in_quote = true;
            else
                reference_put(&r->row, wanted, c);
            continue;
        }
        if (c == o->escape && *at < to && (r->data[*at] == o->escape || r->data[*at] == o->quote)) {
            reference_put(&r->row, wanted, r->data[(*at)++]);
            continue;
        }
        if (c == o->quote)
            in_quote = false;
        else
            reference_put(&r->row, wanted, c);
    }
    if (!wanted)
        return;
    r->row.null =
        !quoted && end - start == o->null_bytes && memcmp(r->data + start, o->null, end - start) == 0;
    if (r->row.null && o->force_not_null)
        r->row.null = false;
    else if (!r->row.null && o->force_null && r->row.bytes == o->null_bytes &&
             memcmp(r->row.value, o->null, r->row.bytes) == 0)
        r->row.null = true;
}

/* The next row, header lines skipped. false: there is none, or the server fails (r->failed). */
static bool reference_next(struct reference *r)
{
    size_t from, to;
    bool more = true;

    for (;;) {
        if (r->ended || r->failed || !reference_line(r, &from, &to))
            return false;
        if (!r->options->header || r->row.end != 0)
            break;
        r->row.end = r->at;
    }
    r->row = (struct reference_row){ .end = r->at };
    for (unsigned field = 0; more; field++) {
        bool wanted = field == r->options->column;

        r->row.has_column = r->row.has_column || wanted;
        if (r->options->format == COPY_TEXT)
            reference_text_field(r, &from, to, wanted, &more);
        else
            reference_csv_field(r, &from, to, wanted, &more);
    }
    return !r->failed;
}

/* What the parser says of one row must be what the reference says. NULL: so it is; else what is wrong. */
static const char *reference_judge(struct reference *r, const struct copy_rows *rows, enum copy_event event,
                                   size_t used)
{
    if (r->failed)
        return NULL; /* the server has refused it all */
    if (!reference_next(r))
        return r->failed || rows->broken ? NULL : "a row that is none";
    if (used >= r->row.end && used < r->count)
        return "spoken of too late";
    if (event == COPY_UNREAD)
        return !r->row.has_column || rows->broken || r->row.bytes > 250 ? NULL
                                                                        : "unread, and could have been";
    if (!r->row.has_column)
        return "a column that is not there";
    if (r->row.null != (rows->value.at == NULL))
        return "NULL, or not";
    if (rows->value.at != NULL &&
        (rows->value.bytes != r->row.bytes || memcmp(rows->value.at, r->row.value, r->row.bytes) != 0))
        return "another value";
    return NULL;
}

/* Text or csv data through copy_rows, `step` bytes at a time, against the reference. */
static const char *reference_compare(const struct copy_options *options, const char *data, size_t count,
                                     size_t step)
{
    struct reference r = { .options = options, .data = data, .count = count };
    struct copy_rows rows;
    enum copy_event event;
    const char *wrong = NULL;
    size_t at = 0, used;

    copy_rows_init(&rows, options);
    for (size_t until = step; wrong == NULL && at < count; until += step)
        for (until = until < count ? until : count; wrong == NULL && at < until; at += used)
            if ((event = copy_rows_read(&rows, data + at, until - at, &used)) != COPY_MORE && !rows.broken)
                wrong = reference_judge(&r, &rows, event, at + used);
    while (wrong == NULL && !rows.broken && (event = copy_rows_end(&rows)) != COPY_MORE)
        if (!rows.broken)
            wrong = reference_judge(&r, &rows, event, 0);
    if (wrong != NULL || rows.broken)
        return rows.broken && wrong == NULL && !r.failed && reference_next(&r) && !r.failed &&
                       reference_next(&r) && !r.failed
                   ? "broken, and is not"
                   : wrong;
    return r.failed || !reference_next(&r) ? NULL : "a row that was not seen";
}

#endif
