/* migration.c - a migration's two connections, and what they showed of the table when they were opened.
 * Thread: the runner's.   Start at: migration_connect(). */
#include "migrate/migration.h"

#include <stdio.h>
#include <string.h>

#include "migrate/positions.h"
#include "migrate/sqltext.h"

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

void migration_declare(struct migration *m, const struct event_names *names)
{
    m->names = names;
    m->tables_found = false;
    m->table_count = 1; /* companions are found when the source is read */
    m->tables[0].names = names;
}

void migration_forget_tables(struct migration *m)
{
    for (size_t i = 0; i < m->table_count; i++) {
        relation_done(&m->tables[i].source);
        relation_done(&m->tables[i].target);
    }
}

static bool source_has(struct migration *m, const struct event_names *names, bool *has, struct error *err)
{
    struct buf from;
    PGresult *result = NULL;

    buf_init(&from);
    relation_append_qualified(&from, names);
    if (buf_failed(&from))
        error_no_memory(err);
    else
        result = pg_query(m->source_pg, "SELECT to_regclass($1) IS NOT NULL", 1,
                          (const char *[]){ buf_text(&from) }, err);
    buf_done(&from);
    if (result == NULL)
        return false;
    *has = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static bool moves(const struct migration *m, const struct event_names *names)
{
    for (size_t i = 0; i < m->table_count; i++) {
        if (m->tables[i].names == names)
            return true;
    }
    return false;
}

/* A companion table that the source does not have holds no rows of the tenant; it must stay so. */
static bool find_tables(struct migration *m, struct error *err)
{
    size_t count = 1;

    for (size_t i = 0; i < m->names->companion_count; i++) {
        const struct event_names *names = &m->names->companions[i];
        bool has;

        if (m->tables_found && moves(m, names))
            continue;
        if (!source_has(m, names, &has, err))
            return false;
        if (m->tables_found && has) {
            error_set(err, "55000", "companion table \"%s.%s\" has come under the migration", names->schema,
                      names->table);
            return error_hint(err, "Its rows are not captured: ABORT MIGRATION and START again.");
        }
        if (has)
            m->tables[count++].names = names;
    }
    if (!m->tables_found)
        m->table_count = count;
    m->tables_found = true;
    return true;
}

/* Reads a relation; what was known of it must still be so. A target may be rewritten: it is verified, not
 * trusted. */
static bool refresh(struct moved_table *table, bool source, struct pg *pg, const struct store *store,
                    struct error *err)
{
    struct relation *known = source ? &table->source : &table->target;
    struct relation now = { 0 };
    char what[96];
    bool good = true;

    snprintf(what, sizeof what, "store \"%s\"", store->name);
    if (!relation_read(pg, what, table->names, &now, err))
        return false;
    if (known->oid != 0 && strcmp(known->system_identifier, now.system_identifier) != 0)
        good = error_set(err, "55000", "%s is another cluster than before", what);
    else if (known->oid != 0 && source)
        good = relation_same_fingerprint(now.qualified, known->fingerprint, now.fingerprint, err);
    if (!good) {
        relation_done(&now);
        return false;
    }
    relation_done(known);
    *known = now;
    return true;
}

/* All tables of one side, where its connection is a new one or one of them has not been read. */
static bool refresh_side(struct migration *m, bool source, bool fresh, struct error *err)
{
    struct pg *pg = source ? m->source_pg : m->target_pg;
    const struct store *store = source ? m->source : m->target;

    for (size_t i = 0; i < m->table_count; i++) {
        struct moved_table *table = &m->tables[i];

        if ((fresh || (source ? table->source.oid : table->target.oid) == 0) &&
            !refresh(table, source, pg, store, err))
            return false;
        /* Whichever was read last: the source's rows are read with the target's types. */
        if (table->source.oid != 0 && table->target.oid != 0 &&
            !relation_adapt(&table->source, &table->target, err))
            return false;
    }
    return true;
}

bool migration_read_source(struct migration *m, struct error *err)
{
    return (m->tables_found || find_tables(m, err)) && refresh_side(m, true, false, err);
}

bool migration_read_target(struct migration *m, struct error *err)
{
    return refresh_side(m, false, false, err);
}

static bool tables_fit(const struct migration *m, struct error *err)
{
    for (size_t i = 0; i < m->table_count; i++) {
        if (!relation_fits(&m->tables[i].source, &m->tables[i].target, err))
            return false;
    }
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

/* Where the target gives the positions, they are no part of what both sides must have alike. */
static void mark_positions(struct migration *m)
{
    struct relation *const sides[] = { &m->tables[0].source, &m->tables[0].target };

    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < sides[side]->column_count; i++)
            sides[side]->columns[i].assigned = sides[side]->columns[i].is_position && positions_assigned(m);
    }
}

bool migration_connect(struct migration *m, struct error *err)
{
    bool source_fresh = false, target_fresh = false;

    if (connect_both(m, &source_fresh, &target_fresh, err) &&
        ((m->tables_found && !source_fresh) || find_tables(m, err)) &&
        refresh_side(m, true, source_fresh, err) && refresh_side(m, false, target_fresh, err) &&
        tables_fit(m, err)) {
        mark_positions(m);
        return true;
    }
    return give_up(m, source_fresh, target_fresh);
}

bool migration_open(struct migration *m, struct error *err)
{
    bool source_fresh = false, target_fresh = false;

    return connect_both(m, &source_fresh, &target_fresh, err) || give_up(m, source_fresh, target_fresh);
}

void migration_disconnect(struct migration *m)
{
    pg_close(m->source_pg);
    pg_close(m->target_pg);
    m->source_pg = m->target_pg = NULL;
}

PGresult *migration_ask_target(struct migration *m, const char *text, int count, const char *const *values,
                               struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    sqltext_expand(&sql, text, m->control_schema, NULL, 0);
    if (buf_failed(&sql))
        error_no_memory(err);
    else
        result = pg_query(m->target_pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    return result;
}
