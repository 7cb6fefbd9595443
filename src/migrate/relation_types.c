/* relation_types.c - see relation_types.h.   Start at: relation_type_takes(). */
#include "migrate/relation_types.h"

#include <stdio.h>
#include <string.h>

enum { TIME_DIGITS = 6, UUID_DIGITS = 36 };

struct type {
    char base[48];     /* without what stands in brackets: "character varying", "timestamp with time zone" */
    int first, second; /* what stands in brackets; -1: nothing */
};

static bool split(const char *text, struct type *type)
{
    const char *open = strchr(text, '('), *close = open == NULL ? NULL : strchr(open, ')');
    size_t head = open == NULL ? strlen(text) : (size_t)(open - text);

    *type = (struct type){ .first = -1, .second = -1 };
    if (strchr(text, '"') != NULL || strchr(text, '[') != NULL || strlen(text) >= sizeof type->base)
        return false; /* of the application's own, or an array */
    memcpy(type->base, text, head);
    if (open == NULL)
        return true;
    if (close == NULL || sscanf(open, "(%d,%d)", &type->first, &type->second) < 1)
        return false;
    memcpy(type->base + head, close + 1, strlen(close + 1));
    return true;
}

static bool is(const struct type *type, const char *base)
{
    return strcmp(type->base, base) == 0;
}

/* 1, 2, 3 for the integers, 0 for anything else. */
static int integer_width(const struct type *type)
{
    return is(type, "smallint") ? 1 : is(type, "integer") ? 2 : is(type, "bigint") ? 3 : 0;
}

/* The same type, wider. */
static bool takes_narrower(const struct type *from, const struct type *to)
{
    if (is(from, "character varying"))
        return to->first == -1 || (from->first != -1 && from->first <= to->first);
    if (is(from, "numeric"))
        return to->first == -1 ||
               (from->first != -1 && from->first <= to->first && from->second == to->second);
    if (strncmp(from->base, "time", 4) == 0) /* timestamp and time, with and without time zone */
        return (from->first == -1 ? TIME_DIGITS : from->first) <= (to->first == -1 ? TIME_DIGITS : to->first);
    return false;
}

bool relation_type_takes(const char *from_text, const char *to_text)
{
    struct type from, to;

    if (strcmp(from_text, to_text) == 0)
        return true;
    if (!split(from_text, &from) || !split(to_text, &to))
        return false;
    if (strcmp(from.base, to.base) == 0)
        return takes_narrower(&from, &to);
    if (integer_width(&from) > 0)
        return integer_width(&to) > integer_width(&from) || (is(&to, "numeric") && to.first == -1);
    if (is(&from, "character varying"))
        return is(&to, "text");
    if (is(&from, "uuid"))
        return is(&to, "text") ||
               (is(&to, "character varying") && (to.first == -1 || to.first >= UUID_DIGITS));
    return false;
}
