/* fact.c - what conditions say about tenants.
 * Owns:   which expressions are evidence: column = constant, IN, = ANY (array), IS NULL, rows of them, OR
 * whose every arm is; column = column carries evidence from one reference to another. Leaves: to which
 * sources a condition applies to scope.c; what counts as a constant to constant.c and carry.c. Thread: the
 * planner's. Start at: facts_of(), facts_apply().
 *
 * A condition that speaks of a tenant column and is not understood is remembered (walk->says): then a
 * reference without evidence makes the whole statement unknown, instead of leaving it to what stands around.
 */
#include "sql/walk.h"

#include <string.h>
#include <strings.h>

#include "sql/carry.h"
#include "sql/type.h"

enum fact_kind { FACT_IS, FACT_EQUAL, FACT_OUTER };

struct fact {
    struct fact *next;
    enum fact_kind kind;
    struct source *a, *b;        /* IS: a; EQUAL: both */
    struct reference *outer;     /* OUTER: a's tenant is that of a reference further out */
    struct restriction evidence; /* IS */
};

/* A column, perhaps cast to another type. */
struct cast_column {
    const PgQuery__ColumnRef *column;
    uint32_t cast_oid; /* 0: none */
};

static bool column_of(const PgQuery__Node *node, struct cast_column *column)
{
    *column = (struct cast_column){ 0 };
    if (node_is(node, NODE(TYPE_CAST))) {
        column->cast_oid = type_named(node->type_cast->type_name, false);
        node = node->type_cast->arg;
        if (column->cast_oid == 0)
            return false;
    }
    if (!node_is(node, NODE(COLUMN_REF)))
        return false;
    column->column = node->column_ref;
    return true;
}

static const char *qualifier_of(const PgQuery__ColumnRef *column)
{
    return column->n_fields > 1 ? node_text(column->fields[column->n_fields - 2]) : NULL;
}

bool column_is(struct walk *walk, const struct source *source, const PgQuery__ColumnRef *column)
{
    const char *qualifier;
    const char *name = name_of(column->fields, column->n_fields, &qualifier);

    if (!walk_spend(walk) || source->tenant_name == NULL || source->reference == NULL || source->hidden ||
        name == NULL || strcmp(name, source->tenant_name) != 0)
        return false;
    if (column->n_fields == 1)
        return true;
    if (qualifier == NULL || source->name == NULL || strcmp(qualifier, source->name) != 0)
        return false;
    if (column->n_fields > 2) { /* schema.table.column: only where there is no alias */
        const char *schema = node_text(column->fields[column->n_fields - 3]);

        return source->schema != NULL && schema != NULL && strcmp(schema, source->schema) == 0;
    }
    return true;
}

static bool cast_column_is(struct walk *walk, const struct source *source, const struct cast_column *column)
{
    return column_is(walk, source, column->column) &&
           (column->cast_oid == 0 || column->cast_oid == source->tenant_type ||
            (source->tenant_type != TYPE_NUMERIC && cast_keeps(source->tenant_type, column->cast_oid)));
}

/* A qualified column of an outer query's reference. A bare name could be a column of an inner table that is
 * not declared, and is left alone. */
static struct reference *find_outer(struct walk *walk, const struct scope *scope,
                                    const struct cast_column *column)
{
    const char *qualifier = qualifier_of(column->column);

    for (; qualifier != NULL && scope != NULL; scope = scope->outer)
        for (struct source *source = scope->sources; source != NULL && walk_spend(walk);
             source = source->next)
            if (source->name != NULL && strcmp(source->name, qualifier) == 0)
                return cast_column_is(walk, source, column) ? source->reference : NULL;
    return NULL;
}

static struct fact *new_fact(struct walk *walk, struct fact **list, enum fact_kind kind, struct source *a)
{
    struct fact *fact = walk_alloc(walk, sizeof *fact);

    if (fact == NULL)
        return NULL;
    fact->kind = kind;
    fact->a = a;
    fact->next = *list;
    *list = fact;
    walk->says = walk->says || (kind == FACT_IS && walk->pass == 0);
    return fact;
}

/* The source's tenant is what the evidence says. */
static void say_is(struct walk *walk, struct fact **list, struct source *source, struct restriction evidence)
{
    struct fact *fact = new_fact(walk, list, FACT_IS, source);

    if (fact != NULL)
        fact->evidence = evidence;
}

