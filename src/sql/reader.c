/* reader.c - tokens in, shape and holes out.
 * Owns:   how tokens are written down, what folds, how deep a statement may nest.
 * Leaves: what a token is to token.c, the shape's memory and what is asked of it to shape.c.
 * Thread: any.   Start at: reader_run(), then on_token().
 *
 * Folding. Rows behind VALUES and elements of IN ( … ) are compared, as they are completed, with the element
 * kept before them. An equal one is taken out of the shape again, its holes get the slots of the kept one's,
 * and the kept one is marked with a comment. Comments of the text never reach a shape, so a folded shape is
 * no other text's.
 *
 * Depth. libpg_query walks its tree by recursion without a bound of its own: `1+1+1+…` overflows the stack at
 * some 3,000 terms, `(select (select …` at 1,200. So the depth that a text's tree can have is estimated from
 * above, token by token, and what is deeper than DEPTH_MAX is out of bounds. Within one element of a list
 * every token may add a level; a comma, AND or OR begins a new sibling; joins, set operations and CASE are
 * counted until their parenthesis closes. The true depth is at most twice the estimate (a prefix outside and
 * a tail behind a parenthesis). */
#include "sql/reader.h"

#include <stddef.h>
#include <string.h>

#include "base/limits.h"
#include "sql/hole.h"
#include "sql/row.h"
#include "sql/token.h"
#include "sql/word.h"

enum {
    DEPTH_MAX = 400, /* see above; 800 nested sub-selects need 6 MB of an 8 MB stack */
    ROW_COST_MAX =
        256 * 256, /* the grammar writes the right side of SET (a, b, …) = (x, y, …) once per column */
};

#define FOLD_MARK "/*,...*/"

/* What stood last, as far as the space behind it is concerned. */
enum glue {
    GLUE_NONE,
    GLUE_WORD,
    GLUE_DIGITS,
    GLUE_OPERATOR,
    GLUE_DOT,
    GLUE_CAST,
    GLUE_OPEN,
    GLUE_CLOSE,
    GLUE_COMMA
};

enum fold { FOLD_NONE, FOLD_ROWS, FOLD_ROWS_BETWEEN, FOLD_LIST };

/* An open parenthesis, bracket or CASE; the first is the statement itself. */
struct level {
    char kind; /* ( [ c, or 0 */
    uint8_t fold;
    bool kept; /* an element stands to be compared with */
    struct row_kept last;
    uint32_t element_begin, element_slot;
    size_t element_hole;
    uint32_t commas;
    uint32_t base, chain, most, joined,
        betweens; /* depth: of the levels outside, of this element, of the deepest
                     one, joins and set operations, BETWEENs that wait for AND */
};

struct reader {
    struct shape *shape;
    struct slice text;
    struct lexer *lexer;
    enum glue glue;
    enum word last, before; /* the two words or signs before this token */
    unsigned word_count;    /* words of the statement so far */
    enum word words[4];     /* the first of them */
    bool in_statement;
    unsigned parens, atomic; /* open parentheses; open BEGIN ATOMIC and what nests in it */
    uint32_t closed_commas;  /* of the parenthesis that closed just before this token */
    uint64_t row_cost;
    unsigned depth; /* levels[depth] is the innermost */
    struct level levels[DEPTH_MAX + 1];
};

static uint32_t position(const struct reader *reader)
{
    return (uint32_t)buf_bytes(&reader->shape->text);
}

/* May `next` follow `prev` without a space and still be read as two tokens? Beyond that, for the eye. */
static bool wants_space(enum glue prev, enum glue next, char first)
{
    if (prev == GLUE_NONE || prev == GLUE_OPEN || prev == GLUE_COMMA || next == GLUE_OPEN ||
        next == GLUE_CLOSE || next == GLUE_COMMA)
        return false;
    if (next == GLUE_CAST)
        return prev == GLUE_OPERATOR || prev == GLUE_DOT || prev == GLUE_CAST;
    if (next == GLUE_DOT)
        return prev != GLUE_WORD && prev != GLUE_CLOSE;
    if (prev == GLUE_CAST)
        return next != GLUE_WORD;
    if (prev == GLUE_DOT)
        return next != GLUE_WORD && first != '*';
    return true;
}

