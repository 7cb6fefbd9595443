/* config_reload.c - two configurations: what has changed, and what of that may take effect while we run.
 * Owns:   nothing.   Leaves: reading to config.c, who is told to the app.   Thread: any.
 * Start at: config_changes(), then config_keep_fixed(). */
#include <stdlib.h>
#include <string.h>

#include "base/config_secret.h"
#include "base/config_struct.h"

static const char applied[] = "applied", needs_restart[] = "needs a restart";

static const char *shown(const struct config_info *info, const char *value)
{
    return info->secret && *value != '\0' ? "********" : value;
}

static void add(struct rows *rows, const char *before, const char *after, const char *status)
{
    rows_text(rows, before);
    rows_text(rows, after);
    rows_text(rows, status);
}

static void compare_keys(const struct config *running, const struct config *fresh, struct rows *rows)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_info *info = config_info((enum config_key)i);

        if (strcmp(running->values[i], fresh->values[i]) == 0)
            continue;
        rows_format(rows, "%s.%s", info->section, info->name);
        add(rows, shown(info, running->values[i]), shown(info, fresh->values[i]),
            info->reloadable ? applied : needs_restart);
    }
}

static const struct config_store *find_store(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->store_count; i++)
        if (strcmp(config->stores[i].name, name) == 0)
            return &config->stores[i];
    return NULL;
}

/* Connection strings may hold passwords: only that they differ is said. */
static void compare_stores(const struct config *running, const struct config *fresh, struct rows *rows)
{
    for (size_t i = 0; i < running->store_count; i++) {
        const struct config_store *before = &running->stores[i], *after = find_store(fresh, before->name);

        if (after != NULL && strcmp(before->conninfo, after->conninfo) == 0)
            continue;
        rows_format(rows, "stores.%s", before->name);
        add(rows, "********", after == NULL ? NULL : "******** (another one)", needs_restart);
    }
    for (size_t i = 0; i < fresh->store_count; i++) {
        if (find_store(running, fresh->stores[i].name) != NULL)
            continue;
        rows_format(rows, "stores.%s", fresh->stores[i].name);
        add(rows, NULL, "********", needs_restart);
    }
}

static void compare_mappings(const struct config *running, const struct config *fresh, const char *prefix,
                             enum mapping kind,
                             const char *tenant_of(const struct config *config, const char *name),
                             struct rows *rows)
{
    const struct config_mapping *mapping;

    for (mapping = running->mappings[kind]; mapping != NULL; mapping = mapping->hh.next) {
        const char *after = tenant_of(fresh, mapping->name);

        if (after != NULL && strcmp(after, mapping->tenant) == 0)
            continue;
        rows_format(rows, "routing.%s.%s", prefix, mapping->name);
        add(rows, mapping->tenant, after, applied);
    }
    for (mapping = fresh->mappings[kind]; mapping != NULL; mapping = mapping->hh.next) {
        if (tenant_of(running, mapping->name) != NULL)
            continue;
        rows_format(rows, "routing.%s.%s", prefix, mapping->name);
        add(rows, NULL, mapping->tenant, applied);
    }
}

void config_changes(const struct config *running, const struct config *fresh, struct rows *rows)
{
    compare_keys(running, fresh, rows);
    compare_stores(running, fresh, rows);
    compare_mappings(running, fresh, "user", MAPPING_USER, config_user_tenant, rows);
    compare_mappings(running, fresh, "database", MAPPING_DATABASE, config_database_tenant, rows);
}

/* ---- what stays as it is ---- */

void config_free_stores(struct config *config)
{
    for (size_t i = 0; i < config->store_count; i++) {
        free(config->stores[i].name);
        config_secret_free(config->stores[i].conninfo);
    }
    free(config->stores);
    config->stores = NULL;
    config->store_count = 0;
}

static bool keep_stores(struct config *fresh, const struct config *running)
{
    config_free_stores(fresh);
    fresh->stores = calloc(running->store_count, sizeof *fresh->stores);
    if (fresh->stores == NULL)
        return false;
    for (size_t i = 0; i < running->store_count; i++) {
        fresh->store_count = i + 1;
        fresh->stores[i].name = strdup(running->stores[i].name);
        fresh->stores[i].conninfo = strdup(running->stores[i].conninfo);
        if (fresh->stores[i].name == NULL || fresh->stores[i].conninfo == NULL)
            return false;
    }
    return true;
}

bool config_keep_fixed(struct config *fresh, const struct config *running, struct error *err)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        char *value;

        if (config_info((enum config_key)i)->reloadable)
            continue;
        value = strdup(running->values[i]);
        if (value == NULL)
            return error_no_memory(err);
        config_secret_free(fresh->values[i]);
        fresh->values[i] = value;
        fresh->numbers[i] = running->numbers[i];
    }
    return keep_stores(fresh, running) || error_no_memory(err);
}
