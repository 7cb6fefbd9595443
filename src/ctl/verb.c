/* verb.c - words of a shell -> a command of the console, by a table.
 * Owns: nothing. Thread: the program's one.   Start at: verb_command(). */
#include "ctl/verb.h"

#include <ctype.h>
#include <string.h>

#include "ctl/verb_table.h"

enum { VERBS = sizeof verbs / sizeof verbs[0], WORDS_MAX = 256 };

struct words {
    const struct verb *verb;
    int argc;
    char *const *argv;
    bool taken[WORDS_MAX]; /* by a part */
    struct error *err;
};

const struct verb *verb_at(size_t index)
{
    return index < VERBS ? &verbs[index] : NULL;
}

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static void part_usage(const struct verb_part *part, struct buf *out)
{
    const char *more = part->kind == PART_LIST || part->kind == PART_SETTINGS ? " …" : "";

    buf_append_text(out, part->required ? " " : " [");
    if (part->flag != NULL)
        buf_append_format(out, "%s%s", part->flag, part->kind == PART_SWITCH ? "" : " ");
    if (part->kind != PART_SWITCH)
        buf_append_format(out, "%s%s", part->name, more);
    buf_append_text(out, part->required ? "" : "]");
}

void verb_usage(const struct verb *verb, struct buf *out)
{
    buf_append_text(out, verb->name);
    for (const struct verb_part *part = verb->parts; part->kind != PART_END; part++)
        part_usage(part, out);
}

static bool wrong(struct words *words, const char *what, const char *word)
{
    struct buf usage;

    error_set(words->err, "42601", "%s: %s%s%s%s", words->verb->name, what, word == NULL ? "" : " \"",
              word == NULL ? "" : word, word == NULL ? "" : "\"");
    buf_init(&usage);
    verb_usage(words->verb, &usage);
    error_hint(words->err, "pgshuntctl %s", buf_text(&usage));
    buf_done(&usage);
    return false;
}

/* --- values --- */

static void append_quoted(struct buf *out, const char *value)
{
    buf_append_text(out, "'");
    for (; *value != '\0'; value++) {
        if (*value == '\'')
            buf_append_text(out, "'");
        buf_append(out, value, 1);
    }
    buf_append_text(out, "'");
}

static bool is_all(const char *value, int (*fits)(int))
{
    if (*value == '\0')
        return false;
    for (; *value != '\0'; value++) {
        if (!fits((unsigned char)*value))
            return false;
    }
    return true;
}

static int is_number_byte(int byte)
{
    return isdigit(byte) || byte == '.' || byte == '-';
}

static int is_word_byte(int byte)
{
    return isalnum(byte) || byte == '_';
}

static bool append_setting(struct words *words, const char *setting, bool first, struct buf *out)
{
    const char *equals = strchr(setting, '=');

    if (equals == NULL || equals == setting)
        return wrong(words, "NAME=VALUE was expected, not", setting);
    buf_append_text(out, first ? " (" : ", ");
    for (const char *at = setting; at < equals; at++) {
        if (!is_word_byte((unsigned char)*at))
            return wrong(words, "not the name of a setting:", setting);
    }
    buf_append(out, setting, (size_t)(equals - setting));
    buf_append_text(out, " = ");
    append_quoted(out, equals + 1);
    return true;
}

static bool append_value(struct words *words, const struct verb_part *part, const char *value,
                         struct buf *out)
{
    if (part->kind == PART_NUMBER && !is_all(value, is_number_byte))
        return wrong(words, "a number was expected, not", value);
    if (part->kind == PART_WORD && !is_all(value, is_word_byte))
        return wrong(words, "one word was expected, not", value);
    buf_append_text(out, " ");
    if (part->kind == PART_QUOTED || part->kind == PART_LIST)
        append_quoted(out, value);
    else
        buf_append_text(out, value);
    return true;
}

/* --- which word is whose --- */

static bool is_flag(const char *word)
{
    return strncmp(word, "--", 2) == 0 && word[2] != '\0';
}

/* The value of the flag, from word `from` on: the next word, or what stands behind "=". Its index, -1: none.
 */
static int find_flag(struct words *words, const struct verb_part *part, int from, const char **value)
{
    size_t bytes = strlen(part->flag);

    for (int i = from; i < words->argc; i++) {
        if (strncmp(words->argv[i], part->flag, bytes) != 0 ||
            (words->argv[i][bytes] != '\0' && words->argv[i][bytes] != '='))
            continue;
        words->taken[i] = true;
        *value = words->argv[i][bytes] == '=' ? words->argv[i] + bytes + 1 : NULL;
        if (*value == NULL && part->kind != PART_SWITCH && i + 1 < words->argc &&
            !is_flag(words->argv[i + 1])) {
            *value = words->argv[i + 1];
            words->taken[i + 1] = true;
        }
        return i;
    }
    return -1;
}