static void put(struct reader *reader, enum glue glue, const char *bytes, size_t count)
{
    char *to = buf_reserve(&reader->shape->text, count + 1);
    size_t space = wants_space(reader->glue, glue, bytes[0]);

    if (to == NULL)
        return;
    *to = ' ';
    memcpy(to + space, bytes, count);
    buf_grew(&reader->shape->text, count + space);
    reader->glue = glue;
}

static struct level *top(struct reader *reader)
{
    return &reader->levels[reader->depth];
}

static bool push_level(struct reader *reader, char kind)
{
    const struct level *outer = top(reader);

    if (reader->depth == DEPTH_MAX)
        return false;
    reader->levels[++reader->depth] =
        (struct level){ .kind = kind, .base = outer->base + outer->chain + outer->joined };
    return true;
}

static void begin_sibling(struct level *level)
{
    if (level->chain > level->most)
        level->most = level->chain;
    level->chain = 0;
}

static void pop_level(struct reader *reader)
{
    struct level *inner = top(reader);
    uint32_t depth;

    begin_sibling(inner);
    depth = inner->most + inner->joined;
    reader->depth--;
    if (top(reader)->chain < depth)
        top(reader)->chain = depth;
    top(reader)->chain++;
}

/* Equal elements have equal shapes, whatever stood around them: no space ever opens one. */
static void begin_element(struct reader *reader, struct level *level)
{
    level->element_begin = position(reader);
    level->element_slot = reader->shape->slot_count;
    level->element_hole = reader->shape->hole_count;
}

static void keep_element(struct reader *reader, struct level *level)
{
    level->kept = true;
    level->last.begin = level->element_begin;
    level->last.end = position(reader);
    level->last.slot = level->element_slot;
    level->last.hole = level->element_hole;
}

static void mark_fold(struct reader *reader, const struct level *level)
{
    struct shape *shape = reader->shape;

    shape->text.tail = shape->text.head + level->last.end;
    buf_append_text(&shape->text, FOLD_MARK);
    shape->folded = true;
}

static void end_element(struct reader *reader, struct level *level)
{
    struct shape *shape = reader->shape;
    const char *text = buf_at(&shape->text);
    uint32_t bytes = position(reader) - level->element_begin;

    if (buf_failed(&shape->text))
        return;
    if (!level->kept || level->last.end - level->last.begin != bytes || bytes == 0 ||
        memcmp(text + level->last.begin, text + level->element_begin, bytes) != 0) {
        keep_element(reader, level);
        return;
    }
    for (size_t i = level->element_hole; i < shape->hole_count; i++)
        shape->holes[i].slot = shape->holes[i].slot - level->element_slot + level->last.slot;
    shape->slot_count = level->element_slot;
    mark_fold(reader, level);
}

/* After a row: takes rows like the kept one the short way. */
static void skip_rows(struct reader *reader, struct level *level)
{
    uint32_t count;

    if (!level->kept)
        return;
    reader->lexer->at = row_skip(reader->shape, reader->text, &level->last, reader->lexer->at, &count);
    level->commas += count;
    if (count > 0 && !buf_failed(&reader->shape->text))
        mark_fold(reader, level);
}

static bool on_open(struct reader *reader, char kind)
{
    struct level *outer = top(reader);
    bool list =
        kind == '(' && reader->last == WORD_IN && reader->before != WORD_DOT && reader->before != WORD_AS;

    if (outer->fold == FOLD_ROWS && kind == '(')
        begin_element(reader, outer);
    put(reader, GLUE_OPEN, &kind, 1);
    if (!push_level(reader, kind))
        return false;
    if (list) {
        top(reader)->fold = FOLD_LIST;
        begin_element(reader, top(reader));
    }
    if (kind == '(')
        reader->parens++;
    return true;
}

