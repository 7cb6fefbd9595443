/* query.c - SELECT, INSERT, UPDATE, DELETE and MERGE, with all that nests in them.
 * Owns:   query levels (scopes), CTEs, the rows of an INSERT, what SET gives the tenant column.
 * Leaves: FROM to scope.c, conditions to fact.c, calls to call.c.
 * Thread: the planner's.   Start at: walk_query().
 * Each level's references are resolved before what nests in it is walked, so that a sub-select may lean on
 * evidence of the query around it (WHERE s.tenant_id = e.tenant_id). */
#include "sql/walk.h"

#include <string.h>

#include "sql/call.h"
#include "sql/carry.h"
#include "sql/stream.h"
#include "sql/type.h"

/* Where an INSERT's tenants stand: looked for in every row, or in the target list of every arm of its SELECT.
 */
struct rows {
    size_t position; /* of the tenant's column in a row; SIZE_MAX: it is not written */
    bool listed;     /* the statement names its columns: each row has them all */
    uint32_t type_oid;
    bool unseen;    /* some row's tenant is not in the statement */
    bool defaulted; /* some row leaves it to the column's default */
    struct restriction evidence;
    struct rows *ids; /* the same for the column that the declared pattern reads; NULL: there is none */
    bool is_ids;      /* it is that one */
};

/* What stands in an expression and has to be looked into. */
struct nested {
    struct walk *walk;
    struct scope *scope;
};

static void walk_select(struct walk *walk, const PgQuery__SelectStmt *select, const struct scope *outer,
                        struct cte *ctes, struct rows *rows);

/* A sub-select in FROM sees its siblings only if it is LATERAL. */
static bool visit_range_subselect(struct nested *nested, const PgQuery__RangeSubselect *range)
{
    const struct scope *outer = range->lateral ? nested->scope : nested->scope->outer;

    if (node_is(range->subquery, NODE(SELECT_STMT)))
        walk_select(nested->walk, range->subquery->select_stmt, outer, nested->scope->ctes, NULL);
    return false;
}

static bool visit_nested(const ProtobufCMessage *message, void *who)
{
    struct nested *nested = who;
    const ProtobufCMessageDescriptor *kind = message->descriptor;

    if (kind == &pg_query__select_stmt__descriptor) {
        walk_select(nested->walk, (const PgQuery__SelectStmt *)message, nested->scope, nested->scope->ctes,
                    NULL);
        return false;
    }
    if (kind == &pg_query__range_subselect__descriptor)
        return visit_range_subselect(nested, (const PgQuery__RangeSubselect *)message);
    if (kind == &pg_query__func_call__descriptor)
        call_note(nested->walk, (const PgQuery__FuncCall *)message);
    return kind != &pg_query__with_clause__descriptor && kind != &pg_query__locking_clause__descriptor &&
           kind != &pg_query__range_var__descriptor && kind != &pg_query__into_clause__descriptor;
}

static void walk_nested(struct walk *walk, const ProtobufCMessage *message, struct scope *scope)
{
    struct nested nested = { walk, scope };

    tree_children(message, visit_nested, &nested);
}

void walk_expression(struct walk *walk, const PgQuery__Node *expression, struct scope *scope)
{
    struct nested nested = { walk, scope };

    if (expression != NULL)
        tree_each(&expression->base, visit_nested, &nested);
}

static void add_cte(struct walk *walk, struct scope *scope, const PgQuery__CommonTableExpr *expression,
                    bool recursive)
{
    struct cte *cte = walk_alloc(walk, sizeof *cte);

    if (cte == NULL)
        return;
    cte->name = expression->ctename;
    cte->expression = expression;
    cte->recursive = recursive;
    cte->next = scope->ctes;
    scope->ctes = cte;
}

/* A CTE sees those before it; under RECURSIVE, all. The names stay visible in `scope`. */
static void walk_with(struct walk *walk, struct scope *scope, const PgQuery__WithClause *with)
{
    for (size_t i = 0; with != NULL && with->recursive && i < with->n_ctes; i++)
        if (node_is(with->ctes[i], NODE(COMMON_TABLE_EXPR)))
            add_cte(walk, scope, with->ctes[i]->common_table_expr, true);
    for (size_t i = 0; with != NULL && i < with->n_ctes; i++) {
        if (!node_is(with->ctes[i], NODE(COMMON_TABLE_EXPR)) ||
            !walk_query(walk, with->ctes[i]->common_table_expr->ctequery, scope->outer, scope->ctes))
            walk->unclear = true;
        else if (!with->recursive)
            add_cte(walk, scope, with->ctes[i]->common_table_expr, false);
    }
}

