/* extended.c - see extended.h. */
#include "proxy/extended.h"

#include <string.h>

#include "proxy/bind.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/parse.h"
#include "proxy/portal.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "proxy/sync.h"

enum {
    SMALL_MESSAGE_BYTES_MAX = 10000, /* PQ_SMALL_MESSAGE_LIMIT: Describe, Execute, Close and the like */
};

bool extended_malformed(struct client *client, const char *what)
{
    struct error err;

    error_set(&err, "08P01", "invalid message format: %s", what);
    client_fail(client, &err);
    return false;
}

bool extended_no_memory(struct client *client, const struct msg *header)
{
    struct error err;

    error_no_memory(&err);
    statement_refuse(client, header, false, &err);
    return true;
}

bool extended_refuse(struct client *client, const struct msg *header, const struct error *err)
{
    statement_refuse(client, header, false, err);
    return true;
}

bool extended_stays(struct client *client, const struct msg *header, enum arrival arrival,
                    const struct error *err)
{
    return arrival == WAITING ? false : extended_refuse(client, header, err);
}

bool extended_say(struct client *client, const struct msg *header, void (*write)(struct buf *))
{
    struct buf answer;

    buf_consume(&client->stream.in, header->total_bytes);
    buf_init(&answer);
    write(&answer);
    client_say(client, &answer, 0, false);
    return true;
}

enum arrival extended_arrive_anywhere(struct client *client, struct server **server, struct error *err)
{
    static struct plan nothing = { .refs = 1, .parsed = true };
    struct message message = { .plan = &nothing };

    return arrive_at(client, &message, server, err);
}

enum arrival extended_arrive_at_portal(struct client *client, struct slice name, struct server **server,
                                       struct error *err)
{
    static struct plan nothing = { .refs = 1, .parsed = true };
    const struct cursor *portal = cursors_find(&client->cursors, name);
    int store = portal != NULL ? portal->store : belongings_cursor(&client->session.belongings, name);
    struct message message = { .plan = &nothing };

    *server = arrive_current(client);
    if (*server != NULL && (store < 0 || store == (int)(*server)->store->index || arrive_has_failed(client)))
        return ARRIVED;
    if (store < 0) {
        error_set(err, "34000", "portal \"%.*s\" does not exist", (int)name.bytes, name.at);
        return REFUSED;
    }
    message.at = &client->loop->shared->stores->at[store];
    return arrive_at(client, &message, server, err);
}

void extended_begin(struct client *client, struct server *server)
{
    server->pipeline = true;
    txn_join(&client->txn, (int)server->store->index);
}

bool extended_refuse_failed(struct client *client, const struct msg *msg, const struct plan *plan)
{
    struct error err;

    if (!client->txn.failed)
        return false;
    local_failed(client, plan, &err);
    return extended_refuse(client, msg, &err);
}

void extended_forward_named(struct client *client, struct server *server, const struct msg *msg, char owed,
                            struct slice name, const char *there)
{
    if (there[0] == '\0' || slice_is(name, there))
        statement_forward(client, server, msg, owed, 0);
    else
        statement_forward_as(client, server, msg, owed, 0, name, there);
}

void extended_make_sure(struct server *server, struct prepared *prepared, char there[SHARE_NAME_BYTES])
{
    const char *name = prepared == NULL ? "" : server_name_of(server, prepared);

    there[0] = '\0';
    if (prepared == NULL)
        return;
    if (!server_has(server, prepared))
        server_say_prepare(server, prepared);
    if (name != prepared->name)
        memcpy(there, name, SHARE_NAME_BYTES); /* the statement itself may be forgotten by what it does */
}

bool extended_whole(struct client *client, struct msg *msg)
{
    struct error err;

    return msg_next(&client->stream.in, msg, &err) == WIRE_MSG;
}

bool extended_message(struct client *client, const struct msg *header)
{
    if ((header->type == FE_FLUSH || header->type == FE_SYNC) && header->total_bytes != MSG_HEADER_BYTES)
        return extended_malformed(client, msg_name(header->type, true));
    if (header->type != FE_PARSE && header->type != FE_BIND && header->total_bytes > SMALL_MESSAGE_BYTES_MAX)
        return extended_malformed(client, msg_name(header->type, true));
    switch (header->type) {
    case FE_PARSE:
        return parse_message(client, header);
    case FE_BIND:
        return bind_message(client, header);
    case FE_DESCRIBE:
        return portal_describe(client);
    case FE_EXECUTE:
        return portal_execute(client);
    case FE_CLOSE:
        return portal_close(client);
    case FE_FLUSH:
        return sync_flush(client, header);
    default:
        return sync_message(client, header);
    }
}
