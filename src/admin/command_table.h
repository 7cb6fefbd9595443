/* command_table.h - every command of the console, one row each; included by command.c only.
 * Usage: CAPITALS are keywords, 'quoted' and lower-case words are values (enum command_slot by that name),
 * [a|b] may be there, (option = value, …) is a list of options, <…> is everything up to the command's end.
 * To add one: a verb in command.h, a row here, a row in job.c's table, a line in docs/admin.md. */

#define COLUMNS(...) .columns = (const struct command_column[]){ __VA_ARGS__, { NULL, ROWS_TEXT } }

/* clang-format off */
/* What one look at a migration's row brings (CONTROL_FIND). */
#define FOUND_COLUMNS COLUMNS({ "id", ROWS_UUID }, { "tenant_id", ROWS_TEXT }, { "state", ROWS_TEXT }, \
        { "progress_percentage", ROWS_FLOAT8 }, { "events_copied", ROWS_INT8 }, { "total_events", ROWS_INT8 }, \
        { "sync_lag_events", ROWS_INT8 }, { "error_message", ROWS_TEXT })

static const struct command_info commands[] = {
    { COMMAND_SHOW_HELP, "SHOW HELP", "SHOW", "these commands",
      COLUMNS({ "command", ROWS_TEXT }, { "description", ROWS_TEXT }) },
    { COMMAND_SHOW_VERSION, "SHOW VERSION", "SHOW", "the version of pgshunt",
      COLUMNS({ "version", ROWS_TEXT }) },
    { COMMAND_SHOW_CONFIG, "SHOW CONFIG", "SHOW", "every setting, its value, its default, and when it can change",
      COLUMNS({ "key", ROWS_TEXT }, { "value", ROWS_TEXT }, { "default", ROWS_TEXT }, { "changeable", ROWS_TEXT }) },
    { COMMAND_SHOW_STORES, "SHOW STORES", "SHOW", "the configured stores",
      COLUMNS({ "store_id", ROWS_TEXT }, { "is_default", ROWS_BOOL }, { "conninfo", ROWS_TEXT },
              { "system_identifier", ROWS_TEXT }, { "database_oid", ROWS_INT8 }) },
    { COMMAND_SHOW_TENANTS, "SHOW TENANTS", "SHOW", "tenants that have been moved or are moving, and where they live",
      COLUMNS({ "tenant_id", ROWS_TEXT }, { "store_id", ROWS_TEXT }, { "migration_state", ROWS_TEXT },
              { "target_store_id", ROWS_TEXT }, { "active_migration_id", ROWS_UUID }, { "generation", ROWS_INT8 }) },
    { COMMAND_SHOW_MIGRATIONS, "SHOW MIGRATIONS [ACTIVE|ALL|TENANT 'tenant']", "SHOW",
      "migrations under way (the default), all, or those of one tenant",
      COLUMNS({ "id", ROWS_UUID }, { "tenant_id", ROWS_TEXT }, { "source", ROWS_TEXT }, { "target", ROWS_TEXT },
              { "state", ROWS_TEXT }, { "progress_percentage", ROWS_FLOAT8 }, { "events_copied", ROWS_INT8 },
              { "total_events", ROWS_INT8 }, { "sync_lag_events", ROWS_INT8 }, { "error_message", ROWS_TEXT },
              { "created_at", ROWS_TIMESTAMPTZ }) },
    { COMMAND_SHOW_MIGRATION, "SHOW MIGRATION 'id'", "SHOW", "one migration, everything about it",
      COLUMNS({ "name", ROWS_TEXT }, { "value", ROWS_TEXT }) },
    { COMMAND_SHOW_ROUTE, "SHOW ROUTE 'tenant'", "SHOW", "where a tenant's statements go now",
      COLUMNS({ "tenant_id", ROWS_TEXT }, { "store_id", ROWS_TEXT }, { "migration_state", ROWS_TEXT },
              { "target_store_id", ROWS_TEXT }, { "active_migration_id", ROWS_UUID }, { "generation", ROWS_INT8 }) },
    { COMMAND_SHOW_LAG, "SHOW LAG 'id'", "SHOW", "what the target does not have yet",
      COLUMNS({ "migration_id", ROWS_UUID }, { "entries", ROWS_INT8 }, { "oldest_ms", ROWS_INT8 },
              { "unverified_keys", ROWS_INT8 }, { "breaker", ROWS_TEXT }, { "last_error", ROWS_TEXT }) },
    { COMMAND_SHOW_AUDIT, "SHOW AUDIT 'id'", "SHOW", "what was done to a migration, by whom, when",
      COLUMNS({ "created_at", ROWS_TIMESTAMPTZ }, { "event_type", ROWS_TEXT }, { "old_state", ROWS_TEXT },
              { "new_state", ROWS_TEXT }, { "operator", ROWS_TEXT }, { "details", ROWS_TEXT }) },
    { COMMAND_SHOW_INSTANCES, "SHOW INSTANCES", "SHOW", "the pgshunt processes in front of these stores",
      COLUMNS({ "instance_id", ROWS_TEXT }, { "host", ROWS_TEXT }, { "pid", ROWS_INT4 }, { "version", ROWS_TEXT },
              { "started_at", ROWS_TIMESTAMPTZ }, { "heartbeat_at", ROWS_TIMESTAMPTZ }, { "alive", ROWS_BOOL },
              { "generation", ROWS_INT8 }) },
    { COMMAND_SHOW_STATS, "SHOW STATS", "SHOW", "counters since the start, summed over the event loops",
      COLUMNS({ "name", ROWS_TEXT }, { "value", ROWS_INT8 }) },

    { COMMAND_START_MIGRATION,
      "START MIGRATION TENANT 'tenant' [FROM 'source'] TO 'target' [WITH (option = value, …)]", "START MIGRATION",
      "moves a tenant to another store, up to dual_write",
      COLUMNS({ "id", ROWS_UUID }, { "tenant_id", ROWS_TEXT }, { "source", ROWS_TEXT }, { "target", ROWS_TEXT },
              { "state", ROWS_TEXT }) },
    { COMMAND_CHECK_CUTOVER, "CHECK CUTOVER 'id'", "CHECK CUTOVER", "whether a cutover could begin now, and why not",
      COLUMNS({ "check", ROWS_TEXT }, { "status", ROWS_TEXT }, { "found", ROWS_TEXT }, { "hint", ROWS_TEXT },
              { "ok", ROWS_BOOL }) },
    { COMMAND_CUTOVER_MIGRATION, "CUTOVER MIGRATION 'id' [FORCE] [WITH (option = value, …)]", "CUTOVER MIGRATION",
      "lets the tenant live in the target; FORCE: without verification and whatever the lag",
      COLUMNS({ "id", ROWS_UUID }, { "tenant_id", ROWS_TEXT }, { "state", ROWS_TEXT }, { "pause_ms", ROWS_FLOAT8 },
              { "held_writes", ROWS_INT8 }, { "longest_hold_ms", ROWS_INT8 }, { "events_copied", ROWS_INT8 }) },
    { COMMAND_ABORT_MIGRATION, "ABORT MIGRATION 'id' [REASON 'reason']", "ABORT MIGRATION",
      "ends a migration; the tenant stays where it is",
      COLUMNS({ "id", ROWS_UUID }, { "state", ROWS_TEXT }) },
    { COMMAND_WATCH_MIGRATION, "WATCH MIGRATION 'id'", "WATCH MIGRATION",
      "a notice for every change; ends with the migration or its cutover, or when cancelled", FOUND_COLUMNS },
    { COMMAND_WAIT_MIGRATION, "WAIT MIGRATION 'id' FOR state [TIMEOUT seconds]", "WAIT MIGRATION",
      "returns when the migration is in that state", FOUND_COLUMNS },
    { COMMAND_EXPLAIN_ROUTE, "EXPLAIN ROUTE <statement>", "EXPLAIN ROUTE",
      "how pgshunt reads a statement: class, tenant, evidence, store, and what would happen now",
      COLUMNS({ "statement", ROWS_INT4 }, { "kind", ROWS_TEXT }, { "class", ROWS_TEXT }, { "tables", ROWS_TEXT },
              { "tenant", ROWS_TEXT }, { "evidence", ROWS_TEXT }, { "store", ROWS_TEXT },
              { "migration_state", ROWS_TEXT }, { "action", ROWS_TEXT }, { "why", ROWS_TEXT }) },
    { COMMAND_SHUTDOWN, "SHUTDOWN", "SHUTDOWN", "stops pgshunt; migrations go on at the next start", NULL },

    /* What drivers send by themselves. */
    { COMMAND_BEGIN, "BEGIN [<mode>]", "BEGIN", NULL, NULL },
    { COMMAND_BEGIN, "START TRANSACTION [<mode>]", "START TRANSACTION", NULL, NULL },
    { COMMAND_END_TRANSACTION, "COMMIT [<mode>]", "COMMIT", NULL, NULL },
    { COMMAND_END_TRANSACTION, "END [<mode>]", "COMMIT", NULL, NULL },
    { COMMAND_POLITE, "ROLLBACK TO <savepoint>", "ROLLBACK", NULL, NULL },
    { COMMAND_END_TRANSACTION, "ROLLBACK [WORK|TRANSACTION]", "ROLLBACK", NULL, NULL },
    { COMMAND_END_TRANSACTION, "ABORT [WORK|TRANSACTION]", "ROLLBACK", NULL, NULL },
    { COMMAND_POLITE, "SAVEPOINT <name>", "SAVEPOINT", NULL, NULL },
    { COMMAND_POLITE, "RELEASE <name>", "RELEASE", NULL, NULL },
    { COMMAND_POLITE, "SET <parameter>", "SET", NULL, NULL },
    { COMMAND_POLITE, "RESET <parameter>", "RESET", NULL, NULL },
    { COMMAND_POLITE, "DISCARD <what>", "DISCARD", NULL, NULL },
    { COMMAND_POLITE, "DEALLOCATE <name>", "DEALLOCATE", NULL, NULL },
    { COMMAND_POLITE, "CLOSE <cursor>", "CLOSE CURSOR", NULL, NULL },
    { COMMAND_POLITE, "LISTEN <channel>", "LISTEN", NULL, NULL },
    { COMMAND_POLITE, "UNLISTEN <channel>", "UNLISTEN", NULL, NULL },
    { COMMAND_POLITE, "SELECT PG_ADVISORY_UNLOCK_ALL()", "SELECT 0", NULL, NULL },
    { COMMAND_SELECT_ONE, "SELECT 1", "SELECT 1", NULL, COLUMNS({ "?column?", ROWS_INT4 }) },
    { COMMAND_SHOW_VERSION, "SELECT VERSION()", "SELECT 1", NULL, COLUMNS({ "version", ROWS_TEXT }) },
    { COMMAND_SHOW_VERSION, "SELECT PG_CATALOG.VERSION()", "SELECT 1", NULL, COLUMNS({ "version", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW TRANSACTION ISOLATION LEVEL", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW SERVER_VERSION", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW SERVER_ENCODING", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW CLIENT_ENCODING", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW DATESTYLE", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW TIMEZONE", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
    { COMMAND_SHOW_PARAMETER, "SHOW STANDARD_CONFORMING_STRINGS", "SHOW", NULL, COLUMNS({ "setting", ROWS_TEXT }) },
};
/* clang-format on */

#undef COLUMNS
#undef FOUND_COLUMNS
