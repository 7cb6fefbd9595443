/* scope.c - which tables a statement names, and what its FROM clauses restrict them to.
 * Owns:   table names, sources, the sides of joins.
 * Leaves: the search_path to path.c, conditions to fact.c, statements to query.c.
 * Thread: the planner's.   Start at: walk_table(), scope_resolve().
 *
 * A condition restricts a reference if rows of other tenants cannot change the result. WHERE does for every
 * source
 * (= is strict: a row that an outer join padded with NULL does not pass). ON does for both sides of an inner
 * join, and for the nullable side of an outer join only. */
#include "sql/walk.h"

#include <string.h>

#include "base/limits.h"
#include "sql/path.h"
#include "sql/stream.h"

enum { DEFAULTS_BYTES_MAX = 1024 }; /* of names of tables that are not declared */

static bool is_system(const char *schema, const char *name)
{
    if (schema != NULL && schema[0] != '\0')
        return strcmp(schema, "pg_catalog") == 0 || strcmp(schema, "information_schema") == 0;
    return strncmp(name, "pg_", 3) == 0;
}

const struct schema_table *scope_declared(struct walk *walk, const PgQuery__RangeVar *range)
{
    const struct plan_context *context = walk->context;
    const struct schema_table *table = NULL;

    if (range->schemaname[0] != '\0')
        return schema_find(context->schema, range->schemaname, range->relname);
    if (context->temp_shadows && schema_find(context->schema, "", range->relname) != NULL)
        walk->unclear = true;
    if (path_find_table(context, range->relname, &table) == PATH_UNSURE)
        walk->unclear = true;
    return table;
}

static const struct cte *find_cte(const PgQuery__RangeVar *range, const struct cte *ctes)
{
    if (range->schemaname[0] != '\0')
        return NULL;
    for (; ctes != NULL; ctes = ctes->next)
        if (strcmp(ctes->name, range->relname) == 0)
            return ctes;
    return NULL;
}

/* Both kinds of table whose rows have tenants. */
static const struct schema_table *note_tenanted(struct walk *walk, const struct schema_table *table)
{
    walk->out->tables |= table->class == TABLE_EVENT ? TABLES_EVENT : TABLES_COMPANION;
    if (!walk->context->schema->known || table->tenant_column < 0 ||
        (size_t)table->tenant_column >= table->column_count) {
        walk->unclear = true;
        return table;
    }
    if (walk->out->tenant_type == 0)
        walk->out->tenant_type = table->columns[table->tenant_column].type_oid;
    return table;
}

void walk_default(struct walk *walk, const char *schema, const char *name)
{
    walk->out->tables |= TABLES_DEFAULT;
    if ((schema[0] != '\0' && strcmp(schema, "pg_temp") != 0) || name[0] == '\0' ||
        buf_bytes(&walk->defaults) > DEFAULTS_BYTES_MAX)
        walk->defaults_cut = true;
    else
        buf_append(&walk->defaults, name, strlen(name) + 1);
}

const struct schema_table *walk_table(struct walk *walk, const PgQuery__RangeVar *range,
                                      const struct cte *ctes)
{
    const struct schema_table *table;

    if (!walk_spend(walk) || find_cte(range, ctes) != NULL)
        return NULL;
    walk->reads = true;
    table = scope_declared(walk, range);
    if (table == NULL || table->class == TABLE_DEFAULT) {
        if (!is_system(range->schemaname, range->relname))
            walk_default(walk, range->schemaname, range->relname);
        return NULL;
    }
    if (table->class == TABLE_EVERYWHERE) {
        walk->out->tables |= TABLES_EVERYWHERE;
        return NULL;
    }
    return note_tenanted(walk, table);
}

struct reference *walk_reference(struct walk *walk)
{
    struct reference *reference = walk_alloc(walk, sizeof *reference);

    if (reference == NULL)
        return NULL;
    reference->next = walk->references;
    walk->references = reference;
    return reference;
}

static struct source *add_source(struct walk *walk, struct scope *scope, const void *node, const char *name)
{
    struct source *source = walk_alloc(walk, sizeof *source);
    struct source **end = &scope->sources;

    if (source == NULL)
        return NULL;
    while (*end != NULL && walk_spend(walk))
        end = &(*end)->next;
    *end = source;
    source->node = node;
    source->name = name;
    return source;
}

/* An alias may rename columns: events AS e (a, b, c). */
static void name_tenant(struct source *source, const struct schema_table *table, const PgQuery__Alias *alias)
{
    size_t column = (size_t)table->tenant_column;

    if (table->tenant_column < 0 || column >= table->column_count)
        return;
    source->tenant_name = alias != NULL && column < alias->n_colnames ? node_text(alias->colnames[column])
                                                                      : table->columns[column].name;
    source->tenant_type = table->columns[column].type_oid;
}

struct source *scope_add_table(struct walk *walk, struct scope *scope, const PgQuery__RangeVar *range,
                               bool target)
{
    const struct schema_table *table = walk_table(walk, range, target ? NULL : scope->ctes);
    struct source *source =
        add_source(walk, scope, range, range->alias != NULL ? range->alias->aliasname : range->relname);

    if (target && table == NULL && (walk->out->tables & TABLES_EVERYWHERE)) {
        const struct schema_table *declared = scope_declared(walk, range);

        if (declared != NULL && declared->class == TABLE_EVERYWHERE)
            walk->out->everywhere_written = true;
    }
    if (source == NULL)
        return NULL;
    source->alias = range->alias;
    source->cte = target ? NULL : find_cte(range, scope->ctes);
    if (table == NULL)
        return source;
    source->reference = walk_reference(walk);
    if (range->alias == NULL)
        source->schema = table->schema == NULL || table->schema[0] == '\0' ? "public" : table->schema;
    name_tenant(source, table, range->alias);
    stream_name_columns(walk, source, table, range->alias);
    return source;
}

