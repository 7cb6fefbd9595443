/* mirror_sql.c - the mirror's statements: those of a migration, and those of each of its tables
 * (sql/mirror_*.sql made concrete). Pure. Start at: mirror_sql_make(). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "migrate/mirror_impl.h"
#include "migrate/positions.h"
#include "migrate/rowtext.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "sql_embedded.h"

struct mirror_name mirror_name(const char *statement, size_t table)
{
    struct mirror_name name;

    snprintf(name.text, sizeof name.text, "m_%s_%zu", statement, table);
    return name;
}

/* --- keys --------------------------------------------------------------------------------------------- */

/* e.key = k.k1::type AND … */
static void append_match(const struct relation *rel, struct buf *out)
{
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(out, i == 0 ? "e." : " AND e.");
        relation_append_identifier(out, rel->key_names[i]);
        buf_append_format(out, " = k.k%zu::%s", i + 1, rowtext_type(rel, rel->key_names[i]));
    }
}

/* The keys that the entries name of one table. */
static void append_entry_keys(const struct moved_table *table, const char *tap, const char *schema,
                              struct buf *out)
{
    buf_append_text(out, "SELECT DISTINCT ");
    for (size_t i = 0; i < table->source.key_count; i++)
        buf_append_format(out, "%sv.k[%zu] AS k%zu", i == 0 ? "" : ", ", i + 1, i + 1);
    buf_append_format(
        out,
        " FROM (SELECT c.key, c.old_key, c.relation FROM %s.captured c WHERE c.tap = bigint '%s'"
        " AND c.id > $1::bigint ORDER BY c.id LIMIT $2::bigint) b"
        " CROSS JOIN LATERAL (VALUES (b.key), (b.old_key)) AS v (k)"
        " WHERE b.relation = oid '%u' AND v.k IS NOT NULL",
        schema, tap, table->source.oid);
}

static const struct moved_table *table_of(const struct migration *m, const struct event_names *names)
{
    for (size_t i = 0; i < m->table_count; i++) {
        if (m->tables[i].names == names)
            return &m->tables[i];
    }
    return NULL; /* a parent that the source does not have */
}

static void append_keys(const struct migration *m, const struct moved_table *table, const char *tap,
                        struct buf *out);

/* The keys of a companion's rows whose parent's rows have been captured: they may have become the tenant's by
 * that, or have ceased to be. OFFSET 0: by index, whatever the statistics say. */
static void append_children(const struct migration *m, const struct moved_table *table, const char *tap,
                            struct buf *out)
{
    const struct moved_table *parent = table_of(m, table->names->parent);

    buf_append_text(out, "SELECT ");
    for (size_t i = 0; i < table->source.key_count; i++) {
        buf_append_text(out, i == 0 ? "own." : ", own.");
        relation_append_identifier(out, table->source.key_names[i]);
        buf_append_format(out, "::text AS k%zu", i + 1);
    }
    if (parent == NULL) {
        buf_append_format(out, " FROM %s own WHERE false AND $1::bigint = $2::bigint",
                          table->source.qualified);
        return;
    }
    buf_append_text(out, " FROM (");
    append_keys(m, parent, tap, out);
    buf_append_format(out, ") k CROSS JOIN LATERAL (SELECT * FROM %s e WHERE ", parent->source.qualified);
    append_match(&parent->source, out);
    buf_append_format(out, " OFFSET 0) parent CROSS JOIN LATERAL (SELECT * FROM %s child WHERE ",
                      table->source.qualified);
    for (size_t i = 0; i < table->names->parent_count; i++) {
        buf_append_text(out, i == 0 ? "child." : " AND child.");
        relation_append_identifier(out, table->names->parent_own[i]);
        buf_append_text(out, " = parent.");
        relation_append_identifier(out, table->names->parent_its[i]);
    }
    buf_append_text(out, " OFFSET 0) own");
}

static void append_keys(const struct migration *m, const struct moved_table *table, const char *tap,
                        struct buf *out)
{
    append_entry_keys(table, tap, m->control_schema, out);
    if (table->names->parent == NULL)
        return;
    buf_append_text(out, " UNION ");
    append_children(m, table, tap, out);
}

/* --- the pieces of one table -------------------------------------------------------------------------- */

enum { PIECES = 16 };

union pieces {
    struct {
        struct buf k_names, k_arrays, k_array, match, columns, digest, tenant_column, key_column, keys,
            children, parent, parent_tenant, position_column, order, delete, migration;
    };
    struct buf all[PIECES];
};

static void pieces_done(union pieces *pieces)
{
    for (size_t i = 0; i < PIECES; i++)
        buf_done(&pieces->all[i]);
}

