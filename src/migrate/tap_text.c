/* tap_text.c - the names and the generated SQL of one tap (sql/tap_*.sql made concrete).
 * Thread: any.   Start at: tap_text_make(). */
#include "migrate/tap_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "migrate/sqltext.h"
#include "sql_embedded.h"

void tap_names_of(const struct migration *m, struct tap_names *names)
{
    char hex[20];

    names->key = tap_key(m->control_schema, m->tenant);
    snprintf(hex, sizeof hex, "%016" PRIx64, (uint64_t)names->key);
    snprintf(names->key_text, sizeof names->key_text, "%" PRId64, names->key);
    snprintf(names->function, sizeof names->function, "tap_%s", hex);
    snprintf(names->state, sizeof names->state, "tap_state_%s", hex);
    snprintf(names->time, sizeof names->time, "tap_time_%s", hex);
    snprintf(names->trigger, sizeof names->trigger, "pgshunt_tap_%s", hex);
    snprintf(names->qualified_function, sizeof names->qualified_function, "%.60s.%s", m->control_schema,
             names->function);
    snprintf(names->qualified_state, sizeof names->qualified_state, "%.60s.%s", m->control_schema,
             names->state);
}

/* Types whose text is the same in every session, whatever it has set. */
static bool type_is_plain(const char *type)
{
    static const char *const plain[] = { "uuid",   "text",      "smallint", "integer",
                                         "bigint", "character", "name",     "numeric" };

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (strncmp(type, plain[i], strlen(plain[i])) == 0)
            return true;
    }
    return false;
}

static void append_settings(const struct relation *rel, struct buf *out)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        for (size_t k = 0; k < rel->key_count; k++) {
            if (strcmp(rel->columns[i].name, rel->key_names[k]) != 0 || type_is_plain(rel->columns[i].type))
                continue;
            buf_append_text(out,
                            "SET TimeZone = 'UTC' SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' "
                            "SET extra_float_digits = 3 SET bytea_output = 'hex' ");
            return;
        }
    }
}

static void append_key(const struct relation *rel, const char *row, struct buf *out)
{
    buf_append_text(out, "ARRAY[");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_format(out, "%s%s.", i == 0 ? "" : ", ", row);
        relation_append_identifier(out, rel->key_names[i]);
        buf_append_text(out, "::text");
    }
    buf_append_text(out, "]");
}

enum { PARTS = 11 };

union parts { /* buffers behind the placeholders */
    struct {
        struct buf tenant, login, column, settings, new_key, old_key, changed;
        struct buf new_mine, old_mine, new_known, old_known; /* of a table without a tenant column */
    };
    struct buf all[PARTS];
};

/* EXISTS (SELECT FROM parent WHERE its columns are the row's [AND it is the tenant's]) */
static void append_parent(const struct event_names *names, const char *row, const char *tenant,
                          struct buf *out)
{
    buf_append_text(out, "EXISTS (SELECT FROM ");
    relation_append_from(out, names->parent);
    for (size_t i = 0; i < names->parent_count; i++) {
        buf_append_text(out, i == 0 ? " parent WHERE parent." : " AND parent.");
        relation_append_identifier(out, names->parent_its[i]);
        buf_append_format(out, " = %s.", row);
        relation_append_identifier(out, names->parent_own[i]);
    }
    buf_append_text(out, " AND parent.");
    relation_append_identifier(out, names->parent->tenant);
    buf_append_format(out, tenant == NULL ? " IS NOT NULL)" : " = %s)", tenant);
}

static void add_parent(const struct event_names *names, union parts *parts)
{
    const char *tenant = buf_text(&parts->tenant);

    append_parent(names, "NEW", tenant, &parts->new_mine);
    append_parent(names, "OLD", tenant, &parts->old_mine);
    append_parent(names, "NEW", NULL, &parts->new_known);
    append_parent(names, "OLD", NULL, &parts->old_known);
}

static bool parts_make(const struct migration *m, const struct moved_table *table, const char *login,
                       union parts *parts)
{
    const struct relation *rel = &table->source;
    bool good = true;

    memset(parts, 0, sizeof *parts);
    sqltext_literal(&parts->tenant, m->tenant);
    sqltext_literal(&parts->login, login);
    relation_append_identifier(&parts->column, table->names->tenant);
    append_settings(rel, &parts->settings);
    append_key(rel, "NEW", &parts->new_key);
    append_key(rel, "OLD", &parts->old_key);
    append_key(rel, "NEW", &parts->changed);
    buf_append_text(&parts->changed, " IS DISTINCT FROM ");
    append_key(rel, "OLD", &parts->changed);
    if (!buf_failed(&parts->tenant) && table->names->parent != NULL)
        add_parent(table->names, parts);
    for (size_t i = 0; i < PARTS; i++)
        good = good && !buf_failed(&parts->all[i]);
    return good;
}