/* A column of the SELECT's own FROM whose reference is restricted: its rows carry the tenant over. */
static bool row_from_source(struct walk *walk, const struct scope *scope, const PgQuery__Node *value,
                            struct rows *rows)
{
    while (node_is(value, NODE(TYPE_CAST)) &&
           cast_keeps(rows->type_oid, type_named(value->type_cast->type_name, false)))
        value = value->type_cast->arg;
    if (!node_is(value, NODE(COLUMN_REF)) || scope->outer_joins)
        return false;
    for (const struct source *source = rows->is_ids ? NULL : scope->sources; source != NULL;
         source = source->next)
        if (column_is(walk, source, value->column_ref) && source->reference->evidence.found &&
            type_writes_alike(source->tenant_type, rows->type_oid)) {
            restriction_join(walk, &rows->evidence, &source->reference->evidence);
            return true;
        }
    return carry_column(walk, scope, value->column_ref, rows->type_oid, true, &rows->evidence);
}

static void note_row(struct walk *walk, const struct scope *scope, PgQuery__Node *const *items, size_t count,
                     bool targets, struct rows *rows)
{
    const PgQuery__Node *value;

    if (rows->position >= count) {
        if (rows->listed && rows->position != SIZE_MAX)
            rows->unseen =
                true; /* fewer values than columns: the server refuses it, or a star stands for more */
        else
            rows->defaulted = true;
        return;
    }
    value = items[rows->position];
    if (targets)
        value = node_is(value, NODE(RES_TARGET)) ? value->res_target->val : NULL;
    if (node_is(value, NODE(SET_TO_DEFAULT)))
        rows->defaulted = true;
    else if (!constant_of(walk, value, rows->type_oid, 0, &rows->evidence) &&
             !row_from_source(walk, scope, value, rows) &&
             !(targets && carry_target(walk, items, count, rows->position, rows->type_oid, &rows->evidence)))
        rows->unseen = true;
}

static bool has_star(PgQuery__Node *const *targets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const PgQuery__Node *value =
            node_is(targets[i], NODE(RES_TARGET)) ? targets[i]->res_target->val : NULL;

        if (node_is(value, NODE(COLUMN_REF)) && value->column_ref->n_fields > 0 &&
            node_is(value->column_ref->fields[value->column_ref->n_fields - 1], NODE(A_STAR)))
            return true;
        if (node_is(value, NODE(A_INDIRECTION)))
            return true; /* (f()).* */
    }
    return false;
}

/* SELECT * FROM one item: the item's columns are the row's. */
static bool is_only_star(const PgQuery__SelectStmt *select)
{
    return select->n_target_list == 1 && select->n_from_clause == 1 &&
           has_star(select->target_list, select->n_target_list) &&
           node_is(select->target_list[0]->res_target->val, NODE(COLUMN_REF)) &&
           select->target_list[0]->res_target->val->column_ref->n_fields == 1;
}

static void note_column(struct walk *walk, const struct scope *scope, const PgQuery__SelectStmt *select,
                        struct rows *rows)
{
    for (size_t i = 0; i < select->n_values_lists; i++)
        if (node_is(select->values_lists[i], NODE(LIST)))
            note_row(walk, scope, select->values_lists[i]->list->items,
                     select->values_lists[i]->list->n_items, false, rows);
    if (select->n_values_lists > 0)
        return;
    if (is_only_star(select) && rows->position != SIZE_MAX &&
        carry_position(walk, scope, select->from_clause[0], rows->position, rows->type_oid, &rows->evidence))
        return;
    if (has_star(select->target_list, select->n_target_list))
        rows->unseen = rows->unseen || rows->position != SIZE_MAX || !rows->listed;
    else
        note_row(walk, scope, select->target_list, select->n_target_list, true, rows);
}

