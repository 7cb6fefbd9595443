/* names.c - see names.h.   Start at: event_names_new(). */
#include "migrate/names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/declare.h"

/* --- the event table ---------------------------------------------------------------------------------- */

static char *copy_slice(struct slice text)
{
    return strndup(text.at == NULL ? "" : text.at, text.bytes);
}

static bool split_table(const char *declared, struct event_names *names)
{
    const char *dot = strchr(declared, '.');

    names->schema = dot == NULL ? strdup("public") : strndup(declared, (size_t)(dot - declared));
    names->table = strdup(dot == NULL ? declared : dot + 1);
    return names->schema != NULL && names->table != NULL;
}

static bool split_columns(const struct config *config, enum config_key key, char **columns, size_t *count,
                          struct error *err)
{
    struct slice item;
    size_t at = 0;

    while (config_next_item(config_text(config, key), &at, &item)) {
        if (*count == EVENT_COLUMNS_MAX)
            return error_set(err, "22023", "%s names more than %d columns", config_info(key)->name,
                             EVENT_COLUMNS_MAX);
        columns[*count] = copy_slice(item);
        if (columns[*count] == NULL)
            return error_no_memory(err);
        ++*count;
    }
    return true;
}

static bool split_events(const struct config *config, struct event_names *names, struct error *err)
{
    names->tenant = strdup(config_text(config, CONFIG_TENANT_COLUMN));
    names->position = strdup(config_text(config, CONFIG_POSITION_COLUMN));
    names->event_id = strdup(config_text(config, CONFIG_EVENT_ID_COLUMN));
    names->version = strdup(config_text(config, CONFIG_VERSION_COLUMN));
    if (!split_table(config_text(config, CONFIG_EVENT_TABLE), names) || names->tenant == NULL ||
        names->position == NULL || names->event_id == NULL || names->version == NULL)
        return error_no_memory(err);
    return split_columns(config, CONFIG_STREAM_COLUMNS, names->stream, &names->stream_count, err) &&
           split_columns(config, CONFIG_REGENERATE_COLUMNS, names->regenerate, &names->regenerate_count, err);
}

/* --- companions --------------------------------------------------------------------------------------- */

/* The next of some words with white space between them. */
static bool next_word(struct slice *rest, struct slice *word)
{
    while (rest->bytes > 0 && isspace((unsigned char)rest->at[0])) {
        rest->at++;
        rest->bytes--;
    }
    *word = (struct slice){ rest->at, 0 };
    while (rest->bytes > 0 && !isspace((unsigned char)rest->at[0])) {
        rest->at++;
        rest->bytes--;
        word->bytes++;
    }
    return word->bytes > 0;
}

static bool too_many(const struct event_names *names, const char *option, struct error *err)
{
    return error_set(err, "22023", "companion_tables: %s of \"%s\" names more than %d columns", option,
                     names->table, EVENT_COLUMNS_MAX);
}

static bool split_key(struct slice list, struct event_names *names, struct error *err)
{
    struct slice word;

    while (list.at != NULL && next_word(&list, &word)) {
        if (names->key_count == EVENT_COLUMNS_MAX)
            return too_many(names, "key", err);
        names->key[names->key_count] = copy_slice(word);
        if (names->key[names->key_count] == NULL)
            return error_no_memory(err);
        names->key_count++;
    }
    return true;
}

/* "aggregate_type aggregate_id", or "stream:id" where the parent's column has another name. */
static bool split_on(struct slice list, struct event_names *names, struct error *err)
{
    struct slice word;

    while (next_word(&list, &word)) {
        const char *colon = memchr(word.at, ':', word.bytes);
        size_t own_bytes = colon == NULL ? word.bytes : (size_t)(colon - word.at);
        struct slice its = colon == NULL ? word : (struct slice){ colon + 1, word.bytes - own_bytes - 1 };

        if (names->parent_count == EVENT_COLUMNS_MAX)
            return too_many(names, "on", err);
        names->parent_own[names->parent_count] = strndup(word.at, own_bytes);
        names->parent_its[names->parent_count] = copy_slice(its);
        if (names->parent_own[names->parent_count] == NULL || names->parent_its[names->parent_count] == NULL)
            return error_no_memory(err);
        names->parent_count++;
    }
    return true;
}

