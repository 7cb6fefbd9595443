/* utility.c - every statement that is not a query: transactions, cursors, COPY, locks, definitions.
 * Owns:   kinds, and the class of what has no grammar of rows.
 * Leaves: queries inside (EXPLAIN, PREPARE, DECLARE, COPY (…), CREATE TABLE AS) to query.c, SET to setting.c.
 * Thread: the planner's.   Start at: walk_utility(). */
#include "sql/walk.h"

#include <stdlib.h>
#include <string.h>

#include "sql/call.h"
#include "sql/copy_plan.h"
#include "sql/setting.h"

enum { CURSOR_OPTION_HOLD = 0x20 }; /* CURSOR_OPT_HOLD of PostgreSQL */

char *walk_copy(struct walk *walk, const char *text)
{
    char *copy;

    if (text == NULL || text[0] == '\0')
        return NULL;
    copy = strdup(text);
    walk->failed = walk->failed || copy == NULL;
    return copy;
}

static void on_transaction(struct walk *walk, const PgQuery__TransactionStmt *transaction)
{
    static const enum statement_kind kinds[] = {
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_BEGIN] = STATEMENT_BEGIN,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_START] = STATEMENT_BEGIN,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT] = STATEMENT_COMMIT,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK] = STATEMENT_ROLLBACK,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_SAVEPOINT] = STATEMENT_SAVEPOINT,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_RELEASE] = STATEMENT_RELEASE,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_TO] = STATEMENT_ROLLBACK_TO,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_PREPARE] = STATEMENT_PREPARE_TRANSACTION,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_COMMIT_PREPARED] = STATEMENT_COMMIT_PREPARED,
        [PG_QUERY__TRANSACTION_STMT_KIND__TRANS_STMT_ROLLBACK_PREPARED] = STATEMENT_ROLLBACK_PREPARED,
    };
    struct plan_statement *out = walk->out;

    if ((size_t)transaction->kind < sizeof kinds / sizeof kinds[0])
        out->kind = kinds[transaction->kind];
    out->and_chain = transaction->chain;
    out->isolation = setting_isolation(transaction->options, transaction->n_options);
    out->name = walk_copy(walk, transaction->gid[0] != '\0' ? transaction->gid : transaction->savepoint_name);
}

static bool is_tenant_listed(const struct schema_table *table, const PgQuery__CopyStmt *copy)
{
    for (size_t i = 0; i < copy->n_attlist; i++) {
        const char *name = node_text(copy->attlist[i]);

        if (name != NULL && strcmp(name, table->columns[table->tenant_column].name) == 0)
            return true;
    }
    return copy->n_attlist == 0;
}

/* The rows are not in the statement; without the tenant's column they have its default. */
static void on_copy_table(struct walk *walk, const PgQuery__CopyStmt *copy)
{
    struct scope scope = { 0 };
    struct source *source = scope_add_table(walk, &scope, copy->relation, true);
    const struct schema_table *table = scope_declared(walk, copy->relation);

    if (source != NULL && source->reference != NULL && copy->is_from &&
        (source->tenant_name == NULL || is_tenant_listed(table, copy)))
        walk->out->rows_unseen = true;
    if (copy->is_from && table != NULL && table->read_only)
        walk->unclear = true; /* rules and triggers of a view may do anything */
    else if (walk->out->rows_unseen && source->tenant_name != NULL)
        copy_plan_rows(walk, copy, table);
    walk_expression(walk, copy->where_clause, &scope);
}

static void on_copy(struct walk *walk, const PgQuery__CopyStmt *copy)
{
    if (copy->is_from)
        walk->writes = true;
    if (copy->relation != NULL)
        on_copy_table(walk, copy);
    else if (!walk_query(walk, copy->query, NULL, NULL))
        walk->unclear = true;
    if (copy->filename[0] == '\0' && !copy->is_program)
        walk->out->kind = copy->is_from ? STATEMENT_COPY_IN : STATEMENT_COPY_OUT;
}

static void walk_inner(struct walk *walk, const PgQuery__Node *query)
{
    if (query == NULL || (!walk_query(walk, query, NULL, NULL) && !walk_utility(walk, query)))
        walk->unclear = true;
}