static void on_close(struct reader *reader, char kind)
{
    while (reader->depth > 0 && top(reader)->kind == 'c')
        pop_level(reader);
    if (reader->depth > 0) {
        if (top(reader)->fold == FOLD_LIST)
            end_element(reader, top(reader));
        reader->closed_commas = top(reader)->commas;
        pop_level(reader);
    }
    put(reader, GLUE_CLOSE, &kind, 1);
    if (kind == ')' && reader->parens > 0)
        reader->parens--;
    if (top(reader)->fold == FOLD_ROWS) {
        end_element(reader, top(reader));
        top(reader)->fold = FOLD_ROWS_BETWEEN;
        skip_rows(reader, top(reader));
    }
}

static void on_comma(struct reader *reader)
{
    struct level *level = top(reader);

    if (level->fold == FOLD_LIST)
        end_element(reader, level);
    put(reader, GLUE_COMMA, ",", 1);
    if (level->fold == FOLD_LIST)
        begin_element(reader, level);
    level->commas++;
    begin_sibling(level);
}

static bool on_semicolon(struct reader *reader, const struct token *token)
{
    put(reader, GLUE_COMMA, ";", 1);
    if (reader->parens > 0 || reader->atomic > 0)
        return true;
    reader->depth = 0;
    reader->levels[0] = (struct level){ 0 };
    reader->word_count = 0;
    reader->in_statement = false;
    return hole_push_offset(reader->shape, &reader->shape->ends, &reader->shape->end_count,
                            &reader->shape->end_capacity, token->begin);
}

static bool on_self(struct reader *reader, const struct token *token)
{
    char c = reader->text.at[token->begin];
    static const enum word signs[128] = { ['.'] = WORD_DOT, ['('] = WORD_PAREN };
    bool fine = true;

    switch (c) {
    case '(':
    case '[':
        fine = on_open(reader, c);
        break;
    case ')':
    case ']':
        on_close(reader, c);
        break;
    case ',':
        on_comma(reader);
        break;
    case ';':
        fine = on_semicolon(reader, token);
        break;
    case '.':
        put(reader, GLUE_DOT, &c, 1);
        break;
    default:
        put(reader, GLUE_OPERATOR, &c, 1);
        break;
    }
    reader->before = reader->last;
    reader->last = signs[(unsigned char)c];
    return fine;
}

/* Is this the body of a function in SQL's own syntax (BEGIN ATOMIC … END)? Its semicolons end no statement.
 * As psql tells it. */
static void note_atomic(struct reader *reader, enum word word)
{
    const enum word *w = reader->words;
    bool routine =
        w[1] == WORD_FUNCTION || w[1] == WORD_PROCEDURE ||
        (w[1] == WORD_OR && w[2] == WORD_REPLACE && (w[3] == WORD_FUNCTION || w[3] == WORD_PROCEDURE));

    if (w[0] != WORD_CREATE || !routine || reader->word_count < 3 || reader->parens > 0)
        return;
    if (word == WORD_BEGIN || (word == WORD_CASE && reader->atomic > 0))
        reader->atomic++;
    else if (word == WORD_END && reader->atomic > 0)
        reader->atomic--;
}

