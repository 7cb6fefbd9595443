/* fuzz_sql.c - statements against libpg_query's own scanner and parser. The input's first byte says how: bit
 * 0 backslashes in plain strings, bit 1 an array instead of a statement, bit 2 a comment. Promises checked:
 *   - where the scanner sees tokens, the tokenizer sees the same ones at the same places;
 *   - a string's content is what the parser reads;
 *   - the shape of a query parses if and only if the query does, into as many statements, with one
 * fingerprint;
 *   - planning and attribution end, and a shape's second plan is its first. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include "../unit/sql/fixture.h"
#include "base/buf.h"
#include "sql/array.h"
#include "sql/token.h"

extern __thread bool standard_conforming_strings; /* libpg_query's, exported but in no header */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool good, const char *what, const char *text)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s\n", what, text);
    abort();
}

/* ---- tokens ---- */

static bool is_comment(const PgQuery__ScanToken *token)
{
    return token->token == PG_QUERY__TOKEN__SQL_COMMENT || token->token == PG_QUERY__TOKEN__C_COMMENT;
}

static bool is_number(const struct token *token)
{
    return token->kind == TOKEN_NUMBER;
}

static bool same_kind(const struct token *ours, const PgQuery__ScanToken *theirs)
{
    switch (theirs->token) {
    case PG_QUERY__TOKEN__SCONST:
        return ours->kind == TOKEN_STRING || ours->kind == TOKEN_ESCAPE || ours->kind == TOKEN_DOLLAR;
    case PG_QUERY__TOKEN__USCONST:
        return ours->kind == TOKEN_UNICODE;
    case PG_QUERY__TOKEN__UIDENT:
        return ours->kind == TOKEN_QUOTED;
    case PG_QUERY__TOKEN__BCONST:
    case PG_QUERY__TOKEN__XCONST:
        return ours->kind == TOKEN_BITS;
    case PG_QUERY__TOKEN__ICONST:
    case PG_QUERY__TOKEN__FCONST:
        return is_number(ours);
    case PG_QUERY__TOKEN__PARAM:
        return ours->kind == TOKEN_PARAM;
    default:
        return ours->kind != TOKEN_STRING && ours->kind != TOKEN_ESCAPE && ours->kind != TOKEN_UNICODE &&
               ours->kind != TOKEN_DOLLAR && ours->kind != TOKEN_BITS && ours->kind != TOKEN_PARAM &&
               !is_number(ours);
    }
}

/* 'a' --comment, newline, 'b' is one literal to PostgreSQL, and two to libpg_query, which makes comments
 * tokens. */
static bool spans_comment(const PgQuery__ScanResult *scanned, size_t i, uint32_t end)
{
    for (; i < scanned->n_tokens && (uint32_t)scanned->tokens[i]->start < end; i++)
        if (is_comment(scanned->tokens[i]))
            return true;
    return false;
}

/* UESCAPE and its string are tokens of the scanner's; ours belong to the string before. */
static size_t skip_to(const PgQuery__ScanResult *scanned, size_t i, uint32_t end)
{
    while (i < scanned->n_tokens &&
           (is_comment(scanned->tokens[i]) || (uint32_t)scanned->tokens[i]->start < end))
        i++;
    return i;
}

static void compare_tokens(const char *text, bool conforming, const PgQuery__ScanResult *scanned)
{
    struct lexer lexer;
    struct token token;
    size_t i = skip_to(scanned, 0, 0);

    lexer_init(&lexer, slice_of(text), conforming);
    for (;;) {
        lexer_next(&lexer, &token);
        if (token.kind == TOKEN_BAD)
            return; /* UESCAPE without its string is the parser's affair, and the parser refuses it */
        if (token.kind == TOKEN_END) {
            require(i == scanned->n_tokens, "a token was missed", text);
            return;
        }
        require(i < scanned->n_tokens, "a token too many", text);
        require((uint32_t)scanned->tokens[i]->start == token.begin, "a token begins elsewhere", text);
        require(same_kind(&token, scanned->tokens[i]), "a token is of another kind", text);
        if (spans_comment(scanned, i, token.end))
            return;
        i = skip_to(scanned, i + 1, token.end);
    }
}

