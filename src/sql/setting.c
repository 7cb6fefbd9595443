/* setting.c - SET, RESET and set_config(): which setting, and where its value stands.
 * Leaves: reading the value to attribute_set_value().
 * Thread: the planner's.   Start at: walk_set(), walk_set_config(). */
#include "sql/setting.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "sql/quote.h"

char setting_isolation(PgQuery__Node *const *options, size_t count)
{
    char isolation = '\0';

    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *option = node_is(options[i], NODE(DEF_ELEM)) ? options[i]->def_elem : NULL;
        const char *level;

        if (option == NULL || strcmp(option->defname, "transaction_isolation") != 0 ||
            !node_is(option->arg, NODE(A_CONST)) ||
            option->arg->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
            continue;
        level = option->arg->a_const->sval->sval;
        isolation = level[0] == 's' ? 's' : strcmp(level, "repeatable read") == 0 ? 'r' : 'c';
    }
    return isolation;
}

static char *copy_lower(struct walk *walk, const char *text)
{
    char *copy = walk_copy(walk, text);

    for (char *c = copy; c != NULL && *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

/* SET x TO a, b: the list as the server would keep it. Nothing, where a part of it is a hole. */
static void read_list(struct walk *walk, const PgQuery__VariableSetStmt *set)
{
    struct buf value;
    bool fine = true;

    buf_init(&value);
    for (size_t i = 0; i < set->n_args && fine; i++) {
        const PgQuery__AConst *constant = node_is(set->args[i], NODE(A_CONST)) ? set->args[i]->a_const : NULL;

        fine = constant != NULL && constant->val_case == PG_QUERY__A__CONST__VAL_SVAL &&
               shape_slot(walk->shape, constant->location) < 0;
        if (fine && i > 0)
            buf_append_text(&value, ", ");
        if (fine && walk->out->value_is_element)
            quote_identifier(&value, constant->sval->sval);
        else if (fine)
            buf_append_text(&value, constant->sval->sval);
    }
    if (fine)
        walk->out->value = walk_copy(walk, buf_text(&value));
    walk->failed = walk->failed || buf_failed(&value);
    buf_done(&value);
}

static void read_value(struct walk *walk, const PgQuery__VariableSetStmt *set)
{
    const PgQuery__Node *only = set->n_args == 1 ? set->args[0] : NULL;

    if (node_is(only, NODE(A_CONST)))
        walk->out->value_slot = shape_slot(walk->shape, only->a_const->location);
    else if (node_is(only, NODE(PARAM_REF)))
        walk->out->value_slot = shape_slot(walk->shape, only->param_ref->location);
    if (walk->out->value_slot < 0)
        read_list(walk, set);
}

static void set_several(struct walk *walk, const PgQuery__VariableSetStmt *set)
{
    struct plan_statement *out = walk->out;

    out->isolation = setting_isolation(set->args, set->n_args);
    out->snapshot = strcmp(set->name, "TRANSACTION SNAPSHOT") == 0;
    out->kind = STATEMENT_SET_TRANSACTION;
    if (strcmp(set->name, "SESSION CHARACTERISTICS") == 0) {
        out->kind = STATEMENT_SET;
        out->name = copy_lower(walk, set->name);
    }
}

void walk_set(struct walk *walk, const PgQuery__VariableSetStmt *set)
{
    struct plan_statement *out = walk->out;

    if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI) {
        set_several(walk, set);
        return;
    }
    if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL) {
        out->kind = STATEMENT_RESET_ALL;
        return;
    }
    out->name = copy_lower(walk, set->name);
    out->value_is_element = out->name != NULL && strcmp(out->name, "search_path") == 0;
    if (set->is_local)
        out->kind = STATEMENT_SET_LOCAL; /* SET LOCAL x TO DEFAULT: a value that is not read */
    else if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE ||
             set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_CURRENT)
        out->kind = STATEMENT_SET;
    else
        out->kind = STATEMENT_RESET;
    if (set->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_VALUE)
        read_value(walk, set);
}

static const PgQuery__Node *without_casts(const PgQuery__Node *node)
{
    while (node_is(node, NODE(TYPE_CAST)))
        node = node->type_cast->arg;
    return node;
}

