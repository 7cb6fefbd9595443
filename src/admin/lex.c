/* lex.c - text -> the next token.   Owns: nothing.   Start at: lex_next(). */
#include "admin/lex.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool is_word(unsigned char c)
{
    /* Wide enough for a uuid, a number, dedicated-a, and letters of any language. */
    return isalnum(c) || c >= 0x80 || strchr("_.-:@+", c) != NULL;
}

/* Where the blank or comment that begins at `at` ends; `at` itself if there is none. SIZE_MAX: it has no end.
 */
static size_t skip_blank(struct slice text, size_t at)
{
    size_t depth = 0;

    if (at < text.bytes && isspace((unsigned char)text.at[at]))
        return at + 1;
    if (at + 1 >= text.bytes)
        return at;
    if (memcmp(text.at + at, "--", 2) == 0) {
        while (at < text.bytes && text.at[at] != '\n')
            at++;
        return at;
    }
    if (memcmp(text.at + at, "/*", 2) != 0)
        return at;
    while (at + 1 < text.bytes) { /* they nest, as in SQL */
        if (memcmp(text.at + at, "/*", 2) == 0) {
            depth++;
            at += 2;
        } else if (memcmp(text.at + at, "*/", 2) == 0) {
            depth--;
            at += 2;
            if (depth == 0)
                return at;
        } else {
            at++;
        }
    }
    return SIZE_MAX;
}

/* The end of a quoted token that begins at `at`; a doubled quote is a quote. SIZE_MAX: it has none. */
static size_t skip_quoted(struct slice text, size_t at)
{
    const char quote = text.at[at];

    for (at++; at < text.bytes; at++) {
        if (text.at[at] != quote)
            continue;
        if (at + 1 < text.bytes && text.at[at + 1] == quote)
            at++;
        else
            return at + 1;
    }
    return SIZE_MAX;
}

static size_t skip_word(struct slice text, size_t at)
{
    while (at < text.bytes && is_word((unsigned char)text.at[at])) {
        if (at + 1 < text.bytes && memcmp(text.at + at, "--", 2) == 0)
            break; /* a comment follows */
        at++;
    }
    return at;
}

static struct token token_quoted(struct slice text, size_t at, enum token_kind kind)
{
    size_t end = skip_quoted(text, at);

    if (end == SIZE_MAX)
        return (struct token){ TOKEN_OPEN, at, text.bytes };
    return (struct token){ kind, at, end };
}

struct token lex_next(struct slice text, size_t at)
{
    size_t after;
    unsigned char c;

    for (;;) {
        after = skip_blank(text, at);
        if (after == SIZE_MAX)
            return (struct token){ TOKEN_OPEN, at, text.bytes };
        if (after == at)
            break;
        at = after;
    }
    if (at >= text.bytes)
        return (struct token){ TOKEN_END, text.bytes, text.bytes };
    c = (unsigned char)text.at[at];
    if (c == ';')
        return (struct token){ TOKEN_SEMICOLON, at, at + 1 };
    if (c == '\'')
        return token_quoted(text, at, TOKEN_STRING);
    if (c == '"')
        return token_quoted(text, at, TOKEN_NAME);
    if (c == '$') {
        after = at + 1;
        while (after < text.bytes && isdigit((unsigned char)text.at[after]))
            after++;
        return (struct token){ after > at + 1 ? TOKEN_PARAMETER : TOKEN_SYMBOL, at, after };
    }
    after = skip_word(text, at);
    if (after > at)
        return (struct token){ TOKEN_WORD, at, after };
    return (struct token){ TOKEN_SYMBOL, at, at + 1 };
}
