/* relation.c - one store's event table as the catalogue tells it, and the comparison of two.
 * Owns:   the strings of a struct relation. Leaves: what to do about a difference to the caller.
 * Thread: any; blocking.   Start at: relation_read(), then relation_fits(). */
#include "migrate/relation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/migration.h"
#include "sql_embedded.h"

enum {
    SERVER_VERSION_MIN = 130000, /* FETCH … WITH TIES, pg_snapshot */
};

/* --- small helpers ------------------------------------------------------------------------------------ */

static const char *value(const PGresult *result, int row, int column)
{
    return PQgetvalue(result, row, column);
}

static bool flag(const PGresult *result, int row, int column)
{
    return value(result, row, column)[0] == 't';
}

static bool copy_text(char **to, const char *text, struct error *err)
{
    *to = strdup(text);
    return *to != NULL ? true : error_no_memory(err);
}

static bool take_text(struct buf *from, char **to, struct error *err)
{
    bool good = !buf_failed(from) && copy_text(to, buf_text(from), err);

    if (buf_failed(from))
        error_no_memory(err);
    buf_done(from);
    return good;
}

void relation_append_qualified(struct buf *out, const struct event_names *names)
{
    relation_append_identifier(out, names->schema);
    buf_append_text(out, ".");
    relation_append_identifier(out, names->table);
}

/* A parent may be a companion without a tenant column, too. */
void relation_append_from(struct buf *out, const struct event_names *names)
{
    if (names->parent == NULL) {
        relation_append_qualified(out, names);
        return;
    }
    buf_append_text(out, "(SELECT own.*, (SELECT parent.");
    relation_append_identifier(out, names->parent->tenant);
    buf_append_text(out, " FROM ");
    relation_append_from(out, names->parent);
    for (size_t i = 0; i < names->parent_count; i++) {
        buf_append_text(out, i == 0 ? " parent WHERE parent." : " AND parent.");
        relation_append_identifier(out, names->parent_its[i]);
        buf_append_text(out, " = own.");
        relation_append_identifier(out, names->parent_own[i]);
    }
    buf_append_text(out, " LIMIT 1) AS " NAMES_TENANT_OF_PARENT " FROM ");
    relation_append_qualified(out, names);
    buf_append_text(out, " own)");
}

static bool qualify(const struct event_names *names, struct relation *rel, struct error *err)
{
    struct buf qualified, from;
    bool good;

    buf_init(&qualified);
    buf_init(&from);
    relation_append_qualified(&qualified, names);
    relation_append_from(&from, names);
    good = take_text(&qualified, &rel->qualified, err); /* each frees its buffer */
    return take_text(&from, &rel->from, err) && good;
}

/* --- reading ------------------------------------------------------------------------------------------ */

static bool read_table(struct pg *pg, const char *what, struct relation *rel, struct error *err)
{
    PGresult *result = pg_query(pg, sql_relation_table, 1, (const char *[]){ rel->qualified }, err);
    bool good;

    if (result == NULL)
        return false;
    if (PQntuples(result) == 0)
        good = error_set(err, "42P01", "%s has no table %s", what, rel->qualified);
    else if (strchr("rp", value(result, 0, 1)[0]) == NULL)
        good = error_set(err, "42809", "%s in %s is not a table", rel->qualified, what);
    else if (!PQgetisnull(result, 0, 3))
        good = error_set(err, "0A000",
                         "partition %s of %s in %s is a foreign table: what is written there is not seen",
                         value(result, 0, 3), rel->qualified, what);
    else if (atoi(value(result, 0, 8)) < SERVER_VERSION_MIN)
        good = error_set(err, "0A000", "%s runs PostgreSQL %s: a migration needs 13 or later", what,
                         value(result, 0, 8));
    else
        good = copy_text(&rel->system_identifier, value(result, 0, 4), err) &&
               copy_text(&rel->timeline, value(result, 0, 5), err) &&
               copy_text(&rel->started_at, value(result, 0, 6), err);
    if (good) {
        rel->oid = (uint32_t)strtoul(value(result, 0, 0), NULL, 10);
        rel->inheritance_children = flag(result, 0, 2);
        rel->database_oid = (uint32_t)strtoul(value(result, 0, 7), NULL, 10);
        rel->server_version = atoi(value(result, 0, 8));
    }
    PQclear(result);
    return good;
}

