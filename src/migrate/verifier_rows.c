/* verifier_rows.c - a suspect's rows, one by one; and the SQL of both looks.
 * Thread: the runner's.   Start at: verifier_settle(). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/rowtext.h"
#include "migrate/sqltext.h"
#include "migrate/tap_key.h"
#include "migrate/verifier_impl.h"
#include "sql_embedded.h"

enum { COLUMNS_MAX = 9 };

struct suspect {
    size_t columns;
    const char *values[COLUMNS_MAX]; /* into text; NULL: SQL NULL */
    char text[];
};

struct suspect *verifier_suspect_new(const PGresult *row, int first_column)
{
    struct suspect *suspect;
    size_t columns = (size_t)(PQnfields(row) - first_column), bytes = 1, at = 0;

    for (size_t i = 0; i < columns; i++)
        bytes += (size_t)PQgetlength(row, 0, first_column + (int)i) + 1;
    suspect = calloc(1, sizeof *suspect + bytes);
    if (suspect == NULL)
        return NULL;
    suspect->columns = columns < COLUMNS_MAX ? columns : COLUMNS_MAX;
    for (size_t i = 0; i < suspect->columns; i++) {
        const char *value = PQgetvalue(row, 0, first_column + (int)i);

        if (PQgetisnull(row, 0, first_column + (int)i))
            continue;
        suspect->values[i] = memcpy(suspect->text + at, value, strlen(value) + 1);
        at += strlen(value) + 1;
    }
    return suspect;
}

/* --- SQL ---------------------------------------------------------------------------------------------- */

/* What tells streams apart: the configured columns; without any, every event is a stream of its own. */
static void stream_columns(const struct migration *m, char *const **columns, size_t *count)
{
    *columns = m->names->stream_count > 0 ? m->names->stream : m->tables[0].source.key_names;
    *count = m->names->stream_count > 0 ? m->names->stream_count : m->tables[0].source.key_count;
}

struct pieces {
    struct buf stream, stream_columns, stream_values, stream_match, key, digest, digest_hex, version, tenant,
        segment;
};

static void make_stream(const struct migration *m, const struct relation *rel, struct pieces *p)
{
    char *const *columns;
    size_t count;

    stream_columns(m, &columns, &count);
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
    buf_append_text(&p->key, "ARRAY[");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(&p->key, i == 0 ? "e." : ", e.");
        relation_append_identifier(&p->key, rel->key_names[i]);
        buf_append_text(&p->key, "::text");
    }
    buf_append_text(&p->key, "]::text"); /* as captured.key::text */
}

static void pieces_make(const struct migration *m, const struct relation *rel, int64_t segment,
                        int64_t segments, struct pieces *p)
{
    memset(p, 0, sizeof *p);
    make_stream(m, rel, p);
    make_key(rel, p);
    rowtext_digest_bytes(&m->tables[0].source, &p->digest);
    rowtext_digest(&m->tables[0].source, &p->digest_hex);
    relation_append_identifier(&p->tenant, m->names->tenant);
    if (m->names->version[0] != '\0') {
        buf_append_text(&p->version, "e.");
        relation_append_identifier(&p->version, m->names->version);
        buf_append_text(&p->version, "::text");
    } else {
        buf_append_text(&p->version, "''::text");
    }
    if (segments <= 1) {
        buf_append_text(&p->segment, "true");
        return;
    }
    /* Not hashtext(): that may differ between releases. */
    for (int byte = 0; byte < 2; byte++)
        buf_append_format(&p->segment, "%sget_byte(sha256(convert_to(%s, 'UTF8')), %d)%s",
                          byte == 0 ? "(" : " + ", buf_text(&p->stream), byte, byte == 0 ? " * 256" : ")");
    buf_append_format(&p->segment, " %% %" PRId64 " = %" PRId64, segments, segment);
}

static bool pieces_done(struct pieces *p)
{
    struct buf *const all[] = { &p->stream, &p->stream_columns, &p->stream_values, &p->stream_match,
                                &p->key,    &p->digest,         &p->digest_hex,    &p->version,
                                &p->tenant, &p->segment };
    bool failed = false;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        failed = failed || buf_failed(all[i]);
        buf_done(all[i]);
    }
    return !failed;
}

