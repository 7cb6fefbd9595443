/* verifier_sql.c - sql/verify_*.sql made concrete for one table. Pure.   Start at: verifier_expand(). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "migrate/rowtext.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "migrate/verifier_impl.h"

struct pieces {
    struct buf stream, stream_columns, stream_values, stream_match, key_array, key, digest, row_columns,
        version, version_text, tenant, where, captured;
};

void verifier_stream_columns(const struct moved_table *table, char *const **columns, size_t *count)
{
    *columns = table->names->stream_count > 0 ? table->names->stream : table->source.key_names;
    *count = table->names->stream_count > 0 ? table->names->stream_count : table->source.key_count;
}

static void make_stream(const struct moved_table *table, const struct relation *rel, struct pieces *p)
{
    char *const *columns;
    size_t count;

    verifier_stream_columns(table, &columns, &count);
    rowtext_record(columns, count, &p->stream);
    for (size_t i = 0; i < count; i++) {
        buf_append_text(&p->stream_columns, ", e.");
        relation_append_identifier(&p->stream_columns, columns[i]);
        buf_append_format(&p->stream_columns, "::text AS s%zu", i + 1);
        buf_append_format(&p->stream_values, ", max(d.s%zu)", i + 1);
        /* The second half is folded away when the value is known, so that an index serves. */
        buf_append_text(&p->stream_match, i == 0 ? "(e." : " AND (e.");
        relation_append_identifier(&p->stream_match, columns[i]);
        buf_append_format(&p->stream_match, " = $%zu::%s OR ($%zu::%s IS NULL AND e.", i + 2,
                          rowtext_type(rel, columns[i]), i + 2, rowtext_type(rel, columns[i]));
        relation_append_identifier(&p->stream_match, columns[i]);
        buf_append_text(&p->stream_match, " IS NULL))");
    }
}

static void make_key(const struct relation *rel, struct pieces *p)
{
    buf_append_text(&p->key_array, "ARRAY[");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(&p->key_array, i == 0 ? "e." : ", e.");
        relation_append_identifier(&p->key_array, rel->key_names[i]);
        buf_append_text(&p->key_array, "::text");
    }
    buf_append_text(&p->key_array, "]");
    buf_append_format(&p->key, "%s::text", buf_text(&p->key_array)); /* as captured.key::text */
}

static void make_columns(const struct moved_table *table, struct pieces *p)
{
    /* Those of the source, so that both sides have them in one order. */
    for (size_t i = 0; i < table->source.column_count; i++) {
        if (!table->source.columns[i].copied || table->source.columns[i].assigned)
            continue;
        buf_append_text(&p->row_columns, ", e.");
        relation_append_identifier(&p->row_columns, table->source.columns[i].name);
        buf_append_text(&p->row_columns, "::text");
    }
    if (table->names->version[0] == '\0') {
        buf_append_text(&p->version, "''::text");
    } else {
        buf_append_text(&p->version, "e.");
        relation_append_identifier(&p->version, table->names->version);
    }
    buf_append_format(&p->version_text, "%s::text", buf_text(&p->version));
}

/* A number from two bytes of the stream's hash. Not hashtext(): that may differ between releases. */
static void append_hash(struct pieces *p, int byte)
{
    for (int i = 0; i < 2; i++)
        buf_append_format(&p->where, "%sget_byte(sha256(convert_to(%s, 'UTF8')), %d)%s", i == 0 ? "(" : " + ",
                          buf_text(&p->stream), byte + i, i == 0 ? " * 256" : ")");
}

static void append_bound(const struct moved_table *table, const char *comparison, int64_t position,
                         struct pieces *p)
{
    if (position == 0 || table->names->position[0] == '\0')
        return;
    buf_append_text(&p->where, " AND e.");
    relation_append_identifier(&p->where, table->names->position);
    buf_append_format(&p->where, " %s bigint '%" PRId64 "'", comparison, position);
}