/* The name given to set_config(), which the shape keeps. NULL: it is no plain literal. */
static const char *config_name(struct walk *walk, const PgQuery__FuncCall *call)
{
    const PgQuery__Node *node = call->n_args == 3 ? without_casts(call->args[0]) : NULL;

    if (!node_is(node, NODE(A_CONST)) || node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL ||
        shape_slot(walk->shape, node->a_const->location) >= 0)
        return NULL;
    return node->a_const->sval->sval;
}

/* Does the statement run this call once, whatever rows there are? SELECT set_config(…), SELECT … FROM
 * set_config(…) */
static bool runs_once(const PgQuery__Node *statement, const PgQuery__FuncCall *call)
{
    const PgQuery__SelectStmt *select = node_is(statement, NODE(SELECT_STMT)) ? statement->select_stmt : NULL;

    if (select == NULL || select->where_clause != NULL || select->larg != NULL ||
        select->limit_count != NULL || select->limit_offset != NULL || select->having_clause != NULL ||
        select->n_values_lists > 0 || select->n_from_clause > 1)
        return false;
    if (select->n_from_clause == 1) {
        const PgQuery__Node *from = select->from_clause[0];
        const PgQuery__Node *only =
            node_is(from, NODE(RANGE_FUNCTION)) && from->range_function->n_functions == 1
                ? from->range_function->functions[0]
                : NULL;

        return node_is(only, NODE(LIST)) && only->list->n_items > 0 &&
               node_is(only->list->items[0], NODE(FUNC_CALL)) && only->list->items[0]->func_call == call;
    }
    for (size_t i = 0; i < select->n_target_list; i++) {
        const PgQuery__Node *target = select->target_list[i];
        const PgQuery__Node *value =
            node_is(target, NODE(RES_TARGET)) ? without_casts(target->res_target->val) : NULL;

        if (node_is(value, NODE(FUNC_CALL)) && value->func_call == call)
            return true;
    }
    return false;
}

/* A value's slot, through casts to text only. */
static int64_t text_slot(struct walk *walk, const PgQuery__Node *node)
{
    struct restriction evidence = { 0 };

    return constant_of(walk, node, SETTING_TYPE, 0, &evidence) && evidence.slots != NULL
               ? (int64_t)evidence.slots->ref.slot
               : -1;
}

/* The call that matters: the one of the tenant setting; else one that may be it; else the first. */
static const PgQuery__FuncCall *choose_call(struct walk *walk, size_t *same)
{
    const PgQuery__FuncCall *chosen = walk->sets[0];
    bool hidden = false;

    *same = 0;
    for (size_t i = 0; i < walk->set_count && i < sizeof walk->sets / sizeof walk->sets[0]; i++) {
        const char *name = config_name(walk, walk->sets[i]);

        if (name == NULL) {
            hidden = true;
            chosen = *same > 0 ? chosen : walk->sets[i];
        } else if (walk->tenant_setting != NULL && strcasecmp(name, walk->tenant_setting) == 0) {
            chosen = walk->sets[i];
            ++*same;
        }
    }
    if (hidden || walk->set_count > sizeof walk->sets / sizeof walk->sets[0])
        *same = 2; /* another call may change it too */
    return chosen;
}

void walk_set_config(struct walk *walk, const PgQuery__Node *statement)
{
    struct plan_statement *out = walk->out;
    const PgQuery__FuncCall *call;
    const PgQuery__Node *local;
    size_t same;

    if (walk->set_count == 0)
        return;
    if (out->kind != STATEMENT_PLAIN) { /* PREPARE, DECLARE, COPY (SELECT set_config(…)) */
        out->sets = true;
        return;
    }
    call = choose_call(walk, &same);
    local = call->n_args == 3 ? without_casts(call->args[2]) : NULL;
    out->kind = STATEMENT_SET;
    out->name = copy_lower(walk, config_name(walk, call));
    out->local_unknown =
        !node_is(local, NODE(A_CONST)) || local->a_const->val_case != PG_QUERY__A__CONST__VAL_BOOLVAL;
    if (!out->local_unknown && local->a_const->boolval->boolval)
        out->kind = STATEMENT_SET_LOCAL;
    if (same <= 1 && call->n_args == 3 && runs_once(statement, call))
        out->value_slot = text_slot(walk, call->args[1]);
}
