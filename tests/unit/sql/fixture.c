/* fixture.c - the schema of the tests. */
#include "fixture.h"

#include <stdlib.h>

struct table_row {
    const char *schema, *name;
    enum table_class class;
    int tenant_column;
    struct {
        const char *name;
        uint32_t type_oid;
    } columns[12];
};

static const struct table_row tables[] = {
    { "public",
      "events",
      TABLE_EVENT,
      5,
      { { "global_position", OID_INT8 },
        { "event_id", OID_UUID },
        { "aggregate_id", OID_UUID },
        { "aggregate_type", OID_VARCHAR },
        { "event_type", OID_VARCHAR },
        { "tenant_id", OID_UUID },
        { "actor_id", OID_TEXT },
        { "version", OID_INT4 },
        { "timestamp", 1184 },
        { "payload", 3802 },
        { "created_at", 1184 } } },
    { NULL,
      "outbox",
      TABLE_COMPANION,
      1,
      { { "id", OID_INT8 }, { "tenant_id", OID_TEXT }, { "payload", 3802 } } },
    { "public", "accounts", TABLE_COMPANION, 0, { { "tenant", OID_INT8 }, { "name", OID_TEXT } } },
    { "public",
      "streams",
      TABLE_COMPANION,
      1,
      { { "id", OID_UUID }, { "tenant_id", OID_UUID }, { "v", OID_INT8 } } },
    { "public", "labels", TABLE_COMPANION, 0, { { "tenant_id", OID_VARCHAR }, { "label", OID_TEXT } } },
    { "public", "odd", TABLE_COMPANION, 0, { { "tenant_id", OID_CITEXT }, { "x", OID_TEXT } } },
    { "es", "Events", TABLE_EVENT, 1, { { "id", OID_INT8 }, { "Tenant", OID_TEXT }, { "data", 3802 } } },
    { "public", "plans", TABLE_COMPANION, 0, { { "tier", OID_ENUM }, { "x", OID_TEXT } } },
    { "public", "ledgers", TABLE_COMPANION, 0, { { "tenant_no", OID_NUMERIC }, { "x", OID_TEXT } } },
    { "public", "countries", TABLE_EVERYWHERE, -1, { { "code", OID_TEXT } } },
    { "public",
      "snapshots",
      TABLE_COMPANION,
      0,
      { { "tenant_id", OID_UUID },
        { "aggregate_id", OID_UUID },
        { "aggregate_type", OID_TEXT },
        { "event_id", OID_UUID },
        { "state", 3802 } } },
    { "public", "orphans", TABLE_COMPANION, -1, { { NULL, 0 } } },
    { "public", "shown", TABLE_EVENT, 1, { { "id", OID_UUID }, { "owner", OID_UUID } } }, /* a view */
    { "public", "events_low", TABLE_EVENT, 0, { { "tenant_id", OID_UUID }, { "version", OID_INT4 } } },
    { "public", "moot", TABLE_COMPANION, 0, { { "tenant_id", OID_UUID } } },
    { "public",
      "journal",
      TABLE_COMPANION,
      1,
      { { "stream", OID_TEXT }, { "tenant_id", OID_UUID }, { "n", OID_INT4 } } },
    { "public", "heads", TABLE_COMPANION, 0, { { "tenant_id", OID_UUID }, { "stream", OID_VARCHAR } } },
    { "aside", "moot", TABLE_DEFAULT, -1, { { NULL, 0 } } }, /* another one of that name */
};

struct schema *fixture_schema(void)
{
    size_t count = sizeof tables / sizeof tables[0];
    struct schema *schema = schema_new(count);

    if (schema == NULL)
        abort();
    schema->generation = 7;
    schema->known = true;
    for (size_t i = 0; i < count; i++) {
        struct schema_table *table = &schema->tables[i];

        table->schema = tables[i].schema == NULL ? NULL : strdup(tables[i].schema);
        table->name = strdup(tables[i].name);
        table->class = tables[i].class;
        table->tenant_column = tables[i].tenant_column;
        table->read_only = strcmp(table->name, "shown") == 0;
        table->usual = strcmp(table->name, "moot") == 0;
        table->columns = calloc(12, sizeof *table->columns);
        for (size_t c = 0; tables[i].columns[c].name != NULL; c++) {
            table->columns[c].name = strdup(tables[i].columns[c].name);
            table->columns[c].type_oid = tables[i].columns[c].type_oid;
            table->column_count = c + 1;
        }
    }
    schema->keys[KEY_STREAM].column_count = 2;
    schema->keys[KEY_STREAM].columns[0] = strdup("aggregate_type");
    schema->keys[KEY_STREAM].columns[1] = strdup("aggregate_id");
    schema->keys[KEY_EVENT].column_count = 1;
    schema->keys[KEY_EVENT].columns[0] = strdup("event_id");
    schema->pattern = pattern_new("^[a-z]+-(.{36}).*$");
    schema->pattern_column = strdup("stream");
    schema->function_count = 3;
    schema->functions = calloc(3, sizeof *schema->functions);
    schema->functions[0] = (struct schema_function){
        .name = strdup("append_event"),
        .declared = true,
        .clear = true,
        .writes = true,
        .tenant = { .declared = true, .position = 2, .name = strdup("tenant"), .type_oid = OID_UUID },
    };
    schema->functions[1] =
        (struct schema_function){ .schema = strdup("es"),
                                  .name = strdup("read_stream"),
                                  .declared = true,
                                  .clear = true,
                                  .tenant = { .declared = true, .position = 1, .type_oid = OID_UUID } };
    schema->functions[2] =
        (struct schema_function){ .name = strdup("write_message"),
                                  .declared = true,
                                  .clear = true,
                                  .writes = true,
                                  .stream = { .declared = true, .position = 2, .type_oid = OID_VARCHAR } };
    return schema;
}