/* ANALYZE may say (ANALYZE off), whose word the shape need not keep: it counts as on. */
static bool explain_runs(const PgQuery__ExplainStmt *explain)
{
    for (size_t i = 0; i < explain->n_options; i++)
        if (node_is(explain->options[i], NODE(DEF_ELEM)) &&
            strcmp(explain->options[i]->def_elem->defname, "analyze") == 0)
            return true;
    return false;
}

static void on_explain(struct walk *walk, const PgQuery__ExplainStmt *explain)
{
    struct plan_statement *out = walk->out;

    walk_inner(walk, explain->query);
    if (out->kind != STATEMENT_EXECUTE) {
        out->kind = STATEMENT_PLAIN;
        free(out->name);
        out->name = NULL;
    }
    if (explain_runs(explain))
        return;
    walk->reads = true;
    walk->writes = walk->calls_writer = walk->stays = false;
    walk->set_count = 0;
    walk->locking = 0;
    out->locks = out->advisory = out->snapshot = out->temporary = out->shadows = out->ddl = out->with_hold =
        false;
    out->keeps = NULL;
}

static void read_types(struct walk *walk, const PgQuery__PrepareStmt *prepare)
{
    struct plan_statement *out = walk->out;

    out->types = calloc(prepare->n_argtypes + 1, sizeof *out->types);
    if (out->types == NULL) {
        walk->failed = true;
        return;
    }
    out->type_count = prepare->n_argtypes;
    for (size_t i = 0; i < prepare->n_argtypes; i++) {
        const PgQuery__Node *type = prepare->argtypes[i];

        out->types[i] = node_is(type, NODE(TYPE_NAME)) ? type_named(type->type_name, false) : 0;
        if (out->types[i] == 0) /* named, and not one that is understood */
            out->types[i] = PLAN_TYPE_OTHER;
    }
}

static void on_prepare(struct walk *walk, const PgQuery__PrepareStmt *prepare)
{
    walk->out->kind = STATEMENT_PREPARE;
    walk->out->name = walk_copy(walk, prepare->name);
    read_types(walk, prepare);
    walk_inner(walk, prepare->query);
}

/* A literal, cast once or not at all: a second cast might change what the first one has made of it. */
static struct plan_argument read_argument(struct walk *walk, const PgQuery__Node *node)
{
    struct plan_argument argument = { .slot = -1 };
    bool cast = node_is(node, NODE(TYPE_CAST));

    if (cast) {
        argument.cast_oid = type_named(node->type_cast->type_name, false);
        node = node->type_cast->arg;
    }
    if (!node_is(node, NODE(A_CONST)) || (cast && argument.cast_oid == 0))
        return argument;
    argument.null = node->a_const->isnull;
    if (!argument.null)
        argument.slot = shape_slot(walk->shape, node->a_const->location); /* -5 stands at its sign: no slot */
    return argument;
}

static void on_execute(struct walk *walk, const PgQuery__ExecuteStmt *execute)
{
    struct plan_statement *out = walk->out;
    struct scope scope = { 0 };

    out->kind = STATEMENT_EXECUTE;
    out->name = walk_copy(walk, execute->name);
    out->arguments = calloc(execute->n_params + 1, sizeof *out->arguments);
    if (out->arguments == NULL) {
        walk->failed = true;
        return;
    }
    out->argument_count = execute->n_params;
    for (size_t i = 0; i < execute->n_params; i++) {
        out->arguments[i] = read_argument(walk, execute->params[i]);
        walk_expression(walk, execute->params[i], &scope);
    }
}

static void on_declare(struct walk *walk, const PgQuery__DeclareCursorStmt *declare)
{
    walk->out->kind = STATEMENT_DECLARE;
    walk->out->name = walk_copy(walk, declare->portalname);
    walk->out->with_hold = (declare->options & CURSOR_OPTION_HOLD) != 0;
    if (walk->out->with_hold)
        walk->out->keeps = "a cursor WITH HOLD";
    walk_inner(walk, declare->query);
}