static void hide_from(struct source *source)
{
    for (; source != NULL; source = source->next)
        source->hidden = true;
}

static struct source *add_join(struct walk *walk, struct scope *scope, const PgQuery__JoinExpr *join)
{
    struct source *first = scope_add(walk, scope, join->larg);

    scope_add(walk, scope, join->rarg);
    if (join->jointype != PG_QUERY__JOIN_TYPE__JOIN_INNER)
        scope->outer_joins = true;
    if (join->alias != NULL) {
        hide_from(first);
        add_source(walk, scope, join, join->alias->aliasname);
    }
    return first;
}

struct source *scope_add(struct walk *walk, struct scope *scope, const PgQuery__Node *item)
{
    const PgQuery__Alias *alias = NULL;
    struct source *source;

    if (item == NULL)
        return NULL;
    switch (item->node_case) {
    case NODE(RANGE_VAR):
        return scope_add_table(walk, scope, item->range_var, false);
    case NODE(JOIN_EXPR):
        return add_join(walk, scope, item->join_expr);
    case NODE(RANGE_TABLE_SAMPLE):
        return scope_add(walk, scope, item->range_table_sample->relation);
    case NODE(RANGE_SUBSELECT):
        alias = item->range_subselect->alias;
        break;
    case NODE(RANGE_FUNCTION):
        alias = item->range_function->alias;
        break;
    default: /* XMLTABLE and what later grammars bring: no declared table can hide in its name */
        break;
    }
    source = add_source(walk, scope, item, alias != NULL ? alias->aliasname : NULL);
    if (source != NULL)
        source->item = item;
    return source;
}

static struct source *find_source(struct walk *walk, struct scope *scope, const void *node)
{
    for (struct source *source = scope->sources; source != NULL && walk_spend(walk); source = source->next)
        if (source->node == node)
            return source;
    return NULL;
}

/* The first source below `item` whose tenant column has that name (NULL: any name). */
static struct source *find_tenant(struct walk *walk, struct scope *scope, const PgQuery__Node *item,
                                  const char *name)
{
    struct source *source;

    if (node_is(item, NODE(RANGE_TABLE_SAMPLE)))
        item = item->range_table_sample->relation;
    if (node_is(item, NODE(JOIN_EXPR))) {
        source = find_tenant(walk, scope, item->join_expr->larg, name);
        return source != NULL ? source : find_tenant(walk, scope, item->join_expr->rarg, name);
    }
    if (!node_is(item, NODE(RANGE_VAR)))
        return NULL;
    source = find_source(walk, scope, item->range_var);
    if (source == NULL || source->tenant_name == NULL || source->hidden)
        return NULL;
    return name == NULL || strcmp(name, source->tenant_name) == 0 ? source : NULL;
}

static struct fact *join_on(struct walk *walk, struct scope *scope, const PgQuery__JoinExpr *join,
                            const char *name, struct fact *facts)
{
    struct source *left = find_tenant(walk, scope, join->larg, name);
    struct source *right = left == NULL ? NULL : find_tenant(walk, scope, join->rarg, left->tenant_name);

    return left != NULL && right != NULL ? facts_equal(walk, left, right, facts) : facts;
}

/* ON, USING (tenant) and NATURAL as facts in front of `facts`. */
static struct fact *join_facts(struct walk *walk, struct scope *scope, const PgQuery__JoinExpr *join,
                               struct fact *facts)
{
    if (join->is_natural)
        facts = join_on(walk, scope, join, NULL, facts);
    for (size_t i = 0; i < join->n_using_clause; i++)
        if (node_text(join->using_clause[i]) != NULL)
            facts = join_on(walk, scope, join, node_text(join->using_clause[i]), facts);
    return facts_of(walk, scope, join->quals, facts);
}

static void resolve_join(struct walk *walk, struct scope *scope, const PgQuery__JoinExpr *join,
                         struct fact *facts)
{
    struct fact *inside = join_facts(walk, scope, join, facts);
    bool left_inside = join->jointype == PG_QUERY__JOIN_TYPE__JOIN_INNER ||
                       join->jointype == PG_QUERY__JOIN_TYPE__JOIN_RIGHT;
    bool right_inside =
        join->jointype == PG_QUERY__JOIN_TYPE__JOIN_INNER || join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT;

    scope_resolve(walk, scope, join->larg, left_inside ? inside : facts);
    scope_resolve(walk, scope, join->rarg, right_inside ? inside : facts);
}

void scope_resolve_source(struct walk *walk, struct scope *scope, struct source *source, struct fact *facts)
{
    if (source != NULL && source->reference != NULL)
        facts_apply(walk, scope, source, facts);
}

void scope_resolve(struct walk *walk, struct scope *scope, const PgQuery__Node *item, struct fact *facts)
{
    if (item == NULL)
        return;
    if (node_is(item, NODE(JOIN_EXPR)))
        resolve_join(walk, scope, item->join_expr, facts);
    else if (node_is(item, NODE(RANGE_TABLE_SAMPLE)))
        scope_resolve(walk, scope, item->range_table_sample->relation, facts);
    else if (node_is(item, NODE(RANGE_VAR)))
        scope_resolve_source(walk, scope, find_source(walk, scope, item->range_var), facts);
}