static void add_parent(const struct event_names *names, union pieces *pieces)
{
    relation_append_from(&pieces->parent, names->parent);
    for (size_t i = 0; i < names->parent_count; i++) {
        buf_append_text(&pieces->parent, i == 0 ? " parent WHERE parent." : " AND parent.");
        relation_append_identifier(&pieces->parent, names->parent_its[i]);
        buf_append_text(&pieces->parent, " = e.");
        relation_append_identifier(&pieces->parent, names->parent_own[i]);
    }
    relation_append_identifier(&pieces->parent_tenant, names->parent->tenant);
}

static bool gives_positions(const struct migration *m, const struct moved_table *table)
{
    return table == &m->tables[0] && positions_assigned(m);
}

static void pieces_make(const struct migration *m, const struct moved_table *table,
                        const struct relation *rel, const char *tap, union pieces *pieces)
{
    memset(pieces, 0, sizeof *pieces);
    for (size_t i = 0; i < rel->key_count; i++) {
        const char *comma = i == 0 ? "" : ", ";

        buf_append_format(&pieces->k_names, "%sk%zu", comma, i + 1);
        buf_append_format(&pieces->k_arrays, "%s$%zu::text[]", comma, i + 2);
        buf_append_format(&pieces->k_array, "%sk.k%zu", i == 0 ? "ARRAY[" : ", ", i + 1);
    }
    buf_append_text(&pieces->k_array, "]");
    append_match(rel, &pieces->match);
    relation_column_list(&table->source, "e.", &pieces->columns);
    /* Of both sides: the columns that are copied, in one order. */
    rowtext_digest(&table->source, &pieces->digest);
    relation_append_identifier(&pieces->tenant_column, table->names->tenant);
    relation_append_identifier(&pieces->key_column, rel->key_names[0]);
    append_keys(m, table, tap, &pieces->keys);
    if (gives_positions(m, table)) {
        relation_append_identifier(&pieces->position_column, table->names->position);
        sqltext_literal(&pieces->migration, m->id);
        buf_append_format(&pieces->order, " ORDER BY r.%s", buf_text(&pieces->position_column));
    }
    if (table->names->parent != NULL) {
        append_children(m, table, tap, &pieces->children);
        add_parent(table->names, pieces);
    }
}

static void expand(const struct migration *m, const struct relation *rel, union pieces *p, const char *tap,
                   const char *text, struct buf *out)
{
    char oid[16];
    const struct sqltext_value values[] = {
        { "tap", tap },
        { "relation", oid },
        { "table", rel->qualified },
        { "from", rel->from },
        { "k_names", buf_text(&p->k_names) },
        { "k_arrays", buf_text(&p->k_arrays) },
        { "k_array", buf_text(&p->k_array) },
        { "match", buf_text(&p->match) },
        { "columns", buf_text(&p->columns) },
        { "digest", buf_text(&p->digest) },
        { "tenant_column", buf_text(&p->tenant_column) },
        { "key_column", buf_text(&p->key_column) },
        { "key_type", rowtext_type(rel, rel->key_names[0]) },
        { "keys", buf_text(&p->keys) },
        { "parent", buf_text(&p->parent) },
        { "parent_tenant", buf_text(&p->parent_tenant) },
        { "position_column", buf_text(&p->position_column) },
        { "order", buf_text(&p->order) },
        { "delete", buf_text(&p->delete) },
        { "migration", buf_text(&p->migration) },
    };

    snprintf(oid, sizeof oid, "%u", rel->oid);
    sqltext_expand(out, text, m->control_schema, values, sizeof values / sizeof values[0]);
    /* A piece that could not be made would be a hole in the statement. */
    for (size_t i = 0; i < PIECES; i++)
        out->failed = out->failed || buf_failed(&p->all[i]);
}

/* --- the statements ----------------------------------------------------------------------------------- */

/* The target's position for the source's, which comes as parameter n. */
static void append_taken(const struct migration *m, const struct relation_column *column, size_t n,
                         struct buf *out)
{
    buf_append_format(out, "%s.position_take('%s', $%zu::%s, ", m->control_schema, m->id, n, column->type);
    sqltext_literal(out, m->tables[0].target.sequence == NULL ? "" : m->tables[0].target.sequence);
    buf_append_format(out, "::regclass)::%s", column->type);
}

static void make_insert(const struct migration *m, const struct moved_table *table, struct buf *out)
{
    size_t columns = 0;

    buf_append_format(out, "INSERT INTO %s (", table->target.qualified);
    relation_column_list(&table->source, "", out);
    buf_append_text(out, ") OVERRIDING SYSTEM VALUE VALUES (");
    for (size_t i = 0; i < table->source.column_count; i++) {
        const struct relation_column *column = &table->source.columns[i];

        if (!column->copied)
            continue;
        buf_append_text(out, columns++ == 0 ? "" : ", ");
        if (column->assigned)
            append_taken(m, column, columns, out);
        else
            buf_append_format(out, "$%zu", columns);
    }
    buf_append_text(out, ")");
}

