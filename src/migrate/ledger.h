/* ledger.h - the control tables as functions. A ledger is one connection to the control database: control has
 * one, every runner has one of its own, nobody else. SQL: sql/control_*.sql, which also holds the functions
 * that change several tables at once. Blocking; its owner's thread. */
#ifndef PGSHUNT_MIGRATE_LEDGER_H
#define PGSHUNT_MIGRATE_LEDGER_H

#include "base/limits.h"
#include "base/uuid.h"
#include "migrate/pg.h"
#include "migrate/state.h"

struct ledger;

struct ledger_setup { /* borrowed as long as a ledger made with it */
    const char *conninfo;
    const char *schema;
    const char *instance; /* who we are in owner_instance and proxy_instances */
    const char *default_store;
    bool in_default_store; /* the control tables are in the default store's database, beside its
                              pgshunt.tenancy */
};

bool ledger_open(const struct ledger_setup *setup, const char *application_name, const struct pg_wake *wake,
                 uint64_t timeout_ms, struct ledger **ledger, struct error *err);
void ledger_close(struct ledger *ledger); /* lets go of every lock it holds; NULL is fine */
struct pg *ledger_pg(struct ledger *ledger);
bool ledger_is_broken(const struct ledger *ledger); /* NULL: yes */

/* Creates the schema or brings it up to date, under an advisory lock; nothing to do costs one query.
 * 0A000: it is newer than this program. */
bool ledger_upgrade(struct ledger *ledger, struct error *err);

/* --- one migration --- */

struct migration_record {
    char id[UUID_TEXT_BYTES];
    char tenant[TENANT_BYTES_MAX];
    char source[STORE_NAME_BYTES_MAX], target[STORE_NAME_BYTES_MAX];
    enum migration_state state, paused_from;
    uint64_t epoch;
    int64_t total_events, events_copied;
    uint64_t dual_write_ms; /* how long ago dual_write began; 0: not yet */
    bool abort_requested;
    bool settled;           /* nothing is left to do at the source */
    bool resume_requested;  /* paused, and waits for its turn to go on */
    char operator_name[64]; /* who started it */
    char config[2048];      /* JSON */
};

/* START: the row, pending, owned by us. 23505 migration_exists, 55000 if the tenant does not live at the
 * source. */
bool ledger_create(struct ledger *ledger, const struct migration_record *record, struct error *err);
/* The migration's advisory lock, held by this connection. `got` false: another owner has it; if that is a
 * predecessor of this very instance, or one whose lease has run out, its connection is ended: try again. */
bool ledger_lock(struct ledger *ledger, const char *id, bool *got, struct error *err);
/* Raises the epoch and reads the row. `found` false: it is not active any more. */
bool ledger_claim(struct ledger *ledger, const char *id, struct migration_record *record, bool *found,
                  struct error *err);
/* Only reads. */
bool ledger_look(struct ledger *ledger, const char *id, struct migration_record *record, bool *found,
                 struct error *err);

struct migration_move {
    enum migration_state from, to;
    uint64_t epoch, new_epoch; /* mine, and from now on (the same, or one more) */
    const char *event;         /* of the audit entry */
    const char *operator_name; /* NULL: pgshunt itself */
    const char *details;       /* JSON object of the audit entry; NULL: none */
    const struct error *error; /* why; NULL clears the row's error_message */
    const char *severity, *recoverability;
};

struct ledger_routed {   /* what a change of the route came to */
    uint64_t generation; /* 0: the tenant has no routing row */
    bool others;         /* other instances are alive and have to acknowledge it */
};

/* The one function that changes a migration's state (the switch apart): checks the table of moves, writes
 * row, route and audit in one transaction. 55000 if the row is not in `from` under `epoch` any more.
 * Publishing is the caller's: runner_enter(). */
bool migration_enter(struct ledger *ledger, const char *id, const struct migration_move *move,
                     struct ledger_routed *routed, struct error *err);

/* Before the tap, from pending: the route says bulk_copy, so that gates are made everywhere. */
bool ledger_announce(struct ledger *ledger, const char *id, uint64_t epoch, struct ledger_routed *routed,
                     struct error *err);

enum ledger_outcome { LEDGER_DONE, LEDGER_REFUSED, LEDGER_UNKNOWN };

/* The switch. `let_in`: the default store's guard learns by the same commit that the tenant is back. REFUSED:
 * somebody changed the route or the migration, nothing was switched. UNKNOWN: the commit's reply was lost;
 * ask ledger_take_back() on a new connection. */
enum ledger_outcome ledger_switch(struct ledger *ledger, const char *id, uint64_t epoch, uint64_t generation,
                                  bool let_in, const char *operator_name, const char *details,
                                  struct ledger_routed *routed, struct error *err);
/* Waits for a switch that may still be committing and decides: `switched`, or dual_write under a new epoch.
 */
bool ledger_take_back(struct ledger *ledger, const char *id, const char *operator_name,
                      const struct error *why, uint64_t *epoch, bool *switched, struct ledger_routed *routed,
                      struct error *err);
/* What the row says now; failed, if its route is not what its state says. `store`: where the route leads ("":
 * no route). 55000: it is another owner's. */
bool ledger_obey(struct ledger *ledger, const char *id, uint64_t epoch, enum migration_state *now,
                 char store[STORE_NAME_BYTES_MAX], struct ledger_routed *routed, struct error *err);
/* PURGE TARGET: the tenant's rows there are nobody's but this migration's? false: 55000, or not known. */
bool ledger_may_purge(struct ledger *ledger, const char *id, struct error *err);
/* The route is normal, the wish to abort is written down. */
bool ledger_abort(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                  const char *reason, struct ledger_routed *routed, struct error *err);

/* --- stores and instances --- */

/* Compares with what is recorded, or records it. 55000: the store answers with another identity. */
bool ledger_know_store(struct ledger *ledger, const char *store, const char *system_identifier,
                       uint32_t database_oid, struct error *err);
/* Our row in proxy_instances. `replace`: whoever has the name now is our predecessor; else 55000 if it is
 * alive. */
bool ledger_register(struct ledger *ledger, const char *host, int64_t lease_ms, bool replace,
                     char started_at[64], struct error *err);
bool ledger_unregister(struct ledger *ledger, const char *started_at, struct error *err);
/* `ours` false: another process has our name, or our row is gone. */
bool ledger_heartbeat(struct ledger *ledger, const char *started_at, uint64_t generation, bool *ours,
                      bool *others, struct error *err);

#endif