static void on_named(struct walk *walk, enum statement_kind kind, const char *name)
{
    walk->out->kind = kind;
    walk->out->name = walk_copy(walk, name);
}

/* LOCK TABLE says no tenant: it belongs to the transaction's. TRUNCATE is about everybody. */
static void on_relations(struct walk *walk, PgQuery__Node *const *relations, size_t count, bool truncate)
{
    struct scope scope = { 0 };

    walk->writes = true;
    walk->out->locks = walk->out->locks || !truncate;
    for (size_t i = 0; i < count; i++)
        if (node_is(relations[i], NODE(RANGE_VAR))) {
            struct source *source = scope_add_table(walk, &scope, relations[i]->range_var, true);

            if (truncate && source != NULL && source->reference != NULL)
                walk->unclear = walk->out->unsettles = true;
        }
}

/* A definition on a declared table is about every tenant in it. */
static bool on_defined(const ProtobufCMessage *message, void *who)
{
    struct walk *walk = who;

    if (message->descriptor == &pg_query__range_var__descriptor) {
        const struct schema_table *table = walk_table(walk, (const PgQuery__RangeVar *)message, NULL);

        walk->unclear = walk->unclear || table != NULL;
    }
    return message->descriptor != &pg_query__select_stmt__descriptor &&
           message->descriptor != &pg_query__constraint__descriptor;
}

static bool on_dropped(const ProtobufCMessage *message, void *who)
{
    struct walk *walk = who;
    const PgQuery__String *name = (const PgQuery__String *)message;

    if (message->descriptor == &pg_query__string__descriptor) {
        const PgQuery__RangeVar range = { .base = PROTOBUF_C_MESSAGE_INIT(&pg_query__range_var__descriptor),
                                          .schemaname = (char[]){ "" },
                                          .relname = name->sval };

        /* DROP TABLE a.b, DROP TRIGGER x ON a.b: any part may be the table */
        if (schema_find(walk->context->schema, "", name->sval) != NULL)
            walk->unclear = walk_table(walk, &range, NULL) != NULL || walk->unclear;
        else
            buf_append(&walk->defaults, name->sval, strlen(name->sval) + 1);
    }
    return true;
}

static void on_definition(struct walk *walk, const PgQuery__Node *statement)
{
    walk->writes = true;
    walk->out->ddl = true;
    switch (statement->node_case) {
    case NODE(CREATE_STMT):
        call_note_created(walk, statement->create_stmt->relation,
                          statement->create_stmt->oncommit == PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP);
        for (size_t i = 0; i < statement->create_stmt->n_inh_relations; i++)
            tree_each(&statement->create_stmt->inh_relations[i]->base, on_defined, walk);
        break;
    case NODE(CREATE_TABLE_AS_STMT):
        call_note_created(walk, statement->create_table_as_stmt->into->rel,
                          statement->create_table_as_stmt->into->on_commit ==
                              PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_DROP);
        walk_inner(walk, statement->create_table_as_stmt->query);
        break;
    case NODE(VIEW_STMT):
        call_note_created(walk, statement->view_stmt->view, false);
        break;
    case NODE(CREATE_SEQ_STMT):
        call_note_created(walk, statement->create_seq_stmt->sequence, false);
        break;
    case NODE(DROP_STMT):
        walk->out->drops = true;
        tree_each(&statement->base, on_dropped, walk);
        break;
    default:
        tree_each(&statement->base, on_defined, walk);
        break;
    }
}

static void on_calls(struct walk *walk, const PgQuery__Node *statement)
{
    struct scope scope = { 0 };

    if (node_is(statement, NODE(LOAD_STMT)))
        walk->out->keeps = "a library";

    if (!node_is(statement, NODE(CALL_STMT)) || statement->call_stmt->funccall == NULL ||
        !call_is_declared(walk, statement->call_stmt->funccall))
        walk->out->tables |= TABLES_DEFAULT;
    walk->writes = true;
    walk_expression(walk, statement, &scope);
}