static void scan(const char *text, bool conforming)
{
    PgQueryScanResult result;

    standard_conforming_strings = conforming;
    result = pg_query_scan(text);
    if (result.error == NULL) {
        PgQuery__ScanResult *scanned =
            pg_query__scan_result__unpack(NULL, result.pbuf.len, (const uint8_t *)result.pbuf.data);

        require(scanned != NULL, "no scan result", text);
        compare_tokens(text, conforming, scanned);
        pg_query__scan_result__free_unpacked(scanned, NULL);
    }
    pg_query_free_scan_result(result);
}

/* ---- contents ---- */

static void compare_content(const char *literal, bool conforming, const char *content)
{
    struct buf query;
    PgQueryProtobufParseResult result;

    buf_init(&query);
    buf_append_format(&query, "select %s", literal);
    standard_conforming_strings = conforming;
    result = pg_query_parse_protobuf(buf_text(&query));
    if (result.error == NULL) {
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                                                    (const uint8_t *)result.parse_tree.data);
        const PgQuery__Node *value = NULL;

        if (tree != NULL && tree->n_stmts == 1 &&
            tree->stmts[0]->stmt->node_case == PG_QUERY__NODE__NODE_SELECT_STMT &&
            tree->stmts[0]->stmt->select_stmt->n_target_list == 1)
            value = tree->stmts[0]->stmt->select_stmt->target_list[0]->res_target->val;
        require(value != NULL && value->node_case == PG_QUERY__NODE__NODE_A_CONST &&
                    value->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL,
                "a string is no string", buf_text(&query));
        require(strcmp(value->a_const->sval->sval, content) == 0, "a string's content differs",
                buf_text(&query));
        pg_query__parse_result__free_unpacked(tree, NULL);
    }
    pg_query_free_protobuf_parse_result(result);
    buf_done(&query);
}

static void contents(struct slice text, const struct shape *shape, bool conforming)
{
    for (size_t i = 0; i < shape->hole_count && i < 16; i++) {
        char content[1024];
        char *literal;

        if (shape->holes[i].kind > HOLE_DOLLAR || !shape_literal(shape, text, i, content, sizeof content))
            continue;
        literal = strndup(text.at + shape->holes[i].begin, shape->holes[i].bytes);
        compare_content(literal, conforming, content);
        free(literal);
    }
}

/* ---- shapes ---- */

static bool is_query(const PgQuery__Node *node)
{
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_SELECT_STMT:
    case PG_QUERY__NODE__NODE_INSERT_STMT:
    case PG_QUERY__NODE__NODE_UPDATE_STMT:
    case PG_QUERY__NODE__NODE_DELETE_STMT:
        return true;
    default:
        return false;
    }
}

/* How many statements; -1: refused. *queries: all of them are queries. */
static int parse(const char *text, bool conforming, bool *queries)
{
    PgQueryProtobufParseResult result;
    int count = -1;

    *queries = true;
    standard_conforming_strings = conforming;
    result = pg_query_parse_protobuf(text);
    if (result.error == NULL) {
        PgQuery__ParseResult *tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                                                    (const uint8_t *)result.parse_tree.data);

        require(tree != NULL, "no tree", text);
        count = (int)tree->n_stmts;
        for (size_t i = 0; i < tree->n_stmts; i++)
            *queries = *queries && is_query(tree->stmts[i]->stmt);
        pg_query__parse_result__free_unpacked(tree, NULL);
    }
    pg_query_free_protobuf_parse_result(result);
    return count;
}

static uint64_t fingerprint(const char *text)
{
    PgQueryFingerprintResult result = pg_query_fingerprint(text);
    uint64_t value = result.error == NULL ? result.fingerprint : 0;

    pg_query_free_fingerprint_result(result);
    return value;
}