/* Which events are looked at. */
static void make_where(const struct migration *m, const struct verifier_scope *scope, struct pieces *p)
{
    buf_append_text(&p->where, "true");
    if (scope->segments > 1) {
        buf_append_text(&p->where, " AND ");
        append_hash(p, 0);
        buf_append_format(&p->where, " %% %" PRId64 " = %" PRId64, scope->segments, scope->segment);
    }
    if (scope->order->percent < 100) {
        buf_append_text(&p->where, " AND ");
        append_hash(p, 2);
        buf_append_format(&p->where, " < %.0f", scope->order->percent * 655.36);
    }
    if (scope->table != &m->tables[0])
        return; /* a companion's positions are others: it is compared whole */
    append_bound(scope->table, ">=", scope->order->from, p);
    append_bound(scope->table, "<=", scope->order->to, p);
}

/* Is there a change of the event that was not mirrored yet? In the snapshot that reads the event. */
static void make_captured(const struct migration *m, const struct verifier_scope *scope, struct pieces *p)
{
    int64_t tap = tap_key(m->control_schema, m->tenant);

    if (!scope->captured) {
        buf_append_text(&p->captured, "false");
        return;
    }
    for (int i = 0; i < 2; i++)
        buf_append_format(&p->captured,
                          "%sEXISTS (SELECT FROM %s.captured c WHERE c.%s = %s AND (c.tap = bigint '%" PRId64
                          "') IS TRUE AND c.relation = oid '%" PRIu32 "' OFFSET 0)",
                          i == 0 ? "" : " OR ", m->control_schema, i == 0 ? "key" : "old_key",
                          buf_text(&p->key_array), tap, scope->table->source.oid);
}

static bool pieces_done(struct pieces *p)
{
    struct buf *const all[] = { &p->stream,       &p->stream_columns, &p->stream_values,
                                &p->stream_match, &p->key_array,      &p->key,
                                &p->digest,       &p->row_columns,    &p->version,
                                &p->version_text, &p->tenant,         &p->where,
                                &p->captured };
    bool failed = false;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        failed = failed || buf_failed(all[i]);
        buf_done(all[i]);
    }
    return !failed;
}

bool verifier_expand(const struct migration *m, const char *text, const struct verifier_scope *scope,
                     struct buf *out, struct error *err)
{
    const struct moved_table *table = scope->table;
    const struct relation *rel = scope->of_target ? &table->target : &table->source;
    struct pieces p;
    char tap[24], relation[16];

    memset(&p, 0, sizeof p);
    make_stream(table, rel, &p);
    make_key(rel, &p);
    make_columns(table, &p);
    make_where(m, scope, &p);
    make_captured(m, scope, &p);
    rowtext_digest_bytes(&table->source, &p.digest);
    relation_append_identifier(&p.tenant, table->names->tenant);
    snprintf(tap, sizeof tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
    snprintf(relation, sizeof relation, "%" PRIu32, table->source.oid);
    sqltext_expand(out, text, m->control_schema,
                   (const struct sqltext_value[]){ { "stream", buf_text(&p.stream) },
                                                   { "stream_columns", buf_text(&p.stream_columns) },
                                                   { "stream_values", buf_text(&p.stream_values) },
                                                   { "stream_match", buf_text(&p.stream_match) },
                                                   { "key", buf_text(&p.key) },
                                                   { "digest", buf_text(&p.digest) },
                                                   { "row_columns", buf_text(&p.row_columns) },
                                                   { "version", buf_text(&p.version) },
                                                   { "version_text", buf_text(&p.version_text) },
                                                   { "tenant_column", buf_text(&p.tenant) },
                                                   { "where", buf_text(&p.where) },
                                                   { "captured", buf_text(&p.captured) },
                                                   { "from", rel->from },
                                                   { "relation", relation },
                                                   { "tap", tap } },
                   15);
    return pieces_done(&p) && !buf_failed(out) ? true : error_no_memory(err);
}
