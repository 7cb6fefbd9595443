/* test_token.c - the tokenizer against a table, and against libpg_query's own scanner. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "sql/token.h"

extern __thread bool standard_conforming_strings;

/* Kinds as letters: w word, q quoted, s string, e escape, u unicode, d dollar, b bits, n number, p param, c
 * cast, o operator, N nchar, self as itself, ! bad. */
static char letter(const char *text, const struct token *token)
{
    static const char letters[] = {
        [TOKEN_BAD] = '!',     [TOKEN_WORD] = 'w',   [TOKEN_NCHAR] = 'N',   [TOKEN_QUOTED] = 'q',
        [TOKEN_STRING] = 's',  [TOKEN_ESCAPE] = 'e', [TOKEN_UNICODE] = 'u', [TOKEN_DOLLAR] = 'd',
        [TOKEN_BITS] = 'b',    [TOKEN_NUMBER] = 'n', [TOKEN_PARAM] = 'p',   [TOKEN_CAST] = 'c',
        [TOKEN_OPERATOR] = 'o'
    };

    return token->kind == TOKEN_SELF ? text[token->begin] : letters[token->kind];
}

static const struct token_case {
    const char *text;
    bool conforming;
    const char *kinds;
} cases[] = {
    { "", true, "" },
    { "select 1", true, "wn" },
    { "'it''s' 'x'", true, "ss" },
    { "'a'\n'b'", true, "s" },
    { "'a' -- c\n  'b'", true, "s" },
    { "'a' /* c */\n'b'", true, "ss" },
    { "'a' -- c", true, "s" },
    { "'a\\' b", true, "sw" },
    { "'a\\' b'", false, "e" },
    { "'a\\", false, "!" },
    { "e'a\\'b' E'\\\\'", true, "ee" },
    { "U&'d\\0061' U&'x' uescape '!'", true, "uu" },
    { "u&\"a\" uescape '!' u&\"b\"", true, "qq" },
    { "u & 'x'", true, "wos" },
    { "U&'x'", false, "!" },
    { "U&'x' uescape 5", true, "!" },
    { "b'01' X'1f' n'x'", true, "bbNs" },
    { "$$a$$ $x$a$$b$x$ $x$ $y$ $x$", true, "ddd" },
    { "$x$ a", true, "!" },
    { "$a b$", true, "oww" },
    { "a$b$c", true, "w" },
    { "\"a\"\"b\".\"c\"", true, "q.q" },
    { "\"\"", true, "!" },
    { "/* a /* b */ c */ 1 -- x\n+ 2", true, "non" },
    { "/* a /* b */", true, "!" },
    { "1.5 1. .5 1.5e3 1e-3 1..2", true, "nnnnnnon" },
    { "1a", true, "!" },
    { "1e", true, "!" },
    { "1e+", true, "!" },
    { "$1 $23", true, "pp" },
    { "$1a", true, "!" },
    { "a::b:=c..d=>e", true, "wcwowowow" },
    { "a=-1", true, "woon" },
    { "a@-1", true, "won" },
    { "a+--x\n1", true, "won" },
    { "a</*x*/b", true, "wow" },
    { "*/*x*/", true, "o" },
    { "a[1:2]", true, "w[n:n]" },
    { "\xc3\xa4x = '\xc3\xa4'", true, "wos" },
    { "'abc", true, "!" },
    { "?| ?& @> <-> #>>", true, "ooooo" },
};

static void reads_tokens_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lexer lexer;
        struct token token;
        char kinds[64] = "";
        size_t count = 0;

        lexer_init(&lexer, slice_of(cases[i].text), cases[i].conforming);
        for (;;) {
            lexer_next(&lexer, &token);
            if (token.kind == TOKEN_END)
                break;
            kinds[count++] = letter(cases[i].text, &token);
            if (token.kind == TOKEN_BAD)
                break;
        }
        kinds[count] = '\0';
        if (strcmp(kinds, cases[i].kinds) != 0)
            fail_msg("%s: expected %s, read %s", cases[i].text, cases[i].kinds, kinds);
    }
}

static void remembers_the_last_block_comment(void **state)
{
    struct lexer lexer;
    struct token token;

    (void)state;
    lexer_init(&lexer, slice_of("/* a */ select 1 /*tenant_id='x'*/ -- no"), true);
    do
        lexer_next(&lexer, &token);
    while (token.kind != TOKEN_END);
    assert_int_equal(lexer.comment.bytes, 13);
    assert_memory_equal(lexer.comment.at, "tenant_id='x'", 13);
}

static bool is_comment(const PgQuery__ScanToken *token)
{
    return token->token == PG_QUERY__TOKEN__SQL_COMMENT || token->token == PG_QUERY__TOKEN__C_COMMENT;
}

/* What the scanner's token is for us; -1: any (one-character tokens and operators). */
static int kind_of(const PgQuery__ScanToken *token)
{
    switch (token->token) {
    case PG_QUERY__TOKEN__SCONST:
        return TOKEN_STRING;
    case PG_QUERY__TOKEN__USCONST:
        return TOKEN_UNICODE;
    case PG_QUERY__TOKEN__BCONST:
    case PG_QUERY__TOKEN__XCONST:
        return TOKEN_BITS;
    case PG_QUERY__TOKEN__ICONST:
    case PG_QUERY__TOKEN__FCONST:
        return TOKEN_NUMBER;
    case PG_QUERY__TOKEN__PARAM:
        return TOKEN_PARAM;
    case PG_QUERY__TOKEN__TYPECAST:
        return TOKEN_CAST;
    case PG_QUERY__TOKEN__UIDENT:
        return TOKEN_QUOTED;
    default:
        return -1;
    }
}

