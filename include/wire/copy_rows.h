/* copy_rows.h - the rows of a COPY … FROM STDIN as they stream by: where each begins and ends, and what
 * stands in one of its columns. Follows CopyReadLineText(), CopyReadAttributesText(), CopyReadAttributesCSV()
 * and CopyReadBinaryAttribute() of PostgreSQL, so that it sees the rows that the server will see. Pure, of
 * fixed size: of a row nothing is kept but that column's content, and of that no more than a tenant may be
 * long.
 *
 *   event = copy_rows_read(rows, bytes, count, &used);     the bytes behind `used` are passed again
 *
 * A row is spoken of before the last byte of it is used: whoever holds back what is not used yet holds back
 * the row. */
#ifndef PGSHUNT_WIRE_COPY_ROWS_H
#define PGSHUNT_WIRE_COPY_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum copy_format { COPY_TEXT, COPY_CSV, COPY_BINARY };

enum {
    COPY_NULL_BYTES_MAX = 64,    /* a longer NULL '…' is not understood */
    COPY_VALUE_BYTES_MAX = 1024, /* of the column, escapes included: a tenant is shorter */
};

struct copy_options {
    enum copy_format format;
    char delimiter, quote, escape; /* quote, escape: csv */
    char null[COPY_NULL_BYTES_MAX];
    size_t null_bytes;
    bool header;                     /* the first line is none of the rows */
    bool force_null, force_not_null; /* csv: of the column */
    unsigned columns;                /* of a row */
    bool count;                      /* a row that has another number of them is not understood */
    unsigned column;                 /* which of them is wanted, from 0 */
};

enum copy_event {
    COPY_MORE,   /* all bytes are used */
    COPY_VALUE,  /* a row's column: `value`, `line` */
    COPY_UNREAD, /* a row whose column cannot be told: `why`, `line`. `broken`: nor can any row behind it */
};

struct copy_rows {
    struct copy_options options;
    unsigned char special[256]; /* text, csv: which bytes mean something, by state */
    int state;
    int line_end;   /* which one the first line had */
    unsigned field; /* the row's column at hand */
    bool in_header;
    bool reported;      /* the row at hand has been spoken of */
    bool quoted;        /* csv: the field had quotes */
    bool at_begin;      /* text: the backslash just read is the row's first byte */
    bool too_long;      /* the wanted column does not fit */
    bool broken;        /* the server will refuse what has come */
    uint64_t lines;     /* line ends seen; binary: rows */
    uint64_t line;      /* where the row begins, from 1; binary: its number */
    struct slice value; /* .at NULL: SQL NULL; in `content`, with a NUL behind */
    const char *why;
    /* binary */
    unsigned char word[20]; /* of a header, a count, a length that has come in pieces */
    size_t word_bytes;
    uint64_t left; /* of an extension or a field */
    unsigned fields;
    size_t content_bytes;
    char content[COPY_VALUE_BYTES_MAX + 1];
};

void copy_rows_init(struct copy_rows *rows, const struct copy_options *options);
enum copy_event copy_rows_read(struct copy_rows *rows, const char *bytes, size_t count, size_t *used);
/* The data has ended: CopyDone. A last row without a line end is spoken of; ask until it is COPY_MORE. */
enum copy_event copy_rows_end(struct copy_rows *rows);

#endif
