/* declare.c - see declare.h. Thread: any.   Start at: declare_next(). */
#include "base/declare.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/config_value.h"
#include "base/limits.h"

static size_t skip_space(const char *list, size_t at)
{
    while (isspace((unsigned char)list[at]))
        at++;
    return at;
}

/* Up to one of `stops`, without the white space around it. */
static struct slice take(const char *list, size_t *at, const char *stops)
{
    struct slice taken;

    *at = skip_space(list, *at);
    taken.at = list + *at;
    taken.bytes = strcspn(taken.at, stops);
    *at += taken.bytes;
    while (taken.bytes > 0 && isspace((unsigned char)taken.at[taken.bytes - 1]))
        taken.bytes--;
    return taken;
}

static enum declare_result bad(struct error *err, const char *list, const char *expected)
{
    error_set(err, "22023", "expected %s in \"%.100s\"", expected, list);
    error_hint(err, "For example: orders, shop.append(tenant_arg=2).");
    return DECLARE_BAD;
}

static enum declare_result options(const char *list, size_t *at, struct declared *item, struct error *err)
{
    do {
        struct slice key, value;

        ++*at; /* the ( or , */
        key = take(list, at, "=,()");
        if (key.bytes == 0 || list[*at] != '=')
            return bad(err, list, "key = value in parentheses");
        ++*at;
        value = take(list, at, "=,()");
        if (value.bytes == 0)
            return bad(err, list, "a value behind =");
        if (item->option_count == DECLARE_OPTIONS_MAX)
            return bad(err, list, "fewer options");
        item->options[item->option_count].key = key;
        item->options[item->option_count++].value = value;
    } while (list[*at] == ',');
    if (list[*at] != ')')
        return bad(err, list, "a closing parenthesis");
    ++*at;
    return DECLARE_ITEM;
}

enum declare_result declare_next(const char *list, size_t *at, struct declared *item, struct error *err)
{
    const char *dot;

    *item = (struct declared){ 0 };
    *at = skip_space(list, *at);
    if (list[*at] == '\0')
        return DECLARE_END;
    item->name = take(list, at, ",()=");
    if (list[*at] == '(' && options(list, at, item, err) == DECLARE_BAD)
        return DECLARE_BAD;
    *at = skip_space(list, *at);
    if (list[*at] != ',' && list[*at] != '\0')
        return bad(err, list, "a comma between two names");
    *at += list[*at] == ',';
    dot = item->name.bytes == 0 ? NULL : memchr(item->name.at, '.', item->name.bytes);
    if (dot != NULL) {
        item->schema = (struct slice){ item->name.at, (size_t)(dot - item->name.at) };
        item->name = (struct slice){ dot + 1, item->name.bytes - item->schema.bytes - 1 };
    }
    if (item->name.bytes == 0 || (dot != NULL && item->schema.bytes == 0) ||
        item->name.bytes >= IDENTIFIER_BYTES_MAX || item->schema.bytes >= IDENTIFIER_BYTES_MAX)
        return bad(err, list, "a name of 1 to 63 bytes");
    return DECLARE_ITEM;
}

struct slice declare_option(const struct declared *item, const char *key)
{
    for (size_t i = 0; i < item->option_count; i++)
        if (slice_is(item->options[i].key, key))
            return item->options[i].value;
    return (struct slice){ NULL, 0 };
}

size_t declare_count(const char *list)
{
    struct declared item;
    struct error err;
    size_t at = 0, count = 0;

    while (declare_next(list, &at, &item, &err) == DECLARE_ITEM)
        count++;
    return count;
}

static bool check_options(const char *what, const struct declared *item, const char *keys, struct error *err)
{
    char key[IDENTIFIER_BYTES_MAX];

    for (size_t i = 0; i < item->option_count; i++) {
        struct slice given = item->options[i].key;

        if (given.bytes < sizeof key) {
            memcpy(key, given.at, given.bytes);
            key[given.bytes] = '\0';
        }
        if (given.bytes >= sizeof key || !config_is_choice(keys, key))
            return error_set(err, "22023", "%s: \"%.*s\" has an unknown option \"%.*s\"", what,
                             (int)item->name.bytes, item->name.at, (int)given.bytes, given.at);
        for (size_t j = 0; j < i; j++)
            if (item->options[j].key.bytes == given.bytes &&
                memcmp(item->options[j].key.at, given.at, given.bytes) == 0)
                return error_set(err, "22023", "%s: \"%.*s\" has %s twice", what, (int)item->name.bytes,
                                 item->name.at, key);
    }
    return true;
}

bool declare_check(const char *what, const char *list, const char *keys, struct error *err)
{
    struct declared item;
    enum declare_result result;
    size_t at = 0;

    while ((result = declare_next(list, &at, &item, err)) == DECLARE_ITEM)
        if (!check_options(what, &item, keys, err))
            return false;
    if (result == DECLARE_BAD) {
        struct error cause = *err;

        error_set(err, "22023", "%s: %s", what, cause.message);
        return error_hint(err, "%s", cause.hint);
    }
    return true;
}
