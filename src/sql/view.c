/* view.c - see view.h.
 * Thread: any (libpg_query's memory is per thread).   Start at: view_shows().
 *
 * What would let rows of other tenants change the rows of one: other tables and sub-selects, DISTINCT, GROUP
 * BY, LIMIT, window functions, set operations, functions that do not only compute. Columns computed from the
 * row itself, a WHERE on the row itself, and an order are harmless. */
#include "sql/view.h"

#include <stdlib.h>
#include <string.h>

#include <pg_query.h>

#include "sql/function.h"
#include "sql/tree.h"

struct findings {
    size_t tables, selects;
    const char *why;
};

static bool visit(const ProtobufCMessage *message, void *who)
{
    struct findings *findings = who;

    if (message->descriptor == &pg_query__range_var__descriptor)
        findings->tables++;
    else if (message->descriptor == &pg_query__select_stmt__descriptor)
        findings->selects++;
    else if (message->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)message;
        const char *schema;
        const char *name = name_of(call->funcname, call->n_funcname, &schema);

        if (call->over != NULL)
            findings->why = "it has a window function, which looks at other rows, too";
        else if (name == NULL || function_effect(schema, name) != FUNCTION_PURE)
            findings->why = "it calls a function that does more than compute";
    }
    return true;
}

static const char *judge(const PgQuery__SelectStmt *select)
{
    struct findings findings = { 0 };

    if (select->larg != NULL || select->rarg != NULL || select->n_values_lists > 0)
        return "it is a set operation";
    if (select->n_distinct_clause > 0 || select->n_group_clause > 0 || select->having_clause != NULL)
        return "it has DISTINCT, GROUP BY or HAVING";
    if (select->limit_count != NULL || select->limit_offset != NULL)
        return "it has LIMIT or OFFSET";
    if (select->n_from_clause != 1 || !node_is(select->from_clause[0], NODE(RANGE_VAR)))
        return "it is not made of one table";
    tree_each(&select->base, visit, &findings);
    if (findings.tables != 1 || findings.selects != 1)
        return "it has a sub-select, or more than one table";
    return findings.why;
}

static bool is_column(const PgQuery__Node *target, const char *column)
{
    const PgQuery__Node *value = node_is(target, NODE(RES_TARGET)) ? target->res_target->val : NULL;
    const char *schema;
    const char *name = node_is(value, NODE(COLUMN_REF))
                           ? name_of(value->column_ref->fields, value->column_ref->n_fields, &schema)
                           : NULL;

    return name != NULL && strcmp(name, column) == 0;
}

static bool find_column(const PgQuery__SelectStmt *select, const char *column, size_t *position,
                        const char **why)
{
    for (size_t i = 0; i < select->n_target_list; i++)
        if (is_column(select->target_list[i], column)) {
            *position = i;
            return true;
        }
    *why = "it does not show the tenant column as it is";
    return false;
}

bool view_shows(const char *definition, const char *tenant_column, size_t *position, const char **why)
{
    PgQueryProtobufParseResult result = pg_query_parse_protobuf(definition);
    PgQuery__ParseResult *tree = NULL;
    bool shows = false;

    *why = "its definition is not understood";
    if (result.error == NULL)
        tree = pg_query__parse_result__unpack(NULL, result.parse_tree.len,
                                              (const uint8_t *)result.parse_tree.data);
    if (tree != NULL && tree->n_stmts == 1 && node_is(tree->stmts[0]->stmt, NODE(SELECT_STMT))) {
        const PgQuery__SelectStmt *select = tree->stmts[0]->stmt->select_stmt;

        *why = judge(select);
        shows = *why == NULL && find_column(select, tenant_column, position, why);
    }
    if (tree != NULL)
        pg_query__parse_result__free_unpacked(tree, NULL);
    pg_query_free_protobuf_parse_result(result);
    return shows;
}
