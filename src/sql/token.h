/* token.h - the next token of a statement's text, as PostgreSQL 15's scan.l sees it (private to sql).
 * Owns nothing: a lexer looks at the caller's text. Any thread, no memory of the past but its position.
 * Safe for every client encoding in which no byte of a multi-byte character is ASCII; for others the planner
 * lets only pure ASCII through. */
#ifndef PGSHUNT_SQL_TOKEN_H
#define PGSHUNT_SQL_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum token_kind {
    TOKEN_END,
    TOKEN_BAD,      /* unterminated, junk behind a number, a NUL byte: the server refuses it too */
    TOKEN_WORD,     /* keyword or identifier without quotes */
    TOKEN_NCHAR,    /* the N of N'…': the keyword nchar, and the string follows */
    TOKEN_QUOTED,   /* "…", and U&"…" with its UESCAPE */
    TOKEN_STRING,   /* '…' read without backslash escapes */
    TOKEN_ESCAPE,   /* E'…', and '…' under standard_conforming_strings = off */
    TOKEN_UNICODE,  /* U&'…' with its UESCAPE */
    TOKEN_DOLLAR,   /* $tag$…$tag$ */
    TOKEN_BITS,     /* B'…' X'…' */
    TOKEN_NUMBER,   /* integer, decimal or with an exponent; never a sign */
    TOKEN_PARAM,    /* $1 */
    TOKEN_CAST,     /* :: */
    TOKEN_OPERATOR, /* operators, also := => .. and what no rule of scan.l knows (a lone $ or backslash) */
    TOKEN_SELF,     /* one of , ( ) [ ] . ; : */
    TOKEN_COMMENT,  /* a block comment; only where the lexer tells them */
};

struct token {
    enum token_kind kind;
    uint32_t begin, end; /* in the text; a string's continuation on the next line is inside */
};

struct lexer {
    const char *text;
    uint32_t bytes, at;
    bool standard_conforming_strings;
    bool tells_comments;
    struct slice comment; /* the last block comment passed, without its delimiters; .at NULL: none */
};

void lexer_init(struct lexer *lexer, struct slice text, bool standard_conforming_strings);
void lexer_next(struct lexer *lexer, struct token *token);

/* Where a quoted string that closes at `at` (behind its quote) goes on: behind the opening quote of the next
 * part
 * ('a' newline 'b' is one literal). 0: it does not. */
uint32_t token_continuation(const char *text, uint32_t bytes, uint32_t at);

bool token_is_space(char c);

#endif
