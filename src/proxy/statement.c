/* statement.c - see statement.h: forwarding, refusing, and the messages of the simple protocol. Those of the
 * extended one are in extended.c. */
#include "proxy/statement.h"

#include <string.h>

#include "proxy/extended.h"
#include "proxy/book.h"
#include "proxy/branches.h"
#include "proxy/copy_open.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/planning.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/twophase.h"
#include "wire/write.h"

/* ---- forwarding ---- */

/* What has been added last has so many statements. */
static void count_statements(struct client *client, struct server *server, size_t count)
{
    struct request *last = owed_last(server);

    client->session.journal.said += count;
    if (last != NULL && !last->silent)
        last->statements = count;
}

static bool owe(struct client *client, struct server *server, char owed, uint64_t serial)
{
    if (owed != 0) {
        if (!owed_add(server, owed, false, serial)) {
            struct error err;

            error_no_memory(&err);
            server_break(server, &err);
            return false;
        }
        client->answering = (int)server->store->index;
    }
    if (owed == 'Q' || owed == 'E' || owed == 'F')
        count_statements(client, server, owed == 'Q' ? client->saying : 1);
    if (owed == 'Q' || owed == 'S' || owed == 'F')
        client_asks_ready(client);
    return true;
}

static void consume(struct client *client, struct server *server, const struct msg *header, size_t count)
{
    buf_consume(&client->stream.in, count);
    client->passing_bytes = header->total_bytes - count;
    client->passing_to = (int)server->store->index;
}

void statement_forward(struct client *client, struct server *server, const struct msg *header, char owed,
                       uint64_t serial)
{
    size_t held = buf_bytes(&client->stream.in);
    size_t count = held < header->total_bytes ? held : header->total_bytes;

    if (!owe(client, server, owed, serial))
        return;
    stream_send(&server->stream, buf_at(&client->stream.in), count);
    consume(client, server, header, count);
}

void statement_forward_as(struct client *client, struct server *server, const struct msg *header, char owed,
                          uint64_t serial, struct slice old, const char *name)
{
    size_t held = buf_bytes(&client->stream.in), name_bytes = strlen(name);
    size_t count = held < header->total_bytes ? held : header->total_bytes;
    const char *at = buf_at(&client->stream.in), *behind = old.at + old.bytes;
    struct buf *out = stream_out(&server->stream);

    if (!owe(client, server, owed, serial))
        return;
    buf_append(out, at, 1);
    write_u32(out, (uint32_t)(header->total_bytes - 1 - old.bytes + name_bytes));
    buf_append(out, at + MSG_HEADER_BYTES, (size_t)(old.at - at) - MSG_HEADER_BYTES);
    buf_append(out, name, name_bytes);
    buf_append(out, behind, (size_t)(at + count - behind));
    consume(client, server, header, count);
}

void statement_note_end(struct server *server)
{
    struct request *last = owed_last(server);

    if (last != NULL)
        last->ends = true;
}

void statement_note_look(struct server *server, uint64_t look)
{
    struct request *last = owed_last(server);

    if (last != NULL && !last->silent)
        last->look = look;
}

/* Throws the message away, also what of it has not come yet. */
void statement_swallow(struct client *client, const struct msg *header)
{
    size_t held = buf_bytes(&client->stream.in);
    size_t count = held < header->total_bytes ? held : header->total_bytes;

    buf_consume(&client->stream.in, count);
    client->passing_bytes = header->total_bytes - count;
    client->passing_to = -1;
}

/* ---- refusals ---- */

/* The branch's own ReadyForQuery says how things stand now. */
static void refused_ready(struct client *client, struct server *server)
{
    if (!client->txn.open)
        branches_abandon(client, (int)server->store->index);
    server_say_sync(server, false);
    client_asks_ready(client);
    client->answering = (int)server->store->index;
    if (!client->txn.open)
        txn_reset(&client->txn);
}

