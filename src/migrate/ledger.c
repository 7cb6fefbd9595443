/* ledger.c - the control tables as functions.
 * Owns:   one connection to the control database.
 * Leaves: what a change means to loops (control.c, runner.c); retrying (whoever calls).
 * Thread: its owner's.   Start at: migration_enter(), ledger_switch(). */
#include "migrate/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/ledger_notes.h"
#include "migrate/settings.h"
#include "sql_embedded.h"

enum { SWITCH_MS_MAX = 5000 }; /* a control database silent for longer leaves the switch's outcome unknown */

struct ledger {
    const struct ledger_setup *setup;
    struct pg *pg;
};

struct number {
    char text[24];
};

static const char *number_text(struct number *number, int64_t value)
{
    snprintf(number->text, sizeof number->text, "%" PRId64, value);
    return number->text;
}

static int64_t number_at(const PGresult *result, int column)
{
    return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

static bool flag_at(const PGresult *result, int column)
{
    return PQgetvalue(result, 0, column)[0] == 't';
}

/* --- opening and closing --- */

/* Only the operator's own changes are audited as made by hand (sql/control_001.sql, made_by_hand()). */
static const char ledger_settings[] =
    "SELECT pg_catalog.set_config('search_path', pg_catalog.quote_ident($1), false),"
    " pg_catalog.set_config('synchronous_commit', 'on', false),"
    " pg_catalog.set_config('pgshunt.ledger', 'on', false)";

bool ledger_open(const struct ledger_setup *setup, const char *application_name, const struct pg_wake *wake,
                 uint64_t timeout_ms, struct ledger **opened, struct error *err)
{
    struct ledger *ledger = calloc(1, sizeof *ledger);
    uint64_t until_ms = clock_ms() + timeout_ms;

    *opened = NULL;
    if (ledger == NULL)
        return error_no_memory(err);
    ledger->setup = setup;
    if (!pg_open(setup->conninfo, "the control database", application_name, wake, timeout_ms, &ledger->pg,
                 err)) {
        free(ledger);
        return false;
    }
    pg_set_deadline(ledger->pg, until_ms + timeout_ms);
    if (!pg_run(ledger->pg, ledger_settings, 1, &setup->schema, err)) {
        ledger_close(ledger);
        return false;
    }
    pg_set_deadline(ledger->pg, 0);
    *opened = ledger;
    return true;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    pg_close(ledger->pg);
    free(ledger);
}

struct pg *ledger_pg(struct ledger *ledger)
{
    return ledger->pg;
}

bool ledger_is_broken(const struct ledger *ledger)
{
    return ledger == NULL || pg_is_broken(ledger->pg);
}

/* --- the schema --- */

/* In order; the version is the place in this list, from 1. */
static const char *const versions[] = { sql_control_001, sql_control_002, sql_control_003, sql_control_004 };

enum { VERSIONS = sizeof versions / sizeof versions[0] };

static bool read_version(struct ledger *ledger, int64_t *version, struct error *err)
{
    PGresult *result =
        pg_query(ledger->pg, "SELECT pg_catalog.to_regclass('control_version') IS NOT NULL", 0, NULL, err);
    bool there;

    *version = 0;
    if (result == NULL)
        return false;
    there = flag_at(result, 0);
    PQclear(result);
    if (!there)
        return true;
    result = pg_query(ledger->pg, "SELECT coalesce(max(version), 0) FROM control_version", 0, NULL, err);
    if (result == NULL)
        return false;
    *version = number_at(result, 0);
    PQclear(result);
    return true;
}

/* Not CREATE SCHEMA IF NOT EXISTS: that wants the right to create one even if it is there. */
static bool create_schema(struct ledger *ledger, struct error *err)
{
    char sql[2 * IDENTIFIER_BYTES_MAX + 64];
    PGresult *result = pg_query(ledger->pg,
                                "SELECT pg_catalog.to_regnamespace(pg_catalog.quote_ident($1)) IS NOT NULL,"
                                " pg_catalog.quote_ident($1)",
                                1, &ledger->setup->schema, err);
    bool there;

    if (result == NULL)
        return false;
    there = flag_at(result, 0);
    snprintf(sql, sizeof sql, "CREATE SCHEMA %s", PQgetvalue(result, 0, 1));
    PQclear(result);
    return (there || pg_run(ledger->pg, sql, 0, NULL, err)) &&
           pg_run(ledger->pg,
                  "CREATE TABLE IF NOT EXISTS control_version (version integer PRIMARY KEY,"
                  " applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
                  " applied_by text NOT NULL DEFAULT session_user)",
                  0, NULL, err);
}

static bool apply_version(struct ledger *ledger, int64_t version, struct error *err)
{
    struct number number;
    const char *value = number_text(&number, version);

    return pg_run(ledger->pg, versions[version - 1], 0, NULL, err) &&
           pg_run(ledger->pg, "INSERT INTO control_version (version) VALUES ($1)", 1, &value, err);
}

/* In a transaction that holds the lock: another instance may have done it meanwhile. */
static bool upgrade_locked(struct ledger *ledger, struct error *err)
{
    int64_t version;

    if (!pg_run(ledger->pg,
                "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('pgshunt.schema', 0))",
                0, NULL, err) ||
        !create_schema(ledger, err) || !read_version(ledger, &version, err))
        return false;
    while (version < VERSIONS) {
        if (!apply_version(ledger, ++version, err))
            return false;
    }
    return true;
}

bool ledger_upgrade(struct ledger *ledger, struct error *err)
{
    int64_t version;

    if (!read_version(ledger, &version, err))
        return false;
    if (version > VERSIONS) {
        error_set(err, "0A000", "the control schema has version %" PRId64 ", this program knows version %d",
                  version, VERSIONS);
        return error_hint(err, "Use the program that made it, or a later one.");
    }
    if (version == VERSIONS)
        return true;
    if (pg_run(ledger->pg, "BEGIN", 0, NULL, err) && upgrade_locked(ledger, err) &&
        pg_run(ledger->pg, "COMMIT", 0, NULL, err))
        return true;
    pg_rollback(ledger->pg);
    if (error_is(err, "42501"))
        error_hint(err,
                   "Run sql/roles.sql in the control database, or pgshunt --init-control as a role that may "
                   "create the schema \"%s\".",
                   ledger->setup->schema);
    return false;
}

/* --- one migration --- */

bool ledger_create(struct ledger *ledger, const struct migration_record *record, struct error *err)
{
    const char *const values[] = { record->id,
                                   record->tenant,
                                   record->source,
                                   record->target,
                                   ledger->setup->default_store,
                                   record->config,
                                   ledger->setup->instance,
                                   record->operator_name };

    if (pg_run(ledger->pg, "SELECT migration_create($1, $2, $3, $4, $5, $6, $7, $8)", 8, values, err))
        return true;
    if (error_is(err, "23505")) {
        error_set(err, "23505", "tenant \"%s\" has an active migration already", record->tenant);
        error_detail(err, "migration_exists: a tenant has one active migration at most");
        error_hint(err, "SHOW MIGRATIONS TENANT '%s' names it; ABORT MIGRATION ends it.", record->tenant);
    }
    return false;
}

bool ledger_lock(struct ledger *ledger, const char *id, bool *got, struct error *err)
{
    const char *const values[] = { id, ledger->setup->instance };
    PGresult *result = pg_query(ledger->pg, sql_lock_migration, 2, values, err);
    struct number number;
    const char *holder;
    bool fine = true;

    *got = false;
    if (result == NULL)
        return false;
    *got = flag_at(result, 0);
    if (!*got && !PQgetisnull(result, 0, 1)) {
        holder = number_text(&number, number_at(result, 1));
        fine = pg_run(ledger->pg, "SELECT pg_catalog.pg_terminate_backend($1)", 1, &holder, err);
    }
    PQclear(result);
    return fine;
}

static void copy_text(char *out, size_t size, const PGresult *result, int column)
{
    snprintf(out, size, "%s", PQgetvalue(result, 0, column));
}

/* The columns of look_migration.sql. */
static bool read_record(const PGresult *result, struct migration_record *record, struct error *err)
{
    memset(record, 0, sizeof *record);
    copy_text(record->id, sizeof record->id, result, 0);
    copy_text(record->tenant, sizeof record->tenant, result, 1);
    copy_text(record->source, sizeof record->source, result, 2);
    copy_text(record->target, sizeof record->target, result, 3);
    if (!migration_state_parse(PQgetvalue(result, 0, 4), &record->state))
        return error_set(err, "22023", "migration %s is in an unknown state \"%s\"", record->id,
                         PQgetvalue(result, 0, 4));
    if (!migration_state_parse(PQgetvalue(result, 0, 5), &record->paused_from))
        record->paused_from = MIGRATION_PENDING;
    record->epoch = (uint64_t)number_at(result, 6);
    record->total_events = number_at(result, 7);
    record->events_copied = number_at(result, 8);
    record->dual_write_ms = (uint64_t)number_at(result, 9);
    record->abort_requested = flag_at(result, 10);
    record->resume_requested = flag_at(result, 11);
    record->settled = flag_at(result, 12);
    copy_text(record->operator_name, sizeof record->operator_name, result, 13);
    copy_text(record->config, sizeof record->config, result, 14);
    return true;
}

static bool fetch_record(struct ledger *ledger, const char *sql, int count, const char *const *values,
                         struct migration_record *record, bool *found, struct error *err)
{
    PGresult *result = pg_query(ledger->pg, sql, count, values, err);
    bool fine = true;

    *found = false;
    if (result == NULL)
        return false;
    if (PQntuples(result) == 1) {
        fine = read_record(result, record, err);
        *found = fine;
    }
    PQclear(result);
    return fine;
}

bool ledger_claim(struct ledger *ledger, const char *id, struct migration_record *record, bool *found,
                  struct error *err)
{
    const char *const values[] = { id, ledger->setup->instance };

    return fetch_record(ledger, sql_claim_migration, 2, values, record, found, err);
}

bool ledger_look(struct ledger *ledger, const char *id, struct migration_record *record, bool *found,
                 struct error *err)
{
    return fetch_record(ledger, sql_look_migration, 1, &id, record, found, err);
}

static bool fetch_routed(struct ledger *ledger, const char *sql, int count, const char *const *values,
                         struct ledger_routed *routed, struct error *err)
{
    PGresult *result = pg_query(ledger->pg, sql, count, values, err);

    if (result == NULL)
        return false;
    routed->generation = (uint64_t)number_at(result, 0);
    routed->others = number_at(result, 1) > 0;
    PQclear(result);
    return true;
}

bool migration_enter(struct ledger *ledger, const char *id, const struct migration_move *move,
                     struct ledger_routed *routed, struct error *err)
{
    struct buf json;
    struct number epoch, new_epoch;
    bool fine;

    if (!migration_may_move(move->from, move->to)) {
        error_set(err, "55000", "a migration in state %s cannot become %s", migration_state_name(move->from),
                  migration_state_name(move->to));
        return error_detail(err, "invalid_state_transition");
    }
    if (!failpoint("ledger.before_enter", err))
        return false;
    buf_init(&json);
    const char *const values[] = { id,
                                   number_text(&epoch, (int64_t)move->epoch),
                                   migration_state_name(move->from),
                                   migration_state_name(move->to),
                                   number_text(&new_epoch, (int64_t)move->new_epoch),
                                   routing_state_name(migration_routing(move->to)),
                                   move->event,
                                   move->operator_name,
                                   move->details,
                                   ledger_error_json(&json, move->error, move->severity,
                                                     move->recoverability),
                                   ledger->setup->instance };
    fine = fetch_routed(ledger,
                        "SELECT generation, others_alive"
                        " FROM migration_enter($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                        11, values, routed, err);
    buf_done(&json);
    return fine && failpoint("ledger.after_enter", err);
}

bool ledger_announce(struct ledger *ledger, const char *id, uint64_t epoch, struct ledger_routed *routed,
                     struct error *err)
{
    struct number number;
    const char *const values[] = { id, number_text(&number, (int64_t)epoch), ledger->setup->instance };

    return fetch_routed(ledger, "SELECT generation, others_alive FROM migration_announce($1, $2, $3)", 3,
                        values, routed, err);
}

enum ledger_outcome ledger_switch(struct ledger *ledger, const char *id, uint64_t epoch, uint64_t generation,
                                  bool let_in, const char *operator_name, const char *details,
                                  struct ledger_routed *routed, struct error *err)
{
    struct number epoch_text, generation_text;
    const char *const values[] = { id,
                                   number_text(&epoch_text, (int64_t)epoch),
                                   number_text(&generation_text, (int64_t)generation),
                                   operator_name,
                                   details,
                                   ledger->setup->instance,
                                   let_in ? "t" : "f" };
    bool fine;

    pg_set_deadline(ledger->pg, clock_ms() + SWITCH_MS_MAX);
    fine = fetch_routed(ledger,
                        "SELECT generation, others_alive FROM migration_switch($1, $2, $3, $4, $5, $6, $7)",
                        7, values, routed, err);
    pg_set_deadline(ledger->pg, 0);
    if (fine)
        return LEDGER_DONE;
    /* 55000 is what the function itself raises: then nothing has been committed. Anything else may be the end
     * of a connection after the commit. */
    return error_is(err, "55000") && !pg_is_broken(ledger->pg) ? LEDGER_REFUSED : LEDGER_UNKNOWN;
}

bool ledger_take_back(struct ledger *ledger, const char *id, const char *operator_name,
                      const struct error *why, uint64_t *epoch, bool *switched, struct ledger_routed *routed,
                      struct error *err)
{
    struct buf json;
    struct number number;
    PGresult *result;

    buf_init(&json);
    const char *const values[] = { id, number_text(&number, (int64_t)*epoch), operator_name,
                                   ledger_error_json(&json, why, "warning", "recoverable"),
                                   ledger->setup->instance };
    result = pg_query(
        ledger->pg,
        "SELECT generation, others_alive, outcome, epoch FROM migration_take_back($1, $2, $3, $4, $5)", 5,
        values, err);
    buf_done(&json);
    if (result == NULL)
        return false;
    routed->generation = (uint64_t)number_at(result, 0);
    routed->others = number_at(result, 1) > 0;
    *switched = strcmp(PQgetvalue(result, 0, 2), "migrated") == 0;
    *epoch = (uint64_t)number_at(result, 3);
    PQclear(result);
    return true;
}

bool ledger_abort(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                  const char *reason, struct ledger_routed *routed, struct error *err)
{
    struct number number;
    const char *const values[] = { id, number_text(&number, (int64_t)epoch), operator_name, reason,
                                   ledger->setup->instance };

    return fetch_routed(ledger, "SELECT generation, others_alive FROM migration_abort($1, $2, $3, $4, $5)", 5,
                        values, routed, err);
}

bool ledger_obey(struct ledger *ledger, const char *id, uint64_t epoch, enum migration_state *now,
                 char store[STORE_NAME_BYTES_MAX], struct ledger_routed *routed, struct error *err)
{
    struct number number;
    const char *const values[] = { id, number_text(&number, (int64_t)epoch), ledger->setup->instance };
    PGresult *result = pg_query(
        ledger->pg, "SELECT generation, others_alive, now_state, route_store FROM migration_obey($1, $2, $3)",
        3, values, err);
    bool fine;

    if (result == NULL)
        return false;
    routed->generation = (uint64_t)number_at(result, 0);
    routed->others = number_at(result, 1) > 0;
    copy_text(store, STORE_NAME_BYTES_MAX, result, 3);
    fine = migration_state_parse(PQgetvalue(result, 0, 2), now) ||
           error_set(err, "22023", "migration %s is in an unknown state", id);
    PQclear(result);
    return fine;
}

bool ledger_may_purge(struct ledger *ledger, const char *id, struct error *err)
{
    const char *const values[] = { id, ledger->setup->default_store };
    PGresult *result = pg_query(ledger->pg, "SELECT migration_may_purge($1, $2)", 2, values, err);
    bool may;

    if (result == NULL)
        return false;
    may = flag_at(result, 0);
    PQclear(result);
    if (may)
        return true;
    error_set(err, "55000", "the tenant's rows in the target are not migration %s's to delete", id);
    error_detail(err, "The tenant lives there, or another migration of it is under way.");
    return error_hint(err, "ABORT MIGRATION '%.8s' without PURGE TARGET ends it.", id);
}

/* --- stores and instances --- */

bool ledger_know_store(struct ledger *ledger, const char *store, const char *system_identifier,
                       uint32_t database_oid, struct error *err)
{
    struct number number;
    const char *const values[] = { store, system_identifier, number_text(&number, database_oid) };
    PGresult *result;
    bool same;

    if (!pg_run(ledger->pg,
                "INSERT INTO stores (store_id, system_identifier, database_oid) VALUES ($1, $2, $3)"
                " ON CONFLICT (store_id) DO NOTHING",
                3, values, err))
        return false;
    result = pg_query(ledger->pg,
                      "SELECT system_identifier = $2 AND database_oid = $3 FROM stores WHERE store_id = $1",
                      3, values, err);
    if (result == NULL)
        return false;
    same = PQntuples(result) == 1 && flag_at(result, 0);
    PQclear(result);
    if (same)
        return true;
    error_set(err, "55000", "store \"%s\" is not the database it was before", store);
    error_detail(err, "It answers with system identifier %s and database oid %u.", system_identifier,
                 database_oid);
    return error_hint(
        err, "If that is meant: DELETE FROM %s.stores WHERE store_id = '%s' in the control database.",
        ledger->setup->schema, store);
}

bool ledger_register(struct ledger *ledger, const char *host, int64_t lease_ms, bool replace,
                     char started_at[64], struct error *err)
{
    struct number pid, lease;
    const char *const values[] = { ledger->setup->instance,       host,
                                   number_text(&pid, getpid()),   PGSHUNT_VERSION,
                                   number_text(&lease, lease_ms), replace ? "t" : "f" };
    PGresult *result =
        pg_query(ledger->pg, "SELECT instance_register($1, $2, $3, $4, $5, $6)", 6, values, err);
    bool ours;

    if (result == NULL)
        return false;
    ours = PQntuples(result) == 1;
    if (ours)
        copy_text(started_at, 64, result, 0);
    PQclear(result);
    if (ours)
        return true;
    error_set(err, "55000", "another process is alive as instance \"%s\"", ledger->setup->instance);
    return error_hint(err, "Give every process its own instance_name.");
}

bool ledger_unregister(struct ledger *ledger, const char *started_at, struct error *err)
{
    const char *const values[] = { ledger->setup->instance, started_at };

    return pg_run(ledger->pg, "DELETE FROM proxy_instances WHERE instance_id = $1 AND started_at = $2", 2,
                  values, err);
}

bool ledger_heartbeat(struct ledger *ledger, const char *started_at, uint64_t generation, bool *ours,
                      bool *others, struct error *err)
{
    struct number number;
    const char *const values[] = { ledger->setup->instance, started_at,
                                   number_text(&number, (int64_t)generation) };
    PGresult *result = pg_query(ledger->pg, sql_instance_heartbeat, 3, values, err);

    if (result == NULL)
        return false;
    *ours = PQntuples(result) == 1;
    *others = *ours && number_at(result, 0) > 0;
    PQclear(result);
    return true;
}
