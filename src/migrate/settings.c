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
    { CONFIG_VERIFY_CONSISTENCY, offsetof(struct migration_settings, verify_consistency) },
    { CONFIG_POSITION_MODE, offsetof(struct migration_settings, position_mode) },
    { CONFIG_POSITION_MAPPING_ENABLED, offsetof(struct migration_settings, position_mapping_enabled) },
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