static bool is_one_of(char *const *names, size_t count, const char *column)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], column) == 0)
            return true;
    }
    return false;
}

/* Transaction ids, snapshots and WAL positions: another cluster counts its own. A reader that waits for older
 * transactions does not see a row with an id that its cluster has not come to yet. */
static bool is_of_cluster(uint32_t type_oid)
{
    static const uint32_t types[] = { 28 /* xid */, 2970 /* txid_snapshot */, 3220 /* pg_lsn */,
                                      5038 /* pg_snapshot */, 5069 /* xid8 */ };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i] == type_oid)
            return true;
    }
    return false;
}

static bool fill_column(struct relation_column *column, const struct event_names *names,
                        const PGresult *result, int row, struct error *err)
{
    column->type_oid = (uint32_t)strtoul(value(result, row, 2), NULL, 10);
    column->generated = flag(result, row, 3);
    column->identity_always = flag(result, row, 4);
    column->not_null = flag(result, row, 5);
    column->has_default = flag(result, row, 6);
    column->tenant_type = (uint32_t)strtoul(value(result, row, 7), NULL, 10);
    column->odd = flag(result, row, 8)   ? "has a collation that takes several texts for one"
                  : flag(result, row, 9) ? "rounds whole numbers"
                  : flag(result, row, 10)
                      ? "is of a domain over an enum, for which PostgreSQL has no operator ="
                      : NULL;
    column->text_only = flag(result, row, 11);
    if (!copy_text(&column->name, value(result, row, 0), err) ||
        !copy_text(&column->type, value(result, row, 1), err))
        return false;
    column->is_tenant = strcmp(column->name, names->tenant) == 0;
    column->is_position = strcmp(column->name, names->position) == 0;
    column->is_event_id = strcmp(column->name, names->event_id) == 0;
    column->is_version = strcmp(column->name, names->version) == 0;
    column->is_stream = is_one_of(names->stream, names->stream_count, column->name);
    column->regenerated = is_one_of(names->regenerate, names->regenerate_count, column->name);
    column->copied = !column->generated && !column->regenerated;
    column->of_cluster = is_of_cluster(column->type_oid);
    return true;
}

static bool read_columns(struct pg *pg, const struct event_names *names, struct relation *rel,
                         struct error *err)
{
    char oid[16];
    PGresult *result;
    bool good = true;

    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = pg_query(pg, sql_relation_columns, 1, (const char *[]){ oid }, err);
    if (result == NULL)
        return false;
    rel->columns = calloc((size_t)PQntuples(result) + 1, sizeof *rel->columns);
    if (rel->columns == NULL)
        good = error_no_memory(err);
    for (int row = 0; good && row < PQntuples(result); row++) {
        rel->column_count++;
        good = fill_column(&rel->columns[row], names, result, row, err);
    }
    PQclear(result);
    return good;
}

static const struct relation_column *find_column(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return &rel->columns[i];
    }
    return NULL;
}

static bool need_column(const struct relation *rel, const char *what, const char *key, const char *name,
                        struct error *err)
{
    if (name == NULL || name[0] == '\0' || find_column(rel, name) != NULL)
        return true;
    error_set(err, "42703", "table %s in %s has no column \"%s\"", rel->qualified, what, name);
    return error_hint(err, "%s of [events] names it.", key);
}

static bool check_columns(const struct relation *rel, const char *what, const struct event_names *names,
                          struct error *err)
{
    bool good = (names->parent != NULL || need_column(rel, what, "tenant_column", names->tenant, err)) &&
                need_column(rel, what, "position_column", names->position, err) &&
                need_column(rel, what, "event_id_column", names->event_id, err) &&
                need_column(rel, what, "version_column", names->version, err);

    for (size_t i = 0; good && i < names->stream_count; i++)
        good = need_column(rel, what, "stream_columns", names->stream[i], err);
    for (size_t i = 0; good && i < names->key_count; i++)
        good = need_column(rel, what, "companion_tables", names->key[i], err);
    for (size_t i = 0; good && i < names->parent_count; i++)
        good = need_column(rel, what, "companion_tables", names->parent_own[i], err);
    return good;
}

