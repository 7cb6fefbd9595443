/* explain_values.c - see explain_values.h. Start at: explain_values_read(). */
#include "admin/explain_values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char with[] = "with", word[] = "values";

struct reading {
    const char *at, *end;
    char *out; /* where the next value's content goes */
};

static void skip_blanks(struct reading *reading)
{
    while (reading->at < reading->end && isspace((unsigned char)*reading->at))
        reading->at++;
}

static bool take(struct reading *reading, char c)
{
    skip_blanks(reading);
    if (reading->at == reading->end || *reading->at != c)
        return false;
    reading->at++;
    return true;
}

/* '…' with quotes doubled. */
static bool read_string(struct reading *reading, struct slice *value)
{
    value->at = reading->out;
    while (reading->at < reading->end) {
        char c = *reading->at++;

        if (c == '\'' && (reading->at == reading->end || *reading->at != '\'')) {
            value->bytes = (size_t)(reading->out - value->at);
            return true;
        }
        if (c == '\'')
            reading->at++;
        *reading->out++ = c;
    }
    return false;
}

/* A number, TRUE, NULL: up to the next comma or parenthesis. */
static bool read_word(struct reading *reading, struct slice *value)
{
    value->at = reading->at;
    while (reading->at < reading->end &&
           (isalnum((unsigned char)*reading->at) || strchr("+-.", *reading->at) != NULL))
        reading->at++;
    value->bytes = (size_t)(reading->at - value->at);
    if (value->bytes == 4 && strncasecmp(value->at, "null", 4) == 0)
        value->at = NULL;
    return value->bytes > 0;
}

/* Everything from behind the words to the end. false: it is something else. *count may pass the maximum. */
static bool read_list(struct reading *reading, struct explain_values *values, size_t *count)
{
    struct slice value;

    *count = 0;
    if (!take(reading, '('))
        return false;
    do {
        skip_blanks(reading);
        if (!(take(reading, '\'') ? read_string(reading, &value) : read_word(reading, &value)))
            return false;
        if (*count < EXPLAIN_VALUES_MAX)
            values->values[*count] = value;
        (*count)++;
    } while (take(reading, ','));
    if (!take(reading, ')'))
        return false;
    skip_blanks(reading);
    return reading->at == reading->end;
}

/* Where the last WITH VALUES of the text begins, and what stands behind it. NULL: there is none. */
static const char *find_words(struct slice text, size_t before, const char **behind)
{
    for (size_t at = before; at-- > 1;) {
        struct slice rest = { text.at + at, text.bytes - at };
        size_t blanks = sizeof with - 1;

        if (rest.bytes < sizeof with + sizeof word || !isspace((unsigned char)rest.at[-1]) ||
            strncasecmp(rest.at, with, sizeof with - 1) != 0)
            continue;
        while (blanks < rest.bytes && isspace((unsigned char)rest.at[blanks]))
            blanks++;
        if (blanks == sizeof with - 1 || rest.bytes - blanks < sizeof word - 1 ||
            strncasecmp(rest.at + blanks, word, sizeof word - 1) != 0)
            continue;
        *behind = rest.at + blanks + sizeof word - 1;
        return rest.at;
    }
    return NULL;
}

bool explain_values_read(struct slice *text, struct explain_values *values, struct error *err)
{
    const char *behind, *words = find_words(*text, text->bytes, &behind);
    struct reading reading;
    size_t count;

    memset(values, 0, sizeof *values);
    if (words == NULL)
        return true;
    values->memory = malloc(text->bytes + 1);
    if (values->memory == NULL)
        return error_no_memory(err);
    reading = (struct reading){ behind, text->at + text->bytes, values->memory };
    if (!read_list(&reading, values, &count))
        return true;
    if (count > EXPLAIN_VALUES_MAX)
        return error_set(err, "54023", "at most %d values can be given", EXPLAIN_VALUES_MAX);
    text->bytes = (size_t)(words - text->at);
    values->params =
        (struct parameters){ .count = count, .values = values->values, .formats = values->formats };
    return true;
}

void explain_values_done(struct explain_values *values)
{
    free(values->memory);
}