static void note_rows(struct walk *walk, const struct scope *scope, const PgQuery__SelectStmt *select,
                      struct rows *rows)
{
    note_column(walk, scope, select, rows);
    if (rows->ids != NULL)
        note_column(walk, scope, select, rows->ids);
}

static void walk_into(struct walk *walk, const PgQuery__IntoClause *into)
{
    if (into == NULL)
        return;
    walk->writes = true;
    walk->out->ddl = true;
    call_note_created(walk, into->rel, into->on_commit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP);
}

static bool is_set_operation(const PgQuery__SelectStmt *select)
{
    return select->larg != NULL && select->rarg != NULL;
}

static void walk_select(struct walk *walk, const PgQuery__SelectStmt *select, const struct scope *outer,
                        struct cte *ctes, struct rows *rows)
{
    struct scope scope = { .outer = outer, .ctes = ctes };
    struct fact *facts;

    if (!walk_spend(walk))
        return;
    walk_with(walk, &scope, select->with_clause);
    walk_into(walk, select->into_clause);
    if (select->n_locking_clause > 0)
        walk->locking++;
    if (is_set_operation(select)) {
        walk_select(walk, select->larg, outer, scope.ctes, rows);
        walk_select(walk, select->rarg, outer, scope.ctes, rows);
        for (size_t i = 0; i < select->n_sort_clause; i++)
            walk_expression(walk, select->sort_clause[i], &scope);
        walk_expression(walk, select->limit_count, &scope);
        walk_expression(walk, select->limit_offset, &scope);
        return;
    }
    for (size_t i = 0; i < select->n_from_clause; i++)
        scope_add(walk, &scope, select->from_clause[i]);
    facts = facts_of(walk, &scope, select->where_clause, NULL);
    for (size_t i = 0; i < select->n_from_clause; i++)
        scope_resolve(walk, &scope, select->from_clause[i], facts);
    stream_resolve(walk, &scope, NULL, select->from_clause, select->n_from_clause, select->where_clause);
    note_mentions(walk, select->having_clause);
    if (rows != NULL)
        note_rows(walk, &scope, select, rows);
    walk_nested(walk, &select->base, &scope);
}

/* A column by its bare name, or as one of the row that ON CONFLICT could not insert. */
static bool is_own_column(const PgQuery__Node *value, const char *name)
{
    const char *qualifier;
    const char *column = node_is(value, NODE(COLUMN_REF))
                             ? name_of(value->column_ref->fields, value->column_ref->n_fields, &qualifier)
                             : NULL;

    return column != NULL && strcmp(column, name) == 0 && qualifier != NULL &&
           strcmp(qualifier, "excluded") == 0;
}

/* What SET gives the column that the declared pattern reads: another id, of a tenant that may be another. */
static void note_renames(struct walk *walk, const struct schema_table *table, PgQuery__Node *const *targets,
                         size_t count)
{
    const struct schema_column *column =
        table == NULL ? NULL : schema_pattern_column(walk->context->schema, table);

    for (size_t i = 0; column != NULL && i < count; i++) {
        const PgQuery__ResTarget *target =
            node_is(targets[i], NODE(RES_TARGET)) ? targets[i]->res_target : NULL;
        struct restriction ids = { 0 };
        struct reference *reference;

        if (target == NULL || strcmp(target->name, column->name) != 0 ||
            is_own_column(target->val, column->name))
            continue;
        walk->renames =
            walk->renames || !constant_of(walk, target->val, column->type_oid, 0, &ids) || ids.null;
        reference = walk_reference(walk);
        if (reference != NULL) {
            reference->assigned = true;
            reference->keys[WALK_PATTERN] = ids;
        }
    }
}

