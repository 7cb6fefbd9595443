/* config.h - the configuration file: one table of keys with section, type, default, help, reloadable or not.
 * Read with inih; unknown sections and keys are errors with their line number. Immutable once read; any
 * thread. */
#ifndef PGSHUNT_BASE_CONFIG_H
#define PGSHUNT_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rows.h"
#include "base/slice.h"

/* A key is added here and to the table in config_keys.h when it works, and documented in proxy.conf.example.
 */
enum config_key {
    CONFIG_LISTEN, /* [pgshunt] */
    CONFIG_UNIX_SOCKET_DIR,
    CONFIG_UNIX_SOCKET_MODE,
    CONFIG_UNIX_SOCKET_GROUP,
    CONFIG_UNIX_SOCKET_PORT,
    CONFIG_WORKERS,
    CONFIG_POOL_MODE,
    CONFIG_DEFAULT_POOL_SIZE,
    CONFIG_MIN_POOL_SIZE,
    CONFIG_RESERVE_POOL_SIZE,
    CONFIG_RESERVE_POOL_TIMEOUT,
    CONFIG_MAX_DB_CONNECTIONS,
    CONFIG_MAX_USER_CONNECTIONS,
    CONFIG_QUERY_WAIT_TIMEOUT,
    CONFIG_SERVER_IDLE_TIMEOUT,
    CONFIG_SERVER_LIFETIME,
    CONFIG_SERVER_LOGIN_RETRY,
    CONFIG_SERVER_CHECK_QUERY,
    CONFIG_SERVER_CHECK_DELAY,
    CONFIG_SERVER_RESET_QUERY,
    CONFIG_MAX_PREPARED_STATEMENTS,
    CONFIG_MAX_CLIENT_CONN,
    CONFIG_SHUTDOWN_TIMEOUT_SECONDS,
    CONFIG_CLIENT_IDLE_TIMEOUT,
    CONFIG_IDLE_TRANSACTION_TIMEOUT,
    CONFIG_QUERY_TIMEOUT,
    CONFIG_ADMIN_SOCKET_DIR,
    CONFIG_ADMIN_PORT,
    CONFIG_HTTP_LISTEN,
    CONFIG_PID_FILE,
    CONFIG_INSTANCE_NAME,
    CONFIG_AUTH_TYPE, /* [auth] */
    CONFIG_AUTH_FILE,
    CONFIG_AUTH_QUERY,
    CONFIG_AUTH_USER,
    CONFIG_AUTH_DBNAME,
    CONFIG_HBA_FILE,
    CONFIG_IDENT_FILE,
    CONFIG_AUTH_MAP,
    CONFIG_AUTH_DELAY_MS,
    CONFIG_CLIENT_LOGIN_TIMEOUT,
    CONFIG_ADMIN_USERS,
    CONFIG_SERVER_PLAIN_PASSWORD,
    CONFIG_CLIENT_TLS_SSLMODE, /* [tls] */
    CONFIG_CLIENT_TLS_KEY_FILE,
    CONFIG_CLIENT_TLS_CERT_FILE,
    CONFIG_CLIENT_TLS_CA_FILE,
    CONFIG_CLIENT_TLS_PROTOCOLS,
    CONFIG_CLIENT_TLS_CIPHERS,
    CONFIG_CLIENT_TLS13_CIPHERS,
    CONFIG_SERVER_TLS_SSLMODE,
    CONFIG_SERVER_TLS_CA_FILE,
    CONFIG_SERVER_TLS_KEY_FILE,
    CONFIG_SERVER_TLS_CERT_FILE,
    CONFIG_SERVER_TLS_PROTOCOLS,
    CONFIG_SERVER_TLS_CIPHERS,
    CONFIG_SERVER_TLS13_CIPHERS,
    CONFIG_DEFAULT_STORE, /* [routing] */
    CONFIG_TENANT_SETTING,
    CONFIG_UNATTRIBUTED_WRITES,
    CONFIG_DIRECTORY_TIMEOUT_MS,
    CONFIG_PRESET, /* [events] */
    CONFIG_EVENT_TABLE,
    CONFIG_TENANT_COLUMN,
    CONFIG_POSITION_COLUMN,
    CONFIG_EVENT_ID_COLUMN,
    CONFIG_STREAM_COLUMNS,
    CONFIG_VERSION_COLUMN,
    CONFIG_REGENERATE_COLUMNS,
    CONFIG_COMPANION_TABLES,
    CONFIG_EVERYWHERE_TABLES,
    CONFIG_EVENT_VIEWS,
    CONFIG_WRITE_FUNCTIONS,
    CONFIG_READ_FUNCTIONS,
    CONFIG_STREAM_PATTERN,
    CONFIG_CHECKPOINT_TABLE,
    CONFIG_CHECKPOINT_PATTERN,
    CONFIG_STREAM_PATTERN_COLUMN,
    CONFIG_BATCH_SIZE, /* [migration] */
    CONFIG_MAX_BULK_COPY_RATE,
    CONFIG_DUAL_WRITE_TIMEOUT_MINUTES,
    CONFIG_CUTOVER_MAX_LAG_EVENTS,
    CONFIG_CUTOVER_TIMEOUT_MS,
    CONFIG_CUTOVER_LOCK_MS,
    CONFIG_WRITE_HOLD_TIMEOUT_MS,
    CONFIG_POSITION_MODE,
    CONFIG_POSITION_MAPPING_ENABLED,
    CONFIG_MIGRATE_SUBSCRIPTIONS,
    CONFIG_MIRROR_POLL_MS,
    CONFIG_BREAKER_FAILURES,
    CONFIG_BREAKER_OPEN_MS,
    CONFIG_BREAKER_TRIALS,
    CONFIG_COPY_SEGMENT_SECONDS,
    CONFIG_COPY_WORKERS,
    CONFIG_MAX_CONCURRENT_MIGRATIONS,
    CONFIG_ALLOW_EMPTY,
    CONFIG_GUARD,
    CONFIG_VERIFY_CONSISTENCY,
    CONFIG_STUCK_AFTER_SECONDS,
    CONFIG_CATALOGUE_POLL_MS,
    CONFIG_CONTROL_CONNINFO, /* [control] */
    CONFIG_CONTROL_SCHEMA,
    CONFIG_LEASE_MS,
    CONFIG_LOG_LEVEL, /* [log] */
    CONFIG_LOG_FORMAT,
    CONFIG_LOG_DESTINATION,
    CONFIG_KEYS
};

