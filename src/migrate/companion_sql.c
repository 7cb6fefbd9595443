/* companion_sql.c - see companion_sql.h.   Start at: companion_sql_make(). */
#include "migrate/companion_sql.h"

#include <inttypes.h>
#include <stdio.h>

#include "migrate/rowtext.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "sql_embedded.h"

enum { PURGE_ROWS = 10000 };

enum { PIECES = 8 };

union pieces {
    struct {
        struct buf tenant_column, tenant, keys, last, texts, columns, key, same;
    };
    struct buf all[PIECES];
};

static void pieces_make(const struct migration *m, const struct moved_table *table,
                        const struct relation *rel, union pieces *p)
{
    *p = (union pieces){ 0 };
    relation_append_identifier(&p->tenant_column, table->names->tenant);
    sqltext_literal(&p->tenant, m->tenant);
    relation_column_list(&table->source, "e.", &p->columns);
    for (size_t i = 0; i < rel->key_count; i++) {
        const char *comma = i == 0 ? "" : ", ";

        buf_append_format(&p->keys, "%se.", comma);
        relation_append_identifier(&p->keys, rel->key_names[i]);
        buf_append_format(&p->last, "%su.", comma);
        relation_append_identifier(&p->last, rel->key_names[i]);
        buf_append_text(&p->last, " DESC");
        buf_append_format(&p->texts, "%su.", comma);
        relation_append_identifier(&p->texts, rel->key_names[i]);
        buf_append_text(&p->texts, "::text");
        buf_append_text(&p->key, i == 0 ? "ARRAY[e." : ", e.");
        relation_append_identifier(&p->key, rel->key_names[i]);
        buf_append_text(&p->key, "::text");
        buf_append_text(&p->same, i == 0 ? "d." : " AND d.");
        relation_append_identifier(&p->same, rel->key_names[i]);
        buf_append_text(&p->same, " = k.");
        relation_append_identifier(&p->same, rel->key_names[i]);
    }
    buf_append_text(&p->key, "]");
}

static void expand(const struct migration *m, const struct moved_table *table, const struct relation *rel,
                   const char *text, const char *beyond, const char *upto, int64_t limit, struct buf *out)
{
    union pieces p;
    char oid[16], limit_text[24], tap[24];

    snprintf(oid, sizeof oid, "%u", rel->oid);
    snprintf(limit_text, sizeof limit_text, "%" PRId64, limit);
    snprintf(tap, sizeof tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
    pieces_make(m, table, rel, &p);
    sqltext_expand(out, text, m->control_schema,
                   (const struct sqltext_value[]){ { "table", rel->qualified },
                                                   { "from", rel->from },
                                                   { "tenant_column", buf_text(&p.tenant_column) },
                                                   { "tenant", buf_text(&p.tenant) },
                                                   { "keys", buf_text(&p.keys) },
                                                   { "last", buf_text(&p.last) },
                                                   { "texts", buf_text(&p.texts) },
                                                   { "columns", buf_text(&p.columns) },
                                                   { "key", buf_text(&p.key) },
                                                   { "same", buf_text(&p.same) },
                                                   { "beyond", beyond },
                                                   { "upto", upto },
                                                   { "limit", limit_text },
                                                   { "relation", oid },
                                                   { "tap", tap } },
                   15);
    for (size_t i = 0; i < PIECES; i++) {
        out->failed = out->failed || buf_failed(&p.all[i]);
        buf_done(&p.all[i]);
    }
}

/* (e.k1, e.k2) > ('…'::type, …); the values stand in a row of `result`, or one below the other. */
static void append_bound(const struct relation *rel, const char *comparison, const PGresult *result,
                         bool downwards, int column, struct buf *out)
{
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(out, i == 0 ? "(e." : ", e.");
        relation_append_identifier(out, rel->key_names[i]);
    }
    buf_append_format(out, ") %s (", comparison);
    for (size_t i = 0; i < rel->key_count; i++) {
        const int row = downwards ? (int)i : 0, field = column + (downwards ? 0 : (int)i);

        buf_append_text(out, i == 0 ? "" : ", ");
        sqltext_literal(out, PQgetvalue(result, row, field));
        buf_append_format(out, "::%s", rowtext_type(rel, rel->key_names[i]));
    }
    buf_append_text(out, ")");
}

void companion_sql_make(const struct migration *m, const struct moved_table *table, const PGresult *key,
                        struct companion_sql *sql)
{
    *sql = (struct companion_sql){ 0 };
    if (key == NULL || PQntuples(key) != (int)table->source.key_count)
        buf_append_text(&sql->beyond, "true");
    else
        append_bound(&table->source, ">", key, true, 2, &sql->beyond);
    expand(m, table, &table->source, sql_companion_upper, buf_text(&sql->beyond), "", m->settings.batch_size,
           &sql->upper);
    buf_append_format(&sql->copy_in, "COPY %s (", table->target.qualified);
    relation_column_list(&table->source, "", &sql->copy_in);
    buf_append_text(&sql->copy_in, ") FROM STDIN (FORMAT binary)");
}

void companion_sql_rows(const struct migration *m, const struct moved_table *table, const PGresult *upper,
                        struct companion_sql *sql)
{
    struct buf upto;

    buf_init(&upto);
    append_bound(&table->source, "<=", upper, false, 1, &upto);
    expand(m, table, &table->source, sql_companion_rows, buf_text(&sql->beyond), buf_text(&upto), 0,
           &sql->rows);
    sql->rows.failed = sql->rows.failed || buf_failed(&upto);
    buf_done(&upto);
}

bool companion_sql_good(const struct companion_sql *sql, struct error *err)
{
    return !buf_failed(&sql->upper) && !buf_failed(&sql->rows) && !buf_failed(&sql->copy_in) &&
                   !buf_failed(&sql->beyond)
               ? true
               : error_no_memory(err);
}

void companion_sql_done(struct companion_sql *sql)
{
    buf_done(&sql->upper);
    buf_done(&sql->rows);
    buf_done(&sql->copy_in);
    buf_done(&sql->beyond);
}

void companion_sql_count(const struct migration *m, const struct moved_table *table, struct buf *sql)
{
    expand(m, table, &table->target, sql_companion_count, "", "", 0, sql);
}

void companion_sql_purge(const struct migration *m, const struct moved_table *table, struct buf *sql)
{
    expand(m, table, &table->target, sql_companion_purge, "", "", PURGE_ROWS, sql);
}

void companion_sql_move(const struct migration *m, const char *sequence, struct buf *sql)
{
    struct buf text;

    buf_init(&text);
    sqltext_literal(&text, sequence);
    sqltext_expand(
        sql, sql_companion_move_sequence, m->control_schema,
        (const struct sqltext_value[]){ { "sequence", sequence }, { "sequence_text", buf_text(&text) } }, 2);
    sql->failed = sql->failed || buf_failed(&text);
    buf_done(&text);
}

void companion_sql_highest(const struct migration *m, const struct moved_table *table, const char *column,
                           const char *sequence, struct buf *sql)
{
    struct buf name;

    buf_init(&name);
    relation_append_identifier(&name, column);
    sqltext_expand(sql, sequence == NULL ? sql_companion_sequence_only : sql_companion_sequence,
                   m->control_schema,
                   (const struct sqltext_value[]){ { "table", table->source.qualified },
                                                   { "column", buf_text(&name) },
                                                   { "sequence", sequence == NULL ? "" : sequence } },
                   3);
    sql->failed = sql->failed || buf_failed(&name);
    buf_done(&name);
}
