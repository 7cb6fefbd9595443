/* preflight_companion.c - the companion tables: on both sides, alike, with a key, pgshunt's to change, and in
 * the target without rows of the tenant. A chapter of preflight.h.   Start at: preflight_companions(). */
#include <stdio.h>

#include "migrate/companion.h"
#include "migrate/preflight.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

static bool add_difference(void *who, const struct error *difference)
{
    struct preflight *p = who;

    finding_error(p->list, "companions", FINDING_BLOCKER, difference);
    return true;
}

static void look_at_rights(struct preflight *p, const struct preflight_side *side, const struct relation *rel)
{
    const char *const values[] = { rel->qualified, p->r->m.control_schema };
    PGresult *result =
        preflight_ask(p, "companions", FINDING_BLOCKER, *side->pg, sql_check_rights, 2, values);

    if (result != NULL && PQgetvalue(result, 0, 1)[0] != 't')
        finding_blocker(p->list, "companions", "42501",
                        "Run sql/roles.sql in that database; the owner's role must be granted.",
                        "store \"%s\": role \"%s\" neither owns %s nor is a member of its owner \"%s\"",
                        side->store->name, PQgetvalue(result, 0, 0), rel->qualified,
                        PQgetvalue(result, 0, 2));
    PQclear(result);
}

/* The way from a row to its parent, and back, is taken for every change. */
static void look_at_way(struct preflight *p, const struct relation *rel, char *const *columns, size_t count)
{
    char oid[16];
    struct buf list;
    PGresult *result = NULL;

    buf_init(&list);
    for (size_t i = 0; i < count; i++)
        sqltext_array_add(&list, columns[i]);
    sqltext_array_end(&list);
    snprintf(oid, sizeof oid, "%u", rel->oid);
    if (!buf_failed(&list))
        result = preflight_ask(p, "companions", FINDING_WARNING, *p->source.pg, sql_check_leading_index, 2,
                               (const char *[]){ oid, buf_text(&list) });
    if (result != NULL && PQgetvalue(result, 0, 0)[0] != 't')
        finding_warning(p->list, "companions",
                        "CREATE INDEX CONCURRENTLY on the columns that `on` of companion_tables names.",
                        "no index of %s begins with a column that leads to a row's tenant: each change "
                        "reads the whole table",
                        rel->qualified);
    PQclear(result);
    buf_done(&list);
}

static const struct relation *parent_relation(const struct migration *m, const struct event_names *names)
{
    for (size_t i = 0; i < m->table_count; i++) {
        if (m->tables[i].names == names)
            return &m->tables[i].source;
    }
    return NULL;
}

static void look_at_parent(struct preflight *p, const struct moved_table *table)
{
    const struct event_names *names = table->names;
    const struct relation *parent = parent_relation(&p->r->m, names->parent);

    if (parent == NULL) {
        finding_blocker(p->list, "companions", "42P01", "Take it out of companion_tables, too.",
                        "the parent of companion table %s is not in the source", table->source.qualified);
        return;
    }
    look_at_way(p, &table->source, names->parent_own, names->parent_count);
    look_at_way(p, parent, names->parent_its, names->parent_count);
}

static void look_at_table(struct preflight *p, const struct moved_table *table)
{
    const size_t before = p->list->count;

    relation_compare(&table->source, &table->target, add_difference, p);
    look_at_rights(p, &p->source, &table->source);
    look_at_rights(p, &p->target, &table->target);
    if (table->names->parent != NULL)
        look_at_parent(p, table);
    if (p->list->count == before)
        finding_ok(p->list, "companions", "%s moves with its tenant, by its key (%s)",
                   table->source.qualified, table->source.key_columns);
}

void preflight_companions(struct preflight *p)
{
    struct migration *m = &p->r->m;
    struct error err;

    if (!preflight_note(p, "companions", FINDING_BLOCKER,
                        migration_read_source(m, &err) && migration_read_target(m, &err), &err))
        return;
    for (size_t i = 1; i < m->table_count; i++)
        look_at_table(p, &m->tables[i]);
    preflight_note(p, "companions", FINDING_BLOCKER, companion_check_target(m, &err), &err);
}
