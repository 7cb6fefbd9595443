/* tap.c - puts a tap on a tenant's rows, looks after it, takes it off.
 * Owns:   nothing. Leaves: names and texts to tap_text.c, the cutover's lock and state to tap_lock.c, the
 * try-out to tap_try.c. Thread: the runner's.   Start at: tap_install(). */
#include "migrate/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "migrate/ddl.h"
#include "migrate/sqltext.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

/* --- what stands already ------------------------------------------------------------------------------ */

bool tap_read_fingerprint(struct pg *pg, const struct tap_names *names, struct buf *fingerprint,
                          struct error *err)
{
    PGresult *result =
        pg_query(pg, sql_tap_fingerprint, 1, (const char *[]){ names->qualified_function }, err);

    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        buf_append_text(fingerprint, PQgetvalue(result, 0, 0));
    PQclear(result);
    return buf_failed(fingerprint) ? error_no_memory(err) : true;
}

struct standing {
    bool registered, ours, whole; /* of this migration; as it was made */
    char definition[20];
};

static bool table_exists(struct migration *m, const char *table, bool *exists, struct error *err)
{
    char qualified[128];
    PGresult *result;

    snprintf(qualified, sizeof qualified, "%.60s.%s", m->control_schema, table);
    result =
        pg_query(m->source_pg, "SELECT to_regclass($1) IS NOT NULL", 1, (const char *[]){ qualified }, err);
    if (result == NULL)
        return false;
    *exists = PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return true;
}

static PGresult *read_row(struct migration *m, const struct tap_names *names, struct error *err)
{
    struct buf sql;
    PGresult *result;

    buf_init(&sql);
    tap_text_expand(m, sql_tap_read, &sql);
    result = pg_query(m->source_pg, buf_text(&sql), 1, (const char *[]){ names->key_text }, err);
    buf_done(&sql);
    return result;
}

static bool look(struct migration *m, const struct tap_names *names, struct standing *standing,
                 struct error *err)
{
    PGresult *result;
    struct buf now;
    bool good = true, exists;

    memset(standing, 0, sizeof *standing);
    if (!table_exists(m, "tap", &exists, err) || !exists)
        return !error_is_set(err);
    result = read_row(m, names, err);
    if (result == NULL)
        return false;
    buf_init(&now);
    if (PQntuples(result) > 0) {
        standing->registered = true;
        standing->ours = strcmp(PQgetvalue(result, 0, 1), m->id) == 0;
        snprintf(standing->definition, sizeof standing->definition, "%s", PQgetvalue(result, 0, 2));
        good = strcmp(PQgetvalue(result, 0, 0), m->tenant) == 0
                   ? tap_read_fingerprint(m->source_pg, names, &now, err)
                   : error_set(err, "42710", "tap %s belongs to another tenant with the same key",
                               names->function);
        standing->whole = good && strcmp(PQgetvalue(result, 0, 3), buf_text(&now)) == 0;
    }
    buf_done(&now);
    PQclear(result);
    return good;
}

/* --- putting it on ------------------------------------------------------------------------------------ */