/* The event table, or a companion that stands before; NULL: none of that name. */
static const struct event_names *find_parent(const struct event_names *events, struct slice name)
{
    const struct event_names *found = slice_is(name, events->table) ? events : NULL;

    for (size_t i = 0; found == NULL && i + 1 < events->companion_count; i++) {
        if (slice_is(name, events->companions[i].table))
            found = &events->companions[i];
    }
    return found;
}

static bool take_parent(const struct event_names *events, const struct declared *item,
                        struct event_names *names, struct error *err)
{
    struct slice parent = declare_option(item, "parent"), on = declare_option(item, "on");

    if (parent.at == NULL && on.at == NULL)
        return true;
    if (parent.at == NULL || on.at == NULL || declare_option(item, "tenant_column").at != NULL) {
        error_set(err, "22023", "companion_tables: \"%s\" needs a tenant_column, or a parent and on",
                  names->table);
        return error_hint(err, "For example: snapshots(parent = events, on = aggregate_type aggregate_id).");
    }
    names->parent = find_parent(events, parent);
    if (names->parent == NULL) {
        error_set(err, "22023", "companion_tables: the parent \"%.*s\" of \"%s\" is not a table before it",
                  (int)parent.bytes, parent.at, names->table);
        return error_hint(err, "It is the event table, or a companion table that stands earlier, without its "
                               "schema.");
    }
    return split_on(on, names, err);
}

static bool split_companion(const struct event_names *events, const struct declared *item,
                            struct event_names *names, struct error *err)
{
    struct slice own = declare_option(item, "tenant_column");
    bool through = declare_option(item, "parent").at != NULL;

    names->companion = true;
    names->schema = item->schema.at == NULL ? strdup("public") : copy_slice(item->schema);
    names->table = copy_slice(item->name);
    names->tenant = through          ? strdup(NAMES_TENANT_OF_PARENT)
                    : own.at != NULL ? copy_slice(own)
                                     : strdup(events->tenant);
    names->position = copy_slice(declare_option(item, "position"));
    names->event_id = strdup("");
    names->version = strdup("");
    if (names->schema == NULL || names->table == NULL || names->tenant == NULL || names->position == NULL ||
        names->event_id == NULL || names->version == NULL)
        return error_no_memory(err);
    for (; names->regenerate_count < events->regenerate_count; names->regenerate_count++) {
        names->regenerate[names->regenerate_count] = strdup(events->regenerate[names->regenerate_count]);
        if (names->regenerate[names->regenerate_count] == NULL)
            return error_no_memory(err);
    }
    return split_key(declare_option(item, "key"), names, err) && take_parent(events, item, names, err);
}

static bool split_companions(const char *list, struct event_names *events, struct error *err)
{
    struct declared item;
    size_t at = 0, count = declare_count(list);

    if (count >= MOVED_TABLES_MAX)
        return error_set(err, "22023", "companion_tables names more than %d tables", MOVED_TABLES_MAX - 1);
    events->companions = calloc(count + 1, sizeof *events->companions);
    if (events->companions == NULL)
        return error_no_memory(err);
    while (declare_next(list, &at, &item, err) == DECLARE_ITEM) {
        events->companion_count++; /* what is half made is freed, too */
        if (!split_companion(events, &item, &events->companions[events->companion_count - 1], err))
            return false;
    }
    return true;
}

/* --- for others --------------------------------------------------------------------------------------- */

bool event_names_new(const struct config *config, struct event_names **made, struct error *err)
{
    struct event_names *names = calloc(1, sizeof *names);

    *made = NULL;
    if (names == NULL)
        return error_no_memory(err);
    if (!split_events(config, names, err) ||
        !split_companions(config_text(config, CONFIG_COMPANION_TABLES), names, err)) {
        event_names_free(names);
        return false;
    }
    *made = names;
    return true;
}

static void names_done(struct event_names *names)
{
    for (size_t i = 0; i < EVENT_COLUMNS_MAX; i++) {
        free(names->stream[i]);
        free(names->regenerate[i]);
        free(names->key[i]);
        free(names->parent_own[i]);
        free(names->parent_its[i]);
    }
    free(names->schema);
    free(names->table);
    free(names->tenant);
    free(names->position);
    free(names->event_id);
    free(names->version);
}

void event_names_free(struct event_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->companion_count; i++)
        names_done(&names->companions[i]);
    free(names->companions);
    names_done(names);
    free(names);
}
