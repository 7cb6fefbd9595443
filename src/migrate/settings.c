/* settings.c - one table of the keys that a migration may have of its own. Start at: fields[]. */
#include "migrate/settings.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct field {
    enum config_key key;
    size_t at; /* in struct migration_settings; the key's type says what is there */
} fields[] = {
    { CONFIG_BATCH_SIZE, offsetof(struct migration_settings, batch_size) },
    { CONFIG_MAX_BULK_COPY_RATE, offsetof(struct migration_settings, max_bulk_copy_rate) },
    { CONFIG_DUAL_WRITE_TIMEOUT_MINUTES, offsetof(struct migration_settings, dual_write_timeout_minutes) },
    { CONFIG_CUTOVER_MAX_LAG_EVENTS, offsetof(struct migration_settings, cutover_max_lag_events) },
    { CONFIG_CUTOVER_TIMEOUT_MS, offsetof(struct migration_settings, cutover_timeout_ms) },
    { CONFIG_CUTOVER_LOCK_MS, offsetof(struct migration_settings, cutover_lock_ms) },
    { CONFIG_WRITE_HOLD_TIMEOUT_MS, offsetof(struct migration_settings, write_hold_timeout_ms) },
    { CONFIG_MIRROR_POLL_MS, offsetof(struct migration_settings, mirror_poll_ms) },
    { CONFIG_COPY_SEGMENT_SECONDS, offsetof(struct migration_settings, copy_segment_seconds) },
    { CONFIG_COPY_WORKERS, offsetof(struct migration_settings, copy_workers) },
    { CONFIG_ALLOW_EMPTY, offsetof(struct migration_settings, allow_empty) },
    { CONFIG_GUARD, offsetof(struct migration_settings, guard) },
    { CONFIG_POSITION_MODE, offsetof(struct migration_settings, position_mode) },
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

static const struct field *field_of(enum config_key key)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].key == key)
            return &fields[i];
    }
    return NULL;
}

/* `value` has passed config_check(). */
static void put(struct migration_settings *settings, const struct field *field, const char *value)
{
    void *at = (char *)settings + field->at;

    switch (config_info(field->key)->type) {
    case CONFIG_TYPE_NUMBER:
        *(int64_t *)at = strtoll(value, NULL, 10);
        break;
    case CONFIG_TYPE_FLAG:
        config_parse_flag(value, at);
        break;
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_CHOICE:
        strncpy(at, value, sizeof settings->position_mode - 1);
        break;
    }
}

void settings_init(struct migration_settings *settings, const struct config *config)
{
    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < FIELDS; i++)
        put(settings, &fields[i], config_text(config, fields[i].key));
}

bool settings_set(struct migration_settings *settings, const char *name, const char *value, struct error *err)
{
    enum config_key key;

    if (!config_find(name, &key) || !config_info(key)->per_migration || field_of(key) == NULL) {
        error_set(err, "42601", "\"%s\" is not a setting of a migration", name);
        return error_hint(
            err, "The keys of [migration] in proxy.conf.example that START … WITH may give are such.");
    }
    if (!config_check(key, value, err))
        return false;
    put(settings, field_of(key), value);
    return true;
}

void settings_settle(struct migration_settings *settings)
{
    int64_t least_ms = settings->cutover_timeout_ms + 1000;

    if (settings->write_hold_timeout_ms < least_ms)
        settings->write_hold_timeout_ms = least_ms;
}

void json_text(struct buf *out, const char *text)
{
    buf_append(out, "\"", 1);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte == '"' || byte == '\\')
            buf_append_format(out, "\\%c", byte);
        else if (byte < 0x20)
            buf_append_format(out, "\\u%04x", byte);
        else
            buf_append(out, text, 1);
    }
    buf_append(out, "\"", 1);
}

void settings_write(const struct migration_settings *settings, struct buf *json)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const struct config_info *info = config_info(fields[i].key);
        const void *at = (const char *)settings + fields[i].at;

        buf_append_text(json, i == 0 ? "{" : ", ");
        json_text(json, info->name);
        buf_append_text(json, ": ");
        if (info->type == CONFIG_TYPE_NUMBER)
            buf_append_format(json, "\"%" PRId64 "\"", *(const int64_t *)at);
        else if (info->type == CONFIG_TYPE_FLAG)
            json_text(json, *(const bool *)at ? "on" : "off");
        else
            json_text(json, at);
    }
    buf_append_text(json, "}");
}

/* --- reading it back: a flat object of text values, as jsonb writes it --- */

static const char *skip_space(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

/* A string without escapes other than \" and \\ : that is all settings_write() makes. NULL: not one. */
static const char *read_string(const char *at, char *out, size_t size)
{
    size_t used = 0;

    at = skip_space(at);
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if (*at == '\\')
            at++;
        if (*at == '\0' || used + 1 >= size)
            return NULL;
        out[used++] = *at;
    }
    out[used] = '\0';
    return at + 1;
}

bool settings_read(struct migration_settings *settings, const char *json, struct error *err)
{
    char name[64], value[64];
    const char *at = skip_space(json);
    struct error ignored;

    if (*at++ != '{')
        return error_set(err, "22P02", "the settings of the migration are not a JSON object");
    at = skip_space(at);
    while (*at != '}') {
        at = read_string(at, name, sizeof name);
        if (at != NULL)
            at = skip_space(at);
        if (at == NULL || *at++ != ':')
            return error_set(err, "22P02", "the settings of the migration cannot be read");
        at = read_string(at, value, sizeof value);
        if (at == NULL)
            return error_set(err, "22P02", "the settings of the migration cannot be read");
        settings_set(settings, name, value, &ignored);
        at = skip_space(at);
        if (*at == ',')
            at = skip_space(at + 1);
        else if (*at != '}')
            return error_set(err, "22P02", "the settings of the migration cannot be read");
    }
    settings_settle(settings);
    return true;
}

/* --- [events] --- */

static char *copy_slice(struct slice text)
{
    return strndup(text.at, text.bytes);
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

bool event_names_new(const struct config *config, struct event_names **made, struct error *err)
{
    struct event_names *names = calloc(1, sizeof *names);

    *made = NULL;
    if (names == NULL)
        return error_no_memory(err);
    names->tenant = strdup(config_text(config, CONFIG_TENANT_COLUMN));
    names->position = strdup(config_text(config, CONFIG_POSITION_COLUMN));
    names->event_id = strdup(config_text(config, CONFIG_EVENT_ID_COLUMN));
    names->version = strdup(config_text(config, CONFIG_VERSION_COLUMN));
    if (!split_table(config_text(config, CONFIG_EVENT_TABLE), names) || names->tenant == NULL ||
        names->position == NULL || names->event_id == NULL || names->version == NULL) {
        event_names_free(names);
        return error_no_memory(err);
    }
    if (!split_columns(config, CONFIG_STREAM_COLUMNS, names->stream, &names->stream_count, err) ||
        !split_columns(config, CONFIG_REGENERATE_COLUMNS, names->regenerate, &names->regenerate_count, err)) {
        event_names_free(names);
        return false;
    }
    *made = names;
    return true;
}

void event_names_free(struct event_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->stream_count; i++)
        free(names->stream[i]);
    for (size_t i = 0; i < names->regenerate_count; i++)
        free(names->regenerate[i]);
    free(names->schema);
    free(names->table);
    free(names->tenant);
    free(names->position);
    free(names->event_id);
    free(names->version);
    free(names);
}
