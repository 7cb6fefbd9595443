/* catalogue_keys.c - see catalogue_keys.h.
 * Thread: control's.   Start at: catalogue_read_keys(). */
#include "migrate/catalogue_keys.h"

#include <stdlib.h>
#include <string.h>

#include "migrate/relation.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

static bool add_column(struct schema_key *key, struct slice name)
{
    if (key->column_count == STREAM_COLUMNS_MAX)
        return false;
    key->columns[key->column_count] = strndup(name.at, name.bytes);
    return key->columns[key->column_count++] != NULL;
}

static const struct schema_table *event_table(const struct schema *schema)
{
    for (size_t i = 0; i < schema->table_count; i++)
        if (schema->tables[i].class == TABLE_EVENT)
            return &schema->tables[i];
    return NULL;
}

static bool has_column(const struct schema_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

static bool has_all(const struct schema_table *table, const struct schema_key *key)
{
    for (size_t i = 0; i < key->column_count; i++)
        if (!has_column(table, key->columns[i]))
            return false;
    return true;
}

/* --- unique indexes ----------------------------------------------------------------------------------- */

/* What the rows from `row` on, of one index, are made of. */
struct unique {
    bool of_key;     /* of nothing but the key's columns and the version */
    bool but_tenant; /* the same, but for the tenant's */
};

static bool is_of_key(const struct schema_key *key, const char *name)
{
    for (size_t i = 0; i < key->column_count; i++)
        if (strcmp(key->columns[i], name) == 0)
            return true;
    return false;
}

/* One index; *row moves behind it. */
static struct unique read_unique(const PGresult *result, int *row, const struct schema_key *key,
                                 const char *version, const char *tenant)
{
    struct unique unique = { true, true };
    const char *index = PQgetvalue(result, *row, 0);

    for (; *row < PQntuples(result) && strcmp(PQgetvalue(result, *row, 0), index) == 0; ++*row) {
        const char *name = PQgetvalue(result, *row, 1);
        bool own = is_of_key(key, name) || (version != NULL && strcmp(name, version) == 0);

        unique.of_key = unique.of_key && own;
        unique.but_tenant = unique.but_tenant && (own || strcmp(name, tenant) == 0);
    }
    return unique;
}

static const char *why_not(const PGresult *result, const struct schema_key *key, const char *version,
                           const char *tenant)
{
    bool but_tenant = false;
    int row = 0;

    while (row < PQntuples(result)) {
        struct unique unique = read_unique(result, &row, key, version, tenant);

        if (unique.of_key)
            return NULL;
        but_tenant = but_tenant || unique.but_tenant;
    }
    if (version == NULL)
        return "it names an event by its id, but no unique constraint makes an id belong to one event";
    if (but_tenant)
        return "it names a stream, but the unique constraint on streams holds the tenant column too: a "
               "stream may be of "
               "several tenants";
    return "it names a stream, but no unique constraint makes a stream belong to one tenant";
}

/* --- the question ------------------------------------------------------------------------------------- */

static char *make_question(const struct schema_table *table, const struct schema_key *key,
                           const char *version, const char *tenant)
{
    struct buf whole, name, tenant_name, match, order;
    char *question = NULL;

    buf_init(&whole);
    buf_init(&name);
    buf_init(&tenant_name);
    buf_init(&match);
    buf_init(&order);
    relation_append_identifier(&name, table->schema);
    buf_append_text(&name, ".");
    relation_append_identifier(&name, table->name);
    relation_append_identifier(&tenant_name, tenant);
    for (size_t i = 0; i < key->column_count; i++) {
        buf_append_text(&match, i == 0 ? "e." : " AND e.");
        relation_append_identifier(&match, key->columns[i]);
        buf_append_format(&match, " = $%zu", i + 1);
    }
    buf_append_text(&order, "e.");
    relation_append_identifier(&order, version);
    sqltext_expand(&whole, sql_stream_find, "pgshunt",
                   (const struct sqltext_value[]){ { "tenant", buf_text(&tenant_name) },
                                                   { "table", buf_text(&name) },
                                                   { "match", buf_text(&match) },
                                                   { "order", buf_text(&order) } },
                   4);
    if (!buf_failed(&whole) && !buf_failed(&name) && !buf_failed(&tenant_name) && !buf_failed(&match) &&
        !buf_failed(&order))
        question = strdup(buf_text(&whole));
    buf_done(&whole);
    buf_done(&name);
    buf_done(&tenant_name);
    buf_done(&match);
    buf_done(&order);
    return question;
}

/* --- both kinds --------------------------------------------------------------------------------------- */

static bool declare(const struct config *config, struct schema *schema, const struct schema_table *table)
{
    struct schema_key *stream = &schema->keys[KEY_STREAM], *event = &schema->keys[KEY_EVENT];
    const char *event_id = config_text(config, CONFIG_EVENT_ID_COLUMN);
    struct slice item;
    size_t at = 0, count = 0;

    while (config_next_item(config_text(config, CONFIG_STREAM_COLUMNS), &at, &item))
        count++;
    at = 0;
    while (count <= STREAM_COLUMNS_MAX &&
           config_next_item(config_text(config, CONFIG_STREAM_COLUMNS), &at, &item))
        if (!add_column(stream, item))
            return false;
    if (event_id[0] != '\0' && has_column(table, event_id) && !add_column(event, slice_of(event_id)))
        return false;
    return true;
}

/* A key whose columns are not all there is none. */
static void drop_key(struct schema_key *key)
{
    for (size_t i = 0; i < key->column_count; i++)
        free(key->columns[i]);
    key->column_count = 0;
}

bool catalogue_read_keys(struct pg *pg, const struct config *config, struct schema *schema, struct error *err)
{
    const struct schema_table *table = event_table(schema);
    const char *tenant = config_text(config, CONFIG_TENANT_COLUMN);
    const char *version = config_text(config, CONFIG_VERSION_COLUMN);
    PGresult *result;
    bool good = true;

    if (table == NULL || table->tenant_column < 0)
        return true;
    if (!declare(config, schema, table))
        return error_no_memory(err);
    result = pg_query(pg, sql_catalogue_keys, 2, (const char *[]){ table->schema, table->name }, err);
    if (result == NULL)
        return false;
    for (size_t kind = 0; kind < KEY_KINDS && good; kind++) {
        struct schema_key *key = &schema->keys[kind];
        bool stream = kind == KEY_STREAM;

        if (!has_all(table, key) || (stream && !has_column(table, version)))
            drop_key(key);
        if (key->column_count == 0)
            continue;
        key->why_not = why_not(result, key, stream ? version : NULL, tenant);
        key->question = make_question(table, key, stream ? version : key->columns[0], tenant);
        good = key->question != NULL;
    }
    PQclear(result);
    return good || error_no_memory(err);
}

bool catalogue_same_keys(const struct schema *a, const struct schema *b)
{
    for (size_t kind = 0; kind < KEY_KINDS; kind++) {
        const struct schema_key *x = &a->keys[kind], *y = &b->keys[kind];

        if (x->column_count != y->column_count || x->why_not != y->why_not ||
            (x->question == NULL) != (y->question == NULL) ||
            (x->question != NULL && strcmp(x->question, y->question) != 0))
            return false;
    }
    return true;
}