/* What a keyword does to the depth and to folds. false: too deep. */
static bool on_keyword(struct reader *reader, enum word word)
{
    struct level *level = top(reader);
    bool label = reader->last == WORD_DOT || reader->last == WORD_AS;

    if (label)
        return true;
    switch (word) {
    case WORD_AND:
        if (level->betweens > 0)
            level->betweens--;
        else
            begin_sibling(level);
        break;
    case WORD_OR:
        begin_sibling(level);
        break;
    case WORD_WHEN:
    case WORD_THEN:
    case WORD_ELSE:
        if (level->kind == 'c')
            begin_sibling(level);
        break;
    case WORD_BETWEEN:
        level->betweens++;
        break;
    case WORD_JOIN:
    case WORD_UNION:
    case WORD_INTERSECT:
    case WORD_EXCEPT: /* each nests what stands before it; what stands between is beside it */
        begin_sibling(level);
        level->joined++;
        break;
    case WORD_CASE:
        return push_level(reader, 'c');
    case WORD_END:
        if (level->kind == 'c')
            pop_level(reader);
        break;
    case WORD_VALUES:
        level->fold = FOLD_ROWS;
        level->kept = false;
        break;
    case WORD_SELECT:
    case WORD_TABLE:
    case WORD_WITH: /* IN ( … ) with a query inside: its commas separate something else */
        if (level->fold == FOLD_LIST)
            level->fold = FOLD_NONE;
        break;
    default:
        break;
    }
    return true;
}

static bool on_word(struct reader *reader, const struct token *token)
{
    uint32_t bytes = token->end - token->begin;
    const char *from = reader->text.at + token->begin;
    bool space = wants_space(reader->glue, GLUE_WORD, from[0]);
    enum word word;
    char *to;

    to = buf_reserve(&reader->shape->text, bytes + 1);
    if (to == NULL)
        return false;
    *to = ' ';
    to += space;
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] + 32) : from[i];
    word = word_of(to, bytes);
    buf_grew(&reader->shape->text, bytes + space);
    reader->glue = GLUE_WORD;
    if (reader->word_count < 4)
        reader->words[reader->word_count] = word;
    reader->word_count++;
    if (!on_keyword(reader, word))
        return false;
    note_atomic(reader, word);
    reader->before = reader->last;
    reader->last = word;
    return true;
}

/* A literal that names what the statement does stays: see shape.h. */
static bool is_verbatim(const struct reader *reader)
{
    enum word first = reader->words[0];
    enum word second = reader->words[1];

    if (reader->last == WORD_PAREN &&
        (reader->before == WORD_SET_CONFIG || reader->before == WORD_CURRENT_SETTING))
        return true;
    if (first == WORD_DO)
        return true; /* the body of a DO may name a declared table */
    return reader->word_count == 2 && ((first == WORD_PREPARE && second == WORD_TRANSACTION) ||
                                       (first == WORD_COMMIT && second == WORD_PREPARED) ||
                                       (first == WORD_ROLLBACK && second == WORD_PREPARED));
}

static bool on_literal(struct reader *reader, const struct token *token)
{
    static const struct {
        enum hole_kind kind;
        enum glue glue;
        const char *text;
        uint32_t bytes;
    } holes[] = {
        [TOKEN_STRING] = { HOLE_STRING, GLUE_WORD, "'?'", 3 },
        [TOKEN_ESCAPE] = { HOLE_ESCAPE, GLUE_WORD, "'?'", 3 },
        [TOKEN_UNICODE] = { HOLE_UNICODE, GLUE_WORD, "'?'", 3 },
        [TOKEN_DOLLAR] = { HOLE_DOLLAR, GLUE_WORD, "'?'", 3 },
        [TOKEN_BITS] = { HOLE_BITS, GLUE_WORD, "b''", 3 },
        [TOKEN_NUMBER] = { HOLE_NUMBER, GLUE_DIGITS, "1", 1 },
        [TOKEN_PARAM] = { HOLE_PARAM, GLUE_DIGITS, "$0", 2 },
    };
    const char *text = holes[token->kind].text;
    uint32_t bytes = holes[token->kind].bytes;

    if (token->kind <= TOKEN_DOLLAR && is_verbatim(reader)) {
        put(reader, GLUE_WORD, reader->text.at + token->begin, token->end - token->begin);
    } else {
        put(reader, holes[token->kind].glue, text, bytes);
        if (!hole_push(reader->shape, token, holes[token->kind].kind, position(reader) - bytes))
            return false;
    }
    reader->before = reader->last;
    reader->last = WORD_NONE;
    return true;
}

