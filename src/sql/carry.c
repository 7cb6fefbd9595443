/* carry.c - constants that come by way of FROM: unnest() of arrays, VALUES, CTEs of them.
 * Owns:   which column of such an item stands for what; the lengths that decide on padding.
 * Leaves: what a constant is to constant.c.
 * Thread: the planner's.   Start at: carry_column().
 *
 * unnest($1, $2) makes as many rows as the longer array has elements, and pads the shorter one with NULL: so
 * the lengths of the arrays beside the tenants' are remembered (tenant_length), and asked when values are
 * there. An array of a composite type makes several columns: only arrays of types that are known not to be
 * may stand in front. */
#include "sql/carry.h"

#include <string.h>

static const char *const scalars[] = {
    "uuid", "text", "varchar", "bpchar",    "name",        "int2", "int4",   "int8",     "numeric", "float4",
    "bool", "date", "float8",  "timestamp", "timestamptz", "json", "jsonb",  "bytea",    "xml",     "oid",
    "inet", "cidr", "citext",  "time",      "timetz",      "bit",  "varbit", "interval", "money",
};

/* Functions of one row, which may stand beside unnest() in a target list. */
static const char *const single[] = {
    "now",    "clock_timestamp", "statement_timestamp", "gen_random_uuid", "uuid_generate_v4",
    "uuidv7", "nextval",
};

