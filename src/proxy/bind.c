/* bind.c - see bind.h. Of a Bind only the parameters that say the tenant are read. */
#include "proxy/bind.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/book.h"
#include "proxy/copy_open.h"
#include "proxy/extended.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/planning.h"
#include "proxy/statement.h"
#include "wire/write.h"

enum { BIND_AHEAD_BYTES = 1024 * 1024 }; /* of a Bind too large to keep, what is looked at */

static void add_types(struct bind *bind, const struct prepared *prepared)
{
    const struct plan_statement *made = &prepared->plan->statements[0];

    bind->params.types = prepared->sql ? made->types : prepared->types;
    bind->params.type_count = prepared->sql ? made->type_count : prepared->type_count;
}

static bool bind_local(struct client *client, const struct msg *msg, const struct bind *bind,
                       const struct prepared *prepared)
{
    local_drop_portal(client);
    client->local_portal = strndup(bind->portal.at, bind->portal.bytes);
    client->local_text =
        (struct slice){ strndup(prepared->text.at, prepared->text.bytes), prepared->text.bytes };
    client->local_plan = plan_take(prepared->plan);
    if (client->local_portal == NULL || client->local_text.at == NULL) {
        local_drop_portal(client);
        return extended_no_memory(client, msg);
    }
    return extended_say(client, msg, write_bind_complete);
}

/* For its Execute. */
static bool remember_copy(struct client *client, const struct message *message, struct slice portal,
                          const struct server *server, struct error *err)
{
    char *name = strndup(portal.at, portal.bytes);
    bool good = name != NULL && copying_begin(client, message, name);

    free(name);
    if (!good)
        return error_no_memory(err);
    client->copying->ask = arrive_gate_ask(client, &client->place);
    return copy_open_fits(client, message->plan, server, err);
}

static bool run_bind(struct client *client, const struct msg *msg, struct bind *bind,
                     struct prepared *prepared)
{
    char there[SHARE_NAME_BYTES];
    struct message message = { 0 };
    struct bound *bound = NULL;
    struct server *server;
    enum arrival arrival;
    struct error err;
    uint64_t look = 0;
    bool ends;

    if (prepared != NULL) {
        if (!planning_refresh(client, prepared))
            return extended_no_memory(client, msg);
        add_types(bind, prepared);
        message = (struct message){ .plan = prepared->plan,
                                    .text = prepared->text,
                                    .shape = &prepared->shape,
                                    .params = &bind->params,
                                    .runs_prepare = prepared->sql };
        if (local_answers(client, prepared->plan))
            return bind_local(client, msg, bind, prepared);
    }
    if (extended_refuse_failed(client, msg, prepared == NULL ? NULL : prepared->plan))
        return true;
    if (prepared != NULL && copy_open_waits(client, &message))
        return bind_local(client, msg, bind, prepared);
    message.rows_are_read = copying_can_read(client, &message);
    arrival = arrive_at(client, &message, &server, &err);
    if (arrival != ARRIVED)
        return extended_stays(client, msg, arrival, &err);
    if (message.rows_are_read && !remember_copy(client, &message, bind->portal, server, &err))
        return extended_refuse(client, msg, &err);
    if (client->local_portal != NULL && slice_is(bind->portal, client->local_portal))
        local_drop_portal(client);
    extended_make_sure(server, prepared, there);
    book_make_executed(client, &message, server);
    ends = (client->place.ends && client->txn.open) || client->place.finishes;
    extended_begin(client, server);
    if (prepared == NULL || prepared->plan->statement_count > 0) {
        book_bind(client, &message, server, &bound);
        look = client->look;
    }
    if (bind->portal.bytes > 0 && client->txn.open)
        txn_join(&client->txn, client->last_store)->kept = true; /* the unnamed one ends with the next Bind */
    cursors_note(&client->cursors, bind->portal,
                 &(struct cursor){ .store = (int)server->store->index,
                                   .ends = ends,
                                   .copies = message.rows_are_read,
                                   .sync = client_ends_with(client),
                                   .look = look,
                                   .bound = bound });
    extended_forward_named(client, server, msg, 'B', bind->name, there);
    return true;
}

bool bind_message(struct client *client, const struct msg *header)
{
    struct msg msg = *header;
    struct bind bind;
    struct error err;
    size_t there = buf_bytes(&client->stream.in) - MSG_HEADER_BYTES;
    bool whole = header->total_bytes <= ATTRIBUTE_BYTES_MAX;

    if (whole && msg_next(&client->stream.in, &msg, &err) != WIRE_MSG)
        return false;
    if (!whole && there < BIND_AHEAD_BYTES)
        return false;
    if (!bind_read(&client->loop->scratch, msg.body, whole ? msg.body_bytes : there, whole, &bind))
        return extended_malformed(client, "Bind");
    return run_bind(client, &msg, &bind, session_find(&client->session, bind.name));
}
