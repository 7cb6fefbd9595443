/* hba_text.c - see hba_text.h. Follows next_token() and tokenize_auth_file() of PostgreSQL's hba.c.
 * Start at: hba_text_read(). */
#include "proxy/hba_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { INCLUDE_DEPTH_MAX = 10 };

void hba_field_done(struct hba_field *field)
{
    for (size_t i = 0; i < field->count; i++)
        free(field->tokens[i].text);
    free(field->tokens);
    *field = (struct hba_field){ 0 };
}

/* Takes `text` over, also when there is no memory. */
static bool field_add(struct hba_field *field, char *text, bool quoted)
{
    struct hba_token *tokens =
        text == NULL ? NULL : realloc(field->tokens, (field->count + 1) * sizeof *tokens);

    if (tokens == NULL) {
        free(text);
        return false;
    }
    field->tokens = tokens;
    tokens[field->count++] = (struct hba_token){ text, quoted };
    return true;
}

bool hba_field_copy(const struct hba_field *from, struct hba_field *to)
{
    *to = (struct hba_field){ 0 };
    for (size_t i = 0; i < from->count; i++)
        if (!field_add(to, strdup(from->tokens[i].text), from->tokens[i].quoted)) {
            hba_field_done(to);
            return false;
        }
    return true;
}

bool hba_token_is(const struct hba_token *token, const char *keyword)
{
    return !token->quoted && strcmp(token->text, keyword) == 0;
}

bool hba_text_fail(const struct hba_text *line, struct error *err, const char *fmt, ...)
{
    char text[sizeof err->message];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return error_set(err, "F0000", "%s:%u: %s", line->path, line->number, text);
}

static void line_clear(struct hba_text *line)
{
    for (size_t i = 0; i < line->field_count; i++)
        hba_field_done(&line->fields[i]);
    line->field_count = 0;
}

/* ---- tokens ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

enum token_result { TOKEN, TOKEN_END, TOKEN_BAD, TOKEN_NO_MEMORY };

struct token {
    char *text;
    bool quoted, more; /* more: a comma follows, the list goes on */
};

/* The next token of the line; quotes may stand anywhere in it, "" within them is a quote. */
static enum token_result next_token(const char **at, struct token *token)
{
    const char *from = *at;
    bool in_quote = false;
    char *to;

    while (is_blank(*from) || *from == ',')
        from++;
    if (*from == '\0' || *from == '#') {
        *at = from;
        return TOKEN_END;
    }
    *token = (struct token){ .text = malloc(strlen(from) + 1), .quoted = *from == '"' };
    if (token->text == NULL)
        return TOKEN_NO_MEMORY;
    for (to = token->text; *from != '\0'; from++) {
        if (!in_quote && (is_blank(*from) || *from == ',' || *from == '#'))
            break;
        if (*from != '"')
            *to++ = *from;
        else if (in_quote && from[1] == '"')
            *to++ = *from++;
        else
            in_quote = !in_quote;
    }
    *to = '\0';
    token->more = *from == ',';
    *at = token->more ? from + 1 : from;
    if (!in_quote)
        return TOKEN;
    free(token->text);
    return TOKEN_BAD;
}

/* ---- @file ---- */

struct reading {
    const char *key; /* the configuration's, for errors */
    unsigned depth;
};

static bool read_file(struct reading *reading, const char *path, hba_text_each *each, void *who,
                      struct error *err);

/* Beside the file that names it, unless it is absolute. */
static char *path_beside(const char *path, const char *name)
{
    const char *slash = name[0] == '/' ? NULL : strrchr(path, '/');
    char *joined = NULL;

    if (slash == NULL)
        return strdup(name);
    return asprintf(&joined, "%.*s/%s", (int)(slash - path), path, name) < 0 ? NULL : joined;
}

/* Every token of the included file belongs to the list. */
static bool on_included(void *who, const struct hba_text *line, struct error *err)
{
    struct hba_field *into = who;

    for (size_t i = 0; i < line->field_count; i++)
        for (size_t j = 0; j < line->fields[i].count; j++)
            if (!field_add(into, strdup(line->fields[i].tokens[j].text), line->fields[i].tokens[j].quoted))
                return error_no_memory(err);
    return true;
}

static bool include(struct reading *reading, const struct hba_text *line, const char *name,
                    struct hba_field *into, struct error *err)
{
    char *path;
    bool ok;

