/* verb_table.h - every verb of pgshuntctl, one row each; included by verb.c only. The usage, --help, the
 * manual page and the completion follow from the row. */

/* clang-format off */
#define ID        { PART_QUOTED, NULL, "ID", NULL, true }
#define TENANT    { PART_QUOTED, "--tenant", "TENANT", "TENANT", true }
#define REASON    { PART_QUOTED, "--reason", "TEXT", "REASON", false }
#define WITH      { PART_SETTINGS, "--with", "NAME=VALUE", "WITH", false }

static const struct verb verbs[] = {
    /* what is going on */
    { "status", "SHOW MIGRATIONS", "the migrations under way", VERB_RUN, { { PART_END } } },
    { "list", "SHOW MIGRATIONS", "migrations under way, all, or those of a tenant", VERB_RUN,
      { { PART_SWITCH, "--all", NULL, "ALL" }, { PART_QUOTED, "--tenant", "TENANT", "TENANT" } } },
    { "show", "SHOW MIGRATION", "one migration, everything about it", VERB_RUN, { ID } },
    { "watch", NULL, "live bars of migrations, until they have ended", VERB_WATCH,
      { { PART_LIST, NULL, "ID", NULL, false } } },
    { "wait", "WAIT MIGRATION", "returns when a migration is in a state", VERB_RUN,
      { ID, { PART_WORD, "--for", "STATE", "FOR", true }, { PART_NUMBER, "--timeout", "SECONDS", "TIMEOUT", false } } },
    { "lag", "SHOW LAG", "what the target does not have yet", VERB_RUN, { ID } },
    { "audit", "SHOW AUDIT", "what was done to a migration, by whom, when", VERB_RUN, { ID } },
    { "tenants", "SHOW TENANTS", "tenants that have been moved or are moving", VERB_RUN, { { PART_END } } },
    { "route", "SHOW ROUTE", "where a tenant's statements go now", VERB_RUN,
      { { PART_QUOTED, NULL, "TENANT", NULL, true } } },
    { "stores", "SHOW STORES", "the configured stores", VERB_RUN, { { PART_END } } },
    { "instances", "SHOW INSTANCES", "the pgshunt processes in front of these stores", VERB_RUN, { { PART_END } } },

    /* a migration's life */
    { "check", "CHECK MIGRATION", "whether a tenant could be moved: everything START would need", VERB_CHECK,
      { TENANT, { PART_QUOTED, "--from", "STORE", "FROM", false }, { PART_QUOTED, "--to", "STORE", "TO", true }, WITH } },
    { "check-migrated", "CHECK MIGRATION", "whether a tenant that was moved lives well in its new home", VERB_CHECK, { ID } },
    { "create-schema", "CREATE TARGET SCHEMA", "the missing tables in the target, as the source defines them", VERB_RUN,
      { TENANT, { PART_QUOTED, "--to", "STORE", "TO", true }, WITH } },
    { "start", "START MIGRATION", "moves a tenant to another store, up to dual_write", VERB_RUN,
      { TENANT, { PART_QUOTED, "--from", "STORE", "FROM", false }, { PART_QUOTED, "--to", "STORE", "TO", true }, WITH } },
    { "alter", "ALTER MIGRATION", "changes settings of a migration under way", VERB_RUN,
      { ID, { PART_SETTINGS, NULL, "NAME=VALUE", "SET", true } } },
    { "pause", "PAUSE MIGRATION", "stops copying and mirroring; the application is not touched", VERB_RUN, { ID, REASON } },
    { "resume", "RESUME MIGRATION", "goes on where it was paused", VERB_RUN, { ID, REASON } },
    { "abort", "ABORT MIGRATION", "ends a migration; the tenant stays where it is", VERB_RUN,
      { ID, REASON, { PART_SWITCH, "--purge-target", NULL, "PURGE TARGET" } } },
    { "verify", "VERIFY MIGRATION", "compares both sides", VERB_RUN,
      { ID, { PART_WORD, "--level", "count|hash|full", "LEVEL", false }, { PART_NUMBER, "--sample", "PERCENT", "SAMPLE", false } } },
    { "repair", "REPAIR MIGRATION", "copies the streams that differ again", VERB_RUN,
      { ID, { PART_LIST, "--stream", "VALUE…", "STREAM", false } } },
    { "resync", "RESYNC MIGRATION", "compares both sides by key and repairs the target", VERB_RUN,
      { ID, { PART_NUMBER, "--from-position", "N", "FROM POSITION", false } } },
    { "check-cutover", "CHECK CUTOVER", "whether a cutover could begin now, and why not", VERB_CHECK, { ID } },
    { "rehearse", "REHEARSE CUTOVER", "measures the pause that a cutover would have", VERB_RUN,
      { ID, { PART_NUMBER, "--times", "N", "TIMES", false } } },
    { "cutover", "CUTOVER MIGRATION", "lets the tenant live in the target", VERB_RUN,
      { ID, { PART_SWITCH, "--force", NULL, "FORCE" }, { PART_SWITCH, "--when-ready", NULL, "WHEN READY" }, WITH } },
    { "failures", "SHOW FAILURES", "failed writes to the target, and when they recovered", VERB_RUN, { ID } },
    { "report", "SHOW REPORT", "reports of verifications, repairs and cutovers", VERB_RUN, { ID } },

    /* positions and subscriptions */
    { "translate", "TRANSLATE POSITION", "a position of the source as the target has it", VERB_RUN,
      { ID, { PART_NUMBER, NULL, "POSITION", NULL, true }, { PART_SWITCH, "--nearest", NULL, "NEAREST" } } },
    { "plan-subscriptions", "PLAN SUBSCRIPTIONS", "what would become of checkpoints", VERB_RUN, { ID } },
    { "migrate-subscriptions", "MIGRATE SUBSCRIPTIONS", "translates checkpoints", VERB_RUN, { ID } },

    /* when it burns */
    { "resume-writes", "RESUME WRITES", "lets a tenant's held writes go on at once", VERB_RUN, { TENANT } },
    { "emergency-stop", "EMERGENCY STOP", "ends every migration, or a tenant's; everybody stays where he lives", VERB_RUN,
      { { PART_QUOTED, "--tenant", "TENANT", "TENANT", false } } },

    /* statements */
    { "explain", "EXPLAIN ROUTE", "how pgshunt reads a statement, and where it would go", VERB_RUN,
      { { PART_RAW, NULL, "STATEMENT", NULL, true } } },
    { "coverage", "CHECK COVERAGE", "every shape of statement: how its tenant is found, or not", VERB_RUN, { { PART_END } } },
    { "shapes", "SHOW SHAPES", "statements to know of before a tenant moves", VERB_RUN, { { PART_END } } },
    { "accept", "ACCEPT SHAPE", "accepts what `shapes` names", VERB_RUN,
      { { PART_NUMBER, NULL, "N", NULL, true }, REASON } },
    { "withdraw", "WITHDRAW SHAPE", "takes an `accept` back", VERB_RUN,
      { { PART_NUMBER, NULL, "N", NULL, true }, REASON } },
    { "plans", "SHOW PLANS", "the shapes of statements that are planned", VERB_RUN, { { PART_END } } },

    /* the proxy */
    { "clients", "SHOW CLIENTS", "the applications' connections", VERB_RUN, { { PART_END } } },
    { "servers", "SHOW SERVERS", "the connections to the stores", VERB_RUN, { { PART_END } } },
    { "pools", "SHOW POOLS", "connections by store, database and user", VERB_RUN, { { PART_END } } },
    { "stats", "SHOW STATS", "by store: totals, averages of the last minute", VERB_RUN, { { PART_END } } },
    { "totals", "SHOW TOTALS", "counters since the start", VERB_RUN, { { PART_END } } },
    { "config", "SHOW CONFIG", "every setting, its value, when it can change", VERB_RUN, { { PART_END } } },
    { "version", "SHOW VERSION", "the version of the pgshunt that answers", VERB_RUN, { { PART_END } } },
    { "help", "SHOW HELP", "the console's commands", VERB_RUN, { { PART_END } } },
    { "reload", "RELOAD", "reads the configuration file again", VERB_RUN, { { PART_END } } },
    { "shutdown", "SHUTDOWN", "stops pgshunt", VERB_RUN, { { PART_SWITCH, "--graceful", NULL, "GRACEFUL" } } },
    { "shutdown-status", "SHOW SHUTDOWN", "running, or how far a shutdown has come", VERB_RUN, { { PART_END } } },
    { "console", NULL, "any command of the console, as it is", VERB_RUN, { { PART_RAW, NULL, "COMMAND", NULL, true } } },
    { "collect", NULL, "a bundle for a bug report: states, audit, settings, versions, without secrets", VERB_COLLECT,
      { { PART_QUOTED, "--output", "FILE.tar.gz", NULL, false }, { PART_QUOTED, "--log", "FILE", NULL, false } } },
};
/* clang-format on */

#undef ID
#undef TENANT
#undef REASON
#undef WITH