/* What SET or ON CONFLICT DO UPDATE SET gives the tenant column of `table`. */
static void note_assignments(struct walk *walk, struct scope *scope, const struct schema_table *table,
                             PgQuery__Node *const *targets, size_t count)
{
    const struct schema_column *column;

    if (table == NULL || table->tenant_column < 0 || (size_t)table->tenant_column >= table->column_count)
        return;
    note_renames(walk, table, targets, count);
    column = &table->columns[table->tenant_column];
    for (size_t i = 0; i < count; i++) {
        const PgQuery__ResTarget *target =
            node_is(targets[i], NODE(RES_TARGET)) ? targets[i]->res_target : NULL;
        const PgQuery__Node *value = target == NULL ? NULL : target->val;
        struct restriction evidence = { 0 };
        bool same = false;

        if (target == NULL || strcmp(target->name, column->name) != 0)
            continue;
        if (node_is(value, NODE(MULTI_ASSIGN_REF))) {
            const PgQuery__MultiAssignRef *multi = value->multi_assign_ref;

            value = node_is(multi->source, NODE(ROW_EXPR)) && multi->colno > 0 &&
                            (size_t)multi->colno <= multi->source->row_expr->n_args
                        ? multi->source->row_expr->args[multi->colno - 1]
                        : NULL;
        }
        /* The first sources are the target itself and `excluded`: what they have is known already. */
        for (const struct source *s = scope->sources; node_is(value, NODE(COLUMN_REF)) && s != NULL;
             s = s->next)
            same = same || (s->node == table && column_is(walk, s, value->column_ref));
        if (same)
            continue;
        if (constant_of(walk, value, column->type_oid, 0, &evidence)) {
            struct reference *reference = walk_reference(walk);

            if (reference != NULL)
                reference->evidence = evidence;
        } else {
            walk->out->rows_unseen = true;
        }
    }
}

/* The target of a write. Its source's node is the table, so that note_assignments() knows it again. */
static struct source *add_target(struct walk *walk, struct scope *scope, const PgQuery__RangeVar *range,
                                 const struct schema_table **table)
{
    struct source *source = scope_add_table(walk, scope, range, true);

    *table = NULL;
    walk->writes = true;
    if (source == NULL || source->reference == NULL)
        return source;
    *table = scope_declared(walk, range);
    if (*table != NULL && (*table)->read_only)
        walk->unclear = true; /* rules and triggers of a view may do anything */
    source->node = *table;
    return source;
}

static size_t position_of(const struct schema_table *table, const struct schema_column *column,
                          PgQuery__Node *const *columns, size_t count)
{
    const char *name = column->name;

    if (count == 0)
        return (size_t)(column - table->columns);
    for (size_t i = 0; i < count; i++)
        if (node_is(columns[i], NODE(RES_TARGET)) && strcmp(columns[i]->res_target->name, name) == 0)
            return i;
    return SIZE_MAX;
}

/* Where the tenants of the rows stand, and the ids of their streams. */
static void find_columns(struct walk *walk, const struct schema_table *table, PgQuery__Node *const *columns,
                         size_t count, struct rows *rows, struct rows *ids)
{
    const struct schema_column *tenant = &table->columns[table->tenant_column];
    const struct schema_column *id = schema_pattern_column(walk->context->schema, table);

    rows->position = position_of(table, tenant, columns, count);
    rows->type_oid = tenant->type_oid;
    if (id == NULL)
        return;
    *ids = (struct rows){ .position = position_of(table, id, columns, count),
                          .listed = rows->listed,
                          .type_oid = id->type_oid,
                          .is_ids = true };
    rows->ids = ids;
}

static void finish_rows(struct walk *walk, const struct rows *rows, struct reference *reference)
{
    if (reference == NULL)
        return;
    if (rows->ids != NULL && !rows->ids->unseen && !rows->ids->defaulted)
        reference->keys[WALK_PATTERN] = rows->ids->evidence;
    if (rows->unseen)
        walk->out->rows_unseen = true;
    if (rows->defaulted && rows->evidence.found)
        walk->unclear = true; /* some rows say it, some leave it to a default */
    reference->evidence = rows->evidence;
}

static void walk_insert(struct walk *walk, const PgQuery__InsertStmt *insert, const struct scope *outer,
                        struct cte *ctes)
{
    struct scope scope = { .outer = outer, .ctes = ctes };
    struct rows rows = { .position = SIZE_MAX, .listed = insert->n_cols > 0 }, ids;
    const struct schema_table *table;
    struct source *target;
    bool known;