struct fact *facts_equal(struct walk *walk, struct source *a, struct source *b, struct fact *tail)
{
    struct fact *fact = new_fact(walk, &tail, FACT_EQUAL, a);

    if (fact != NULL)
        fact->b = b;
    return tail;
}

/* column = column, seen from the left one. */
static bool equal_columns(struct walk *walk, struct scope *scope, const struct cast_column *left,
                          const struct cast_column *right, struct fact **list)
{
    struct reference *outer = find_outer(walk, scope->outer, right);
    bool found = false;

    for (struct source *a = scope->sources; a != NULL; a = a->next) {
        bool inner = false;

        if (!cast_column_is(walk, a, left))
            continue;
        for (struct source *b = scope->sources; b != NULL; b = b->next)
            if (b != a && cast_column_is(walk, b, right)) {
                *list = facts_equal(walk, a, b, *list);
                found = inner = true;
            }
        if (!inner && outer != NULL) {
            struct fact *fact = new_fact(walk, list, FACT_OUTER, a);

            if (fact != NULL)
                fact->outer = outer;
            found = true;
        }
    }
    return found;
}

/* current_setting('the tenant setting'): restricts to what stands around, which is asked anyway. */
static bool is_own_setting(struct walk *walk, const PgQuery__Node *node)
{
    const char *schema;
    const char *name;

    while (node_is(node, NODE(TYPE_CAST)))
        node = node->type_cast->arg;
    if (walk->tenant_setting == NULL || !node_is(node, NODE(FUNC_CALL)) || node->func_call->n_args == 0)
        return false;
    name = name_of(node->func_call->funcname, node->func_call->n_funcname, &schema);
    if (name == NULL || strcmp(name, "current_setting") != 0)
        return false;
    node = node->func_call->args[0];
    if (!node_is(node, NODE(A_CONST)) || node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL ||
        shape_slot(walk->shape, node->a_const->location) >= 0 ||
        strcasecmp(node->a_const->sval->sval, walk->tenant_setting) != 0)
        return false;
    walk->own_setting = true;
    return true;
}

/* column IN (constants): one or many; a row's element where `element` >= 0. */
static bool column_in(struct walk *walk, struct scope *scope, const struct cast_column *column,
                      PgQuery__Node *const *items, size_t count, int64_t element, struct fact **list)
{
    bool found = false;

    for (struct source *source = scope->sources; source != NULL; source = source->next) {
        struct restriction evidence = { 0 };

        if (!cast_column_is(walk, source, column) ||
            !constants_of(walk, items, count, element, source->tenant_type, column->cast_oid, &evidence))
            continue;
        say_is(walk, list, source, evidence);
        found = true;
    }
    return found;
}

/* column = column of unnest() or VALUES: as good as column = ANY of what stands there. */
static bool equal_carried(struct walk *walk, struct scope *scope, const struct cast_column *column,
                          const struct cast_column *carried, struct fact **list)
{
    bool found = false;

    for (struct source *source = scope->sources; source != NULL; source = source->next) {
        struct restriction evidence = { 0 };

        if (!cast_column_is(walk, source, column) ||
            (carried->cast_oid != 0 && !cast_keeps(source->tenant_type, carried->cast_oid)) ||
            !carry_column(walk, scope, carried->column, source->tenant_type, false, &evidence))
            continue;
        say_is(walk, list, source, evidence);
        found = true;
    }
    return found;
}

static bool leaf_equal(struct walk *walk, struct scope *scope, PgQuery__Node *left, PgQuery__Node *right,
                       struct fact **list)
{
    struct cast_column l;
    struct cast_column r;
    bool left_column = column_of(left, &l);
    bool right_column = column_of(right, &r);
    bool found = false;