static bool same_kind(const struct token *token, int expected)
{
    bool literal = token->kind >= TOKEN_STRING && token->kind <= TOKEN_PARAM;

    if (expected == TOKEN_STRING)
        return token->kind == TOKEN_STRING || token->kind == TOKEN_ESCAPE || token->kind == TOKEN_DOLLAR;
    return expected == -1 ? !literal && token->kind != TOKEN_CAST : (int)token->kind == expected;
}

/* libpg_query was changed to give comments as tokens; since then a comment between the two lines of one
 * literal
 * ('a' -- x, newline, 'b') splits it there, but not in the server. */
static bool is_known_difference(const char *text, const struct token *token, int32_t scan_end)
{
    const char *comment = strstr(text + scan_end, "--");

    return token->kind >= TOKEN_STRING && token->kind <= TOKEN_BITS && comment != NULL &&
           comment < text + token->end;
}

/* Both read the same tokens, or both refuse. The scanner's U&'…' does not know UESCAPE yet, so texts of the
 * differential corpus have none; and it keeps comments. */
static void compare_with_scanner(const char *text)
{
    PgQueryScanResult result;
    PgQuery__ScanResult *scan;
    struct lexer lexer;
    struct token token;
    size_t at = 0;

    standard_conforming_strings = true;
    result = pg_query_scan(text);
    lexer_init(&lexer, slice_of(text), true);
    lexer_next(&lexer, &token);
    if (result.error != NULL) {
        while (token.kind != TOKEN_END && token.kind != TOKEN_BAD)
            lexer_next(&lexer, &token);
        if (token.kind != TOKEN_BAD && strstr(result.error->message, "escape") == NULL &&
            strstr(result.error->message, "Unicode") == NULL &&
            strstr(result.error->message, "UTF") == NULL &&
            strstr(result.error->message, "surrogate") == NULL)
            fail_msg("%s: the scanner refuses it (%s)", text, result.error->message);
        pg_query_free_scan_result(result);
        return;
    }
    scan = pg_query__scan_result__unpack(NULL, result.pbuf.len, (const uint8_t *)result.pbuf.data);
    for (; token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
        while (at < scan->n_tokens && is_comment(scan->tokens[at]))
            at++;
        if (token.kind == TOKEN_BAD || at == scan->n_tokens)
            fail_msg("%s: the scanner reads it otherwise at %u", text, token.begin);
        if ((uint32_t)scan->tokens[at]->start != token.begin || !same_kind(&token, kind_of(scan->tokens[at])))
            fail_msg("%s: token at %u of kind %d, the scanner has %d at %d", text, token.begin, token.kind,
                     scan->tokens[at]->token, scan->tokens[at]->start);
        if ((uint32_t)scan->tokens[at]->end < token.end &&
            is_known_difference(text, &token, scan->tokens[at]->end))
            break;
        if (token.kind != TOKEN_NCHAR && token.kind != TOKEN_UNICODE && /* whose ends it does not tell */
            (uint32_t)scan->tokens[at]->end != token.end)
            fail_msg("%s: token at %u ends at %u, the scanner says %d", text, token.begin, token.end,
                     scan->tokens[at]->end);
        at++;
    }
    while (at < scan->n_tokens && is_comment(scan->tokens[at]))
        at++;
    if (token.kind == TOKEN_END && at != scan->n_tokens)
        fail_msg("%s: the scanner reads on", text);
    pg_query__scan_result__free_unpacked(scan, NULL);
    pg_query_free_scan_result(result);
}

/* Pieces that mean something beside each other. */
static const char *const pieces[] = {
    "'",       "''",     "'a'",    "\"", "\"a\"", "a",        "e'",  "E'\\'", "b'1'", "x'f'",
    "n'x'",    "U&'a'",  "$",      "$$", "$a$",   "$1",       "$2b", "1",     "12",   "1.",
    ".5",      "1.5e3",  "..",     ".",  ",",     ";",        "(",   ")",     "[",    "]",
    ":",       "::",     ":=",     "=>", "=",     "<",        ">",   "-",     "--",   "+",
    "*",       "/",      "/*",     "*/", "@",     "#",        "|",   "&",     "?",    "%",
    "^",       "~",      "!",      "`",  "\\",    "\n",       " ",   "\t",    "\r",   "-- x\n",
    "/* c */", "select", "values", "in", "A_b$9", "\xc3\xa9", "e",   "E5",    "0",
};

static void agrees_with_the_scanner_of_libpg_query(void **state)
{
    uint32_t seed = 20240607;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (cases[i].conforming && strcasestr(cases[i].text, "uescape") == NULL)
            compare_with_scanner(cases[i].text);
    for (unsigned round = 0; round < 60000; round++) {
        char text[256] = "";

        for (unsigned piece = 0; piece < 1 + round % 12; piece++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(text, pieces[(seed >> 8) % (sizeof pieces / sizeof pieces[0])]);
        }
        compare_with_scanner(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tokens_as_the_table_says),
        cmocka_unit_test(remembers_the_last_block_comment),
        cmocka_unit_test(agrees_with_the_scanner_of_libpg_query),
    };

    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