void statement_say_refusal(struct client *client, bool simple, const struct error *err)
{
    struct server *server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];
    struct buf answer;

    stats_add(client->loop->stats, STAT_REFUSED, 1);
    twophase_forget(client);
    finder_forget(client);
    log_error(client->loop->shared->log, LOG_INFO, "proxy", err, "refused a statement of user \"%s\"",
              client->user);
    buf_init(&answer);
    write_error(&answer, "ERROR", err);
    if (server != NULL && server->state != SERVER_READY)
        server = NULL;
    if (server == NULL && client->txn.open)
        client->txn.failed = true;
    if (server == NULL && simple) {
        local_ready(client, &answer, true);
        return;
    }
    client_say(client, &answer, 0, true);
    if (server != NULL)
        server_say_fail(server, err->message);
    if (simple)
        refused_ready(client, server);
    else
        client->skip_to_sync = true;
}

void statement_refuse(struct client *client, const struct msg *header, bool simple, const struct error *err)
{
    statement_swallow(client, header);
    statement_say_refusal(client, simple, err);
}

/* A transaction that failed before it had a branch: PostgreSQL's words, ours to say. */
static bool refuse_failed(struct client *client, const struct msg *header, const struct plan *plan,
                          bool simple)
{
    struct error err;

    if (!client->txn.failed || local_answers(client, plan))
        return false;
    local_failed(client, plan, &err);
    statement_refuse(client, header, simple, &err);
    return true;
}

/* ---- simple protocol ---- */

static void answer_local_query(struct client *client, const struct msg *header, const struct plan *plan,
                               struct slice text)
{
    struct buf answer;
    bool done;

    buf_init(&answer);
    done = local_run(client, &plan->statements[0], text, &answer);
    statement_swallow(client, header);
    local_ready(client, &answer, !done);
    if (!client->txn.open)
        txn_reset(&client->txn);
}

/* Which statement the message prepares, if that is all it does: an error then says that it does not exist. */
static uint64_t prepares(const struct client *client, const struct message *message)
{
    const struct plan *plan = message->plan;
    const struct prepared *prepared;

    if (plan == NULL || plan->statement_count != 1 || plan->statements[0].kind != STATEMENT_PREPARE)
        return 0;
    prepared = session_find(&client->session, slice_of(plan->statements[0].name));
    return prepared == NULL ? 0 : prepared->serial;
}

/* Before a Query is sent. */
static void book_query(struct client *client, const struct message *message, struct server *server)
{
    book_make_executed(client, message, server);
    book_message(client, message, server);
    session_forget(&client->session, slice_of("")); /* a simple Query drops the unnamed statement */
    server->made.unnamed_serial = 0;
    server->pipeline = false;
    if (!client->txn.open && client->txn.branch_count > 1) /* a Query ends a pipeline like a Sync */
    {
        branches_note_settings(client);
        branches_sync_quietly(client, (int)server->store->index);
    }
    client->saying = message->plan != NULL && message->plan->parsed ? message->plan->statement_count : 1;
}

static void forward_query(struct client *client, const struct msg *header, const struct message *message,
                          struct server *server)
{
    bool ends = (client->place.ends && client->txn.open) || client->place.finishes;

    book_query(client, message, server);
    statement_forward(client, server, header, 'Q', prepares(client, message));
    statement_note_look(server, client->look);
    if (ends)
        statement_note_end(server);
    if (!client->txn.open)
        txn_reset(&client->txn);
}

void statement_say_query(struct client *client, const struct message *message, struct server *server)
{
    book_query(client, message, server);
    write_query(stream_out(&server->stream), message->text);
    owe(client, server, 'Q', 0);
    if (!client->txn.open)
        txn_reset(&client->txn);
}

/* One with COPYs whose rows must be read. */
static void forward_copy(struct client *client, const struct msg *header, const struct message *message,
                         struct server *server)
{
    struct error err;

    if (!copy_open_fits(client, message->plan, server, &err)) {
        statement_refuse(client, header, true, &err);
        return;
    }
    if (!copying_begin(client, message, NULL)) {
        error_no_memory(&err);
        statement_refuse(client, header, true, &err);
        return;
    }
    client->copying->ask = arrive_gate_ask(client, &client->place);
    forward_query(client, header, message, server);
    copying_sent(client, server);
}

