/* migration.h - one migration as its runner sees it. Owned by the runner's thread; the data plane (tap,
 * copier, mirror, verifier) borrows it for the length of a call. */
#ifndef PGSHUNT_MIGRATE_MIGRATION_H
#define PGSHUNT_MIGRATE_MIGRATION_H

#include "base/config.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/uuid.h"
#include "migrate/names.h"
#include "migrate/pg.h"
#include "migrate/relation.h"
#include "route/store.h"

struct migration_settings { /* configuration, overridden by START … WITH, stored in tenant_migrations.config
                             */
    int64_t batch_size, max_bulk_copy_rate, dual_write_timeout_minutes, cutover_max_lag_events,
        cutover_timeout_ms, cutover_lock_ms, write_hold_timeout_ms, mirror_poll_ms, breaker_failures,
        breaker_open_ms, breaker_trials, copy_segment_seconds, copy_workers;
    bool allow_empty, guard, position_mapping_enabled, migrate_subscriptions;
    char position_mode[16];
    char verify_consistency[16]; /* "on" (hash), "off", or a level */
};

/* A table whose rows of the tenant move: as it is declared, and as both stores have it. */
struct moved_table {
    const struct event_names *names;
    struct relation source, target; /* read by migration_connect() */
};

struct migration {
    char id[UUID_TEXT_BYTES];
    char tenant[TENANT_BYTES_MAX];
    const struct store *source, *target;
    const struct store *default_store; /* of tenants without a route */
    uint64_t epoch;
    struct migration_settings settings;
    const struct event_names *names; /* [events]; tables[] has it table by table */
    const char *control_schema;      /* "pgshunt": the schema of our objects in a store, too */
    struct log *log;
    struct pg_wake wake;              /* of the runner */
    struct pg *source_pg, *target_pg; /* opened by migration_connect(), NULL while lost */
    bool tables_found;                /* companions that the source does not have have been left out */
    size_t table_count;               /* of tables: the event table, then the companions */
    struct moved_table tables[MOVED_TABLES_MAX]; /* in the order of companion_tables */
};

/* The tables that move, by what [events] declares; nothing is read yet. Borrows `names`. */
void migration_declare(struct migration *m, const struct event_names *names);
void migration_forget_tables(struct migration *m); /* what was read of them */
/* (Re)opens what is not open and reads all relations; checks that nothing drifted (columns, types, tap
 * aside). */
bool migration_connect(struct migration *m, struct error *err);
/* Both connections and nothing else: for a copy worker, which borrows the tables. */
bool migration_open(struct migration *m, struct error *err);
/* On an open source_pg alone: which companions the source has, and those that have not been read. */
bool migration_read_source(struct migration *m, struct error *err);
/* The same on target_pg, of tables that are known. */
bool migration_read_target(struct migration *m, struct error *err);
void migration_disconnect(struct migration *m);
/* One statement of sql/ in the target, with our schema's name in it: pg_query(). */
PGresult *migration_ask_target(struct migration *m, const char *text, int count, const char *const *values,
                               struct error *err);
/* Makes the source's session plan by index, whatever the statistics say; the copier and the mirror ask for
 * it, since others open source_pg, too. */
bool migration_plan_by_index(struct migration *m, struct error *err);

#endif
