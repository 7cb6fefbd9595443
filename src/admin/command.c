/* command.c - text -> command, by a table whose usages are the grammar.
 * Owns:   nothing between calls; the strings of a struct command until command_done().
 * Leaves: what a command does to job.c.
 * Thread: any.   Start at: command_parse(), then match_sequence(). */
#include "admin/command.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/command_table.h"
#include "admin/lex.h"
#include "sql/shape.h"

enum { EXPECTED_MAX = 48, USAGES_MAX = 4, COMMANDS = sizeof commands / sizeof commands[0] };

#define OPTIONS_PATTERN "(option = value, …)"
#define STREAM_PATTERN  "'stream' …" /* one value or more: options of that name */

/* --- the parser --- */

struct parser {
    struct slice text;
    size_t from;
    const struct command_values *values;
    struct command *command;
    const struct command_info *info; /* the row that is being tried */
    struct token token;              /* the next one, not yet taken */
    bool broken;                     /* `err` is set for good: no other row can be the right one */
    struct error *err;
    /* what would have been right at the farthest token that any row reached */
    size_t farthest;
    struct slice expected[EXPECTED_MAX];
    size_t expected_count;
    const char *usages[USAGES_MAX];
    size_t usage_count; /* may be above USAGES_MAX: too many to show */
};

static struct slice token_text(const struct parser *parser)
{
    return (struct slice){ parser->text.at + parser->token.begin, parser->token.end - parser->token.begin };
}

static void take(struct parser *parser)
{
    parser->token = lex_next(parser->text, parser->token.end);
}

static void restart(struct parser *parser)
{
    parser->token = lex_next(parser->text, parser->from);
}

/* Always false, so that a mismatch can be returned. */
static bool expect(struct parser *parser, struct slice what)
{
    size_t at = parser->token.begin;

    if (parser->info->help == NULL || at < parser->farthest)
        return false; /* what only drivers say is no advice for an operator */
    if (at > parser->farthest) {
        parser->farthest = at;
        parser->expected_count = parser->usage_count = 0;
    }
    if (parser->usage_count == 0 || parser->usage_count > USAGES_MAX ||
        parser->usages[parser->usage_count - 1] != parser->info->usage) {
        if (parser->usage_count < USAGES_MAX)
            parser->usages[parser->usage_count] = parser->info->usage;
        parser->usage_count++;
    }
    for (size_t i = 0; i < parser->expected_count; i++)
        if (slice_equal(parser->expected[i], what))
            return false;
    if (parser->expected_count < EXPECTED_MAX)
        parser->expected[parser->expected_count++] = what;
    return false;
}

static bool broken(struct parser *parser)
{
    parser->broken = true;
    return false;
}

static size_t characters_before(struct slice text, size_t at)
{
    size_t count = 0;

    for (size_t i = 0; i < at && i < text.bytes; i++)
        if (((unsigned char)text.at[i] & 0xc0) != 0x80)
            count++;
    return count;
}

/* --- pieces of a usage --- */

static bool is_keyword_character(char c)
{
    return isupper((unsigned char)c) || isdigit((unsigned char)c) || c == '_' || c == '.';
}

/* The piece that begins at `at`: a keyword, a value's name, a symbol, <…>. */
static struct slice piece(const char *at)
{
    size_t bytes = 1;

    if (strncmp(at, OPTIONS_PATTERN, sizeof OPTIONS_PATTERN - 1) == 0)
        bytes = sizeof OPTIONS_PATTERN - 1;
    else if (strncmp(at, STREAM_PATTERN, sizeof STREAM_PATTERN - 1) == 0)
        bytes = sizeof STREAM_PATTERN - 1;
    else if (*at == '<')
        bytes = strcspn(at, ">") + 1;
    else if (*at == '\'')
        bytes = strcspn(at + 1, "'") + 2;
    else if (islower((unsigned char)*at))
        while (islower((unsigned char)at[bytes]))
            bytes++;
    else if (is_keyword_character(*at))
        while (is_keyword_character(at[bytes]))
            bytes++;
    return (struct slice){ at, bytes };
}