static bool defer_copy(struct client *client, const struct msg *header, const struct message *message)
{
    struct error err;

    statement_swallow(client, header);
    if (copy_open_defer(client, message, NULL))
        return true;
    error_no_memory(&err);
    statement_say_refusal(client, true, &err);
    return true;
}

static bool run_query(struct client *client, const struct msg *header, struct message *message)
{
    struct server *server;
    struct error err;

    if (local_answers(client, message->plan)) {
        answer_local_query(client, header, message->plan, message->text);
        return true;
    }
    if (refuse_failed(client, header, message->plan, true))
        return true;
    if (copy_open_waits(client, message))
        return defer_copy(client, header, message);
    message->rows_are_read = copying_can_read(client, message);
    switch (arrive_at(client, message, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        statement_refuse(client, header, true, &err);
        return true;
    case ARRIVED:
        break;
    }
    if (message->rows_are_read && copying_must_read(client))
        forward_copy(client, header, message, server);
    else
        forward_query(client, header, message, server);
    return true;
}

static bool on_query(struct client *client, const struct msg *header)
{
    struct message message = { .shape = &client->shape, .simple = true };
    struct msg msg = *header;
    struct error err;
    bool done;

    if (header->total_bytes <= ATTRIBUTE_BYTES_MAX) {
        if (msg_next(&client->stream.in, &msg, &err) != WIRE_MSG)
            return false;
        if (msg.body_bytes == 0 || memchr(msg.body, '\0', msg.body_bytes) != msg.body + msg.body_bytes - 1) {
            error_set(&err, "08P01", "invalid string in message");
            client_fail(client, &err);
            return false;
        }
        message.text = (struct slice){ msg.body, msg.body_bytes - 1 };
        if (!planning_plan(client, message.text, &message.plan)) {
            error_no_memory(&err);
            statement_refuse(client, header, true, &err);
            return true;
        }
    }
    done = run_query(client, &msg, &message);
    plan_give(message.plan);
    return done;
}

/* ---- the rest ---- */

/* Copy data and function calls go where the statement went; without a server they have lost their meaning. */
static bool on_data(struct client *client, const struct msg *header)
{
    struct server *server = client->last_store < 0 ? NULL : client->servers[client->last_store];

    if (server == NULL || server->state != SERVER_READY) {
        statement_swallow(client, header);
        return true;
    }
    if (header->type != FE_COPY_DATA) {
        server->copy_in = false;
        if (!server_is_quiet(server))
            owed_add(server, REQUEST_MARK, true, 0);
    }
    statement_forward(client, server, header, 0, 0);
    return true;
}

static bool on_function_call(struct client *client, const struct msg *header)
{
    struct message message = { .simple = true, .call = true };
    struct server *server;
    struct error err;

    switch (arrive_at(client, &message, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        statement_refuse(client, header, true, &err);
        return true;
    case ARRIVED:
        break;
    }
    book_message(client, &message, server);
    statement_forward(client, server, header, 'F', 0);
    if (!client->txn.open)
        txn_reset(&client->txn);
    return true;
}

/* After an error in extended protocol everything until Sync is ignored: by the server, so it need not be sent
 * and must not be remembered; or by us, who refused. */
static bool is_skipping(const struct client *client)
{
    const struct server *server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];

    return client->skip_to_sync || (server != NULL && server->skipping);
}

bool statement_message(struct client *client, const struct msg *header)
{
    bool result;

    if (copying_is_deferred(client) && is_skipping(client)) /* what stood before it has failed */
        copying_end(client);
    if (header->type != FE_SYNC && header->type != FE_TERMINATE && is_skipping(client)) {
        client->refused = false;
        finder_forget(client);
        statement_swallow(client, header);
        return true;
    }
    if (copying_message(client, header, &result))
        return result;
    switch (header->type) {
    case FE_QUERY:
        return on_query(client, header);
    case FE_COPY_DATA:
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
        return on_data(client, header);
    case FE_FUNCTION_CALL:
        return on_function_call(client, header);
    case FE_TERMINATE:
        client_close(client);
        return false;
    case FE_PASSWORD: {
        struct error err;

        error_set(&err, "08P01", "invalid frontend message type 112");
        client_fail(client, &err);
        return false;
    }
    default:
        return extended_message(client, header);
    }
}