    if (left_column && right_column)
        return equal_columns(walk, scope, &l, &r, list) || equal_columns(walk, scope, &r, &l, list) ||
               equal_carried(walk, scope, &l, &r, list) || equal_carried(walk, scope, &r, &l, list);
    if (left_column)
        return is_own_setting(walk, right) || column_in(walk, scope, &l, &right, 1, -1, list);
    if (right_column)
        return is_own_setting(walk, left) || column_in(walk, scope, &r, &left, 1, -1, list);
    if (node_is(left, NODE(ROW_EXPR)) && node_is(right, NODE(ROW_EXPR)) &&
        left->row_expr->n_args == right->row_expr->n_args)
        for (size_t i = 0; i < left->row_expr->n_args; i++)
            found = leaf_equal(walk, scope, left->row_expr->args[i], right->row_expr->args[i], list) || found;
    return found;
}

static bool leaf_in(struct walk *walk, struct scope *scope, const PgQuery__Node *left,
                    const PgQuery__Node *right, struct fact **list)
{
    struct cast_column column;
    bool found = false;

    if (!node_is(right, NODE(LIST)))
        return false;
    if (column_of(left, &column))
        return column_in(walk, scope, &column, right->list->items, right->list->n_items, -1, list);
    for (size_t i = 0; node_is(left, NODE(ROW_EXPR)) && i < left->row_expr->n_args; i++)
        if (column_of(left->row_expr->args[i], &column))
            found =
                column_in(walk, scope, &column, right->list->items, right->list->n_items, (int64_t)i, list) ||
                found;
    return found;
}

/* column = ANY ($1), = ANY ('{…}'), = ANY ($1::uuid[]) */
static bool leaf_elements(struct walk *walk, struct scope *scope, const PgQuery__Node *left,
                          const PgQuery__Node *right, struct fact **list)
{
    struct cast_column column;
    bool found = false;

    if (!column_of(left, &column))
        return false;
    for (struct source *source = scope->sources; source != NULL; source = source->next) {
        struct restriction evidence = { 0 };

        if (!cast_column_is(walk, source, &column) ||
            !elements_of(walk, right, source->tenant_type, column.cast_oid, false, &evidence))
            continue;
        say_is(walk, list, source, evidence);
        found = true;
    }
    return found;
}

/* Not strict: it also holds for rows that an outer join has padded, so it is evidence only where there are
 * none. */
static bool leaf_null(struct walk *walk, struct scope *scope, const PgQuery__Node *argument,
                      struct fact **list)
{
    struct cast_column column;
    bool found = false;

    if (scope->outer_joins || !column_of(argument, &column))
        return false;
    for (struct source *source = scope->sources; source != NULL; source = source->next) {
        struct fact *fact =
            cast_column_is(walk, source, &column) ? new_fact(walk, list, FACT_IS, source) : NULL;

        if (fact != NULL) {
            fact->evidence = (struct restriction){ .found = true, .null = true };
            found = true;
        }
    }
    return found;
}

/* The operator =, of pg_catalog or as the search_path finds it. */
static bool is_equals(const PgQuery__AExpr *expression)
{
    const char *schema;
    const char *name = name_of(expression->name, expression->n_name, &schema);

    return name != NULL && strcmp(name, "=") == 0 && (schema == NULL || strcmp(schema, "pg_catalog") == 0);
}

/* One condition without AND and OR. false: it says nothing that is understood. */
static bool leaf_facts(struct walk *walk, struct scope *scope, const PgQuery__Node *node, struct fact **list)
{
    const PgQuery__AExpr *expression;

    if (node_is(node, NODE(NULL_TEST)))
        return node->null_test->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL &&
               leaf_null(walk, scope, node->null_test->arg, list);
    if (!node_is(node, NODE(A_EXPR)) || !is_equals(node->a_expr))
        return false;
    expression = node->a_expr;
    switch (expression->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT: /* as little strict as IS NULL */
        return !scope->outer_joins && leaf_equal(walk, scope, expression->lexpr, expression->rexpr, list);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP:
        return leaf_equal(walk, scope, expression->lexpr, expression->rexpr, list);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN:
        return leaf_in(walk, scope, expression->lexpr, expression->rexpr, list);
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
        return leaf_elements(walk, scope, expression->lexpr, expression->rexpr, list);
    default:
        return false;
    }
}

static bool is_bool(const PgQuery__Node *node, PgQuery__BoolExprType type)
{
    return node_is(node, NODE(BOOL_EXPR)) && node->bool_expr->boolop == type;
}

