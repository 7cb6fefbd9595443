/* tap_try.c - a tap that fails would fail its tenant's writes, so it is tried at once: INSERT, UPDATE and
 * DELETE of a row that nobody has seen, rolled back. Only where nothing else can happen by it: the row is a
 * copy of one of the tenant's with another key and a negative position, so that no sequence moves, and other
 * triggers must keep still. Where that cannot be had it is logged, and the migration goes on. Thread: the
 * runner's.   Start at: tap_try(). */
#include <stdio.h>
#include <string.h>

#include "migrate/sqltext.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

/* Makes another value of a column's type; NULL: cannot. */
static const char *fresh_value(const struct relation_column *column)
{
    if (column->is_position)
        return strcmp(column->type, "smallint") == 0 ? "(-1 - (random() * 30000)::int)"
                                                     : "(-1 - (random() * 2000000000)::int)";
    if (strcmp(column->type, "uuid") == 0)
        return "gen_random_uuid()";
    if (strncmp(column->type, "text", 4) == 0 || strncmp(column->type, "character", 9) == 0)
        return "md5(random()::text)";
    if (strcmp(column->type, "bigint") == 0 || strcmp(column->type, "integer") == 0)
        return "(-1 - (random() * 2000000000)::int)";
    return NULL;
}

/* INSERT … SELECT with fresh values where a unique index may stand. false: the key cannot be made another. */
static bool make_insert(const struct migration *m, struct buf *sql)
{
    const struct relation *rel = &m->tables[0].source;
    bool fresh_key = false, first = true;

    buf_append_format(sql, "INSERT INTO %s (", rel->qualified);
    relation_column_list(rel, "", sql);
    buf_append_text(sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    for (size_t i = 0; i < rel->column_count; i++) {
        const struct relation_column *column = &rel->columns[i];
        const char *fresh =
            column->is_position || column->is_event_id || column->is_stream ? fresh_value(column) : NULL;

        if (!column->copied)
            continue;
        buf_append_text(sql, first ? "" : ", ");
        first = false;
        if (fresh != NULL)
            buf_append_format(sql, "%s::%s", fresh, column->type);
        else
            relation_append_identifier(sql, column->name);
        fresh_key = fresh_key || (fresh != NULL && (column->is_event_id || column->is_stream));
    }
    buf_append_format(sql, " FROM %s WHERE ", rel->qualified);
    relation_append_identifier(sql, m->names->tenant);
    buf_append_format(sql, " = $1 LIMIT 1 RETURNING ");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(sql, i == 0 ? "" : ", ");
        relation_append_identifier(sql, rel->key_names[i]);
    }
    return fresh_key;
}

static const char *column_type(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return rel->columns[i].type;
    }
    return "text";
}

static void append_where_key(const struct relation *rel, const PGresult *key, struct buf *sql)
{
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(sql, i == 0 ? " WHERE " : " AND ");
        relation_append_identifier(sql, rel->key_names[i]);
        buf_append_text(sql, " = ");
        sqltext_literal(sql, PQgetvalue(key, 0, (int)i));
        buf_append_format(sql, "::%s", column_type(rel, rel->key_names[i]));
    }
}

