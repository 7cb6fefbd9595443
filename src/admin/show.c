/* show.c - SHOW from what the console knows itself.
 * Owns:   nothing; the rows it makes are the caller's.
 * Leaves: what only the control database knows to control.
 * Thread: the console's.   Start at: show_help(), the simplest of its kind. */
#include "admin/show.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "sql/attribute.h"

static const struct show_parameter parameters[] = {
    /* Drivers read the number in front; a person sees who is speaking. */
    { "server_version", "15.0 (pgshunt " PGSHUNT_VERSION ")" },
    { "server_encoding", "UTF8" },
    { "client_encoding", "UTF8" },
    { "DateStyle", "ISO, MDY" },
    { "IntervalStyle", "postgres" },
    { "TimeZone", "UTC" },
    { "integer_datetimes", "on" },
    { "standard_conforming_strings", "on" },
    { "in_hot_standby", "off" },
    { "default_transaction_read_only", "off" },
    { "is_superuser", "off" },
    { NULL, NULL },
};

const struct show_parameter *show_parameters(void)
{
    return parameters;
}

struct rows *show_rows_new(const struct command_info *info)
{
    struct rows *rows = rows_new();

    for (const struct command_column *column = info->columns; rows != NULL && column->name != NULL; column++)
        rows_column(rows, column->name, column->type);
    return rows;
}

/* The end of every SHOW: what is not whole is not shown. */
static bool whole(struct rows **rows, struct error *err)
{
    if (*rows != NULL && !rows_failed(*rows))
        return true;
    rows_free(*rows);
    *rows = NULL;
    return error_no_memory(err);
}

static bool begin(const struct command *command, struct rows **rows, struct error *err)
{
    *rows = show_rows_new(command->info);
    return *rows != NULL || error_no_memory(err);
}

bool show_help(const struct view *view, const struct command *command, struct rows **rows, struct error *err)
{
    (void)view;
    if (!begin(command, rows, err))
        return false;
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (command_at(i)->help == NULL)
            continue;
        rows_text(*rows, command_at(i)->usage);
        rows_text(*rows, command_at(i)->help);
    }
    return whole(rows, err);
}

bool show_version(const struct view *view, const struct command *command, struct rows **rows,
                  struct error *err)
{
    (void)view;
    if (!begin(command, rows, err))
        return false;
    rows_text(*rows, "pgshunt " PGSHUNT_VERSION);
    return whole(rows, err);
}

bool show_one(const struct view *view, const struct command *command, struct rows **rows, struct error *err)
{
    (void)view;
    if (!begin(command, rows, err))
        return false;
    rows_text(*rows, "1");
    return whole(rows, err);
}

/* Parameters are rows of their own in the table of commands: the name stands in the usage. */
bool show_parameter_value(const struct view *view, const struct command *command, struct rows **rows,
                          struct error *err)
{
    const char *name = command->info->usage + strlen("SHOW ");
    const char *value = "read committed"; /* SHOW TRANSACTION ISOLATION LEVEL */

    (void)view;
    for (const struct show_parameter *parameter = parameters; parameter->name != NULL; parameter++)
        if (strcasecmp(parameter->name, name) == 0)
            value = parameter->value;
    if (!begin(command, rows, err))
        return false;
    rows_text(*rows, value);
    return whole(rows, err);
}

/* --- SHOW CONFIG --- */

static const char *changeable(const struct config_info *info)
{
    if (info->per_migration)
        return "RELOAD, START MIGRATION … WITH";
    return info->reloadable ? "RELOAD" : "at restart";
}

static void config_row(struct rows *rows, const struct config *config, enum config_key key)
{
    const struct config_info *info = config_info(key);
    const char *value = config_text(config, key);

    rows_format(rows, "%s.%s", info->section, info->name);
    rows_text(rows, info->secret && *value != '\0' ? "********" : value);
    rows_text(rows, info->default_value);
    rows_text(rows, changeable(info));
}