/* Nobody parses the body: one that names a declared table may write any tenant's rows, another none's. */
static void on_do(struct walk *walk, const PgQuery__DoStmt *statement)
{
    walk->writes = true;
    walk->out->tables |= TABLES_DEFAULT;
    for (size_t i = 0; i < statement->n_args; i++) {
        const PgQuery__DefElem *element =
            node_is(statement->args[i], NODE(DEF_ELEM)) ? statement->args[i]->def_elem : NULL;
        const char *body =
            element == NULL || strcmp(element->defname, "as") != 0 ? NULL : node_text(element->arg);

        if (body != NULL && schema_is_mentioned(walk->context->schema, slice_of(body))) {
            walk->out->tables |= TABLES_EVENT;
            walk->unclear = true;
        }
    }
}

bool walk_utility(struct walk *walk, const PgQuery__Node *statement)
{
    struct plan_statement *out = walk->out;

    switch (statement->node_case) {
    case NODE(SELECT_STMT):
    case NODE(INSERT_STMT):
    case NODE(UPDATE_STMT):
    case NODE(DELETE_STMT):
    case NODE(MERGE_STMT):
        return false;
    case NODE(TRANSACTION_STMT):
        on_transaction(walk, statement->transaction_stmt);
        break;
    case NODE(VARIABLE_SET_STMT):
        walk_set(walk, statement->variable_set_stmt);
        break;
    case NODE(VARIABLE_SHOW_STMT):
        break;
    case NODE(CONSTRAINTS_SET_STMT):
    case NODE(NOTIFY_STMT): /* it changes something where it runs: that server cannot be left silently */
        walk->stays = true;
        break;
    case NODE(DISCARD_STMT):
        if (statement->discard_stmt->target == PG_QUERY__DISCARD_MODE__DISCARD_ALL)
            out->kind = STATEMENT_DISCARD_ALL;
        break;
    case NODE(PREPARE_STMT):
        on_prepare(walk, statement->prepare_stmt);
        break;
    case NODE(EXECUTE_STMT):
        on_execute(walk, statement->execute_stmt);
        break;
    case NODE(DEALLOCATE_STMT):
        on_named(walk, STATEMENT_DEALLOCATE, statement->deallocate_stmt->name);
        break;
    case NODE(DECLARE_CURSOR_STMT):
        on_declare(walk, statement->declare_cursor_stmt);
        break;
    case NODE(FETCH_STMT):
        on_named(walk, STATEMENT_FETCH, statement->fetch_stmt->portalname);
        break;
    case NODE(CLOSE_PORTAL_STMT):
        on_named(walk, STATEMENT_FETCH, statement->close_portal_stmt->portalname);
        out->closes = true;
        break;
    case NODE(LISTEN_STMT):
        on_named(walk, STATEMENT_LISTEN, statement->listen_stmt->conditionname);
        out->keeps = "LISTEN";
        break;
    case NODE(UNLISTEN_STMT):
        on_named(walk, STATEMENT_UNLISTEN, statement->unlisten_stmt->conditionname);
        break;
    case NODE(COPY_STMT):
        on_copy(walk, statement->copy_stmt);
        break;
    case NODE(EXPLAIN_STMT):
        on_explain(walk, statement->explain_stmt);
        break;
    case NODE(LOCK_STMT):
        on_relations(walk, statement->lock_stmt->relations, statement->lock_stmt->n_relations, false);
        break;
    case NODE(TRUNCATE_STMT):
        on_relations(walk, statement->truncate_stmt->relations, statement->truncate_stmt->n_relations, true);
        break;
    case NODE(DO_STMT):
        on_do(walk, statement->do_stmt);
        break;
    case NODE(CALL_STMT):
    case NODE(VACUUM_STMT):
    case NODE(CLUSTER_STMT):
    case NODE(REINDEX_STMT):
    case NODE(REFRESH_MAT_VIEW_STMT):
    case NODE(CHECK_POINT_STMT):
    case NODE(LOAD_STMT): /* what they touch is their own affair, at the default store */
        on_calls(walk, statement);
        break;
    default:
        on_definition(walk, statement);
        break;
    }
    return true;
}
