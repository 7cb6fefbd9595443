/* mirror_sql.c - the mirror's statements for one pair of tables (sql/mirror_*.sql made concrete). Pure.
 * Start at: mirror_sql_make(). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "migrate/mirror_impl.h"
#include "migrate/rowtext.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "sql_embedded.h"

/* The pieces that depend on the key, for one table. */
struct pieces {
    struct buf entry_keys, k_elements, k_names, k_arrays, k_array, match, columns, digest, tenant_column,
        key_column;
    const char *key_type;
    char tap[24];
};

static void pieces_done(struct pieces *pieces)
{
    struct buf *const all[] = { &pieces->entry_keys, &pieces->k_elements, &pieces->k_names,
                                &pieces->k_arrays,   &pieces->k_array,    &pieces->match,
                                &pieces->columns,    &pieces->digest,     &pieces->tenant_column,
                                &pieces->key_column };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_done(all[i]);
}

static void add_key_column(const struct relation *rel, size_t i, struct pieces *pieces)
{
    const char *comma = i == 0 ? "" : ", ";

    buf_append_format(&pieces->entry_keys, "%sc.key[%zu]", comma, i + 1);
    buf_append_format(&pieces->k_elements, "%sv.k[%zu] AS k%zu", comma, i + 1, i + 1);
    buf_append_format(&pieces->k_names, "%sk%zu", comma, i + 1);
    buf_append_format(&pieces->k_arrays, "%s$%zu::text[]", comma, i + 2);
    buf_append_format(&pieces->k_array, "%sk.k%zu", i == 0 ? "ARRAY[" : ", ", i + 1);
    buf_append_text(&pieces->match, i == 0 ? "e." : " AND e.");
    relation_append_identifier(&pieces->match, rel->key_names[i]);
    buf_append_format(&pieces->match, " = k.k%zu::%s", i + 1, rowtext_type(rel, rel->key_names[i]));
}

static void pieces_make(const struct migration *m, const struct relation *rel, struct pieces *pieces)
{
    memset(pieces, 0, sizeof *pieces);
    for (size_t i = 0; i < rel->key_count; i++)
        add_key_column(rel, i, pieces);
    for (size_t i = 0; i < rel->key_count; i++)
        buf_append_format(&pieces->entry_keys, ", c.old_key[%zu]", i + 1);
    buf_append_text(&pieces->k_array, "]");
    relation_column_list(&m->tables[0].source, "e.", &pieces->columns);
    rowtext_digest(&m->tables[0].source,
                   &pieces->digest); /* of both sides: the columns that are copied, in one order */
    relation_append_identifier(&pieces->tenant_column, m->names->tenant);
    relation_append_identifier(&pieces->key_column, rel->key_names[0]);
    pieces->key_type = rowtext_type(rel, rel->key_names[0]);
    snprintf(pieces->tap, sizeof pieces->tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
}

static void expand(const struct migration *m, const struct relation *rel, struct pieces *p, const char *text,
                   struct buf *out)
{
    const struct sqltext_value values[] = {
        { "tap", p->tap },
        { "table", rel->qualified },
        { "entry_keys", buf_text(&p->entry_keys) },
        { "k_elements", buf_text(&p->k_elements) },
        { "k_names", buf_text(&p->k_names) },
        { "k_arrays", buf_text(&p->k_arrays) },
        { "k_array", buf_text(&p->k_array) },
        { "match", buf_text(&p->match) },
        { "columns", buf_text(&p->columns) },
        { "digest", buf_text(&p->digest) },
        { "tenant_column", buf_text(&p->tenant_column) },
        { "key_column", buf_text(&p->key_column) },
        { "key_type", p->key_type },
    };

    sqltext_expand(out, text, m->control_schema, values, sizeof values / sizeof values[0]);
    /* A piece that could not be made would be a hole in the statement. */
    out->failed = out->failed || buf_failed(&p->entry_keys) || buf_failed(&p->k_elements) ||
                  buf_failed(&p->k_names) || buf_failed(&p->k_arrays) || buf_failed(&p->k_array) ||
                  buf_failed(&p->match) || buf_failed(&p->columns) || buf_failed(&p->digest) ||
                  buf_failed(&p->tenant_column) || buf_failed(&p->key_column);
}

static void make_insert(const struct migration *m, struct buf *out)
{
    size_t columns = 0;

    buf_append_format(out, "INSERT INTO %s (", m->tables[0].target.qualified);
    relation_column_list(&m->tables[0].source, "", out);
    buf_append_text(out, ") OVERRIDING SYSTEM VALUE VALUES (");
    for (size_t i = 0; i < m->tables[0].source.column_count; i++) {
        if (m->tables[0].source.columns[i].copied) {
            columns++;
            buf_append_format(out, "%s$%zu", columns == 1 ? "" : ", ", columns);
        }
    }
    buf_append_text(out, ")");
}

static bool failed(const struct mirror_sql *sql)
{
    return buf_failed(&sql->begin) || buf_failed(&sql->entries) || buf_failed(&sql->rows) ||
           buf_failed(&sql->forget) || buf_failed(&sql->hold) || buf_failed(&sql->delete) ||
           buf_failed(&sql->insert) || buf_failed(&sql->cursor) || buf_failed(&sql->digest_source) ||
           buf_failed(&sql->digest_target);
}

bool mirror_sql_make(const struct migration *m, struct mirror_sql *sql, struct error *err)
{
    struct pieces source, target;

    mirror_sql_done(sql);
    pieces_make(m, &m->tables[0].source, &source);
    pieces_make(m, &m->tables[0].target, &target);
    expand(m, &m->tables[0].source, &source, sql_mirror_begin, &sql->begin);
    expand(m, &m->tables[0].source, &source, sql_mirror_entries, &sql->entries);
    expand(m, &m->tables[0].source, &source, sql_mirror_rows, &sql->rows);
    expand(m, &m->tables[0].source, &source, sql_mirror_forget, &sql->forget);
    expand(m, &m->tables[0].source, &source, sql_mirror_digest_source, &sql->digest_source);
    expand(m, &m->tables[0].target, &target, sql_mirror_hold, &sql->hold);
    expand(m, &m->tables[0].target, &target, sql_mirror_cursor, &sql->cursor);
    expand(m, &m->tables[0].target, &target, sql_mirror_digest_target, &sql->digest_target);
    expand(m, &m->tables[0].target, &target,
           m->tables[0].target.key_count == 1 ? sql_mirror_delete_one : sql_mirror_delete_many, &sql->delete);
    make_insert(m, &sql->insert);
    pieces_done(&source);
    pieces_done(&target);
    return failed(sql) ? error_no_memory(err) : true;
}

void mirror_sql_done(struct mirror_sql *sql)
{
    struct buf *const all[] = { &sql->begin,         &sql->entries,      &sql->rows,   &sql->forget,
                                &sql->hold,          &sql->delete,       &sql->insert, &sql->cursor,
                                &sql->digest_source, &sql->digest_target };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_done(all[i]);
}
