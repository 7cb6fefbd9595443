/* preflight.h - everything that must be true before a tenant begins to move, looked at and not changed: CHECK
 * MIGRATION shows what is found, START refuses by it (DESIGN §4, §6.1). One code for both.
 *
 * It never stands in anybody's way: connections of its own, every statement ends after a few seconds, no lock
 * is waited for longer than lock_timeout, and what is tried is rolled back. Runner's thread; blocking.
 * A chapter adds rows to the list and never ends the others: whoever asks wants to see everything at once. */
#ifndef PGSHUNT_MIGRATE_PREFLIGHT_H
#define PGSHUNT_MIGRATE_PREFLIGHT_H

#include "migrate/finding.h"
#include "migrate/runner.h"
#include "sql/schema.h"

/* One end of the migration as it is looked at. */
struct preflight_side {
    const char *name; /* "source", "target" */
    const struct store *store;
    struct pg **pg;        /* of the runner's migration; NULL inside: not connected */
    struct relation *rel;  /* oid 0: not read */
    struct schema *schema; /* what [events] declares, as the store has it; NULL: not read */
};

struct preflight {
    struct runner *r;
    struct control_request *request;
    struct findings *list;
    struct preflight_side source, target;
    int64_t events, bytes; /* to copy; -1: not known */
    uint64_t begun_ms, told_ms;
};

/* Options, tenant, route, both stores, then every chapter; leaves m.tenant, m.source, m.target, m.settings
 * and both relations filled, and the connections closed. false: the command itself is wrong (no such store or
 * option, not a tenant), the control database is away, or it was interrupted. */
bool preflight_run(struct runner *r, struct control_request *request, struct findings *list,
                   struct error *err);
/* CHECK MIGRATION TENANT: runs it and answers. Takes the request. */
void preflight_answer(struct runner *r, struct control_request *request);

/* --- for its chapters --- */

/* What failed becomes a row; true if it did not. */
bool preflight_note(struct preflight *p, const char *check, enum finding_status status, bool fine,
                    const struct error *err);
/* A question; NULL: it could not be asked, which is a row by itself. */
PGresult *preflight_ask(struct preflight *p, const char *check, enum finding_status status, struct pg *pg,
                        const char *sql, int count, const char *const *values);
/* A NOTICE for whoever waits. */
void preflight_tell(struct preflight *p, const char *text);

/* preflight_route.c: what the control database and the configuration know */
bool preflight_options(struct preflight *p, struct error *err);
bool preflight_tenant(struct preflight *p, struct error *err);
/* Where the tenant lives now: m.source. */
bool preflight_source(struct runner *r, const struct control_request *request, struct error *err);
bool preflight_route(struct preflight *p, struct error *err); /* false: the source is not known */
void preflight_identities(struct preflight *p);
void preflight_positions(struct preflight *p);
/* preflight_store.c: the servers */
void preflight_server(struct preflight *p);
void preflight_rights(struct preflight *p);
void preflight_connections(struct preflight *p);
void preflight_roles(struct preflight *p);
void preflight_logins(struct preflight *p);
/* preflight_table.c: the tables */
void preflight_columns(struct preflight *p);
void preflight_declared(struct preflight *p);
void preflight_shape(struct preflight *p);
void preflight_index(struct preflight *p);
void preflight_sequence(struct preflight *p);
void preflight_row_security(struct preflight *p);
/* preflight_companion.c: the tables that move with the event table */
void preflight_companions(struct preflight *p);
/* preflight_work.c: what the migration will have to do */
void preflight_rows(struct preflight *p);
void preflight_size(struct preflight *p);
void preflight_writers(struct preflight *p);
void preflight_tap(struct preflight *p);
void preflight_guard(struct preflight *p);

#endif