bool verifier_expand(const struct migration *m, const struct relation *rel, const char *text, int64_t segment,
                     int64_t segments, struct buf *out, struct error *err)
{
    struct pieces p;
    char tap[24], relation[16];
    bool of_rows = text != sql_verify_streams;

    pieces_make(m, rel, segment, segments, &p);
    snprintf(tap, sizeof tap, "%" PRId64, tap_key(m->control_schema, m->tenant));
    snprintf(relation, sizeof relation, "%u", rel->oid);
    sqltext_expand(
        out, text, m->control_schema,
        (const struct sqltext_value[]){ { "stream", buf_text(&p.stream) },
                                        { "stream_columns", buf_text(&p.stream_columns) },
                                        { "stream_values", buf_text(&p.stream_values) },
                                        { "stream_match", buf_text(&p.stream_match) },
                                        { "key", buf_text(&p.key) },
                                        { "digest", buf_text(of_rows ? &p.digest_hex : &p.digest) },
                                        { "version", buf_text(&p.version) },
                                        { "tenant_column", buf_text(&p.tenant) },
                                        { "segment", buf_text(&p.segment) },
                                        { "table", rel->qualified },
                                        { "tap", tap },
                                        { "relation", relation } },
        12);
    return pieces_done(&p) && !buf_failed(out) ? true : error_no_memory(err);
}

/* --- comparing rows ----------------------------------------------------------------------------------- */

static void add_violation(const struct suspect *suspect, const PGresult *row, const char *what,
                          struct verifier_report *report)
{
    size_t at = 0;

    report->violations++;
    if (report->violations > 1)
        return;
    at += (size_t)snprintf(report->first, sizeof report->first, "stream ");
    for (size_t i = 0; i < suspect->columns && at < sizeof report->first; i++)
        at += (size_t)snprintf(report->first + at, sizeof report->first - at, "%s%s", i == 0 ? "" : "/",
                               suspect->values[i] == NULL ? "null" : suspect->values[i]);
    if (at < sizeof report->first)
        snprintf(report->first + at, sizeof report->first - at, ": version %s (%s) %s", PQgetvalue(row, 0, 3),
                 PQgetvalue(row, 0, 0), what);
}

static void compare_row(const struct suspect *suspect, const PGresult *source, const PGresult *target,
                        int order, struct verifier_report *report)
{
    if (order <= 0 && PQgetvalue(source, 0, 2)[0] == 't')
        return; /* captured: not mirrored yet, and compared behind the mirror */
    if (order > 0)
        add_violation(suspect, target, "is in the target only", report);
    else if (order < 0)
        add_violation(suspect, source, "is missing in the target", report);
    else if (strcmp(PQgetvalue(source, 0, 1), PQgetvalue(target, 0, 1)) != 0)
        add_violation(suspect, source, "is different in the target", report);
}

static bool merge(const struct suspect *suspect, struct verifier_side *source, struct verifier_side *target,
                  struct verifier_report *report, struct error *err)
{
    if (!verifier_side_next(source, err) || !verifier_side_next(target, err))
        return false;
    while (source->row != NULL || target->row != NULL) {
        int order = verifier_compare(source, target);

        compare_row(suspect, source->row, target->row, order, report);
        if ((order <= 0 && !verifier_side_next(source, err)) ||
            (order >= 0 && !verifier_side_next(target, err)))
            return false;
    }
    return true;
}

bool verifier_settle(struct migration *m, const struct suspect *suspect, struct verifier_report *report,
                     struct error *err)
{
    struct verifier_side source = { .pg = m->source_pg, .ended = true },
                         target = { .pg = m->target_pg, .ended = true };
    struct buf source_sql, target_sql;
    const char *values[1 + COLUMNS_MAX] = { m->tenant };
    int count = (int)(1 + suspect->columns);
    bool good;

    memcpy(values + 1, suspect->values, sizeof suspect->values);
    buf_init(&source_sql);
    buf_init(&target_sql);
    good = verifier_expand(m, &m->tables[0].source, sql_verify_rows_source, 0, 1, &source_sql, err) &&
           verifier_expand(m, &m->tables[0].target, sql_verify_rows_target, 0, 1, &target_sql, err) &&
           pg_rows_send(m->source_pg, buf_text(&source_sql), count, values, err);
    source.ended = !good;
    good = good && pg_rows_send(m->target_pg, buf_text(&target_sql), count, values, err);
    target.ended = !good;
    good = good && merge(suspect, &source, &target, report, err);
    verifier_side_done(&source);
    verifier_side_done(&target);
    buf_done(&source_sql);
    buf_done(&target_sql);
    return good;
}
