/* hba_text.h - the lines of PostgreSQL's host-based files (pg_hba.conf, pg_ident.conf) as fields of tokens:
 * white space between fields, commas within one, double quotes, # comments, a backslash at a line's end goes
 * on with the next, @file in place of a list. Reads files; knows nothing of what the fields mean. */
#ifndef PGSHUNT_PROXY_HBA_TEXT_H
#define PGSHUNT_PROXY_HBA_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct hba_token {
    char *text;
    bool quoted; /* began with a quote: a keyword is then a name */
};
struct hba_field {
    struct hba_token *tokens;
    size_t count;
};

enum { HBA_FIELDS_MAX = 32 };

struct hba_text {
    const char *path; /* of the file; borrowed */
    unsigned number;  /* of the line (its last, where it was continued) */
    struct hba_field fields[HBA_FIELDS_MAX];
    size_t field_count;
};

/* Calls each() for every line that has fields, until one returns false. false: that, or the file cannot be
 * read, or a line is malformed (F0000, "file:line: …"). */
typedef bool hba_text_each(void *who, const struct hba_text *line, struct error *err);
bool hba_text_read(const char *path, const char *key, hba_text_each *each, void *who, struct error *err);
/* Sets F0000 with "file:line: " in front; returns false. */
bool hba_text_fail(const struct hba_text *line, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

bool hba_token_is(const struct hba_token *token, const char *keyword);   /* not quoted, and that word */
bool hba_field_copy(const struct hba_field *from, struct hba_field *to); /* false: no memory; *to is empty */
void hba_field_done(struct hba_field *field);

#endif
