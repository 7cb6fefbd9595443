/* command.h - the commands of the console: one table, and the small grammar that reads it.
 * A row's usage text *is* its grammar: SHOW HELP prints it, the parser follows it, a syntax error quotes it.
 * Pure; any thread. */
#ifndef PGSHUNT_ADMIN_COMMAND_H
#define PGSHUNT_ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rows.h"
#include "base/slice.h"

enum {
    COMMAND_BYTES_MAX = 64 * 1024, /* no command is longer; bounds what a console client can make us hold */
    COMMAND_PARAMETERS_MAX = 1000, /* $1 … $1000: EXPLAIN ROUTE may be given a long statement */
    COMMAND_OPTIONS_MAX = 32,      /* entries of WITH (…); as many as a control_request carries */
};

enum command_verb {
    COMMAND_EMPTY, /* nothing but white space and `;` */
    COMMAND_SHOW_HELP,
    COMMAND_SHOW_VERSION,
    COMMAND_SHOW_CONFIG,
    COMMAND_SHOW_STORES,
    COMMAND_SHOW_TENANTS,
    COMMAND_SHOW_MIGRATIONS,
    COMMAND_SHOW_MIGRATION,
    COMMAND_SHOW_ROUTE,
    COMMAND_SHOW_LAG,
    COMMAND_SHOW_AUDIT,
    COMMAND_SHOW_INSTANCES,
    COMMAND_SHOW_CLIENTS,
    COMMAND_SHOW_SERVERS,
    COMMAND_SHOW_POOLS,
    COMMAND_SHOW_STATS,
    COMMAND_SHOW_PLANS,
    COMMAND_SHOW_TOTALS,
    COMMAND_START_MIGRATION,
    COMMAND_CUTOVER_MIGRATION,
    COMMAND_CHECK_MIGRATION,
    COMMAND_CHECK_MOVED,
    COMMAND_CREATE_SCHEMA,
    COMMAND_CHECK_CUTOVER,
    COMMAND_REHEARSE_CUTOVER,
    COMMAND_ABORT_MIGRATION,
    COMMAND_ALTER_MIGRATION,
    COMMAND_EMERGENCY_STOP,
    COMMAND_RESUME_WRITES,
    COMMAND_SHOW_FAILURES,
    COMMAND_PAUSE_MIGRATION,
    COMMAND_RESUME_MIGRATION,
    COMMAND_VERIFY_MIGRATION,
    COMMAND_REPAIR_MIGRATION,
    COMMAND_RESYNC_MIGRATION,
    COMMAND_TRANSLATE_POSITION,
    COMMAND_PLAN_SUBSCRIPTIONS,
    COMMAND_MIGRATE_SUBSCRIPTIONS,
    COMMAND_SHOW_REPORT,
    COMMAND_SHOW_REPORT_JSON,
    COMMAND_WATCH_MIGRATION,
    COMMAND_WAIT_MIGRATION,
    COMMAND_EXPLAIN_ROUTE,
    COMMAND_CHECK_COVERAGE,
    COMMAND_SHOW_SHAPES,
    COMMAND_ACCEPT_SHAPE,
    COMMAND_WITHDRAW_SHAPE,
    COMMAND_RELOAD,
    COMMAND_SHUTDOWN,
    COMMAND_SHOW_SHUTDOWN,
    /* what drivers send by themselves: accepted, without effect */
    COMMAND_BEGIN,
    COMMAND_END_TRANSACTION,
    COMMAND_POLITE,
    COMMAND_SHOW_PARAMETER,
    COMMAND_SELECT_ONE,
    COMMAND_VERBS
};

/* The places for values that usages name. */
enum command_slot {
    SLOT_TENANT,
    SLOT_ID,
    SLOT_SOURCE,
    SLOT_TARGET,
    SLOT_REASON,
    SLOT_STATE,
    SLOT_SECONDS,
    SLOT_N,     /* a shape's number, a position */
    SLOT_TIMES, /* how often */
    SLOT_LEVEL,
    SLOT_PERCENT,
    SLOT_POSITION,
    SLOT_REST, /* <…>: the text up to the command's end */
    SLOTS
};

/* Optional keywords that mean something by being there. */
enum {
    COMMAND_ALL = 1,
    COMMAND_ACTIVE = 2,
    COMMAND_FORCE = 4,
    COMMAND_PURGE = 8,
    COMMAND_GRACEFUL = 16,
    COMMAND_WHEN_READY = 32,
    COMMAND_NEAREST = 64
};

struct command_column {
    const char *name; /* NULL ends the list */
    enum rows_type type;
};

struct command_info {
    enum command_verb verb;
    const char *usage;
    const char *tag;                      /* of CommandComplete */
    const char *help;                     /* NULL: not in SHOW HELP */
    const struct command_column *columns; /* what Describe promises; NULL: no rows */
};

struct command {
    const struct command_info *info; /* never NULL after a successful command_parse() */
    char *slots[SLOTS];              /* NULL: not given, or a parameter whose value comes later */
    unsigned flags;
    size_t option_count;
    struct {
        char *name, *value;
    } options[COMMAND_OPTIONS_MAX];
    size_t parameter_count; /* the highest $n */
    size_t end;             /* where in the text the next command begins */
};

/* What stands for $1 …: NULL instead of a pointer to this: the values come later (Parse). */
struct command_values {
    size_t count;
    const struct slice *at; /* .at NULL: SQL NULL */
};

/* Reads the command of `text` that begins at `from`, through its `;`. Fills `command`, which command_done()
 * empties, also after a failure. false: 42601 says what was expected, what was found and where, the usage as
 * hint; 42P02 a $n without a value; 22004 a NULL. */
bool command_parse(struct slice text, size_t from, const struct command_values *values,
                   struct command *command, struct error *err);
void command_done(struct command *command);

/* The table, in the order of SHOW HELP. NULL: past the end. */
const struct command_info *command_at(size_t index);

/* Whether nothing but blanks, comments and `;` is left from `from` on. */
bool command_is_blank(struct slice text, size_t from);

#endif