static bool add_key(struct relation *rel, const char *name, struct error *err)
{
    if (rel->key_count == sizeof rel->key_names / sizeof rel->key_names[0])
        return error_set(err, "54011", "a key of more than %zu columns is not supported", rel->key_count);
    if (!copy_text(&rel->key_names[rel->key_count], name, err))
        return false;
    rel->key_count++;
    return true;
}

static bool add_primary_key(struct pg *pg, struct relation *rel, struct error *err)
{
    char oid[16];
    PGresult *result;
    bool good = true;

    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = pg_query(pg, sql_relation_primary, 1, (const char *[]){ oid }, err);
    if (result == NULL)
        return false;
    for (int row = 0; good && row < PQntuples(result); row++)
        good = add_key(rel, value(result, row, 0), err);
    PQclear(result);
    return good;
}

static bool list_key(struct relation *rel, struct error *err)
{
    struct buf list;

    buf_init(&list);
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(&list, i == 0 ? "" : ", ");
        relation_append_identifier(&list, rel->key_names[i]);
    }
    return take_text(&list, &rel->key_columns, err);
}

static bool choose_companion_key(struct pg *pg, const char *what, const struct event_names *names,
                                 struct relation *rel, struct error *err)
{
    bool good = names->key_count > 0 || add_primary_key(pg, rel, err);

    for (size_t i = 0; good && i < names->key_count; i++)
        good = add_key(rel, names->key[i], err);
    if (!good)
        return false;
    if (rel->key_count > 0)
        return list_key(rel, err);
    error_set(err, "42P10", "companion table %s in %s has no primary key", rel->qualified, what);
    return error_hint(err,
                      "Say which unique columns are its key: %s(key = …) in companion_tables of [events].",
                      names->table);
}

static bool choose_key(struct pg *pg, const char *what, const struct event_names *names, struct relation *rel,
                       struct error *err)
{
    bool good = true;

    if (names->companion)
        return choose_companion_key(pg, what, names, rel, err);
    if (names->event_id[0] != '\0') {
        good = add_key(rel, names->event_id, err);
    } else {
        for (size_t i = 0; good && i < names->stream_count; i++)
            good = add_key(rel, names->stream[i], err);
        if (good && names->version[0] != '\0')
            good = add_key(rel, names->version, err);
    }
    if (!good)
        return false;
    if (rel->key_count == 0 || (names->event_id[0] == '\0' && names->version[0] == '\0'))
        return error_set(err, "42P10",
                         "table %s in %s has no key: neither event_id_column nor stream_columns and "
                         "version_column are configured",
                         rel->qualified, what);
    return list_key(rel, err);
}

static bool is_key_column(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->key_count; i++) {
        if (strcmp(rel->key_names[i], name) == 0)
            return true;
    }
    return false;
}

/* An index stands on exactly the key's columns if it has as many, all of them the key's. */
static bool find_unique(const struct relation *rel, const PGresult *result)
{
    for (int row = 0; row < PQntuples(result);) {
        size_t columns = 0, of_key = 0;
        const char *index = value(result, row, 0);

        for (; row < PQntuples(result) && strcmp(value(result, row, 0), index) == 0; row++) {
            columns++;
            of_key += is_key_column(rel, value(result, row, 1));
        }
        if (columns == rel->key_count && of_key == columns)
            return true;
    }
    return false;
}

static bool read_uniques(struct pg *pg, struct relation *rel, struct error *err)
{
    char oid[16];
    PGresult *result;

    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = pg_query(pg, sql_relation_uniques, 1, (const char *[]){ oid }, err);
    if (result == NULL)
        return false;
    rel->key_unique = find_unique(rel, result);
    PQclear(result);
    return true;
}

static bool read_sequence(struct pg *pg, const struct event_names *names, struct relation *rel,
                          struct error *err)
{
    char oid[16];
    PGresult *result;
    bool good = true;

    if (names->position[0] == '\0')
        return true;
    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = pg_query(pg, sql_relation_sequence, 2, (const char *[]){ oid, names->position }, err);
    if (result == NULL)
        return false;
    if (PQntuples(result) > 0)
        good = copy_text(&rel->sequence, value(result, 0, 0), err);
    PQclear(result);
    return good;
}