static bool token_is_keyword(const struct parser *parser, struct slice keyword)
{
    struct slice found = token_text(parser);

    return parser->token.kind == TOKEN_WORD && found.bytes == keyword.bytes &&
           strncasecmp(found.at, keyword.at, keyword.bytes) == 0;
}

static bool token_is_symbol(const struct parser *parser, char symbol)
{
    return parser->token.kind == TOKEN_SYMBOL && parser->text.at[parser->token.begin] == symbol;
}

static bool token_ends_command(const struct parser *parser)
{
    return parser->token.kind == TOKEN_END || parser->token.kind == TOKEN_SEMICOLON;
}

/* An unquoted word that some command knows is never a value: START MIGRATION TENANT TO … has lost its tenant.
 */
static bool token_is_reserved(const struct parser *parser)
{
    for (size_t i = 0; i < COMMANDS && commands[i].help != NULL; i++) {
        for (const char *at = commands[i].usage; *at != '\0';) {
            struct slice here = piece(at);

            if (is_keyword_character(*at) && token_is_keyword(parser, here))
                return true;
            at += here.bytes;
        }
    }
    return false;
}

static bool piece_fits(const struct parser *parser, struct slice here)
{
    if (*here.at == '<')
        return !token_ends_command(parser);
    if (is_keyword_character(*here.at))
        return token_is_keyword(parser, here);
    return token_is_symbol(parser, *here.at);
}