/* The bounds of an array's type mean nothing (int[8] is int[1]), but libpg_query's fingerprint counts some.
 */
static uint64_t fingerprint_unbounded(const char *text)
{
    char *copy = strdup(text);
    char *to = copy;
    uint64_t value;

    for (const char *from = text; *from != '\0';) {
        size_t digits = from > text && from[-1] == '[' ? strspn(from, "0123456789") : 0;

        *to++ = digits > 0 && from[digits] == ']' ? '1' : *from;
        from += digits > 0 && from[digits] == ']' ? digits : 1;
    }
    *to = '\0';
    value = fingerprint(copy);
    free(copy);
    return value;
}

static void compare_shape(const char *text, const struct shape *shape, bool conforming)
{
    bool queries, same;
    int of_text = parse(text, conforming, &queries);
    int of_shape;

    if (of_text < 0 || !queries)
        return;
    of_shape = parse(buf_text(&shape->text), conforming, &same);
    if (of_shape < 0)
        return; /* a content that decides on the grammar (UESCAPE, typmods): unparsed, which is unknown */
    require(of_text == of_shape && same, "the shape has other statements", text);
    require((size_t)of_text == shape->begin_count, "statements were counted otherwise", text);
    standard_conforming_strings = conforming;
    if (!shape->folded && fingerprint(text) != fingerprint(buf_text(&shape->text)))
        require(fingerprint_unbounded(text) == fingerprint_unbounded(buf_text(&shape->text)),
                "the shape means something else", text);
}

/* ---- plans ---- */

static void plan(const char *text, bool conforming)
{
    static const struct slice value = { T1, 36 };
    static const uint16_t format = 0;
    const struct parameters params = { .count = 1, .values = &value, .formats = &format };
    const struct surroundings around = { .setting_tenant = T9 };
    struct schema *schema = fixture_schema();
    struct planner *planner = planner_new("app.tenant_id");
    const struct plan_context context = { .schema = schema,
                                          .standard_conforming_strings = conforming,
                                          .encoding_safe = true };
    struct plan *first = NULL, *second = NULL;
    struct attribution found;
    struct shape shape;
    struct error err;

    shape_init(&shape);
    attribution_init(&found);
    require(planner_plan(planner, slice_of(text), &context, &shape, &first), "no memory", text);
    if (first->parsed) {
        contents(slice_of(text), &shape, conforming);
        compare_shape(text, &shape, conforming);
        for (size_t i = 0; i < first->statement_count; i++) {
            char comment[TENANT_BYTES_MAX];

            require(attribute(&first->statements[i], slice_of(text), &shape, &params, &around, &found, &err),
                    "an error", text);
            require(found.tenancy != TENANCY_UNKNOWN || found.why != NULL, "unknown, and nobody knows why",
                    text);
            attribute_read_comment(&shape, slice_of(text), i, "tenant_id", comment);
        }
        require(planner_plan(planner, slice_of(text), &context, &shape, &second), "no memory", text);
        require(second == first, "another plan for the same text", text);
    }
    plan_give(first);
    plan_give(second);
    planner_free(planner);
    schema_give(schema);
    shape_done(&shape);
    attribution_done(&found);
}

static void array(const uint8_t *data, size_t size)
{
    struct slice bytes = { (const char *)data, size };
    struct array_reader reader;
    char element[8];
    size_t length;

    array_open_text(&reader, bytes);
    while (array_next(&reader, element, sizeof element, &length) < ARRAY_END)
        ;
    if (array_open_binary(&reader, bytes))
        while (array_next(&reader, element, sizeof element, &length) < ARRAY_END)
            ;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool conforming;
    char *text;

    if (size < 1 || memchr(data + 1, '\0', size - 1) != NULL) {
        if (size > 0)
            array(data + 1, size - 1);
        return 0;
    }
    conforming = (data[0] & 1) == 0;
    array(data + 1, size - 1);
    text = strndup((const char *)data + 1, size - 1);
    scan(text, conforming);
    plan(text, conforming);
    free(text);
    return 0;
}