    if (reading->depth + 1 >= INCLUDE_DEPTH_MAX)
        return hba_text_fail(line, err, "\"@%s\": files include each other more than %d deep", name,
                             INCLUDE_DEPTH_MAX);
    path = path_beside(line->path, name);
    if (path == NULL)
        return error_no_memory(err);
    reading->depth++;
    ok = read_file(reading, path, on_included, into, err);
    reading->depth--;
    free(path);
    return ok;
}

/* ---- lines ---- */

/* One field: a token, or several with commas between. *found: there was one. */
static bool read_field(struct reading *reading, struct hba_text *line, const char **at,
                       struct hba_field *field, bool *found, struct error *err)
{
    struct token token = { .more = true };

    *found = false;
    *field = (struct hba_field){ 0 };
    while (token.more) {
        switch (next_token(at, &token)) {
        case TOKEN_END:
            return true;
        case TOKEN_BAD:
            return hba_text_fail(line, err, "a quotation mark is not closed");
        case TOKEN_NO_MEMORY:
            return error_no_memory(err);
        case TOKEN:
            break;
        }
        *found = true;
        if (!token.quoted && token.text[0] == '@' && token.text[1] != '\0') {
            bool ok = include(reading, line, token.text + 1, field, err);

            free(token.text);
            if (!ok)
                return false;
        } else if (!field_add(field, token.text, token.quoted)) {
            return error_no_memory(err);
        }
    }
    return true;
}

static bool split(struct reading *reading, struct hba_text *line, const char *text, struct error *err)
{
    for (;;) {
        struct hba_field *field = &line->fields[line->field_count];
        bool found, ok = read_field(reading, line, &text, field, &found, err);

        if (!ok || !found) {
            hba_field_done(field);
            return ok;
        }
        if (++line->field_count == HBA_FIELDS_MAX)
            return hba_text_fail(line, err, "more than %d fields", HBA_FIELDS_MAX - 1);
    }
}

/* A backslash right before the line's end goes on with the next line. */
static bool is_continued(struct buf *whole)
{
    struct slice held = buf_slice(whole);
    size_t bytes = held.bytes;

    while (bytes > 0 && (held.at[bytes - 1] == '\n' || held.at[bytes - 1] == '\r'))
        bytes--;
    if (bytes == 0 || held.at[bytes - 1] != '\\')
        return false;
    whole->tail = whole->head + bytes - 1;
    return true;
}

static bool handle(struct reading *reading, struct hba_text *line, struct buf *whole, hba_text_each *each,
                   void *who, struct error *err)
{
    bool ok = !buf_failed(whole) || error_no_memory(err);

    ok = ok && split(reading, line, buf_text(whole), err);
    if (ok && line->field_count > 0)
        ok = each(who, line, err);
    line_clear(line);
    buf_clear(whole);
    return ok;
}

static bool read_lines(struct reading *reading, const char *path, FILE *stream, hba_text_each *each,
                       void *who, struct error *err)
{
    struct hba_text *line = calloc(1, sizeof *line);
    size_t capacity = 0;
    char *text = NULL;
    struct buf whole;
    bool ok = line != NULL || error_no_memory(err);

    buf_init(&whole);
    if (ok)
        line->path = path;
    while (ok && getline(&text, &capacity, stream) >= 0) {
        line->number++;
        buf_append_text(&whole, text);
        if (!is_continued(&whole))
            ok = handle(reading, line, &whole, each, who, err);
    }
    if (ok && buf_bytes(&whole) > 0) /* the last line said that it goes on */
        ok = handle(reading, line, &whole, each, who, err);
    buf_done(&whole);
    free(text);
    free(line);
    return ok;
}

static bool read_file(struct reading *reading, const char *path, hba_text_each *each, void *who,
                      struct error *err)
{
    FILE *stream = fopen(path, "re");
    bool ok;

    if (stream == NULL)
        return error_set(err, "F0000", "cannot read %s \"%s\": %s", reading->key, path, strerror(errno));
    ok = read_lines(reading, path, stream, each, who, err);
    if (ok && ferror(stream))
        ok = error_set(err, "F0000", "cannot read %s \"%s\": %s", reading->key, path, strerror(errno));
    fclose(stream);
    return ok;
}

bool hba_text_read(const char *path, const char *key, hba_text_each *each, void *who, struct error *err)
{
    struct reading reading = { .key = key };

    return read_file(&reading, path, each, who, err);
}