    walk_with(walk, &scope, insert->with_clause);
    target = add_target(walk, &scope, insert->relation, &table);
    known = table != NULL && target->tenant_name != NULL;
    if (known)
        find_columns(walk, table, insert->cols, insert->n_cols, &rows, &ids);
    if (insert->select_stmt == NULL)
        rows.defaulted = true; /* DEFAULT VALUES */
    else if (node_is(insert->select_stmt, NODE(SELECT_STMT)))
        walk_select(walk, insert->select_stmt->select_stmt, outer, scope.ctes, known ? &rows : NULL);
    if (known) {
        finish_rows(walk, &rows, target->reference);
        stream_sow(walk, table, insert);
    }
    if (insert->on_conflict_clause != NULL) {
        const PgQuery__OnConflictClause *conflict = insert->on_conflict_clause;
        struct source *excluded = walk_alloc(walk, sizeof *excluded);

        if (excluded != NULL && target != NULL) {
            *excluded = *target;
            excluded->name = "excluded";
            excluded->schema = NULL;
            excluded->next = NULL;
            target->next = excluded;
        }
        note_assignments(walk, &scope, table, conflict->target_list, conflict->n_target_list);
        if (stream_is_assigned(walk, table, conflict->target_list, conflict->n_target_list))
            walk->out->unsettles = true;
        walk_nested(walk, &conflict->base, &scope);
    }
    for (size_t i = 0; i < insert->n_returning_list; i++)
        walk_expression(walk, insert->returning_list[i], &scope);
}

static bool is_catalog(const PgQuery__RangeVar *range, const char *name)
{
    return strcmp(range->relname, name) == 0 &&
           (range->schemaname[0] == '\0' || strcmp(range->schemaname, "pg_catalog") == 0);
}

static void walk_update(struct walk *walk, const PgQuery__UpdateStmt *update, const struct scope *outer,
                        struct cte *ctes)
{
    struct scope scope = { .outer = outer, .ctes = ctes };
    const struct schema_table *table;
    struct source *target;
    struct fact *facts;

    walk_with(walk, &scope, update->with_clause);
    target = add_target(walk, &scope, update->relation, &table);
    if (is_catalog(update->relation, "pg_settings"))
        walk->out->kind = STATEMENT_SET; /* a rule turns it into set_config(); which setting, nobody knows */
    for (size_t i = 0; i < update->n_from_clause; i++)
        scope_add(walk, &scope, update->from_clause[i]);
    facts = facts_of(walk, &scope, update->where_clause, NULL);
    scope_resolve_source(walk, &scope, target, facts);
    for (size_t i = 0; i < update->n_from_clause; i++)
        scope_resolve(walk, &scope, update->from_clause[i], facts);
    stream_resolve(walk, &scope, target, update->from_clause, update->n_from_clause, update->where_clause);
    if (stream_is_assigned(walk, table, update->target_list, update->n_target_list))
        walk->out->unsettles = true;
    note_assignments(walk, &scope, table, update->target_list, update->n_target_list);
    walk_nested(walk, &update->base, &scope);
}

static void walk_delete(struct walk *walk, const PgQuery__DeleteStmt *delete, const struct scope *outer,
                        struct cte *ctes)
{
    struct scope scope = { .outer = outer, .ctes = ctes };
    const struct schema_table *table;
    struct source *target;
    struct fact *facts;

    walk_with(walk, &scope, delete->with_clause);
    target = add_target(walk, &scope, delete->relation, &table);
    for (size_t i = 0; i < delete->n_using_clause; i++)
        scope_add(walk, &scope, delete->using_clause[i]);
    facts = facts_of(walk, &scope, delete->where_clause, NULL);
    scope_resolve_source(walk, &scope, target, facts);
    for (size_t i = 0; i < delete->n_using_clause; i++)
        scope_resolve(walk, &scope, delete->using_clause[i], facts);
    stream_resolve(walk, &scope, target, delete->using_clause, delete->n_using_clause, delete->where_clause);
    if (table != NULL)
        walk->out->unsettles = true;
    walk_nested(walk, &delete->base, &scope);
}

