/* config_keys.h - the one table of configuration keys; included by config_value.c only.
 * To add a key: a value in enum config_key (include/base/config.h), a row here, a line in proxy.conf.example.
 * TEXT, NUMBER, FLAG and CHOICE give a row its type and bounds; what is not named in a row is false or NULL.
 */

#define TEXT(value) .type = CONFIG_TYPE_TEXT, .default_value = (value)
#define NUMBER(value, low, high)                                                                             \
    .type = CONFIG_TYPE_NUMBER, .default_value = (value), .min = (low), .max = (high)
#define FLAG(value)        .type = CONFIG_TYPE_FLAG, .default_value = (value)
#define CHOICE(value, all) .type = CONFIG_TYPE_CHOICE, .default_value = (value), .choices = (all)

static const struct config_info keys[CONFIG_KEYS] = {
    /* clang-format off */
    [CONFIG_LISTEN] = { "pgshunt", "listen", TEXT("127.0.0.1:6432"),
        .help = "addresses that applications connect to: host:port, comma-separated" },
    [CONFIG_UNIX_SOCKET_DIR] = { "pgshunt", "unix_socket_dir", TEXT(""),
        .help = "folder of the Unix-domain socket that applications connect to; empty: none" },
    [CONFIG_UNIX_SOCKET_MODE] = { "pgshunt", "unix_socket_mode", TEXT("0777"),
        .help = "its mode, in octal" },
    [CONFIG_UNIX_SOCKET_GROUP] = { "pgshunt", "unix_socket_group", TEXT(""),
        .help = "its group; empty: that of the process" },
    [CONFIG_UNIX_SOCKET_PORT] = { "pgshunt", "unix_socket_port", NUMBER("0", 0, 65535),
        .help = "the port in its name; 0: the first of listen, or 6432" },
    [CONFIG_WORKERS] = { "pgshunt", "workers", NUMBER("2", 1, LOOPS_MAX),
        .help = "event loops, each a thread" },
    [CONFIG_POOL_MODE] = { "pgshunt", "pool_mode", CHOICE("session", "session"),
        .help = "when a server connection is given back" },
    [CONFIG_MAX_CLIENT_CONN] = { "pgshunt", "max_client_conn", NUMBER("10000", 1, 1000000),
        .reloadable = true,
        .help = "client connections beyond this are refused" },
    [CONFIG_ADMIN_SOCKET_DIR] = { "pgshunt", "admin_socket_dir", TEXT("/tmp"),
        .help = "folder of the admin socket: psql -h DIR -p PORT -d admin" },
    [CONFIG_ADMIN_PORT] = { "pgshunt", "admin_port", NUMBER("6433", 1, 65535),
        .help = "port in the admin socket's name" },
    [CONFIG_PID_FILE] = { "pgshunt", "pid_file", TEXT(""),
        .help = "where to write the process id; empty: nowhere" },
    [CONFIG_INSTANCE_NAME] = { "pgshunt", "instance_name", TEXT(""),
        .help = "name of this instance, the same after a restart; empty: host name and listen port" },

    [CONFIG_AUTH_TYPE] = { "auth", "auth_type", CHOICE("scram-sha-256", "scram-sha-256|trust"),
        .reloadable = true,
        .help = "how clients prove who they are" },
    [CONFIG_AUTH_FILE] = { "auth", "auth_file", TEXT(""),
        .reloadable = true,
        .help = "users and their passwords or SCRAM verifiers, in PgBouncer's userlist format" },
    [CONFIG_ADMIN_USERS] = { "auth", "admin_users", TEXT(""),
        .reloadable = true,
        .help = "system users, besides our own and root, who may use the admin socket, comma-separated" },
    [CONFIG_SERVER_PLAIN_PASSWORD] = { "auth", "server_plain_password", FLAG("off"), .reloadable = true,
        .help = "whether a store that asks for a plain password gets it without TLS" },

    [CONFIG_DEFAULT_STORE] = { "routing", "default_store", TEXT(NULL),
        .help = "the store of every tenant that has not been moved" },
    [CONFIG_TENANT_SETTING] = { "routing", "tenant_setting", TEXT("app.tenant_id"),
        .help = "the setting (SET, SET LOCAL, startup options) that names a session's tenant" },
    [CONFIG_UNATTRIBUTED_WRITES] = { "routing", "unattributed_writes", CHOICE("reject", "reject|default_store"),
        .reloadable = true,
        .help = "a write of unknown tenant while some tenant lives elsewhere" },

    [CONFIG_EVENT_TABLE] = { "events", "table", TEXT("events"),
        .help = "the event table, with its schema if that is not on the search path" },
    [CONFIG_TENANT_COLUMN] = { "events", "tenant_column", TEXT("tenant_id"),
        .help = "its column that names the tenant" },
    [CONFIG_POSITION_COLUMN] = { "events", "position_column", TEXT("global_position"),
        .help = "its column with the order of all events" },
    [CONFIG_EVENT_ID_COLUMN] = { "events", "event_id_column", TEXT("event_id"),
        .help = "its unique column that outlives a move; empty: stream columns and version are the key" },
    [CONFIG_STREAM_COLUMNS] = { "events", "stream_columns", TEXT("aggregate_type, aggregate_id"),
        .help = "its columns that name a stream, comma-separated" },
    [CONFIG_VERSION_COLUMN] = { "events", "version_column", TEXT("version"),
        .help = "its column with the order within a stream" },
    [CONFIG_EVERYWHERE_TABLES] = { "events", "everywhere_tables", TEXT(""),
        .help = "tables with the same rows in all stores, comma-separated" },

    [CONFIG_BATCH_SIZE] = { "migration", "batch_size", NUMBER("1000", 1, 1000000),
        .reloadable = true, .per_migration = true,
        .help = "events that one target transaction of a copy writes" },
    [CONFIG_MAX_BULK_COPY_RATE] = { "migration", "max_bulk_copy_rate", NUMBER("10000", 0, 100000000),
        .reloadable = true, .per_migration = true,
        .help = "events per second of a bulk copy; 0: as fast as it goes" },
    [CONFIG_DUAL_WRITE_TIMEOUT_MINUTES] = { "migration", "dual_write_timeout_minutes", NUMBER("30", 1, 525600),
        .reloadable = true, .per_migration = true,
        .help = "a migration that stays longer in dual_write is paused" },
    [CONFIG_CUTOVER_MAX_LAG_EVENTS] = { "migration", "cutover_max_lag_events", NUMBER("100", 0, 1000000000),
        .reloadable = true, .per_migration = true,
        .help = "a cutover does not begin with more events than this to mirror" },
    [CONFIG_CUTOVER_TIMEOUT_MS] = { "migration", "cutover_timeout_ms", NUMBER("500", 10, 600000),
        .reloadable = true, .per_migration = true,
        .help = "a cutover that takes longer is rolled back" },
    [CONFIG_CUTOVER_LOCK_MS] = { "migration", "cutover_lock_ms", NUMBER("50", 1, 60000),
        .reloadable = true, .per_migration = true,
        .help = "how long one try waits for writers that went past the proxy" },
    [CONFIG_WRITE_HOLD_TIMEOUT_MS] = { "migration", "write_hold_timeout_ms", NUMBER("5000", 1010, 3600000),
        .reloadable = true, .per_migration = true,
        .help = "a write held longer is refused; at least cutover_timeout_ms + 1000" },
    [CONFIG_POSITION_MODE] = { "migration", "position_mode", CHOICE("auto", "preserve|auto"),
        .reloadable = true, .per_migration = true,
        .help = "which positions the events have in the target" },
    [CONFIG_MIRROR_POLL_MS] = { "migration", "mirror_poll_ms", NUMBER("100", 1, 60000),
        .reloadable = true, .per_migration = true,
        .help = "how often to look for writes that did not come through the proxy" },
    [CONFIG_COPY_SEGMENT_SECONDS] = { "migration", "copy_segment_seconds", NUMBER("60", 1, 86400),
        .reloadable = true, .per_migration = true,
        .help = "the oldest snapshot a bulk copy may hold, so that vacuum goes on" },
    [CONFIG_MAX_CONCURRENT_MIGRATIONS] = { "migration", "max_concurrent_migrations", NUMBER("4", 1, 1000),
        .reloadable = true,
        .help = "migrations at the same time; each costs every writer of the source a little" },
    [CONFIG_ALLOW_EMPTY] = { "migration", "allow_empty", FLAG("off"),
        .reloadable = true, .per_migration = true,
        .help = "whether a tenant without events may be moved" },
    [CONFIG_CATALOGUE_POLL_MS] = { "migration", "catalogue_poll_ms", NUMBER("1000", 10, 3600000),
        .reloadable = true,
        .help = "how often to look whether the declared tables have changed" },

    [CONFIG_CONTROL_CONNINFO] = { "control", "conninfo", TEXT(""), .secret = true,
        .help = "libpq connection string of the control database; empty: the default store" },
    [CONFIG_CONTROL_SCHEMA] = { "control", "schema", TEXT("pgshunt"),
        .help = "schema of the control tables" },
    [CONFIG_LEASE_MS] = { "control", "lease_ms", NUMBER("3000", 500, 600000),
        .help = "an instance silent for longer no longer counts as alive" },

    [CONFIG_LOG_LEVEL] = { "log", "level", CHOICE("info", "debug|info|warning|error"), .reloadable = true,
        .help = "the least serious lines to write" },
    [CONFIG_LOG_FORMAT] = { "log", "format", CHOICE("text", "text|json"),
        .help = "one line of text or one JSON object per event" },
    [CONFIG_LOG_DESTINATION] = { "log", "destination", TEXT("stderr"),
        .help = "stderr, or a file that lines are added to" },
    /* clang-format on */
};

#undef TEXT
#undef NUMBER
#undef FLAG
#undef CHOICE
