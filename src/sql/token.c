/* token.c - scan.l of PostgreSQL 15 by hand: one pass, no backtracking beyond a token.
 * Owns:   what is a token and where it ends.
 * Leaves: what tokens mean to shape.c and to the grammar.
 * Thread: any.   Start at: lexer_next(). tests/unit/sql/test_token.c holds it against libpg_query's own
 * scanner. */
#include "sql/token.h"

#include <string.h>

enum { SPACE = 1, IDENT_START = 2, IDENT_CONT = 4, DIGIT = 8, OPERATOR = 16, SELF = 32 };

#define LETTER  (IDENT_START | IDENT_CONT)
#define NUMERAL (IDENT_CONT | DIGIT)

static const uint8_t class_of[256] = {
    [' '] = SPACE,          ['\t'] = SPACE,
    ['\n'] = SPACE,         ['\r'] = SPACE,
    ['\f'] = SPACE,         ['A' ... 'Z'] = LETTER,
    ['a' ... 'z'] = LETTER, ['_'] = LETTER,
    [128 ... 255] = LETTER, ['0' ... '9'] = NUMERAL,
    ['$'] = IDENT_CONT,     ['~'] = OPERATOR,
    ['!'] = OPERATOR,       ['@'] = OPERATOR,
    ['#'] = OPERATOR,       ['^'] = OPERATOR,
    ['&'] = OPERATOR,       ['|'] = OPERATOR,
    ['`'] = OPERATOR,       ['?'] = OPERATOR,
    ['+'] = OPERATOR,       ['-'] = OPERATOR,
    ['*'] = OPERATOR,       ['/'] = OPERATOR,
    ['%'] = OPERATOR,       ['<'] = OPERATOR,
    ['>'] = OPERATOR,       ['='] = OPERATOR,
    [','] = SELF,           ['('] = SELF,
    [')'] = SELF,           ['['] = SELF,
    [']'] = SELF,           ['.'] = SELF,
    [';'] = SELF,           [':'] = SELF,
};

static bool is(char c, unsigned classes)
{
    return (class_of[(unsigned char)c] & classes) != 0;
}

bool token_is_space(char c)
{
    return is(c, SPACE);
}

void lexer_init(struct lexer *lexer, struct slice text, bool standard_conforming_strings)
{
    *lexer = (struct lexer){ .text = text.at,
                             .bytes = (uint32_t)text.bytes,
                             .standard_conforming_strings = standard_conforming_strings };
}

/* The byte at `at`, or NUL behind the end; a NUL inside the text matches nothing either. */
static char peek(const struct lexer *lexer, uint32_t at)
{
    return at < lexer->bytes ? lexer->text[at] : '\0';
}

/* Behind a block comment that begins at `at` (comments nest); 0: it does not end. */
static uint32_t comment_end(const struct lexer *lexer, uint32_t at)
{
    unsigned depth = 1;

    for (at += 2; at < lexer->bytes; at++) {
        char c = lexer->text[at];
        char next = peek(lexer, at + 1);

        if (c == '/' && next == '*') {
            depth++;
            at++;
        } else if (c == '*' && next == '/') {
            at++;
            if (--depth == 0)
                return at + 1;
        }
    }
    return 0;
}

static uint32_t line_end(const char *text, uint32_t bytes, uint32_t at)
{
    while (at < bytes && text[at] != '\n' && text[at] != '\r')
        at++;
    return at;
}

/* Passes white space and comments; stops behind a block comment that is told. false: a comment does not end.
 */
static bool skip_space(struct lexer *lexer, bool *comment)
{
    *comment = false;
    for (;;) {
        char c = peek(lexer, lexer->at);

        if (is(c, SPACE)) {
            lexer->at++;
        } else if (c == '-' && peek(lexer, lexer->at + 1) == '-') {
            lexer->at = line_end(lexer->text, lexer->bytes, lexer->at);
        } else if (c == '/' && peek(lexer, lexer->at + 1) == '*') {
            uint32_t end = comment_end(lexer, lexer->at);

            if (end == 0)
                return false;
            lexer->comment = (struct slice){ lexer->text + lexer->at + 2, end - lexer->at - 4 };
            lexer->at = end;
            if (lexer->tells_comments) {
                *comment = true;
                return true;
            }
        } else {
            return true;
        }
    }
}

uint32_t token_continuation(const char *text, uint32_t bytes, uint32_t at)
{
    bool newline = false;

    while (at < bytes) {
        if (is(text[at], SPACE)) {
            newline = newline || text[at] == '\n' || text[at] == '\r';
            at++;
        } else if (text[at] == '-' && at + 1 < bytes && text[at + 1] == '-') {
            at = line_end(text, bytes, at);
        } else {
            return newline && text[at] == '\'' ? at + 1 : 0;
        }
    }
    return 0;
}

enum quoting { QUOTING_PLAIN, QUOTING_BACKSLASH, QUOTING_BITS /* a doubled quote is not one quote */ };

