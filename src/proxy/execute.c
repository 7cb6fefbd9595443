/* execute.c - see execute.h. */
#include "proxy/execute.h"

#include <string.h>

#include "proxy/planning.h"

/* A PREPARE of that name earlier in the same message: nothing of it is remembered yet. */
static const struct plan_statement *find_beside(const struct message *message, size_t index)
{
    const struct plan_statement *statements = message->plan->statements;

    for (size_t i = index; i-- > 0;)
        if (statements[i].kind == STATEMENT_PREPARE && statements[i].name != NULL &&
            strcmp(statements[i].name, statements[index].name) == 0)
            return &statements[i];
    return NULL;
}

static void resolve_execute(struct client *client, const struct message *message, size_t index,
                            struct running *running)
{
    const struct plan_statement *execute = &message->plan->statements[index], *inner;
    struct prepared *prepared = session_find(&client->session, slice_of(execute->name));
    bool sql = prepared == NULL || prepared->sql;

    running->own = execute_unknown(execute);
    running->statement = &running->own;
    if (prepared != NULL && !planning_refresh(client, prepared))
        return;
    inner = prepared == NULL ? find_beside(message, index) : &prepared->plan->statements[0];
    running->missing = inner == NULL;
    if (inner == NULL || (prepared != NULL && (prepared->doubt || prepared->plan->statement_count != 1)))
        return;
    if (!execute_read_arguments(execute, message->text, message->shape, sql ? inner->types : prepared->types,
                                sql ? inner->type_count : prepared->type_count, &client->arguments))
        return;
    running->own = execute_joined(execute, inner);
    if (prepared != NULL) {
        running->text = prepared->text;
        running->shape = &prepared->shape;
    }
    running->params = &client->arguments.params;
}

void execute_resolve(struct client *client, const struct message *message, size_t index,
                     struct running *running)
{
    const struct plan_statement *statement = &message->plan->statements[index];

    running->statement = statement;
    running->text = message->text;
    running->shape = message->shape;
    running->params = message->params;
    running->missing = false;
    if (statement->kind == STATEMENT_EXECUTE && statement->name != NULL) {
        resolve_execute(client, message, index, running);
    } else if (message->runs_prepare) {
        running->own = *statement;
        running->own.kind = STATEMENT_PLAIN;
        running->statement = &running->own;
    }
}
