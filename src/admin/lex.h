/* lex.h - the words of a console command. Pure; any thread. */
#ifndef PGSHUNT_ADMIN_LEX_H
#define PGSHUNT_ADMIN_LEX_H

#include <stddef.h>

#include "base/slice.h"

enum token_kind {
    TOKEN_END,
    TOKEN_SEMICOLON,
    TOKEN_WORD,      /* unquoted: a keyword or a value, the grammar decides */
    TOKEN_STRING,    /* '…' */
    TOKEN_NAME,      /* "…" */
    TOKEN_PARAMETER, /* $n */
    TOKEN_SYMBOL,
    TOKEN_OPEN, /* a quote or a comment that does not end */
};

struct token {
    enum token_kind kind;
    size_t begin, end;
};

/* The token that begins at `at` or behind the blanks and comments there. TOKEN_END at the end of the text. */
struct token lex_next(struct slice text, size_t at);

#endif