enum config_type { CONFIG_TYPE_TEXT, CONFIG_TYPE_NUMBER, CONFIG_TYPE_FLAG, CONFIG_TYPE_CHOICE };

struct config_info {
    const char *section, *name;
    enum config_type type;
    const char *default_value; /* NULL: has none and must be given, "" : empty */
    const char *choices;       /* "a|b|c" for CONFIG_TYPE_CHOICE */
    int64_t min, max;          /* for CONFIG_TYPE_NUMBER */
    bool reloadable;
    bool per_migration; /* START … WITH may give it */
    bool secret;        /* may hold a password: SHOW CONFIG and logs must not print it */
    const char *help;   /* one line */
};

struct config;

/* Reads and checks a file. false: `err` says file, line, what was expected and what was found. */
bool config_read(const char *path, struct config **config, struct error *err); /* one reference */
const struct config *config_take(const struct config *config);
void config_give(const struct config *config); /* NULL is fine */

/* RELOAD: what differs, a row each into `rows`, whose columns are key, old, new, status ("applied", "needs a
 * restart"). Then `fresh`, which nobody else knows yet, is given what cannot change while we run. */
void config_changes(const struct config *running, const struct config *fresh, struct rows *rows);
bool config_keep_fixed(struct config *fresh, const struct config *running, struct error *err);

const struct config_info *config_info(enum config_key key);
bool config_find(const char *name, enum config_key *key); /* by name alone, as START … WITH names it */

const char *config_text(const struct config *config, enum config_key key); /* the value as text, never NULL */
int64_t config_number(const struct config *config, enum config_key key);
bool config_flag(const struct config *config, enum config_key key);
bool config_is(const struct config *config, enum config_key key, const char *choice);

/* Checks one value for `key` as the file's reader does. */
bool config_check(enum config_key key, const char *value, struct error *err);
bool config_parse_flag(const char *value, bool *flag); /* on|off|true|false|yes|no|1|0 */

/* Walks "a, b, c": `at` begins at 0, the item comes without the white space around it. false: no more. */
bool config_next_item(const char *list, size_t *at, struct slice *item);

/* Splits "host:port", "[ipv6]:port" or "*:port" (an item of CONFIG_LISTEN) into views. false: not one. */
bool config_parse_address(struct slice address, struct slice *host, int *port);

/* The port in the name of the applications' Unix-domain socket: unix_socket_port, else the first of `listen`,
 * else 6432. It also stands for an instance without a name. */
int config_socket_port(const struct config *config);
unsigned config_socket_mode(const struct config *config);

/* [stores]: in the order of the file. The conninfo has its ${ENV:…} and ${FILE:…} replaced: it is a secret.
 */
size_t config_store_count(const struct config *config);
const char *config_store_name(const struct config *config, size_t index);
const char *config_store_conninfo(const struct config *config, size_t index);

/* [routing] user.NAME = tenant:VALUE: the tenant of a login name, NULL if none. */
const char *config_user_tenant(const struct config *config, const char *user);
/* [routing] database.NAME = tenant:VALUE: the same for the name of a database that a client asks for. */
const char *config_database_tenant(const struct config *config, const char *database);

#endif