static const char *delete_text(const struct moved_table *table)
{
    if (table->names->parent != NULL)
        return sql_mirror_delete_child;
    return table->target.key_count == 1 ? sql_mirror_delete_one : sql_mirror_delete_many;
}

static void make_table(const struct migration *m, const struct moved_table *table, const char *tap,
                       struct mirror_table_sql *sql)
{
    union pieces source, target;

    pieces_make(m, table, &table->source, tap, &source);
    pieces_make(m, table, &table->target, tap, &target);
    expand(m, &table->source, &source, tap, sql_mirror_rows, &sql->rows);
    if (table->names->parent != NULL)
        expand(m, &table->source, &source, tap, buf_text(&source.children), &sql->children);
    expand(m, &table->source, &source, tap, sql_mirror_digest_source, &sql->digest_source);
    expand(m, &table->target, &target, tap, sql_mirror_digest_target, &sql->digest_target);
    if (gives_positions(m, table)) {
        expand(m, &table->target, &target, tap, delete_text(table), &target.delete);
        expand(m, &table->target, &target, tap, sql_mirror_delete_assign, &sql->delete);
        expand(m, &table->target, &target, tap, sql_mirror_settle, &sql->settle);
    } else {
        expand(m, &table->target, &target, tap, delete_text(table), &sql->delete);
    }
    make_insert(m, table, &sql->insert);
    pieces_done(&source);
    pieces_done(&target);
}

/* What all tables share. */
static void make_common(const struct migration *m, const char *tap, struct mirror_sql *sql)
{
    struct buf keys;
    const struct sqltext_value values[] = { { "tap", tap } };

    sql->key_max = 0;
    for (size_t i = 0; i < m->table_count; i++) {
        const struct relation *rel = &m->tables[i].source;

        if (rel->key_count > sql->key_max)
            sql->key_max = rel->key_count;
        buf_append_format(&sql->lock, "%s%s", i == 0 ? "LOCK TABLE " : ", ", rel->qualified);
    }
    buf_append_text(&sql->lock, " IN ACCESS SHARE MODE");
    buf_init(&keys);
    for (size_t i = 0; i < 2 * sql->key_max; i++)
        buf_append_format(&keys, "%sc.%s[%zu]", i == 0 ? "" : ", ", i < sql->key_max ? "key" : "old_key",
                          i % sql->key_max + 1);
    sqltext_expand(&sql->begin, sql_mirror_begin, m->control_schema, values, 1);
    sqltext_expand(&sql->forget, sql_mirror_forget, m->control_schema, values, 1);
    sqltext_expand(&sql->hold, sql_mirror_hold, m->control_schema, values, 1);
    sqltext_expand(&sql->cursor, sql_mirror_cursor, m->control_schema, values, 1);
    sqltext_expand(&sql->entries, sql_mirror_entries, m->control_schema,
                   (const struct sqltext_value[]){ { "tap", tap }, { "entry_keys", buf_text(&keys) } }, 2);
    sql->entries.failed = sql->entries.failed || buf_failed(&keys);
    buf_done(&keys);
}

static bool failed(const struct mirror_sql *sql, size_t tables)
{
    bool bad = buf_failed(&sql->begin) || buf_failed(&sql->lock) || buf_failed(&sql->entries) ||
               buf_failed(&sql->forget) || buf_failed(&sql->hold) || buf_failed(&sql->cursor);

    for (size_t i = 0; i < tables; i++) {
        const struct mirror_table_sql *table = &sql->tables[i];

        bad = bad || buf_failed(&table->rows) || buf_failed(&table->children) || buf_failed(&table->delete) ||
              buf_failed(&table->insert) || buf_failed(&table->digest_source) ||
              buf_failed(&table->digest_target) || buf_failed(&table->settle);
    }
    return bad;
}

bool mirror_sql_make(const struct migration *m, struct mirror_sql *sql, struct error *err)
{
    char tap[24];

    mirror_sql_done(sql);
    snprintf(tap, sizeof tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
    make_common(m, tap, sql);
    for (size_t i = 0; i < m->table_count; i++)
        make_table(m, &m->tables[i], tap, &sql->tables[i]);
    return failed(sql, m->table_count) ? error_no_memory(err) : true;
}

void mirror_sql_done(struct mirror_sql *sql)
{
    struct buf *const common[] = { &sql->begin,  &sql->lock, &sql->entries,
                                   &sql->forget, &sql->hold, &sql->cursor };

    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        buf_done(common[i]);
    for (size_t i = 0; i < MOVED_TABLES_MAX; i++) {
        struct mirror_table_sql *table = &sql->tables[i];
        struct buf *const all[] = { &table->rows,   &table->children, &table->digest_source,
                                    &table->delete, &table->insert,   &table->digest_target,
                                    &table->settle };

        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
            buf_done(all[k]);
    }
}