/* One WHEN of a MERGE: the rows it inserts count like rows of an INSERT, what it sets like an UPDATE. */
static void walk_when(struct walk *walk, struct scope *scope, const struct schema_table *table,
                      const struct source *target, const PgQuery__MergeWhenClause *when)
{
    struct rows rows = { .position = SIZE_MAX, .listed = when->n_target_list > 0 }, ids;

    if (table == NULL || target->tenant_name == NULL)
        return;
    if (when->command_type == PG_QUERY__CMD_TYPE__CMD_UPDATE)
        note_assignments(walk, scope, table, when->target_list, when->n_target_list);
    if (when->command_type != PG_QUERY__CMD_TYPE__CMD_INSERT)
        return;
    find_columns(walk, table, when->target_list, when->n_target_list, &rows, &ids);
    note_row(walk, scope, when->values, when->n_values, false, &rows);
    if (rows.ids != NULL)
        note_row(walk, scope, when->values, when->n_values, false, &ids);
    if (rows.defaulted)
        rows.unseen = true; /* beside rows that are matched by tenant: too unlikely to follow */
    finish_rows(walk, &rows, walk_reference(walk));
}

/* The target's rows count only where ON matches; the source's all count, as in source LEFT JOIN target ON ….
 */
static void walk_merge(struct walk *walk, const PgQuery__MergeStmt *merge, const struct scope *outer,
                       struct cte *ctes)
{
    struct scope scope = { .outer = outer, .ctes = ctes };
    const struct schema_table *table;
    struct source *target;

    walk_with(walk, &scope, merge->with_clause);
    target = add_target(walk, &scope, merge->relation, &table);
    if (table != NULL)
        walk->out->unsettles = true;
    scope_add(walk, &scope, merge->source_relation);
    scope_resolve_source(walk, &scope, target, facts_of(walk, &scope, merge->join_condition, NULL));
    scope_resolve(walk, &scope, merge->source_relation, NULL);
    for (size_t i = 0; i < merge->n_merge_when_clauses && !walk->failed; i++)
        if (node_is(merge->merge_when_clauses[i], NODE(MERGE_WHEN_CLAUSE)))
            walk_when(walk, &scope, table, target, merge->merge_when_clauses[i]->merge_when_clause);
    walk_nested(walk, &merge->base, &scope);
}

/* FROM is nothing but tables that are declared, none of them a view, and joins of them. */
static bool is_of_tables(struct walk *walk, const PgQuery__Node *item)
{
    const struct schema_table *table;

    if (node_is(item, NODE(JOIN_EXPR)))
        return walk_spend(walk) && is_of_tables(walk, item->join_expr->larg) &&
               is_of_tables(walk, item->join_expr->rarg);
    if (!node_is(item, NODE(RANGE_VAR)))
        return false;
    table = scope_declared(walk, item->range_var);
    return table != NULL && !table->read_only &&
           (table->class == TABLE_EVENT || table->class == TABLE_COMPANION);
}

void walk_locks_returned(struct walk *walk, const PgQuery__Node *statement)
{
    const PgQuery__SelectStmt *select = node_is(statement, NODE(SELECT_STMT)) ? statement->select_stmt : NULL;

    if (select == NULL || select->n_locking_clause == 0 || select->n_from_clause == 0 ||
        select->limit_offset != NULL || select->into_clause != NULL || select->with_clause != NULL ||
        is_set_operation(select))
        return;
    walk->locks_returned = true;
    for (size_t i = 0; i < select->n_from_clause; i++)
        walk->locks_returned = walk->locks_returned && is_of_tables(walk, select->from_clause[i]);
}

bool walk_query(struct walk *walk, const PgQuery__Node *query, const struct scope *outer, struct cte *ctes)
{
    if (query == NULL || walk->failed)
        return false;
    switch (query->node_case) {
    case NODE(SELECT_STMT):
        walk_select(walk, query->select_stmt, outer, ctes, NULL);
        return true;
    case NODE(INSERT_STMT):
        walk_insert(walk, query->insert_stmt, outer, ctes);
        return true;
    case NODE(UPDATE_STMT):
        walk_update(walk, query->update_stmt, outer, ctes);
        return true;
    case NODE(DELETE_STMT):
        walk_delete(walk, query->delete_stmt, outer, ctes);
        return true;
    case NODE(MERGE_STMT):
        walk_merge(walk, query->merge_stmt, outer, ctes);
        return true;
    default:
        return false;
    }
}
