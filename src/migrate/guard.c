/* guard.c - see guard.h.
 * Leaves: when a tenant is let in or out to the runner (runner_guard.c), short locks to ddl.c.
 * Start at: guard_install(). */
#include "migrate/guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "migrate/ddl.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "sql_embedded.h"

enum { NUMERIC_OID = 1700 /* pg_type.dat */ };

struct guard_end guard_source(const struct migration *m)
{
    return (struct guard_end){ m->source_pg, m->source, &m->tables[0].source,
                               m->names,     true,      m->source == m->default_store };
}

struct guard_end guard_target(const struct migration *m)
{
    return (struct guard_end){ m->target_pg, m->target, &m->tables[0].target,
                               m->names,     false,     m->target == m->default_store };
}

/* The same end at another of the migration's tables. false: it has no tenant column that could be asked, or
 * is not known. */
static bool at_table(const struct migration *m, const struct guard_end *end, size_t table,
                     struct guard_end *there)
{
    const struct moved_table *t = &m->tables[table];

    *there = *end;
    there->rel = end->is_source ? &t->source : &t->target;
    there->names = t->names;
    return t->names->parent == NULL && there->rel->oid != 0;
}

/* --- its texts ---------------------------------------------------------------------------------------- */

/* By the table's name: it outlives a dump and a restore, which an oid does not. */
static void function_name(const struct guard_end *end, char name[32])
{
    snprintf(name, 32, "guard_%016" PRIx64, fnv_add(UINT64_C(0xcbf29ce484222325), end->rel->qualified));
}

static void qualified_name(const struct migration *m, const struct guard_end *end, char name[96])
{
    char function[32];

    function_name(end, function);
    snprintf(name, 96, "%.60s.%s", m->control_schema, function);
}

/* The tenant as tenancy has it, which is as tenant_canonical() makes it: only a numeric has several texts for
 * one value. */
static void append_tenant(const struct guard_end *end, const char *row, struct buf *out)
{
    bool numeric = false;

    for (size_t i = 0; i < end->rel->column_count; i++)
        numeric =
            numeric || (end->rel->columns[i].is_tenant && end->rel->columns[i].tenant_type == NUMERIC_OID);
    buf_append_format(out, "(%s%s.", numeric ? "trim_scale(" : "", row);
    relation_append_identifier(out, end->names->tenant);
    buf_append_format(out, "%s::text COLLATE \"C\")", numeric ? ")" : "");
}

/* One of sql/guard_function.sql and sql/guard_trigger.sql made concrete. */
static bool expand(const struct migration *m, const struct guard_end *end, const char *login, const char *sql,
                   struct buf *out)
{
    struct buf column, new_tenant, old_tenant, login_text, table_text;
    struct buf *const all[] = { &column, &new_tenant, &old_tenant, &login_text, &table_text };
    char function[32];
    bool good = true;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_init(all[i]);
    function_name(end, function);
    relation_append_identifier(&column, end->names->tenant);
    append_tenant(end, "NEW", &new_tenant);
    append_tenant(end, "OLD", &old_tenant);
    sqltext_literal(&login_text, login);
    sqltext_literal(&table_text, end->rel->qualified);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        good = good && !buf_failed(all[i]);
    if (good)
        sqltext_expand(out, sql, m->control_schema,
                       (const struct sqltext_value[]){ { "function", function },
                                                       { "table", end->rel->qualified },
                                                       { "table_text", buf_text(&table_text) },
                                                       { "column", buf_text(&column) },
                                                       { "login", buf_text(&login_text) },
                                                       { "new_tenant", buf_text(&new_tenant) },
                                                       { "old_tenant", buf_text(&old_tenant) },
                                                       { "default", end->is_default ? "true" : "false" } },
                       8);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_done(all[i]);
    return good && !buf_failed(out);
}

/* --- putting it on ------------------------------------------------------------------------------------ */

static bool run_setup(struct migration *m, const struct guard_end *end, const char *text, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    sqltext_expand(&sql, text, m->control_schema, NULL, 0);
    good = ddl_setup(end->pg, &sql, err);
    buf_done(&sql);
    return good;
}

bool guard_prepare(struct migration *m, const struct guard_end *end, struct error *err)
{
    return sqltext_schema_ok(m->control_schema, err) && run_setup(m, end, sql_guard_schema, err);
}

bool guard_learn(struct migration *m, const struct guard_end *end, struct pg *control, struct error *err)
{
    const char *asked[] = { end->store->name, end->is_default ? "t" : "f" };
    PGresult *known = pg_query(control, sql_read_tenancy, 2, asked, err);
    struct buf sql;
    bool good;

    if (known == NULL)
        return false;
    const char *told[] = { PQgetvalue(known, 0, 0), PQgetvalue(known, 0, 1), PQgetvalue(known, 0, 2) };
    buf_init(&sql);
    sqltext_expand(&sql, sql_guard_learn, m->control_schema, NULL, 0);
    good = buf_failed(&sql) ? error_no_memory(err) : pg_run(end->pg, buf_text(&sql), 3, told, err);
    buf_done(&sql);
    PQclear(known);
    return good;
}

