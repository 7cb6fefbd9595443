/* guard.h - one trigger per table and store that refuses rows of tenants that do not live there (DESIGN
 * §4.6), and pgshunt.tenancy, the table it asks. SQL: sql/guard_*.sql. Runner's thread; blocking.
 *
 * What must be true at any moment:
 *   - a tenant's rows are never refused in the store that the routing table names (an UPDATE of that table by
 * hand aside: the store goes on as it was told last);
 *   - a store's entry is changed only by whoever moves the tenant, and by a route's generation: a later one
 * wins;
 *   - where a tenant does not live any more, either its shut tap stands or the guard's entry is visible to
 * every snapshot that is left. */
#ifndef PGSHUNT_MIGRATE_GUARD_H
#define PGSHUNT_MIGRATE_GUARD_H

#include "migrate/migration.h"

struct guard_end { /* of a migration; borrowed */
    struct pg *pg;
    const struct store *store;
    const struct relation *rel; /* the event table; guard_install() takes companions along */
    const struct event_names *names;
    bool is_source;
    bool is_default; /* who has no entry lives here */
};

struct guard_end guard_source(const struct migration *m);
struct guard_end guard_target(const struct migration *m);

/* The schema and the table tenancy, with or without a trigger. */
bool guard_prepare(struct migration *m, const struct guard_end *end, struct error *err);
/* The store hears of every tenant it has to know of and does not (`control`: a session of the control
 * database). */
bool guard_learn(struct migration *m, const struct guard_end *end, struct pg *control, struct error *err);
/* Puts the trigger on the event table and on every companion table with a tenant column, unless it stands as
 * it should; short locks. After guard_learn(), or tenants that live
 * here would be refused. */
bool guard_install(struct migration *m, const struct guard_end *end, struct error *err);
bool guard_is_sound(struct migration *m, const struct guard_end *end, bool *sound, struct error *err);
/* The migration's tenant lives here from now on, or does not, by a route's generation. Fine if something
 * later is known. */
bool guard_say(struct migration *m, const struct guard_end *end, bool here, uint64_t generation,
               struct error *err);

/* May anybody in this database still read by a snapshot that does not see an entry made before this call? The
 * first call (limit "") remembers the moment; `who` names one of those who are left, "" : nobody is. */
bool guard_old_snapshots(struct pg *pg, char limit[24], char *who, size_t who_bytes, struct error *err);

#endif
