/* execute.c - see execute.h. */
#include "proxy/execute.h"

static void resolve_execute(struct client *client, const struct message *message,
                            const struct plan_statement *execute, struct running *running)
{
    const struct prepared *prepared =
        execute->name == NULL ? NULL : session_find(&client->session, slice_of(execute->name));
    const struct plan_statement *inner;

    running->own = execute_unknown(execute);
    running->statement = &running->own;
    if (prepared == NULL || prepared->doubt || prepared->plan->statement_count != 1)
        return;
    inner = &prepared->plan->statements[0];
    if (!execute_read_arguments(execute, message->text, message->shape,
                                prepared->sql ? inner->types : prepared->types,
                                prepared->sql ? inner->type_count : prepared->type_count, &client->arguments))
        return;
    running->own = execute_joined(execute, inner);
    running->text = prepared->text;
    running->shape = &prepared->shape;
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
    if (statement->kind == STATEMENT_EXECUTE) {
        resolve_execute(client, message, statement, running);
    } else if (message->runs_prepare) {
        running->own = *statement;
        running->own.kind = STATEMENT_PLAIN;
        running->statement = &running->own;
    }
}