/* The next word that nobody has taken and that is no flag; -1: none. */
static int next_free(struct words *words, int from)
{
    for (int i = from; i < words->argc; i++) {
        if (!words->taken[i] && !is_flag(words->argv[i]))
            return i;
    }
    return -1;
}

/* Several values: behind their flag, or by position; each call appends them all. */
static bool append_many(struct words *words, const struct verb_part *part, struct buf *out)
{
    bool first = true, settings = part->kind == PART_SETTINGS;
    const char *value = NULL;
    int at = -1;

    for (;;) {
        at = part->flag != NULL && (settings || first) ? find_flag(words, part, at + 1, &value)
                                                       : next_free(words, at + 1);
        if (at < 0)
            break;
        if (part->flag == NULL || (!settings && !first)) {
            value = words->argv[at];
            words->taken[at] = true;
        }
        if (value == NULL)
            return wrong(words, "a value was expected behind", part->flag);
        if (first && part->sql != NULL)
            buf_append_format(out, " %s", part->sql);
        if (settings ? !append_setting(words, value, first, out) : !append_value(words, part, value, out))
            return false;
        first = false;
    }
    if (first && part->required)
        return wrong(words, "what is missing is", part->name);
    if (settings && !first)
        buf_append_text(out, ")");
    return true;
}

static bool append_raw(struct words *words, const struct verb_part *part, struct buf *out)
{
    if (words->argc == 0)
        return wrong(words, "what is missing is", part->name);
    for (int i = 0; i < words->argc; i++) {
        buf_append_format(out, " %s", words->argv[i]);
        words->taken[i] = true;
    }
    return true;
}

static bool append_part(struct words *words, const struct verb_part *part, struct buf *out)
{
    const char *value = NULL;
    int at;

    if (part->kind == PART_SETTINGS || part->kind == PART_LIST)
        return append_many(words, part, out);
    if (part->kind == PART_RAW)
        return append_raw(words, part, out);
    at = part->flag != NULL ? find_flag(words, part, 0, &value) : next_free(words, 0);
    if (at < 0)
        return !part->required ||
               wrong(words, "what is missing is", part->flag != NULL ? part->flag : part->name);
    if (part->flag == NULL) {
        value = words->argv[at];
        words->taken[at] = true;
    }
    if (part->kind != PART_SWITCH && value == NULL)
        return wrong(words, "a value was expected behind", part->flag);
    if (part->kind == PART_SWITCH && value != NULL)
        return wrong(words, "no value was expected behind", part->flag);
    if (part->sql != NULL)
        buf_append_format(out, " %s", part->sql);
    return part->kind == PART_SWITCH || append_value(words, part, value, out);
}

static bool too_many(struct words *words)
{
    return wrong(words, "too many words, at most", "256");
}

/* Flags before positions, so that a flag's value is not taken for a position's; but pieces are appended in
 * the table's order: flags are looked for twice, the first time for nothing but their places. */
static void take_flags(struct words *words)
{
    const char *value;

    for (const struct verb_part *part = words->verb->parts; part->kind != PART_END; part++) {
        int at = part->flag == NULL ? -1 : find_flag(words, part, 0, &value);

        while (at >= 0)
            at = find_flag(words, part, at + 1, &value);
    }
}

bool verb_command(const struct verb *verb, int argc, char *const *argv, struct buf *command,
                  struct error *err)
{
    struct words words = { .verb = verb, .argc = argc, .argv = argv, .err = err };

    if (argc > WORDS_MAX)
        return too_many(&words);
    if (verb->parts[0].kind != PART_RAW)
        take_flags(&words);
    buf_append_text(command, verb->sql == NULL ? "" : verb->sql);
    for (const struct verb_part *part = verb->parts; part->kind != PART_END; part++) {
        if (!append_part(&words, part, command))
            return false;
    }
    for (int i = 0; i < argc; i++) {
        if (!words.taken[i])
            return wrong(&words, is_flag(argv[i]) ? "there is no option" : "one word too many:", argv[i]);
    }
    return !buf_failed(command) || error_no_memory(err);
}

const char *verb_value(const struct verb *verb, int argc, char *const *argv, const char *flag)
{
    struct error ignored;
    struct words words = {
        .verb = verb, .argc = argc < WORDS_MAX ? argc : WORDS_MAX, .argv = argv, .err = &ignored
    };
    const struct verb_part part = { PART_QUOTED, flag, NULL, NULL, false };
    const char *value = NULL;
    int at;

    if (flag != NULL)
        return find_flag(&words, &part, 0, &value) < 0 ? NULL : value;
    take_flags(&words);
    at = next_free(&words, 0);
    return at < 0 ? NULL : argv[at];
}