bool show_config(const struct view *view, const struct command *command, struct rows **rows,
                 struct error *err)
{
    if (!begin(command, rows, err))
        return false;
    for (int key = 0; key < CONFIG_KEYS; key++)
        config_row(*rows, view->config, key);
    for (size_t i = 0; i < view->stores->count; i++) {
        rows_format(*rows, "stores.%s", view->stores->at[i].name);
        rows_text(*rows, view->stores->at[i].conninfo_public);
        rows_text(*rows, NULL);
        rows_text(*rows, "at restart");
    }
    return whole(rows, err);
}

/* --- SHOW TOTALS --- */

bool show_totals(const struct view *view, const struct command *command, struct rows **rows,
                 struct error *err)
{
    if (!begin(command, rows, err))
        return false;
    for (int stat = 0; stat < STAT_COUNT; stat++) {
        uint64_t sum = 0;

        for (unsigned loop = 0; loop < view->loop_count; loop++)
            sum += stats_read(view->loop_stats[loop], stat);
        rows_text(*rows, stats_name(stat));
        rows_number(*rows, (int64_t)sum);
    }
    return whole(rows, err);
}

/* --- routes --- */

bool show_is_ready(const struct view *view, struct error *err)
{
    if (view->ready)
        return true;
    error_set(err, "57P03", "pgshunt has not read its routes yet");
    return error_hint(err, "The log says why the control database does not answer; try again in a moment.");
}

static uint32_t tenant_type(const struct view *view)
{
    const struct schema *schema;
    unsigned home = view->stores->default_index;

    if (view->catalogue == NULL || home >= view->catalogue->store_count)
        return 0;
    schema = view->catalogue->schemas[home];
    for (size_t i = 0; schema != NULL && schema->known && i < schema->table_count; i++) {
        const struct schema_table *table = &schema->tables[i];

        if (table->class == TABLE_EVENT && table->tenant_column >= 0)
            return table->columns[table->tenant_column].type_oid;
    }
    return 0;
}

bool show_canonical_tenant(const struct view *view, const char *given, char tenant[TENANT_BYTES_MAX],
                           struct error *err)
{
    uint32_t type = tenant_type(view);

    if (strlen(given) >= TENANT_BYTES_MAX)
        return error_set(err, "22001", "a tenant has at most %d bytes", TENANT_BYTES_MAX - 1);
    if (type == 0 || !tenant_type_is_known(type)) { /* whoever reads the table itself says what is wrong */
        memcpy(tenant, given, strlen(given) + 1);
        return true;
    }
    if (tenant_canonical(type, slice_of(given), tenant))
        return true;
    error_set(err, "22P02", "\"%s\" is not a value of the tenant column's type", given);
    return error_hint(err, "The type is that of column %s of table %s.",
                      config_text(view->config, CONFIG_TENANT_COLUMN),
                      config_text(view->config, CONFIG_EVENT_TABLE));
}

/* `route` NULL: the tenant has no entry and lives in the default store. */
static void route_row(struct rows *rows, const char *tenant, const struct stores *stores,
                      const struct route *route)
{
    bool migrating = route != NULL && route->migration[0] != '\0';

    rows_text(rows, tenant);
    rows_text(rows, route == NULL ? stores_default(stores)->name : route->store->name);
    rows_text(rows, routing_state_name(route == NULL ? ROUTING_NORMAL : route->migration_state));
    rows_text(rows, route != NULL && route->target != NULL ? route->target->name : NULL);
    rows_text(rows, migrating ? route->migration : NULL);
    if (route == NULL)
        rows_text(rows, NULL);
    else
        rows_number(rows, (int64_t)route->generation);
}

bool show_tenants(const struct view *view, const struct command *command, struct rows **rows,
                  struct error *err)
{
    if (!show_is_ready(view, err) || !begin(command, rows, err))
        return false;
    for (size_t i = 0; i < route_table_count(view->table); i++) {
        const struct route *route = route_table_at(view->table, i);

        route_row(*rows, route->tenant, view->stores, route);
    }
    return whole(rows, err);
}

bool show_route(const struct view *view, const struct command *command, struct rows **rows, struct error *err)
{
    char tenant[TENANT_BYTES_MAX];

    if (!show_is_ready(view, err) || !show_canonical_tenant(view, command->slots[SLOT_TENANT], tenant, err) ||
        !begin(command, rows, err))
        return false;
    route_row(*rows, tenant, view->stores, route_table_get(view->table, tenant));
    return whole(rows, err);
}