/* What an arm of an OR restricts `source` to: for AND one part is enough, for OR all are needed. */
static bool arm_evidence(struct walk *walk, struct scope *scope, const PgQuery__Node *arm,
                         const struct source *source, struct restriction *evidence)
{
    bool all = is_bool(arm, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR);
    struct fact *facts = NULL;
    bool found = false;

    if (all || is_bool(arm, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        for (size_t i = 0; i < arm->bool_expr->n_args; i++) {
            bool one = arm_evidence(walk, scope, arm->bool_expr->args[i], source, evidence);

            if (all && !one)
                return false;
            found = found || one;
        }
        return found;
    }
    leaf_facts(walk, scope, arm, &facts);
    for (; facts != NULL; facts = facts->next)
        if (facts->kind == FACT_IS && facts->a == source) {
            restriction_join(walk, evidence, &facts->evidence);
            found = true;
        }
    return found;
}

static bool or_facts(struct walk *walk, struct scope *scope, const PgQuery__Node *node, struct fact **list)
{
    bool found = false;

    for (struct source *source = scope->sources; source != NULL; source = source->next) {
        struct restriction evidence = { 0 };

        if (source->reference == NULL || !walk_spend(walk) ||
            !arm_evidence(walk, scope, node, source, &evidence))
            continue;
        say_is(walk, list, source, evidence);
        found = true;
    }
    return found;
}

static bool is_tenant_name(const struct walk *walk, const char *name)
{
    const struct schema *schema = walk->context->schema;

    for (size_t i = 0; schema != NULL && i < schema->table_count; i++) {
        const struct schema_table *table = &schema->tables[i];

        if (table->tenant_column >= 0 && (size_t)table->tenant_column < table->column_count &&
            strcmp(table->columns[table->tenant_column].name, name) == 0)
            return true;
    }
    return false;
}

static bool on_mention(const ProtobufCMessage *message, void *who)
{
    struct walk *walk = who;

    if (message->descriptor == &pg_query__select_stmt__descriptor)
        return false; /* has a scope of its own */
    if (message->descriptor == &pg_query__column_ref__descriptor) {
        const PgQuery__ColumnRef *column = (const PgQuery__ColumnRef *)message;
        const char *schema;
        const char *name = name_of(column->fields, column->n_fields, &schema);

        if (name != NULL && is_tenant_name(walk, name))
            walk->says = true;
    }
    return true;
}

void note_mentions(struct walk *walk, const PgQuery__Node *condition)
{
    if (condition != NULL)
        tree_each(&condition->base, on_mention, walk);
}

struct fact *facts_of(struct walk *walk, struct scope *scope, const PgQuery__Node *condition,
                      struct fact *tail)
{
    bool found;

    if (condition == NULL || !walk_spend(walk))
        return tail;
    if (is_bool(condition, PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR)) {
        for (size_t i = 0; i < condition->bool_expr->n_args; i++)
            tail = facts_of(walk, scope, condition->bool_expr->args[i], tail);
        return tail;
    }
    found = is_bool(condition, PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR) ? or_facts(walk, scope, condition, &tail)
                                                                  : leaf_facts(walk, scope, condition, &tail);
    if (!found && walk->pass == 0)
        note_mentions(walk, condition);
    return tail;
}

/* Marks every source whose tenant must equal that of `source`. */
static void close_over(struct walk *walk, struct scope *scope, struct source *source,
                       const struct fact *facts)
{
    bool more = true;

    for (struct source *s = scope->sources; s != NULL; s = s->next)
        s->reached = s == source;
    while (more) {
        more = false;
        for (const struct fact *fact = facts; fact != NULL && walk_spend(walk); fact = fact->next)
            if (fact->kind == FACT_EQUAL && fact->a->reached != fact->b->reached)
                more = fact->a->reached = fact->b->reached = true;
    }
}

void facts_apply(struct walk *walk, struct scope *scope, struct source *source, struct fact *facts)
{
    struct restriction *evidence = &source->reference->evidence;

    close_over(walk, scope, source, facts);
    for (const struct fact *fact = facts; fact != NULL && walk_spend(walk); fact = fact->next) {
        if (!fact->a->reached)
            continue;
        if (fact->kind == FACT_IS)
            restriction_join(walk, evidence, &fact->evidence);
        else if (fact->kind == FACT_OUTER)
            restriction_join(walk, evidence, &fact->outer->evidence);
    }
}