/* Behind a '…' whose contents begin at `at`, with all its continuations; 0: it does not end. */
static uint32_t string_end(const struct lexer *lexer, uint32_t at, enum quoting quoting)
{
    while (at < lexer->bytes) {
        char c;

        if (quoting != QUOTING_BACKSLASH) {
            const char *quote = memchr(lexer->text + at, '\'', lexer->bytes - at);
            uint32_t end = quote == NULL ? lexer->bytes : (uint32_t)(quote - lexer->text);

            if (quote == NULL || memchr(lexer->text + at, '\0', end - at) != NULL)
                return 0;
            at = end;
        }
        c = lexer->text[at];
        if (c == '\0')
            return 0;
        if (c == '\\' && quoting == QUOTING_BACKSLASH) {
            if (at + 1 >= lexer->bytes || lexer->text[at + 1] == '\0')
                return 0;
            at += 2;
        } else if (c != '\'') {
            at++;
        } else if (peek(lexer, at + 1) == '\'' && quoting != QUOTING_BITS) {
            at += 2;
        } else {
            uint32_t next = token_continuation(lexer->text, lexer->bytes, at + 1);

            if (next == 0)
                return at + 1;
            at = next;
        }
    }
    return 0;
}

/* Behind a "…" whose contents begin at `at`; 0: it does not end, or is empty. */
static uint32_t quoted_end(const struct lexer *lexer, uint32_t at)
{
    uint32_t begin = at;

    while (at < lexer->bytes && lexer->text[at] != '\0') {
        if (lexer->text[at] != '"')
            at++;
        else if (peek(lexer, at + 1) == '"')
            at += 2;
        else
            return at == begin ? 0 : at + 1;
    }
    return 0;
}

/* Behind a $tag$…$tag$ at `at`; 0: this is no dollar quote; UINT32_MAX: it does not end. */
static uint32_t dollar_end(const struct lexer *lexer, uint32_t at)
{
    uint32_t tag = at + 1;
    uint32_t tag_bytes;
    const char *found;

    if (is(peek(lexer, tag), IDENT_START))
        while (is(peek(lexer, tag), IDENT_CONT) && lexer->text[tag] != '$')
            tag++;
    if (peek(lexer, tag) != '$')
        return 0;
    tag_bytes = tag + 1 - at;
    found = memmem(lexer->text + tag + 1, lexer->bytes - tag - 1, lexer->text + at, tag_bytes);
    if (found == NULL || memchr(lexer->text + tag, '\0', (size_t)(found - lexer->text) - tag) != NULL)
        return UINT32_MAX;
    return (uint32_t)(found - lexer->text) + tag_bytes;
}

static uint32_t word_end(const struct lexer *lexer, uint32_t at)
{
    while (at < lexer->bytes && is(lexer->text[at], IDENT_CONT))
        at++;
    return at;
}

static uint32_t digits_end(const struct lexer *lexer, uint32_t at)
{
    while (at < lexer->bytes && is(lexer->text[at], DIGIT))
        at++;
    return at;
}

/* Behind a number at `at`; 0: junk follows it ("1a", "1e+"), which scan.l refuses since 15. */
static uint32_t number_end(const struct lexer *lexer, uint32_t at)
{
    at = digits_end(lexer, at);
    if (peek(lexer, at) == '.' && peek(lexer, at + 1) == '.')
        return at; /* 1..10 is 1 .. 10 */
    if (peek(lexer, at) == '.')
        at = digits_end(lexer, at + 1);
    if (peek(lexer, at) == 'e' || peek(lexer, at) == 'E') {
        uint32_t exponent = at + 1;

        if (peek(lexer, exponent) == '+' || peek(lexer, exponent) == '-')
            exponent++;
        if (!is(peek(lexer, exponent), DIGIT))
            return 0;
        at = digits_end(lexer, exponent);
    }
    return is(peek(lexer, at), IDENT_START) ? 0 : at;
}

/* Behind an operator at `at`: comments end it, and a trailing + or - belongs to it only beside a character
 * that no SQL operator has, so that a=-1 reads as SQL wants. */
static uint32_t operator_end(const struct lexer *lexer, uint32_t at)
{
    uint32_t begin = at;
    bool odd = false;

    for (; is(peek(lexer, at), OPERATOR); at++) {
        char c = lexer->text[at];
        char next = peek(lexer, at + 1);

        if (at > begin && ((c == '/' && next == '*') || (c == '-' && next == '-')))
            break;
    }
    for (uint32_t i = begin; i < at; i++)
        odd = odd || strchr("~!@#^&|`?%", lexer->text[i]) != NULL;
    while (!odd && at - begin > 1 && (lexer->text[at - 1] == '+' || lexer->text[at - 1] == '-'))
        at--;
    return at;
}

/* U&'…' and U&"…" take their UESCAPE 'c' with them, as the parser's filter does. false: malformed. */
static bool take_uescape(struct lexer *lexer, struct token *token)
{
    struct lexer ahead = *lexer;
    struct token escape;
    bool comment;

    ahead.tells_comments = false;
    if (!skip_space(&ahead, &comment))
        return false;
    if (ahead.bytes - ahead.at < 7 || strncasecmp(ahead.text + ahead.at, "uescape", 7) != 0 ||
        is(peek(&ahead, ahead.at + 7), IDENT_CONT))
        return true;
    ahead.at += 7;
    lexer_next(&ahead, &escape);
    if (escape.kind != TOKEN_STRING && escape.kind != TOKEN_ESCAPE && escape.kind != TOKEN_DOLLAR)
        return false;
    token->end = escape.end;
    ahead.tells_comments = lexer->tells_comments;
    *lexer = ahead;
    return true;
}

