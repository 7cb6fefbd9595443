/* comment.c - a tenant in a comment behind a statement: action='run',tenant_id='acme'
 * Owns:   which comments belong to a statement, sqlcommenter's form.
 * Leaves: where a comment begins and ends to token.c, what the tenant is worth to attribute.c.
 * Thread: any.   Start at: attribute_read_comment().
 * A comment that is not in that form from its first byte to its last says nothing: prose may quote anything.
 */
#include "sql/attribute.h"

#include <string.h>

#include "sql/token.h"

const char *attribute_comment_key(const char *tenant_setting)
{
    const char *dot = strrchr(tenant_setting, '.');

    return dot == NULL ? tenant_setting : dot + 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void skip_space(struct slice *text)
{
    while (text->bytes > 0 && token_is_space(text->at[0])) {
        text->at++;
        text->bytes--;
    }
}

static char take(struct slice *text)
{
    text->bytes--;
    return *text->at++;
}

/* URL-encoded text up to `end`, which is taken too. *bytes is `room` or more where it does not fit. */
static bool read_encoded(struct slice *text, char end, char *out, size_t room, size_t *bytes)
{
    *bytes = 0;
    while (text->bytes > 0) {
        char c = take(text);

        if (c == end) {
            out[*bytes < room ? *bytes : room - 1] = '\0';
            return true;
        }
        if (c == '%' && text->bytes >= 2 && hex_digit(text->at[0]) >= 0 && hex_digit(text->at[1]) >= 0) {
            c = (char)(hex_digit(text->at[0]) << 4 | hex_digit(text->at[1]));
            text->at += 2;
            text->bytes -= 2;
        } else if (c == '\\' && text->bytes > 0) {
            c = take(text);
        } else if (c == '\'' || c == '%' || c == ',') {
            return false;
        }
        if (c == '\0')
            return false;
        if (*bytes + 1 < room)
            out[*bytes] = c;
        ++*bytes;
    }
    return false;
}

/* One comment's pairs. What is found for `key` must not differ from what was found before. */
static enum comment_reading read_pairs(struct slice comment, const char *key, char tenant[TENANT_BYTES_MAX])
{
    enum comment_reading found = COMMENT_NONE;
    char name[IDENTIFIER_BYTES_MAX];
    char value[TENANT_BYTES_MAX];
    size_t bytes;

    for (;;) {
        skip_space(&comment);
        if (!read_encoded(&comment, '=', name, sizeof name, &bytes) || comment.bytes == 0 ||
            take(&comment) != '\'')
            return COMMENT_NONE;
        if (bytes >= sizeof name)
            name[0] = '\0';
        if (!read_encoded(&comment, '\'', value, sizeof value, &bytes))
            return COMMENT_NONE;
        if (strcmp(name, key) == 0) {
            bool same = found == COMMENT_NONE || strcmp(value, tenant) == 0;

            found = same && bytes > 0 && bytes < sizeof value ? COMMENT_TENANT : COMMENT_UNKNOWN;
            memcpy(tenant, value, sizeof value);
        }
        skip_space(&comment);
        if (comment.bytes == 0)
            return found;
        if (take(&comment) != ',')
            return COMMENT_NONE;
    }
}

/* From behind the `;` before the statement to its own. */
static bool with_comments(const struct shape *shape, struct slice text, size_t index, struct slice *around)
{
    struct slice statement;
    struct slice before;
    size_t begin = 0;
    size_t end;

    if (!shape_statement(shape, text, index, &statement))
        return false;
    end = (size_t)(statement.at - text.at) + statement.bytes;
    if (index > 0 && shape_statement(shape, text, index - 1, &before))
        begin = (size_t)(before.at - text.at) + before.bytes + 1;
    if (begin > end)
        return false;
    *around = (struct slice){ text.at + begin, end - begin };
    return true;
}

static bool contains(struct slice text, const char *word)
{
    return text.bytes > 0 && memmem(text.at, text.bytes, word, strlen(word)) != NULL;
}

enum comment_reading attribute_read_comment(const struct shape *shape, struct slice text, size_t index,
                                            const char *key, char tenant[TENANT_BYTES_MAX])
{
    enum comment_reading found = COMMENT_NONE;
    char value[TENANT_BYTES_MAX];
    struct slice around;
    struct lexer lexer;
    struct token token;

    tenant[0] = '\0';
    if (shape->comment.at == NULL || key[0] == '\0' || !with_comments(shape, text, index, &around) ||
        !contains(around, key))
        return COMMENT_NONE;
    lexer_init(&lexer, around, shape->standard_conforming_strings);
    lexer.tells_comments = true;
    for (;;) {
        enum comment_reading one;

        lexer_next(&lexer, &token);
        if (token.kind == TOKEN_END || token.kind == TOKEN_BAD)
            return found;
        one = token.kind == TOKEN_COMMENT ? read_pairs(lexer.comment, key, value) : COMMENT_NONE;
        if (one == COMMENT_NONE)
            continue;
        if (one == COMMENT_UNKNOWN || (found == COMMENT_TENANT && strcmp(tenant, value) != 0))
            return COMMENT_UNKNOWN;
        found = one;
        memcpy(tenant, value, sizeof value);
    }
}