static void parts_done(union parts *parts)
{
    for (size_t i = 0; i < PARTS; i++)
        buf_done(&parts->all[i]);
}

static void function_name(const struct tap_names *names, size_t table, char name[40])
{
    if (table == 0)
        snprintf(name, 40, "%s", names->function);
    else
        snprintf(name, 40, "%s_%zu", names->function, table);
}

static void make_texts(const struct migration *m, size_t n, union parts *parts, struct tap_text *text)
{
    const struct moved_table *table = &m->tables[n];
    const bool child = table->names->parent != NULL;
    struct tap_table_text *out = &text->tables[n];
    char relation[16], open[24], function[40];
    const struct sqltext_value values[] = {
        { "function", function },
        { "state", text->names.state },
        { "time", text->names.time },
        { "key", text->names.key_text },
        { "trigger", text->names.trigger },
        { "relation", relation },
        { "value", open },
        { "table", table->source.qualified },
        { "tenant", buf_text(&parts->tenant) },
        { "login", buf_text(&parts->login) },
        { "tenant_column", buf_text(&parts->column) },
        { "settings", buf_text(&parts->settings) },
        { "new_key", buf_text(&parts->new_key) },
        { "old_key", buf_text(&parts->old_key) },
        { "key_changed", buf_text(&parts->changed) },
        { "new_mine", buf_text(&parts->new_mine) },
        { "old_mine", buf_text(&parts->old_mine) },
        { "new_known", buf_text(&parts->new_known) },
        { "old_known", buf_text(&parts->old_known) },
    };
    const size_t count = sizeof values / sizeof values[0];

    function_name(&text->names, n, function);
    snprintf(relation, sizeof relation, "%u", table->source.oid);
    snprintf(open, sizeof open, "%" PRIu64, m->epoch * 4);
    if (n == 0)
        sqltext_expand(&text->sequences, sql_tap_sequences, m->control_schema, values, count);
    sqltext_expand(&out->function, child ? sql_tap_function_child : sql_tap_function, m->control_schema,
                   values, count);
    sqltext_expand(&out->triggers, child ? sql_tap_triggers_child : sql_tap_triggers, m->control_schema,
                   values, count);
}

bool tap_text_make(const struct migration *m, const char *login, struct tap_text *text, struct error *err)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    bool good = true;

    memset(text, 0, sizeof *text);
    if (!sqltext_schema_ok(m->control_schema, err))
        return false;
    tap_names_of(m, &text->names);
    text->table_count = m->table_count;
    for (size_t i = 0; good && i < m->table_count; i++) {
        struct tap_table_text *table = &text->tables[i];
        union parts parts;

        good = parts_make(m, &m->tables[i], login, &parts);
        if (good)
            make_texts(m, i, &parts, text);
        parts_done(&parts);
        good = good && !buf_failed(&table->function) && !buf_failed(&table->triggers);
        if (good)
            digest = fnv_add(fnv_add(digest, buf_text(&table->function)), buf_text(&table->triggers));
    }
    snprintf(text->definition, sizeof text->definition, "%016" PRIx64, digest);
    if (good && !buf_failed(&text->sequences))
        return true;
    tap_text_done(text);
    return error_no_memory(err);
}

void tap_text_done(struct tap_text *text)
{
    buf_done(&text->sequences);
    for (size_t i = 0; i < text->table_count; i++) {
        buf_done(&text->tables[i].function);
        buf_done(&text->tables[i].triggers);
    }
}

void tap_text_expand_table(const struct migration *m, const char *sql, uint32_t table, struct buf *out)
{
    struct tap_names names;
    char relation[16];

    tap_names_of(m, &names);
    snprintf(relation, sizeof relation, "%u", table);
    sqltext_expand(out, sql, m->control_schema,
                   (const struct sqltext_value[]){ { "function", names.function },
                                                   { "state", names.state },
                                                   { "time", names.time },
                                                   { "key", names.key_text },
                                                   { "relation", relation } },
                   5);
}

void tap_text_expand(const struct migration *m, const char *sql, struct buf *out)
{
    tap_text_expand_table(m, sql, 0, out);
}
