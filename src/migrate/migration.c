/* migration.c - a migration's two connections, and what they showed of the table when they were opened.
 * Thread: the runner's.   Start at: migration_connect(). */
#include "migrate/migration.h"

#include <stdio.h>
#include <string.h>

enum {
    CONNECT_MS = 5000,
};

static bool open_store(struct migration *m, const struct store *store, struct pg **pg, bool *fresh,
                       struct error *err)
{
    char what[96], application[64];

    *fresh = false;
    if (*pg != NULL && !pg_is_broken(*pg))
        return true;
    pg_close(*pg);
    *pg = NULL;
    *fresh = true;
    snprintf(what, sizeof what, "store \"%s\"", store->name);
    snprintf(application, sizeof application, "pgshunt migration %.8s", m->id);
    return pg_open(store->conninfo, what, application, &m->wake, CONNECT_MS, pg, err);
}

/* What is asked here is asked by key or in the order of an index, whatever the statistics say: those of a
 * queue that was empty when it was vacuumed last, or of a table that is being filled, make a pass walk
 * everything there is. */
#define PLAN_BY_INDEX                                                                                        \
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"                      \
    " SET enable_mergejoin = off; SET enable_sort = off"

bool migration_plan_by_index(struct migration *m, struct error *err)
{
    return pg_run(m->source_pg, PLAN_BY_INDEX, 0, NULL, err);
}

/* Foreign keys and triggers of the target do not fire for the copier: the rows have been through the
 * source's. */
static bool prepare_target(struct migration *m, struct error *err)
{
    static const char settings[] = PLAN_BY_INDEX "; SET session_replication_role = replica;"
                                                 " SET synchronous_commit = on";

    if (pg_run(m->target_pg, settings, 0, NULL, err))
        return true;
    if (error_is(err, "42501"))
        error_hint(err,
                   "GRANT SET ON PARAMETER session_replication_role TO pgshunt's role: see sql/roles.sql.");
    return false;
}

/* Reads a relation; what was known of it must still be so. */
static bool refresh(struct migration *m, struct pg *pg, const struct store *store, struct relation *rel,
                    struct error *err)
{
    struct relation now = { 0 };
    char what[96];
    bool good = true;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    if (!relation_read(pg, what, m->names, &now, err))
        return false;
    if (rel->oid != 0 && strcmp(rel->system_identifier, now.system_identifier) != 0)
        good = error_set(err, "55000", "%s is another cluster than before", what);
    else if (rel->oid != 0 &&
             rel == &m->source_rel) /* a target may be rewritten: it is verified, not trusted */
        good = relation_same_fingerprint(now.qualified, rel->fingerprint, now.fingerprint, err);
    if (!good) {
        relation_done(&now);
        return false;
    }
    relation_done(rel);
    *rel = now;
    return true;
}

static bool connect_both(struct migration *m, bool *source_fresh, bool *target_fresh, struct error *err)
{
    return open_store(m, m->source, &m->source_pg, source_fresh, err) &&
           open_store(m, m->target, &m->target_pg, target_fresh, err) &&
           (!*target_fresh || prepare_target(m, err));
}

/* What could not be checked must be opened, and checked, again. */
static bool give_up(struct migration *m, bool source_fresh, bool target_fresh)
{
    if (source_fresh) {
        pg_close(m->source_pg);
        m->source_pg = NULL;
    }
    if (target_fresh) {
        pg_close(m->target_pg);
        m->target_pg = NULL;
    }
    return false;
}

bool migration_connect(struct migration *m, struct error *err)
{
    bool source_fresh = false, target_fresh = false;

    if (connect_both(m, &source_fresh, &target_fresh, err) &&
        (!(source_fresh || m->source_rel.oid == 0) ||
         refresh(m, m->source_pg, m->source, &m->source_rel, err)) &&
        (!(target_fresh || m->target_rel.oid == 0) ||
         refresh(m, m->target_pg, m->target, &m->target_rel, err)) &&
        relation_fits(&m->source_rel, &m->target_rel, err))
        return true;
    return give_up(m, source_fresh, target_fresh);
}

void migration_disconnect(struct migration *m)
{
    pg_close(m->source_pg);
    pg_close(m->target_pg);
    m->source_pg = m->target_pg = NULL;
}