static bool is_sound(struct migration *m, const struct guard_end *end, bool *sound, struct error *err)
{
    char function[96];
    PGresult *result;

    qualified_name(m, end, function);
    result = pg_query(end->pg, sql_guard_check, 2, (const char *[]){ end->rel->qualified, function }, err);
    if (result == NULL)
        return false;
    *sound = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

bool guard_is_sound(struct migration *m, const struct guard_end *end, bool *sound, struct error *err)
{
    struct guard_end there;

    *sound = true;
    for (size_t i = 0; *sound && i < m->table_count; i++) {
        if (at_table(m, end, i, &there) && !is_sound(m, &there, sound, err))
            return false;
    }
    return true;
}

static bool make_function(struct migration *m, const struct guard_end *end, struct error *err)
{
    PGresult *result = pg_query(end->pg, "SELECT session_user", 0, NULL, err);
    struct buf sql;
    bool good;

    if (result == NULL)
        return false;
    buf_init(&sql);
    good = expand(m, end, PQgetvalue(result, 0, 0), sql_guard_function, &sql) ? ddl_setup(end->pg, &sql, err)
                                                                              : error_no_memory(err);
    buf_done(&sql);
    PQclear(result);
    return good;
}

static bool make_trigger(struct migration *m, const struct guard_end *end, struct error *err)
{
    const struct ddl_table table = { end->pg, end->rel, m->tenant, m->log, &m->wake };
    struct buf sql;
    bool good;

    buf_init(&sql);
    good = expand(m, end, "", sql_guard_trigger, &sql) ? ddl_short(&table, buf_text(&sql), NULL, NULL, err)
                                                       : error_no_memory(err);
    buf_done(&sql);
    return good;
}

static bool install(struct migration *m, const struct guard_end *end, struct error *err)
{
    bool sound;

    /* The function is made anew in any case: a later release's, or another login's; that locks no table. */
    if (!failpoint("guard.before_install", err) || !make_function(m, end, err) ||
        !is_sound(m, end, &sound, err))
        return false;
    if (sound)
        return true;
    if (!make_trigger(m, end, err) || !is_sound(m, end, &sound, err))
        return false;
    if (!sound)
        return error_set(err, "55000", "the guard of %s in store \"%s\" could not be enabled",
                         end->rel->qualified, end->store->name);
    log_line(m->log, LOG_INFO, "guard", "store \"%s\": %s has its guard", end->store->name,
             end->rel->qualified);
    return failpoint("guard.after_install", err);
}

bool guard_install(struct migration *m, const struct guard_end *end, struct error *err)
{
    struct guard_end there;

    for (size_t i = 0; i < m->table_count; i++) {
        if (at_table(m, end, i, &there) && !install(m, &there, err))
            return false;
    }
    return true;
}

/* --- who lives where ---------------------------------------------------------------------------------- */

bool guard_say(struct migration *m, const struct guard_end *end, bool here, uint64_t generation,
               struct error *err)
{
    char sql[160], number[24];
    const char *values[] = { m->tenant, here ? "t" : "f", number, end->is_default ? "t" : "f" };

    snprintf(number, sizeof number, "%" PRIu64, generation);
    snprintf(sql, sizeof sql, "SELECT %.60s.tenancy_set($1, $2::bool, $3::bigint, $4::bool)",
             m->control_schema);
    return pg_run(end->pg, sql, 4, values, err);
}

static bool take_limit(struct pg *pg, char limit[24], struct error *err)
{
    PGresult *result = pg_query(pg, "SELECT pg_snapshot_xmax(pg_current_snapshot())", 0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(limit, 24, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

static bool ask_old(struct pg *pg, const char *limit, char *who, size_t who_bytes, struct error *err)
{
    PGresult *result = pg_query(pg, sql_handover_old, 1, (const char *[]){ limit }, err);

    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        snprintf(who, who_bytes, "%s %s (%s), %s ms",
                 PQgetisnull(result, 0, 0) ? "prepared transaction" : "pid",
                 PQgetisnull(result, 0, 0) ? PQgetvalue(result, 0, 2) : PQgetvalue(result, 0, 0),
                 PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 3));
    PQclear(result);
    return true;
}

bool guard_old_snapshots(struct pg *pg, char limit[24], char *who, size_t who_bytes, struct error *err)
{
    who[0] = '\0';
    if (limit[0] == '\0' && !take_limit(pg, limit, err))
        return false;
    /* Asked twice: a snapshot may be handed from one session to another (SET TRANSACTION SNAPSHOT) between
     * the reading of two lines. */
    return ask_old(pg, limit, who, who_bytes, err) &&
           (who[0] != '\0' || ask_old(pg, limit, who, who_bytes, err));
}