static bool on_other(struct reader *reader, const struct token *token)
{
    const char *from = reader->text.at + token->begin;
    enum glue glue = token->kind == TOKEN_CAST     ? GLUE_CAST
                     : token->kind == TOKEN_QUOTED ? GLUE_WORD
                                                   : GLUE_OPERATOR;

    if (token->kind == TOKEN_NCHAR)
        put(reader, GLUE_WORD, "nchar", 5);
    else
        put(reader, glue, from, token->end - token->begin);
    reader->before = reader->last;
    reader->last = token->kind == TOKEN_QUOTED ? word_quoted(from, token->end - token->begin) : WORD_NONE;
    return true;
}

/* Rows end where something else than `, (` follows one. */
static void check_rows(struct reader *reader, const struct token *token)
{
    struct level *level = top(reader);
    char c = token->kind == TOKEN_SELF ? reader->text.at[token->begin] : '\0';

    if (level->fold == FOLD_ROWS && c != '(')
        level->fold = FOLD_NONE;
    else if (level->fold == FOLD_ROWS_BETWEEN)
        level->fold = c == ',' ? FOLD_ROWS : FOLD_NONE;
}

/* (a, b, …) = (…): quadratic in the tree, see ROW_COST_MAX. */
static bool check_row_cost(struct reader *reader, const struct token *token)
{
    uint64_t commas = reader->closed_commas;

    reader->closed_commas = 0;
    if (token->kind == TOKEN_OPERATOR && reader->text.at[token->begin] == '=')
        reader->row_cost += commas * commas;
    return reader->row_cost <= ROW_COST_MAX;
}

static bool begin_statement(struct reader *reader, const struct token *token)
{
    struct shape *shape = reader->shape;

    if (reader->in_statement || (token->kind == TOKEN_SELF && reader->text.at[token->begin] == ';'))
        return true;
    reader->in_statement = true;
    memset(reader->words, 0, sizeof reader->words);
    return hole_push_offset(shape, &shape->begins, &shape->begin_count, &shape->begin_capacity, token->begin);
}

static bool on_token(struct reader *reader, const struct token *token)
{
    bool fine;

    if (!begin_statement(reader, token))
        return false;
    check_rows(reader, token);
    if (!check_row_cost(reader, token))
        return false;
    top(reader)->chain++;
    switch (token->kind) {
    case TOKEN_WORD:
        fine = on_word(reader, token);
        break;
    case TOKEN_SELF:
        fine = on_self(reader, token);
        break;
    case TOKEN_STRING:
    case TOKEN_ESCAPE:
    case TOKEN_UNICODE:
    case TOKEN_DOLLAR:
    case TOKEN_BITS:
    case TOKEN_NUMBER:
    case TOKEN_PARAM:
        fine = on_literal(reader, token);
        break;
    default:
        fine = on_other(reader, token);
        break;
    }
    return fine && position(reader) <= SHAPE_BYTES_MAX &&
           top(reader)->base + top(reader)->joined + top(reader)->chain <= DEPTH_MAX;
}

bool reader_run(struct shape *shape, struct slice text, struct lexer *lexer)
{
    struct reader reader; /* levels are set when they are entered */
    struct token token;

    memset(&reader, 0, offsetof(struct reader, levels) + sizeof reader.levels[0]);
    reader.shape = shape;
    reader.text = text;
    reader.lexer = lexer;
    for (;;) {
        lexer_next(lexer, &token);
        if (token.kind == TOKEN_END)
            return true;
        if (token.kind == TOKEN_BAD || !on_token(&reader, &token))
            return false;
    }
}
