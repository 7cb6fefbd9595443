/* print.c - see print.h. Start at: print_shape(). */
#include "sql/print.h"

#include <inttypes.h>
#include <stdio.h>

#include "sql/token.h"

/* FNV-1a: of what is cut off. Whoever can make two long statements with the same sum fools himself. */
static uint64_t sum(struct slice text)
{
    uint64_t sum = 14695981039346656037u;

    for (size_t i = 0; i < text.bytes; i++)
        sum = (sum ^ (unsigned char)text.at[i]) * 1099511628211u;
    return sum;
}

/* What is not ASCII by its numbers: a name in any encoding, for tables of any encoding, and two names stay
 * two. */
static void put_text(struct slice text, struct buf *out)
{
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if (c < ' ' || c >= 0x7f)
            buf_append_format(out, "\\x%02x", (unsigned)c);
        else
            buf_append(out, text.at + i, 1);
    }
}

static void put_token(const struct token *token, struct slice shape, struct buf *out)
{
    switch (token->kind) {
    case TOKEN_STRING:
    case TOKEN_ESCAPE:
    case TOKEN_UNICODE:
    case TOKEN_DOLLAR:
    case TOKEN_BITS:
    case TOKEN_NUMBER:
        buf_append_text(out, "?");
        break;
    case TOKEN_PARAM:
        buf_append_text(out, "$n");
        break;
    case TOKEN_COMMENT: /* a shape has no other */
        buf_append_text(out, ", ...");
        break;
    default:
        put_text((struct slice){ shape.at + token->begin, token->end - token->begin }, out);
    }
}

static void put_cut(struct slice all, struct buf *out)
{
    char tail[32] = "";
    size_t keep = all.bytes;

    if (all.bytes > PRINT_BYTES_MAX)
        keep = PRINT_BYTES_MAX - (size_t)snprintf(tail, sizeof tail, " ... #%016" PRIx64, sum(all));
    buf_append(out, all.at, keep);
    buf_append_text(out, tail);
}

void print_shape(struct slice shape, bool standard_conforming_strings, struct buf *out)
{
    struct buf all;
    struct lexer lexer;
    struct token token;
    uint32_t behind = 0;

    buf_init(&all);
    lexer_init(&lexer, shape, standard_conforming_strings);
    lexer.tells_comments = true;
    for (lexer_next(&lexer, &token); token.kind != TOKEN_END && token.kind != TOKEN_BAD;
         lexer_next(&lexer, &token)) {
        if (token.begin > behind && behind > 0 && token.kind != TOKEN_COMMENT)
            buf_append_text(&all, " ");
        put_token(&token, shape, &all);
        behind = token.end;
    }
    if (buf_failed(&all))
        out->failed = true;
    else
        put_cut(buf_slice(&all), out);
    buf_done(&all);
}

struct slice print_part(struct slice shape, const struct plan_statement *statement)
{
    if (statement->shape_bytes == 0 || statement->shape_at > shape.bytes ||
        statement->shape_bytes > shape.bytes - statement->shape_at)
        return shape;
    return (struct slice){ shape.at + statement->shape_at, statement->shape_bytes };
}

const char *print_source(const struct plan_statement *statement)
{
    if (!(statement->tables & (TABLES_EVENT | TABLES_COMPANION)))
        return NULL;
    if (statement->named_needed > 0 && !statement->rows_unseen)
        return "stream pattern";
    if (statement->stream_count > 0 && (statement->tenants_partial || statement->tenant_count == 0))
        return "stream";
    if (statement->copy != NULL)
        return "row";
    if (statement->rows_unseen)
        return "none: its rows come from elsewhere";
    if (statement->tenants_partial)
        return "none: not every reference is restricted";
    if (statement->by_literal && statement->by_parameter)
        return "literal, parameter";
    if (statement->by_literal || statement->by_parameter)
        return statement->by_literal ? "literal" : "parameter";
    return statement->tenant_null ? "null" : "around it";
}

void print_tables(unsigned tables, char *text, size_t bytes)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { TABLES_EVENT, "event" },
        { TABLES_COMPANION, "companion" },
        { TABLES_EVERYWHERE, "everywhere" },
        { TABLES_DEFAULT, "default" },
    };
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (tables & names[i].bit && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used == 0 ? "" : ", ", names[i].name);
}

const char *print_class(enum statement_class class)
{
    switch (class) {
    case CLASS_NEUTRAL:
        return "neutral";
    case CLASS_READ:
        return "read";
    case CLASS_WRITE:
        return "write";
    }
    return "unknown";
}
