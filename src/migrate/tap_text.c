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

struct parts { /* buffers behind the placeholders */
    struct buf tenant, login, column, settings, new_key, old_key, changed;
};

static bool parts_make(const struct migration *m, const char *login, struct parts *parts)
{
    const struct relation *rel = &m->tables[0].source;

    memset(parts, 0, sizeof *parts);
    sqltext_literal(&parts->tenant, m->tenant);
    sqltext_literal(&parts->login, login);
    relation_append_identifier(&parts->column, m->names->tenant);
    append_settings(rel, &parts->settings);
    append_key(rel, "NEW", &parts->new_key);
    append_key(rel, "OLD", &parts->old_key);
    append_key(rel, "NEW", &parts->changed);
    buf_append_text(&parts->changed, " IS DISTINCT FROM ");
    append_key(rel, "OLD", &parts->changed);
    return !(buf_failed(&parts->tenant) || buf_failed(&parts->login) || buf_failed(&parts->column) ||
             buf_failed(&parts->settings) || buf_failed(&parts->new_key) || buf_failed(&parts->old_key) ||
             buf_failed(&parts->changed));
}

static void parts_done(struct parts *parts)
{
    struct buf *const all[] = { &parts->tenant,  &parts->login,   &parts->column, &parts->settings,
                                &parts->new_key, &parts->old_key, &parts->changed };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        buf_done(all[i]);
}

static void make_texts(const struct migration *m, struct parts *parts, struct tap_text *text)
{
    char relation[16], open[24];
    const struct sqltext_value values[] = {
        { "function", text->names.function },
        { "state", text->names.state },
        { "time", text->names.time },
        { "key", text->names.key_text },
        { "trigger", text->names.trigger },
        { "relation", relation },
        { "value", open },
        { "table", m->tables[0].source.qualified },
        { "tenant", buf_text(&parts->tenant) },
        { "login", buf_text(&parts->login) },
        { "tenant_column", buf_text(&parts->column) },
        { "settings", buf_text(&parts->settings) },
        { "new_key", buf_text(&parts->new_key) },
        { "old_key", buf_text(&parts->old_key) },
        { "key_changed", buf_text(&parts->changed) },
    };
    const size_t count = sizeof values / sizeof values[0];

    snprintf(relation, sizeof relation, "%u", m->tables[0].source.oid);
    snprintf(open, sizeof open, "%" PRIu64, m->epoch * 4);
    sqltext_expand(&text->sequences, sql_tap_sequences, m->control_schema, values, count);
    sqltext_expand(&text->function, sql_tap_function, m->control_schema, values, count);
    sqltext_expand(&text->triggers, sql_tap_triggers, m->control_schema, values, count);
}

bool tap_text_make(const struct migration *m, const char *login, struct tap_text *text, struct error *err)
{
    struct parts parts;
    bool good;
    uint64_t digest;

    memset(text, 0, sizeof *text);
    if (!sqltext_schema_ok(m->control_schema, err))
        return false;
    tap_names_of(m, &text->names);
    good = parts_make(m, login, &parts);
    if (good)
        make_texts(m, &parts, text);
    parts_done(&parts);
    digest =
        fnv_add(fnv_add(UINT64_C(0xcbf29ce484222325), buf_text(&text->function)), buf_text(&text->triggers));
    snprintf(text->definition, sizeof text->definition, "%016" PRIx64, digest);
    if (good && !buf_failed(&text->sequences) && !buf_failed(&text->function) && !buf_failed(&text->triggers))
        return true;
    tap_text_done(text);
    return error_no_memory(err);
}

void tap_text_done(struct tap_text *text)
{
    buf_done(&text->sequences);
    buf_done(&text->function);
    buf_done(&text->triggers);
}

void tap_text_expand(const struct migration *m, const char *sql, struct buf *out)
{
    struct tap_names names;

    tap_names_of(m, &names);
    sqltext_expand(out, sql, m->control_schema,
                   (const struct sqltext_value[]){ { "function", names.function },
                                                   { "state", names.state },
                                                   { "time", names.time },
                                                   { "key", names.key_text } },
                   4);
}