static bool read_login(struct migration *m, char *login, size_t bytes, struct error *err)
{
    PGresult *result = pg_query(m->source_pg, "SELECT session_user", 0, NULL, err);

    if (result == NULL)
        return false;
    snprintf(login, bytes, "%s", PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

static bool make_schema(struct migration *m, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    tap_text_expand(m, sql_tap_schema, &sql);
    good = ddl_setup(m->source_pg, &sql, err);
    buf_done(&sql);
    return good;
}

struct registering {
    struct migration *m;
    const struct tap_text *text;
};

static bool register_tap(void *who, struct error *err)
{
    struct migration *m = ((struct registering *)who)->m;
    const struct tap_text *text = ((struct registering *)who)->text;
    struct buf sql, fingerprint;
    char oid[16];
    PGresult *result = NULL;
    bool good = false;

    buf_init(&sql);
    buf_init(&fingerprint);
    snprintf(oid, sizeof oid, "%u", m->tables[0].source.oid);
    tap_text_expand(m, sql_tap_register, &sql);
    if (tap_read_fingerprint(m->source_pg, &text->names, &fingerprint, err))
        result = pg_query(m->source_pg, buf_text(&sql), 7,
                          (const char *[]){ text->names.key_text, m->tenant, oid, m->id, text->definition,
                                            buf_text(&fingerprint), text->names.qualified_function },
                          err);
    if (result != NULL)
        good = strcmp(PQgetvalue(result, 0, 0), "0") == 0 ||
               error_set(err, "55000", "%s triggers of the tap on %s could not be enabled",
                         PQgetvalue(result, 0, 0), m->tables[0].source.qualified);
    PQclear(result);
    buf_done(&sql);
    buf_done(&fingerprint);
    return good;
}

/* One table a transaction, so that none waits for another with locks in hand. The event table comes last:
 * its transaction writes down that the tap is there. */
static bool make_triggers(struct migration *m, struct tap_text *text, struct error *err)
{
    struct registering registering = { m, text };

    for (size_t i = m->table_count; i-- > 0;) {
        struct tap_table_text *table = &text->tables[i];

        if (!ddl_setup(m->source_pg, &table->function, err) ||
            !ddl_short(&(struct ddl_table)DDL_SOURCE(m, &m->tables[i].source), buf_text(&table->triggers),
                       i == 0 ? register_tap : NULL, &registering, err))
            return false;
    }
    return true;
}

static bool make_tap(struct migration *m, struct tap_text *text, struct error *err)
{
    return failpoint("tap.before_install", err) && make_schema(m, err) &&
           ddl_setup(m->source_pg, &text->sequences, err) && make_triggers(m, text, err) &&
           failpoint("tap.after_install", err) && tap_try(m, &text->names, err);
}

bool tap_claim(struct migration *m, struct error *err)
{
    struct tap_names names;
    char sql[160], epoch[24];

    tap_names_of(m, &names);
    snprintf(sql, sizeof sql, "SELECT %.60s.tap_claim($1::bigint, $2::bigint)", m->control_schema);
    snprintf(epoch, sizeof epoch, "%llu", (unsigned long long)m->epoch);
    return pg_run(m->source_pg, sql, 2, (const char *[]){ names.key_text, epoch }, err);
}

static bool install(struct migration *m, struct tap_text *text, struct error *err)
{
    struct standing standing;

    error_clear(err);
    if (!look(m, &text->names, &standing, err))
        return false;
    if (standing.ours && standing.whole && strcmp(standing.definition, text->definition) == 0)
        return tap_claim(m, err);
    if (standing.ours) {
        error_set(err, "55000", "the tap on %s has been changed since it was put on: changes may be missing",
                  m->tables[0].source.qualified);
        return error_hint(err, "RESYNC MIGRATION '%.8s' compares both sides and mends the target.", m->id);
    }
    if (!tap_remove(m, err)) /* of an earlier migration, or half made: nothing depends on it any more */
        return false;
    if (make_tap(m, text, err))
        return true;
    if (!pg_is_broken(m->source_pg)) {
        struct error ignored;

        tap_remove(m, &ignored); /* one that fails would fail its tenant's writes */
    }
    return false;
}

bool tap_install(struct migration *m, struct error *err)
{
    char login[128];
    struct tap_text text;
    bool good;

    if (!read_login(m, login, sizeof login, err) || !tap_text_make(m, login, &text, err))
        return false;
    good = install(m, &text, err);
    tap_text_done(&text);
    return good;
}

/* --- taking it off ------------------------------------------------------------------------------------ */

struct owner {
    struct migration *m;
    const char *migration; /* NULL: whoever's it is */
};

/* Inside a transaction that changes a tap: 55000 if it is not that migration's (any more). */
static bool is_owners(void *who, struct error *err)
{
    const struct owner *owner = who;
    struct tap_names names;
    PGresult *result;
    bool owners;

    if (owner->migration == NULL)
        return true;
    tap_names_of(owner->m, &names);
    result = read_row(owner->m, &names, err);
    if (result == NULL)
        return false;
    owners = PQntuples(result) == 1 && strcmp(PQgetvalue(result, 0, 1), owner->migration) == 0;
    PQclear(result);
    return owners ||
           error_set(err, "55000", "the tap on tenant \"%s\" is another migration's", owner->m->tenant);
}

/* sql_tap_disable or sql_tap_drop, for one table. */
static bool run_on_table(struct owner *owner, const char *text, const struct relation *table,
                         struct error *err)
{
    struct migration *m = owner->m;
    struct buf sql;
    bool good;

    buf_init(&sql);
    tap_text_expand_table(m, text, table->oid, &sql);
    good = buf_failed(&sql)
               ? error_no_memory(err)
               : ddl_short(&(struct ddl_table)DDL_SOURCE(m, table), buf_text(&sql), is_owners, owner, err);
    buf_done(&sql);
    return good;
}

/* Whatever tables it stands on, also those that [events] does not declare any more; one a transaction. */
static bool run_on_tables(struct owner *owner, const char *text, struct error *err)
{
    struct tap_names names;
    PGresult *tables;
    bool good = true;

    tap_names_of(owner->m, &names);
    tables = pg_query(owner->m->source_pg, sql_tap_tables, 2,
                      (const char *[]){ owner->m->control_schema, names.function }, err);
    if (tables == NULL)
        return false;
    for (int row = 0; good && row < PQntuples(tables); row++) {
        const struct relation table = { .oid = (uint32_t)strtoul(PQgetvalue(tables, row, 0), NULL, 10),
                                        .qualified = PQgetvalue(tables, row, 1) };

        good = run_on_table(owner, text, &table, err);
    }
    PQclear(tables);
    return good;
}

static bool forget(struct owner *owner, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    tap_text_expand(owner->m, sql_tap_forget, &sql);
    good = is_owners(owner, err) && ddl_setup(owner->m->source_pg, &sql, err);
    buf_done(&sql);
    return good;
}

static bool remove_tap(struct owner *owner, struct error *err)
{
    return sqltext_schema_ok(owner->m->control_schema, err) && run_on_tables(owner, sql_tap_disable, err) &&
           run_on_tables(owner, sql_tap_drop, err) && forget(owner, err);
}

bool tap_remove(struct migration *m, struct error *err)
{
    struct owner anybody = { m, NULL };

    return remove_tap(&anybody, err);
}

bool tap_remove_of(struct migration *m, const char *migration, struct error *err)
{
    struct owner owner = { m, migration };

    return remove_tap(&owner, err);
}

bool tap_find(struct migration *m, char migration[UUID_TEXT_BYTES], struct error *err)
{
    struct tap_names names;
    PGresult *result;
    bool exists;

    migration[0] = '\0';
    error_clear(err);
    if (!sqltext_schema_ok(m->control_schema, err) || !table_exists(m, "tap", &exists, err))
        return false;
    if (!exists)
        return true;
    tap_names_of(m, &names);
    result = read_row(m, &names, err);
    if (result == NULL)
        return false;
    if (PQntuples(result) == 1)
        snprintf(migration, UUID_TEXT_BYTES, "%s", PQgetvalue(result, 0, 1));
    PQclear(result);
    return true;
}

bool tap_is_sound(struct migration *m, bool *sound, struct error *err)
{
    struct tap_names names;
    struct standing standing;

    *sound = false;
    error_clear(err);
    tap_names_of(m, &names);
    if (!sqltext_schema_ok(m->control_schema, err) || !look(m, &names, &standing, err))
        return false;
    *sound = standing.ours && standing.whole;
    return true;
}
