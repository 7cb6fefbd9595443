/* wear.c - see wear.h. */
#include "proxy/wear.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "proxy/session.h"

/* Of one setting, whose order does not matter. Not: what decides about others or has more than one name; a
 * SELECT of several set_config() (its name is of one of them). */
static bool is_simple(const char *name, const char *statement)
{
    static const char *const others[] = { "role", "session_authorization", "session characteristics" };
    const char *call = strcasestr(statement, "set_config");

    for (size_t i = 0; name != NULL && i < sizeof others / sizeof others[0]; i++)
        if (strcasecmp(name, others[i]) == 0)
            return false;
    return name != NULL && (call == NULL || strcasestr(call + 1, "set_config") == NULL);
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u; /* FNV-1a */
    return (hash ^ 0xff) * 1099511628211u;
}

static char *put(char **at, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = memcpy(*at, text, bytes);

    *at += bytes;
    return copy;
}

bool wear_new(const struct setting *base, struct wear **wear)
{
    const struct setting *setting;
    size_t count = 0, bytes = 0;
    char *texts;

    *wear = NULL;
    DL_FOREACH(base, setting) {
        count++;
        bytes += strlen(setting->statement) + 1 + (setting->name == NULL ? 0 : strlen(setting->name) + 1);
    }
    if (count == 0)
        return true;
    *wear = malloc(sizeof **wear + count * sizeof(struct worn) + bytes);
    if (*wear == NULL)
        return false;
    (*wear)->refs = 1;
    (*wear)->hash = 14695981039346656037u;
    (*wear)->simple = true;
    (*wear)->count = 0;
    texts = (char *)&(*wear)->items[count];
    DL_FOREACH(base, setting) {
        struct worn *item = &(*wear)->items[(*wear)->count++];

        item->name = setting->name == NULL ? NULL : put(&texts, setting->name);
        item->statement = put(&texts, setting->statement);
        (*wear)->hash = hash_text((*wear)->hash, item->statement);
        (*wear)->simple = (*wear)->simple && is_simple(item->name, item->statement);
    }
    return true;
}

struct wear *wear_take(struct wear *wear)
{
    if (wear != NULL)
        wear->refs++;
    return wear;
}

void wear_give(struct wear *wear)
{
    if (wear != NULL && --wear->refs == 0)
        free(wear);
}

bool wear_equal(const struct wear *a, const struct wear *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->hash != b->hash || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i].statement, b->items[i].statement) != 0)
            return false;
    return true;
}

static const struct worn *find(const struct wear *wear, const char *name)
{
    for (size_t i = 0; wear != NULL && i < wear->count; i++)
        if (strcasecmp(wear->items[i].name, name) == 0)
            return &wear->items[i];
    return NULL;
}

static void say(struct buf *text, const char *statement)
{
    buf_append_text(text, statement);
    buf_append_text(text, "\n;"); /* a line of its own: the statement may end in a comment */
}

/* A name as the statement said it: custom settings have two parts. */
static void say_reset(struct buf *text, const char *name)
{
    buf_append_text(text, "RESET \"");
    for (; *name != '\0'; name++) {
        if (*name == '.')
            buf_append_text(text, "\".\"");
        else if (*name != '"')
            buf_append(text, name, 1);
    }
    buf_append_text(text, "\";");
}

static void change_all(const struct wear *to, struct buf *text)
{
    buf_append_text(text, "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;");
    for (size_t i = 0; to != NULL && i < to->count; i++)
        say(text, to->items[i].statement);
}

void wear_change(const struct wear *from, bool known, const struct wear *to, struct buf *text)
{
    if (!known || (from != NULL && (!from->simple || (to != NULL && !to->simple)))) {
        change_all(to, text);
        return;
    }
    for (size_t i = 0; from != NULL && i < from->count; i++)
        if (find(to, from->items[i].name) == NULL)
            say_reset(text, from->items[i].name);
    for (size_t i = 0; to != NULL && i < to->count; i++) {
        const struct worn *there = from == NULL ? NULL : find(from, to->items[i].name);

        if (there == NULL || strcmp(there->statement, to->items[i].statement) != 0)
            say(text, to->items[i].statement);
    }
}