static void finish(struct lexer *lexer, struct token *token, enum token_kind kind, uint32_t end)
{
    token->kind = end == 0 || end == UINT32_MAX ? TOKEN_BAD : kind;
    token->end = token->kind == TOKEN_BAD ? token->begin : end;
    lexer->at = token->end;
}

/* A word, or a literal that a letter announces. */
static void next_word(struct lexer *lexer, struct token *token)
{
    uint32_t at = token->begin;
    char c = lexer->text[at] | 0x20;
    char next = peek(lexer, at + 1);
    char third = peek(lexer, at + 2);

    if (next == '\'' && c == 'e') {
        finish(lexer, token, TOKEN_ESCAPE, string_end(lexer, at + 2, QUOTING_BACKSLASH));
    } else if (next == '\'' && (c == 'b' || c == 'x')) {
        finish(lexer, token, TOKEN_BITS, string_end(lexer, at + 2, QUOTING_BITS));
    } else if (next == '\'' && c == 'n') {
        finish(lexer, token, TOKEN_NCHAR, at + 1);
    } else if (c == 'u' && next == '&' && (third == '\'' || third == '"')) {
        if (third == '"')
            finish(lexer, token, TOKEN_QUOTED, quoted_end(lexer, at + 3));
        else
            finish(lexer, token, lexer->standard_conforming_strings ? TOKEN_UNICODE : TOKEN_BAD,
                   string_end(lexer, at + 3, QUOTING_PLAIN));
        if (token->kind != TOKEN_BAD && !take_uescape(lexer, token))
            token->kind = TOKEN_BAD;
    } else {
        finish(lexer, token, TOKEN_WORD, word_end(lexer, at));
    }
}

static void next_dollar(struct lexer *lexer, struct token *token)
{
    uint32_t end;

    if (is(peek(lexer, token->begin + 1), DIGIT)) {
        end = digits_end(lexer, token->begin + 1);
        finish(lexer, token, TOKEN_PARAM, is(peek(lexer, end), IDENT_START) ? 0 : end);
        return;
    }
    end = dollar_end(lexer, token->begin);
    if (end == 0)
        finish(lexer, token, TOKEN_OPERATOR, token->begin + 1); /* a lone $: the grammar refuses it */
    else
        finish(lexer, token, TOKEN_DOLLAR, end);
}

static void next_self(struct lexer *lexer, struct token *token)
{
    uint32_t at = token->begin;
    char c = lexer->text[at];
    char next = peek(lexer, at + 1);

    if (c == ':' && next == ':')
        finish(lexer, token, TOKEN_CAST, at + 2);
    else if ((c == ':' && next == '=') || (c == '.' && next == '.'))
        finish(lexer, token, TOKEN_OPERATOR, at + 2);
    else if (c == '.' && is(next, DIGIT))
        finish(lexer, token, TOKEN_NUMBER, number_end(lexer, at));
    else
        finish(lexer, token, TOKEN_SELF, at + 1);
}

void lexer_next(struct lexer *lexer, struct token *token)
{
    bool comment;
    char c;

    token->begin = lexer->at;
    if (!skip_space(lexer, &comment)) {
        token->begin = lexer->at;
        finish(lexer, token, TOKEN_BAD, 0);
        return;
    }
    if (comment) {
        token->kind = TOKEN_COMMENT;
        token->begin = (uint32_t)(lexer->comment.at - 2 - lexer->text);
        token->end = lexer->at;
        return;
    }
    token->begin = lexer->at;
    if (lexer->at >= lexer->bytes) {
        token->kind = TOKEN_END;
        token->end = token->begin;
        return;
    }
    c = lexer->text[lexer->at];
    if (is(c, IDENT_START))
        next_word(lexer, token);
    else if (is(c, DIGIT))
        finish(lexer, token, TOKEN_NUMBER, number_end(lexer, token->begin));
    else if (is(c, SELF))
        next_self(lexer, token);
    else if (is(c, OPERATOR))
        finish(lexer, token, TOKEN_OPERATOR, operator_end(lexer, token->begin));
    else if (c == '\'')
        finish(lexer, token, lexer->standard_conforming_strings ? TOKEN_STRING : TOKEN_ESCAPE,
               string_end(lexer, token->begin + 1,
                          lexer->standard_conforming_strings ? QUOTING_PLAIN : QUOTING_BACKSLASH));
    else if (c == '"')
        finish(lexer, token, TOKEN_QUOTED, quoted_end(lexer, token->begin + 1));
    else if (c == '$')
        next_dollar(lexer, token);
    else
        finish(lexer, token, c == '\0' ? TOKEN_BAD : TOKEN_OPERATOR, token->begin + 1);
}