static const char *skip_spaces(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

/* From within brackets to behind the `]` (or, with `to_bar`, to the `|` of the same depth, if there is one).
 */
static const char *skip_to_close(const char *at, bool to_bar)
{
    for (int depth = 0; *at != '\0'; at += piece(at).bytes) {
        if (*at == '[')
            depth++;
        else if (depth == 0 && (*at == ']' || (*at == '|' && to_bar)))
            break;
        else if (*at == ']')
            depth--;
    }
    return *at == ']' && !to_bar ? at + 1 : at;
}

/* --- values --- */

static const char *const slot_names[SLOTS] = {
    [SLOT_TENANT] = "tenant",   [SLOT_ID] = "id",
    [SLOT_SOURCE] = "source",   [SLOT_TARGET] = "target",
    [SLOT_REASON] = "reason",   [SLOT_STATE] = "state",
    [SLOT_SECONDS] = "seconds", [SLOT_N] = "n",
    [SLOT_TIMES] = "times",     [SLOT_LEVEL] = "level",
    [SLOT_PERCENT] = "percent", [SLOT_POSITION] = "position",
};

static enum command_slot slot_of(struct slice here)
{
    if (*here.at == '\'')
        here = (struct slice){ here.at + 1, here.bytes - 2 };
    for (int slot = 0; slot < SLOTS; slot++)
        if (slot_names[slot] != NULL && slice_is(here, slot_names[slot]))
            return slot;
    return SLOT_REST;
}

static char *copy_of(struct parser *parser, const char *bytes, size_t count)
{
    char *copy;

    if (memchr(bytes, '\0', count) != NULL) {
        error_set(parser->err, "22021", "a value must not contain a zero byte");
        broken(parser);
        return NULL;
    }
    copy = strndup(bytes, count);
    if (copy == NULL) {
        error_no_memory(parser->err);
        broken(parser);
    }
    return copy;
}

static char *unquoted(struct parser *parser)
{
    struct slice quoted = token_text(parser);
    char *copy = copy_of(parser, quoted.at + 1, quoted.bytes - 2);
    char *to = copy;

    if (copy == NULL)
        return NULL;
    for (const char *at = copy; *at != '\0'; at++) {
        *to++ = *at;
        if (*at == *quoted.at)
            at++; /* the second of two */
    }
    *to = '\0';
    return copy;
}

/* $n: its value, or NULL without an error if that comes later. */
static char *parameter(struct parser *parser)
{
    struct slice dollar = token_text(parser);
    unsigned long number =
        strtoul(dollar.at + 1, NULL, 10); /* ends at the first non-digit; ULONG_MAX if huge */

    if (number < 1 || number > COMMAND_PARAMETERS_MAX ||
        (parser->values != NULL && number > parser->values->count)) {
        error_set(parser->err, "42P02", "there is no parameter %.*s", (int)dollar.bytes, dollar.at);
        broken(parser);
        return NULL;
    }
    if (parser->command->parameter_count < number)
        parser->command->parameter_count = number;
    if (parser->values == NULL)
        return NULL;
    if (parser->values->at[number - 1].at == NULL) {
        error_set(parser->err, "22004", "parameter $%zu must not be null", number);
        broken(parser);
        return NULL;
    }
    return copy_of(parser, parser->values->at[number - 1].at, parser->values->at[number - 1].bytes);
}

/* A value for `place`, where any word will do if `free_words`. */
static bool match_value(struct parser *parser, struct slice here, bool free_words, char **place)
{
    switch (parser->token.kind) {
    case TOKEN_STRING:
    case TOKEN_NAME:
        *place = unquoted(parser);
        break;
    case TOKEN_PARAMETER:
        *place = parameter(parser);
        break;
    case TOKEN_WORD:
        if (!free_words && token_is_reserved(parser))
            return expect(parser, here);
        *place = copy_of(parser, token_text(parser).at, token_text(parser).bytes);
        break;
    default:
        return expect(parser, here);
    }
    if (parser->broken)
        return false;
    take(parser);
    return true;
}

static bool match_symbol(struct parser *parser, const char *symbol)
{
    if (!token_is_symbol(parser, *symbol))
        return expect(parser, slice_of(symbol));
    take(parser);
    return true;
}

static bool option_is_known(const struct command *command, struct slice name)
{
    for (size_t i = 0; i < command->option_count; i++)
        if (strlen(command->options[i].name) == name.bytes &&
            strncasecmp(command->options[i].name, name.at, name.bytes) == 0)
            return true;
    return false;
}

static bool match_option(struct parser *parser)
{
    struct command *command = parser->command;
    struct slice name = token_text(parser);
    char *copy;

    if (parser->token.kind != TOKEN_WORD)
        return expect(parser, slice_of("an option's name"));
    if (option_is_known(command, name)) {
        error_set(parser->err, "42601", "option %.*s is given twice", (int)name.bytes, name.at);
        return broken(parser);
    }
    if (command->option_count == COMMAND_OPTIONS_MAX) {
        error_set(parser->err, "54000", "more than %d options", COMMAND_OPTIONS_MAX);
        return broken(parser);
    }
    copy = copy_of(parser, name.at, name.bytes);
    if (copy == NULL)
        return false;
    for (char *at = copy; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    command->options[command->option_count].name = copy;
    command->options[command->option_count].value = NULL;
    command->option_count++;
    take(parser);
    return match_symbol(parser, "=") && match_value(parser, slice_of("the option's value"), true,
                                                    &command->options[command->option_count - 1].value);
}

static bool match_options(struct parser *parser)
{
    if (!match_symbol(parser, "(") || !match_option(parser))
        return false;
    while (token_is_symbol(parser, ',')) {
        take(parser);
        if (!match_option(parser))
            return false;
    }
    if (token_is_symbol(parser, ')')) {
        take(parser);
        return true;
    }
    expect(parser, slice_of(","));
    return expect(parser, slice_of(")"));
}

/* The values of a stream's columns, one after the other. */
static bool match_stream(struct parser *parser, struct slice here)
{
    struct command *command = parser->command;

    do {
        char *name;

        if (command->option_count == COMMAND_OPTIONS_MAX) {
            error_set(parser->err, "54000", "more than %d values", COMMAND_OPTIONS_MAX);
            return broken(parser);
        }
        name = copy_of(parser, "stream", strlen("stream"));
        if (name == NULL)
            return false;
        command->options[command->option_count].name = name;
        command->options[command->option_count].value = NULL;
        command->option_count++;
        if (!match_value(parser, here, false, &command->options[command->option_count - 1].value))
            return false;
    } while (!token_ends_command(parser));
    return true;
}

/* <…>: everything to the command's end, which the tokenizer of statements knows: a `;` may stand in a
 * literal. */
static bool match_rest(struct parser *parser, struct slice here)
{
    struct slice rest = { parser->text.at + parser->token.begin, parser->text.bytes - parser->token.begin };
    struct shape shape;

    if (token_ends_command(parser))
        return expect(parser, here);
    shape_init(&shape);
    if (shape_read(&shape, rest, true)) {
        for (size_t i = 0; i < shape.hole_count; i++) {
            size_t number = shape_param(&shape, rest, i);
            bool ours = shape.end_count == 0 || shape.holes[i].begin < shape.ends[0];

            if (ours && number <= COMMAND_PARAMETERS_MAX && number > parser->command->parameter_count)
                parser->command->parameter_count = number;
        }
        if (shape.end_count > 0)
            rest.bytes = shape.ends[0];
    } /* else a literal without end: the statement is as it is, and explained as that */
    shape_done(&shape);
    parser->token = lex_next(parser->text, parser->token.begin + rest.bytes);
    while (rest.bytes > 0 && isspace((unsigned char)rest.at[rest.bytes - 1]))
        rest.bytes--;
    parser->command->slots[SLOT_REST] = copy_of(parser, rest.at, rest.bytes);
    return parser->command->slots[SLOT_REST] != NULL;
}

/* --- following a usage --- */

static bool match_keyword(struct parser *parser, struct slice keyword)
{
    if (!token_is_keyword(parser, keyword))
        return expect(parser, keyword);
    if (slice_is(keyword, "FORCE"))
        parser->command->flags |= COMMAND_FORCE;
    else if (slice_is(keyword, "WHEN"))
        parser->command->flags |= COMMAND_WHEN_READY;
    else if (slice_is(keyword, "PURGE"))
        parser->command->flags |= COMMAND_PURGE;
    else if (slice_is(keyword, "NEAREST"))
        parser->command->flags |= COMMAND_NEAREST;
    else if (slice_is(keyword, "GRACEFUL"))
        parser->command->flags |= COMMAND_GRACEFUL;
    else if (slice_is(keyword, "ALL"))
        parser->command->flags |= COMMAND_ALL;
    else if (slice_is(keyword, "ACTIVE"))
        parser->command->flags |= COMMAND_ACTIVE;
    take(parser);
    return true;
}

static bool match_piece(struct parser *parser, struct slice here)
{
    if (*here.at == '<')
        return match_rest(parser, here);
    if (slice_is(here, OPTIONS_PATTERN))
        return match_options(parser);
    if (slice_is(here, STREAM_PATTERN))
        return match_stream(parser, here);
    if (is_keyword_character(*here.at))
        return match_keyword(parser, here);
    if (*here.at == '\'' || islower((unsigned char)*here.at))
        return match_value(parser, here, false, &parser->command->slots[slot_of(here)]);
    if (*here.at == '(')
        return match_symbol(parser, "(");
    return match_symbol(parser, ")");
}

/* From `*at` to the end of the usage, a `|` or a `]`. `*at` is moved there. Brackets nest one deep at most,
 * and every alternative begins with what tells it apart, so that the next token alone decides. */
static bool match_sequence(struct parser *parser, const char **at)
{
    bool matched = true;

    for (*at = skip_spaces(*at); matched && **at != '\0' && **at != '|' && **at != ']';
         *at = skip_spaces(*at)) {
        struct slice here = piece(*at);

        *at += here.bytes;
        if (*here.at != '[') {
            matched = match_piece(parser, here);
            continue;
        }
        for (bool taken = false; !taken;) {
            struct slice first = piece(skip_spaces(*at));

            if (piece_fits(parser, first)) {
                taken = true;
                *at = first.at;
                matched = match_piece(parser, first);
                *at = first.at + first.bytes;
                if (matched)
                    matched = match_sequence(parser, at);
                *at = skip_to_close(*at, false);
                continue;
            }
            expect(parser, first);
            *at = skip_to_close(*at, true);
            taken = **at != '|'; /* none of them: it may be left out */
            (*at)++;
        }
    }
    return matched;
}

static bool match_row(struct parser *parser, const struct command_info *info)
{
    const char *at = info->usage;

    parser->info = info;
    restart(parser);
    if (!match_sequence(parser, &at))
        return false;
    if (!token_ends_command(parser))
        return expect(parser, slice_of("the end of the command"));
    parser->command->info = info;
    parser->command->end = parser->token.end;
    return true;
}

static void say_expected(const struct parser *parser, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < parser->expected_count && used < bytes; i++) {
        const char *between = i == 0 ? "" : i + 1 == parser->expected_count ? " or " : ", ";

        used += (size_t)snprintf(text + used, bytes - used, "%s%.*s", between, (int)parser->expected[i].bytes,
                                 parser->expected[i].at);
    }
}

static bool syntax_error(struct parser *parser)
{
    struct token found = lex_next(parser->text, parser->farthest);
    size_t at = characters_before(parser->text, found.begin) + 1;
    char expected[300], usages[500] = "";
    size_t used = 0;

    if (found.kind == TOKEN_OPEN) {
        bool comment = parser->text.at[found.begin] == '/';

        return error_set(parser->err, "42601", "syntax error at character %zu: %s without an end", at,
                         comment ? "a comment" : "a quoted value");
    }
    say_expected(parser, expected, sizeof expected);
    if (found.kind == TOKEN_END)
        error_set(parser->err, "42601", "syntax error at end of command: expected %s", expected);
    else
        error_set(parser->err, "42601", "syntax error at character %zu: expected %s, found %.*s", at,
                  expected, (int)(found.end - found.begin < 64 ? found.end - found.begin : 64),
                  parser->text.at + found.begin);
    if (parser->usage_count > USAGES_MAX || parser->usage_count == 0)
        return error_hint(parser->err, "SHOW HELP lists all commands.");
    for (size_t i = 0; i < parser->usage_count && used < sizeof usages; i++)
        used += (size_t)snprintf(usages + used, sizeof usages - used, "%s%s", i == 0 ? "" : "; ",
                                 parser->usages[i]);
    return error_hint(parser->err, "Usage: %s", usages);
}

static const struct command_info nothing = { COMMAND_EMPTY, "", "", NULL, NULL };

static void command_empty(struct command *command)
{
    for (int slot = 0; slot < SLOTS; slot++)
        free(command->slots[slot]);
    for (size_t i = 0; i < command->option_count; i++) {
        free(command->options[i].name);
        free(command->options[i].value);
    }
    *command = (struct command){ .info = NULL };
}

bool command_parse(struct slice text, size_t from, const struct command_values *values,
                   struct command *command, struct error *err)
{
    struct parser parser = { .text = text, .from = from, .values = values, .command = command, .err = err };

    *command = (struct command){ .info = NULL };
    restart(&parser);
    parser.farthest = parser.token.begin;
    if (token_ends_command(&parser)) {
        command->info = &nothing;
        command->end = parser.token.end;
        return true;
    }
    for (size_t i = 0; i < COMMANDS && !parser.broken; i++) {
        if (match_row(&parser, &commands[i]))
            return true;
        command_empty(command);
    }
    return parser.broken ? false : syntax_error(&parser);
}

void command_done(struct command *command)
{
    command_empty(command);
}

const struct command_info *command_at(size_t index)
{
    return index < COMMANDS ? &commands[index] : NULL;
}

bool command_is_blank(struct slice text, size_t from)
{
    struct token token = { TOKEN_SEMICOLON, from, from };

    while (token.kind == TOKEN_SEMICOLON)
        token = lex_next(text, token.end);
    return token.kind == TOKEN_END;
}