static bool read_sequences(struct pg *pg, const struct event_names *names, struct relation *rel,
                           struct error *err)
{
    char oid[16];
    PGresult *result;
    bool good;

    if (!names->companion)
        return true;
    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = pg_query(pg, sql_relation_sequences, 1, (const char *[]){ oid }, err);
    if (result == NULL)
        return false;
    rel->sequences = calloc((size_t)PQntuples(result) + 1, sizeof *rel->sequences);
    good = rel->sequences != NULL || error_no_memory(err);
    for (int row = 0; good && row < PQntuples(result); row++) {
        struct relation_sequence *sequence = &rel->sequences[rel->sequence_count++];

        good = copy_text(&sequence->column, value(result, row, 0), err) &&
               copy_text(&sequence->sequence, value(result, row, 1), err);
    }
    PQclear(result);
    return good;
}

/* Its parts, a line each: so that a difference can be named. */
static bool read_fingerprint(struct pg *pg, const char *qualified, char **fingerprint, struct error *err)
{
    PGresult *result = pg_query(pg, sql_relation_fingerprint, 1, (const char *[]){ qualified }, err);
    struct buf parts;

    if (result == NULL)
        return false;
    buf_init(&parts);
    for (int i = 0; i < PQnfields(result); i++) {
        buf_append_text(&parts, value(result, 0, i));
        buf_append_text(&parts, "\n");
    }
    PQclear(result);
    return take_text(&parts, fingerprint, err);
}

bool relation_read(struct pg *pg, const char *what, const struct event_names *names, struct relation *rel,
                   struct error *err)
{
    relation_done(rel);
    rel->companion = names->companion;
    if (qualify(names, rel, err) && read_table(pg, what, rel, err) && read_columns(pg, names, rel, err) &&
        check_columns(rel, what, names, err) && choose_key(pg, what, names, rel, err) &&
        read_uniques(pg, rel, err) && read_sequence(pg, names, rel, err) &&
        read_sequences(pg, names, rel, err) && read_fingerprint(pg, rel->qualified, &rel->fingerprint, err))
        return true;
    relation_done(rel);
    return false;
}

void relation_done(struct relation *rel)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        free(rel->columns[i].name);
        free(rel->columns[i].type);
        free(rel->columns[i].cast);
    }
    free(rel->columns);
    for (size_t i = 0; i < rel->sequence_count; i++) {
        free(rel->sequences[i].column);
        free(rel->sequences[i].sequence);
    }
    free(rel->sequences);
    for (size_t i = 0; i < rel->key_count; i++)
        free(rel->key_names[i]);
    free(rel->qualified);
    free(rel->from);
    free(rel->sequence);
    free(rel->key_columns);
    free(rel->fingerprint);
    free(rel->system_identifier);
    free(rel->timeline);
    free(rel->started_at);
    memset(rel, 0, sizeof *rel);
}

bool relation_unchanged(struct pg *pg, const struct relation *rel, const struct event_names *names,
                        struct error *err)
{
    char *now = NULL;
    bool same;

    (void)names; /* rel->qualified is made of them */
    if (!read_fingerprint(pg, rel->qualified, &now, err))
        return false;
    same = relation_same_fingerprint(rel->qualified, rel->fingerprint, now, err);
    free(now);
    return same;
}

bool relation_column_list(const struct relation *rel, const char *prefix, struct buf *out)
{
    bool first = true;

    for (size_t i = 0; i < rel->column_count; i++) {
        if (!rel->columns[i].copied)
            continue;
        buf_append_format(out, "%s%s", first ? "" : ", ", prefix);
        relation_append_identifier(out, rel->columns[i].name);
        if (prefix[0] != '\0' && rel->columns[i].cast != NULL)
            buf_append_format(out, "::%s", rel->columns[i].cast);
        first = false;
    }
    return !buf_failed(out);
}

void relation_append_identifier(struct buf *out, const char *name)
{
    buf_append_text(out, "\"");
    for (const char *at = name; *at != '\0'; at++)
        buf_append_text(out, *at == '"' ? "\"\"" : (char[]){ *at, '\0' });
    buf_append_text(out, "\"");
}
