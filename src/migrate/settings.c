/* settings.c - one table of the keys that a migration may have of its own. Start at: fields[]. */
#include "migrate/settings.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct field {
    enum config_key key;
    size_t at; /* in struct migration_settings; the key's type says what is there */
    bool live; /* ALTER MIGRATION may change it while the migration is under way */
} fields[] = {
    { CONFIG_BATCH_SIZE, offsetof(struct migration_settings, batch_size), true },
    { CONFIG_MAX_BULK_COPY_RATE, offsetof(struct migration_settings, max_bulk_copy_rate), true },
    { CONFIG_DUAL_WRITE_TIMEOUT_MINUTES, offsetof(struct migration_settings, dual_write_timeout_minutes),
      true },
    { CONFIG_CUTOVER_MAX_LAG_EVENTS, offsetof(struct migration_settings, cutover_max_lag_events), true },
    { CONFIG_CUTOVER_TIMEOUT_MS, offsetof(struct migration_settings, cutover_timeout_ms), true },
    { CONFIG_CUTOVER_LOCK_MS, offsetof(struct migration_settings, cutover_lock_ms), true },
    { CONFIG_WRITE_HOLD_TIMEOUT_MS, offsetof(struct migration_settings, write_hold_timeout_ms), true },
    { CONFIG_MIRROR_POLL_MS, offsetof(struct migration_settings, mirror_poll_ms), true },
    { CONFIG_BREAKER_FAILURES, offsetof(struct migration_settings, breaker_failures), true },
    { CONFIG_BREAKER_OPEN_MS, offsetof(struct migration_settings, breaker_open_ms), true },
    { CONFIG_BREAKER_TRIALS, offsetof(struct migration_settings, breaker_trials), true },
    { CONFIG_COPY_SEGMENT_SECONDS, offsetof(struct migration_settings, copy_segment_seconds), true },
    { CONFIG_COPY_WORKERS, offsetof(struct migration_settings, copy_workers) },
    { CONFIG_ALLOW_EMPTY, offsetof(struct migration_settings, allow_empty) },
    { CONFIG_GUARD, offsetof(struct migration_settings, guard) },
    { CONFIG_VERIFY_CONSISTENCY, offsetof(struct migration_settings, verify_consistency) },
    { CONFIG_POSITION_MODE, offsetof(struct migration_settings, position_mode) },
    { CONFIG_POSITION_MAPPING_ENABLED, offsetof(struct migration_settings, position_mapping_enabled) },
    { CONFIG_MIGRATE_SUBSCRIPTIONS, offsetof(struct migration_settings, migrate_subscriptions) },
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

static void write_live(struct error *err)
{
    char names[220] = "";
    size_t used = 0;

    for (size_t i = 0; i < FIELDS && used < sizeof names; i++)
        if (fields[i].live)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used == 0 ? "" : ", ",
                                     config_info(fields[i].key)->name);
    error_hint(err, "These can: %s.", names);
}

bool settings_alter(struct migration_settings *settings, const char *name, const char *value,
                    struct error *err)
{
    enum config_key key;
    const struct field *field = NULL;

    if (config_find(name, &key) && config_info(key)->per_migration)
        field = field_of(key);
    if (field != NULL && !field->live) {
        error_set(err, "55000", "\"%s\" cannot change while a migration is under way", name);
        error_detail(err, "What has been done already was done by it.");
        write_live(err);
        return false;
    }
    return settings_set(settings, name, value, err);
}

static void write_value(const struct migration_settings *settings, const struct field *field, struct buf *out)
{
    const void *at = (const char *)settings + field->at;

    switch (config_info(field->key)->type) {
    case CONFIG_TYPE_NUMBER:
        buf_append_format(out, "%" PRId64, *(const int64_t *)at);
        break;
    case CONFIG_TYPE_FLAG:
        buf_append_text(out, *(const bool *)at ? "on" : "off");
        break;
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_CHOICE:
        buf_append_text(out, at);
        break;
    }
}

bool settings_next_difference(const struct migration_settings *before, const struct migration_settings *after,
                              size_t *from, const char **name, struct buf *old, struct buf *new)
{
    while (*from < FIELDS) {
        const struct field *field = &fields[(*from)++];

        buf_clear(old);
        buf_clear(new);
        write_value(before, field, old);
        write_value(after, field, new);
        *name = config_info(field->key)->name;
        if (buf_failed(old) || buf_failed(new) || strcmp(buf_text(old), buf_text(new)) != 0)
            return true;
    }
    return false;
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
