/* preset_table.h - what [events] says for event stores that are known (private to base, for preset.c alone).
 * A key that the configuration gives itself wins; a key that stands in neither has its own default. docs/presets.md tells
 * of each library where its statements say the tenant, what they leave open, and by which source we know.
 * Where a library has no tenant column, one has to be added to its tables: tenant_id, as docs/presets.md shows. */
#ifndef PGSHUNT_BASE_PRESET_TABLE_H
#define PGSHUNT_BASE_PRESET_TABLE_H

#include "base/config.h"

enum { PRESET_KEYS_MAX = 14 };

struct preset {
    const char *name;
    struct {
        enum config_key key;
        const char *value; /* NULL behind the last one */
    } keys[PRESET_KEYS_MAX];
};

/* clang-format off */
static const struct preset presets[] = {
    { "eventsource-py", {
        { CONFIG_EVENT_TABLE, "events" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "global_position" },
        { CONFIG_EVENT_ID_COLUMN, "event_id" },
        { CONFIG_STREAM_COLUMNS, "aggregate_type, aggregate_id" },
        { CONFIG_VERSION_COLUMN, "version" },
        { CONFIG_REGENERATE_COLUMNS, "txid" },
        { CONFIG_COMPANION_TABLES, "event_outbox" },
        { CONFIG_CHECKPOINT_TABLE, "projection_checkpoints(name=projection_name, position=global_position)" } } },

    { "emmett", {
        { CONFIG_EVENT_TABLE, "emt_messages" },
        { CONFIG_TENANT_COLUMN, "partition" },
        { CONFIG_POSITION_COLUMN, "global_position" },
        { CONFIG_EVENT_ID_COLUMN, "" },
        { CONFIG_STREAM_COLUMNS, "stream_id, partition, is_archived" },
        { CONFIG_VERSION_COLUMN, "stream_position" },
        { CONFIG_REGENERATE_COLUMNS, "transaction_id" },
        { CONFIG_COMPANION_TABLES, "emt_streams" },
        { CONFIG_CHECKPOINT_TABLE, "emt_subscriptions(name=subscription_id, position=last_processed_position, tenant=partition,"
                                   " transaction=last_processed_transaction_id, event_transaction=transaction_id)" },
        { CONFIG_WRITE_FUNCTIONS, "emt_append_to_stream(tenant_arg=10)" } } },

    { "marten", {
        { CONFIG_EVENT_TABLE, "mt_events" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "seq_id" },
        { CONFIG_EVENT_ID_COLUMN, "id" },
        { CONFIG_STREAM_COLUMNS, "stream_id" },
        { CONFIG_VERSION_COLUMN, "version" },
        { CONFIG_COMPANION_TABLES, "mt_streams" },
        { CONFIG_CHECKPOINT_TABLE, "mt_event_progression(name=name, position=last_seq_id)" },
        { CONFIG_WRITE_FUNCTIONS, "mt_quick_append_events(tenant_arg=3)" } } },

    { "message-db", {
        { CONFIG_EVENT_TABLE, "message_store.messages" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "global_position" },
        { CONFIG_EVENT_ID_COLUMN, "id" },
        { CONFIG_STREAM_COLUMNS, "stream_name" },
        { CONFIG_VERSION_COLUMN, "position" },
        { CONFIG_WRITE_FUNCTIONS, "message_store.write_message(stream_arg=2)" },
        { CONFIG_READ_FUNCTIONS, "message_store.get_stream_messages(stream_arg=1), message_store.get_last_stream_message(stream_arg=1),"
                                 " message_store.stream_version(stream_arg=1), message_store.get_category_messages" } } },

    { "rails-event-store", {
        { CONFIG_EVENT_TABLE, "event_store_events" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "id" },
        { CONFIG_EVENT_ID_COLUMN, "event_id" },
        { CONFIG_STREAM_COLUMNS, "event_id" },
        { CONFIG_VERSION_COLUMN, "id" },
        { CONFIG_COMPANION_TABLES, "event_store_events_in_streams" } } },

    { "elixir-eventstore", {
        { CONFIG_EVENT_TABLE, "events" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_EVENT_ID_COLUMN, "event_id" },
        { CONFIG_STREAM_COLUMNS, "event_id" },
        { CONFIG_VERSION_COLUMN, "created_at" },
        { CONFIG_COMPANION_TABLES, "streams, stream_events" } } },

    { "python-eventsourcing", {
        { CONFIG_EVENT_TABLE, "stored_events" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "notification_id" },
        { CONFIG_EVENT_ID_COLUMN, "" },
        { CONFIG_STREAM_COLUMNS, "originator_id" },
        { CONFIG_VERSION_COLUMN, "originator_version" } } },

    { "akka-persistence-jdbc", {
        { CONFIG_EVENT_TABLE, "event_journal" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "ordering" },
        { CONFIG_EVENT_ID_COLUMN, "" },
        { CONFIG_STREAM_COLUMNS, "persistence_id" },
        { CONFIG_VERSION_COLUMN, "sequence_number" },
        { CONFIG_COMPANION_TABLES, "event_tag, snapshot" } } },

    { "axon", {
        { CONFIG_EVENT_TABLE, "domainevententry" },
        { CONFIG_TENANT_COLUMN, "tenant_id" },
        { CONFIG_POSITION_COLUMN, "globalindex" },
        { CONFIG_EVENT_ID_COLUMN, "eventidentifier" },
        { CONFIG_STREAM_COLUMNS, "aggregateidentifier" },
        { CONFIG_VERSION_COLUMN, "sequencenumber" },
        { CONFIG_COMPANION_TABLES, "snapshotevententry" } } },
};
/* clang-format on */

#endif