static bool touch(struct migration *m, const PGresult *key, struct error *err)
{
    struct buf sql;
    bool good;

    buf_init(&sql);
    buf_append_format(&sql, "UPDATE %s SET ", m->tables[0].source.qualified);
    relation_append_identifier(&sql, m->names->tenant);
    buf_append_text(&sql, " = ");
    relation_append_identifier(&sql, m->names->tenant);
    append_where_key(&m->tables[0].source, key, &sql);
    buf_append_format(&sql, "; DELETE FROM %s", m->tables[0].source.qualified);
    append_where_key(&m->tables[0].source, key, &sql);
    good = buf_failed(&sql) ? error_no_memory(err) : pg_run(m->source_pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    return good;
}

/* The tap has done its work if the three changes were captured. */
static bool check_captured(struct migration *m, const struct tap_names *names, struct error *err)
{
    char sql[256];
    PGresult *result;
    bool good;

    snprintf(sql, sizeof sql,
             "SELECT string_agg(op::text, '' ORDER BY id) FROM %.60s.captured WHERE tap = $1::bigint"
             " AND pid = pg_backend_pid()",
             m->control_schema);
    result = pg_query(m->source_pg, sql, 1, (const char *[]){ names->key_text }, err);
    if (result == NULL)
        return false;
    good = strcmp(PQgetvalue(result, 0, 0), "IUD") == 0 ||
           error_set(err, "55000", "the tap on %s recorded \"%s\" of an insert, an update and a delete",
                     m->tables[0].source.qualified, PQgetvalue(result, 0, 0));
    PQclear(result);
    return good;
}

/* `tried` false: there was nothing to try it with. */
static bool try_row(struct migration *m, const struct tap_names *names, bool *tried, struct error *err)
{
    struct buf sql;
    PGresult *key = NULL;
    bool good = true;

    *tried = false;
    buf_init(&sql);
    if (make_insert(m, &sql) && !buf_failed(&sql)) {
        key = pg_query(m->source_pg, buf_text(&sql), 1, (const char *[]){ m->tenant }, err);
        good = key != NULL;
        if (good && PQntuples(key) == 1) {
            *tried = true;
            good = touch(m, key, err) && check_captured(m, names, err);
        }
    }
    PQclear(key);
    buf_done(&sql);
    return good;
}

enum quiet { QUIET_NOT, QUIET_AS_IT_IS, QUIET_AS_REPLICA };

static bool ask_quiet(struct migration *m, enum quiet *quiet, struct error *err)
{
    char oid[16];
    PGresult *result;

    snprintf(oid, sizeof oid, "%u", m->tables[0].source.oid);
    result = pg_query(m->source_pg, sql_tap_try_check, 1, (const char *[]){ oid }, err);
    if (result == NULL)
        return false;
    *quiet = QUIET_NOT;
    if (PQgetvalue(result, 0, 3)[0] == 't')
        *quiet = QUIET_NOT; /* a rule may turn it into anything */
    else if (PQgetvalue(result, 0, 0)[0] == 't' && PQgetvalue(result, 0, 2)[0] == 'f')
        *quiet = QUIET_AS_REPLICA;
    else if (PQgetvalue(result, 0, 1)[0] == 'f')
        *quiet = QUIET_AS_IT_IS;
    PQclear(result);
    return true;
}

static bool begin_quietly(struct migration *m, enum quiet quiet, struct error *err)
{
    static const char begin[] = "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL pgshunt.copier = off";

    return pg_run(m->source_pg, begin, 0, NULL, err) &&
           (quiet != QUIET_AS_REPLICA ||
            pg_run(m->source_pg, "SET LOCAL session_replication_role = replica", 0, NULL, err));
}

bool tap_try_write(struct migration *m, bool *tried, struct error *err)
{
    PGresult *key = NULL;
    enum quiet quiet;
    struct buf sql;
    bool good;

    *tried = false;
    if (!ask_quiet(m, &quiet, err))
        return false;
    buf_init(&sql);
    if (quiet == QUIET_NOT || !make_insert(m, &sql) || buf_failed(&sql)) {
        buf_done(&sql);
        return true;
    }
    good = begin_quietly(m, quiet, err);
    if (good)
        key = pg_query(m->source_pg, buf_text(&sql), 1, (const char *[]){ m->tenant }, err);
    good = good && key != NULL;
    *tried = !good || PQntuples(key) > 0;
    PQclear(key);
    buf_done(&sql);
    if (!pg_is_broken(m->source_pg))
        pg_rollback(m->source_pg);
    return good;
}

bool tap_try(struct migration *m, const struct tap_names *names, struct error *err)
{
    enum quiet quiet;
    bool tried = false, good;

    if (!ask_quiet(m, &quiet, err))
        return false;
    if (quiet == QUIET_NOT) {
        log_line(m->log, LOG_INFO, "tap", "the tap on %s is not tried: other triggers or rules would fire",
                 m->tables[0].source.qualified);
        return true;
    }
    good = begin_quietly(m, quiet, err) && try_row(m, names, &tried, err);
    if (!good && !error_is(err, "55000") && !pg_is_broken(m->source_pg) &&
        strstr(pg_last_context(m->source_pg), names->function) == NULL) {
        log_error(m->log, LOG_WARN, "tap", err, "the tap on %s could not be tried",
                  m->tables[0].source.qualified);
        error_clear(err);
        good = true; /* a constraint of the table was in the way, not the tap */
    } else if (good && !tried) {
        log_line(m->log, LOG_INFO, "tap",
                 "the tap on %s is not tried: no row of the tenant to copy, or no key to change",
                 m->tables[0].source.qualified);
    }
    pg_rollback(m->source_pg);
    return good;
}