static bool is_listed(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool is_scalar_array(const PgQuery__Node *node)
{
    const PgQuery__TypeName *type = node_is(node, NODE(TYPE_CAST)) ? node->type_cast->type_name : NULL;
    const char *schema;
    const char *name =
        type == NULL || type->n_array_bounds == 0 ? NULL : name_of(type->names, type->n_names, &schema);

    return name != NULL && (schema == NULL || strcmp(schema, "pg_catalog") == 0) &&
           is_listed(name, scalars, sizeof scalars / sizeof scalars[0]);
}

/* unnest(…) as it is usually called. NULL: something else. */
static const PgQuery__FuncCall *unnest_of(const PgQuery__Node *node)
{
    const PgQuery__FuncCall *call = node_is(node, NODE(FUNC_CALL)) ? node->func_call : NULL;
    const char *schema;
    const char *name = call == NULL ? NULL : name_of(call->funcname, call->n_funcname, &schema);

    if (name == NULL || strcmp(name, "unnest") != 0 ||
        (schema != NULL && strcmp(schema, "pg_catalog") != 0) || call->n_args == 0 || call->func_variadic ||
        call->agg_filter != NULL || call->over != NULL)
        return NULL;
    return call;
}

/* ---- unnest() in FROM: one column per argument of each call ---- */

static size_t count_arguments(const PgQuery__RangeFunction *range)
{
    size_t count = 0;

    for (size_t i = 0; i < range->n_functions; i++) {
        const PgQuery__Node *item = range->functions[i];
        const PgQuery__FuncCall *call =
            node_is(item, NODE(LIST)) && item->list->n_items > 0 ? unnest_of(item->list->items[0]) : NULL;

        if (call == NULL)
            return 0;
        count += call->n_args;
    }
    return count;
}

static const PgQuery__Node *argument_at(const PgQuery__RangeFunction *range, size_t position)
{
    for (size_t i = 0; i < range->n_functions; i++) {
        const PgQuery__FuncCall *call = unnest_of(range->functions[i]->list->items[0]);

        if (position < call->n_args)
            return call->args[position];
        position -= call->n_args;
    }
    return NULL;
}

static bool unnest_at(struct walk *walk, const PgQuery__RangeFunction *range, size_t position,
                      uint32_t column_type, bool rows, struct restriction *evidence)
{
    size_t count = count_arguments(range);
    const PgQuery__Node *array;

    if (position >= count || range->n_coldeflist > 0)
        return false;
    for (size_t i = 0; i < position; i++)
        if (!is_scalar_array(argument_at(range, i)))
            return false;
    array = argument_at(range, position);
    if (!elements_of(walk, array, column_type, 0, rows, evidence))
        return false;
    for (size_t i = 0; i < count && rows; i++)
        if (i != position && !length_of(walk, argument_at(range, i), array, evidence))
            return false;
    return true;
}

/* ---- VALUES ---- */

static bool values_at(struct walk *walk, const PgQuery__SelectStmt *values, size_t position,
                      uint32_t column_type, struct restriction *evidence)
{
    for (size_t i = 0; i < values->n_values_lists; i++) {
        const PgQuery__Node *row = values->values_lists[i];

        if (!node_is(row, NODE(LIST)) || position >= row->list->n_items ||
            !constant_of(walk, row->list->items[position], column_type, 0, evidence))
            return false;
    }
    for (struct restriction_slot *slot = evidence->slots; slot != NULL; slot = slot->next)
        slot->ref.untyped = true; /* its type is what the rows have in common, not the column's */
    return values->n_values_lists > 0 && values->with_clause == NULL;
}

/* ---- any item ---- */

static bool select_at(struct walk *walk, const PgQuery__Node *query, size_t position, uint32_t column_type,
                      bool rows, struct restriction *evidence)
{
    const PgQuery__SelectStmt *select = node_is(query, NODE(SELECT_STMT)) ? query->select_stmt : NULL;

    (void)rows;
    return select != NULL && values_at(walk, select, position, column_type, evidence);
}

static bool source_at(struct walk *walk, const struct source *source, size_t position, uint32_t column_type,
                      bool rows, struct restriction *evidence)
{
    if (source->cte != NULL)
        return !source->cte->recursive &&
               select_at(walk, source->cte->expression->ctequery, position, column_type, rows, evidence);
    if (source->item == NULL || !walk_spend(walk))
        return false;
    if (node_is(source->item, NODE(RANGE_FUNCTION)))
        return unnest_at(walk, source->item->range_function, position, column_type, rows, evidence);
    if (node_is(source->item, NODE(RANGE_SUBSELECT)))
        return select_at(walk, source->item->range_subselect->subquery, position, column_type, rows,
                         evidence);
    return false;
}

static bool find_name(PgQuery__Node *const *names, size_t count, const char *name, size_t *position)
{
    for (size_t i = 0; i < count; i++)
        if (node_text(names[i]) != NULL && strcmp(node_text(names[i]), name) == 0) {
            *position = i;
            return true;
        }
    return false;
}

static const PgQuery__Alias *alias_of(const struct source *source)
{
    if (source->item == NULL)
        return NULL;
    if (node_is(source->item, NODE(RANGE_FUNCTION)))
        return source->item->range_function->alias;
    return node_is(source->item, NODE(RANGE_SUBSELECT)) ? source->item->range_subselect->alias : NULL;
}

/* Which column of the source has that name? */
static bool named_position(const struct source *source, const char *name, size_t *position)
{
    const PgQuery__Alias *alias = source->alias != NULL ? source->alias : alias_of(source);

    if (alias != NULL && alias->n_colnames > 0)
        return find_name(alias->colnames, alias->n_colnames, name, position);
    if (source->cte != NULL) {
        const PgQuery__CommonTableExpr *expression = source->cte->expression;

        return find_name(expression->aliascolnames, expression->n_aliascolnames, name, position);
    }
    *position = 0; /* a single function's only column has its alias for a name */
    return source->item != NULL && node_is(source->item, NODE(RANGE_FUNCTION)) &&
           !source->item->range_function->ordinality && count_arguments(source->item->range_function) == 1 &&
           strcmp(name, alias != NULL ? alias->aliasname : "unnest") == 0;
}

bool carry_column(struct walk *walk, const struct scope *scope, const PgQuery__ColumnRef *column,
                  uint32_t column_type, bool rows, struct restriction *evidence)
{
    const char *qualifier;
    const char *name = name_of(column->fields, column->n_fields, &qualifier);

    /* Under an outer join a bare name may be the merged column of USING, and rows may be padded. */
    if (name == NULL || column->n_fields > 2 || (scope->outer_joins && (qualifier == NULL || rows)))
        return false;
    for (const struct source *source = scope->sources; source != NULL && walk_spend(walk);
         source = source->next) {
        struct restriction found = { 0 };
        size_t position;

        if (source->hidden || (source->cte == NULL && source->item == NULL) ||
            (qualifier != NULL && (source->name == NULL || strcmp(source->name, qualifier) != 0)) ||
            !named_position(source, name, &position))
            continue;
        if (!source_at(walk, source, position, column_type, rows, &found))
            return false;
        restriction_join(walk, evidence, &found);
        return true;
    }
    return false;
}

bool carry_position(struct walk *walk, const struct scope *scope, const PgQuery__Node *item, size_t position,
                    uint32_t column_type, struct restriction *evidence)
{
    struct restriction found = { 0 };

    for (const struct source *source = scope->sources; source != NULL; source = source->next)
        if ((source->item == item || (node_is(item, NODE(RANGE_VAR)) && source->node == item->range_var)) &&
            source_at(walk, source, position, column_type, true, &found)) {
            restriction_join(walk, evidence, &found);
            return true;
        }
    return false;
}

/* ---- unnest() in a target list ---- */

static bool is_single(const PgQuery__Node *node)
{
    const char *schema;
    const char *name;

    while (node_is(node, NODE(TYPE_CAST)))
        node = node->type_cast->arg;
    if (node_is(node, NODE(A_CONST)) || node_is(node, NODE(PARAM_REF)) || node_is(node, NODE(COLUMN_REF)) ||
        node_is(node, NODE(SQLVALUE_FUNCTION)))
        return true;
    name = node_is(node, NODE(FUNC_CALL))
               ? name_of(node->func_call->funcname, node->func_call->n_funcname, &schema)
               : NULL;
    return name != NULL && schema == NULL && is_listed(name, single, sizeof single / sizeof single[0]);
}

bool carry_target(struct walk *walk, PgQuery__Node *const *targets, size_t count, size_t position,
                  uint32_t column_type, struct restriction *evidence)
{
    struct restriction found = { 0 };
    const PgQuery__FuncCall *call;

    call =
        node_is(targets[position], NODE(RES_TARGET)) ? unnest_of(targets[position]->res_target->val) : NULL;
    if (call == NULL || call->n_args != 1 || !elements_of(walk, call->args[0], column_type, 0, true, &found))
        return false;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *value =
            node_is(targets[i], NODE(RES_TARGET)) ? targets[i]->res_target->val : NULL;
        const PgQuery__FuncCall *other = unnest_of(value);

        if (i == position || (other == NULL && is_single(value)))
            continue;
        if (other == NULL || other->n_args != 1 || !length_of(walk, other->args[0], call->args[0], &found))
            return false;
    }
    restriction_join(walk, evidence, &found);
    return true;
}
