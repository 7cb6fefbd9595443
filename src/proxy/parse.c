/* parse.c - see parse.h. A statement follows its tenant: if the Bind behind it can be read already, it is
 * made where that will go. */
#include "proxy/parse.h"

#include <string.h>

#include "proxy/copying.h"
#include "proxy/extended.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/planning.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "wire/read.h"
#include "wire/write.h"

/* The Bind that stands right behind, if it is for this statement and whole: then the statement is made at
 * once where it will run. */
static bool peek_bind(struct client *client, const struct msg *parse_msg, struct slice name,
                      struct bind *bind)
{
    struct buf rest = client->stream.in;
    struct msg msg;
    struct error err;

    rest.head += parse_msg->total_bytes;
    return msg_next(&rest, &msg, &err) == WIRE_MSG && msg.type == FE_BIND &&
           bind_read(&client->loop->scratch, msg.body, msg.body_bytes, true, bind) &&
           slice_equal(bind->name, name);
}

static enum arrival arrive_for_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                                     struct plan *plan, struct server **server, struct error *err)
{
    struct message message = {
        .plan = plan, .text = parse->text, .shape = &client->shape, .asks_only = true
    };
    struct bind bind;

    if (!client->routed)
        return extended_arrive_anywhere(client, server, err);
    if (!peek_bind(client, msg, parse->name, &bind))
        return arrive_at(client, &message, server, err);
    bind.params.types = client->loop->scratch.types;
    bind.params.type_count = parse->type_count;
    message.params = &bind.params;
    message.rows_are_read = copying_can_read(client, &message);
    return arrive_at(client, &message, server, err);
}

/* Takes the plan over if it keeps the statement. Returns its serial, 0 if there is one of that name already
 * (the server answers 42P05), or no memory (then it is unknown at Bind). */
static uint64_t remember(struct client *client, const struct parse *parse, struct plan *plan)
{
    struct prepared *prepared;

    if (parse->name.bytes > 0 && session_find(&client->session, parse->name) != NULL)
        return 0;
    prepared = session_prepare(&client->session, parse->name, parse->text, client->loop->scratch.types,
                               parse->type_count, plan_take(plan), &client->shape);
    if (prepared == NULL) {
        plan_give(plan);
        session_forget(&client->session, parse->name);
        return 0;
    }
    planning_note(client, prepared);
    return prepared->serial;
}

/* An older statement of that name, left on a server that the client did not close it on. */
static void clear_name(struct server *server, struct slice name)
{
    if (name.bytes == 0 || !made_knows(&server->made, name))
        return;
    write_close(stream_out(&server->stream), 'S', name);
    owed_add(server, 'C', true, 0);
    made_gone(&server->made, name);
}

/* Whether the server surely has it, and surely would take a Parse: nothing is on its way that could have
 * failed. */
static bool has_surely(const struct client *client, const struct server *server, const char *name)
{
    return made_knows(&server->made, slice_of(name)) && server->line_count == 0 && !server->skipping &&
           server->tx_status != 'E' && client->sync_sent == client->sync_seen;
}

/* A name that is taken: PostgreSQL says so, if there is something of that name. */
static void forward_taken(struct client *client, const struct msg *msg, const struct parse *parse,
                          struct server *server)
{
    if (!arrive_has_failed(client) && !made_knows(&server->made, parse->name))
        server_say_dummy(server, parse->name);
    extended_begin(client, server);
    statement_forward(client, server, msg, 'P', 0);
}

/* Clients share the statement: whoever comes first has it made. */
static void share_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                        struct plan *plan, struct server *server)
{
    uint64_t serial = remember(client, parse, plan);
    struct prepared *prepared = serial == 0 ? NULL : session_find(&client->session, parse->name);
    const char *name = prepared == NULL ? NULL : session_share(&client->session, prepared);

    extended_begin(client, server);
    if (name == NULL || name == prepared->name) { /* it cannot be made again elsewhere */
        server_pin(server, "a prepared statement that cannot be shared", false);
        statement_forward(client, server, msg, 'P', serial);
    } else if (has_surely(client, server, name)) {
        made_used(&server->made, name);
        extended_say(client, msg, write_parse_complete);
    } else {
        server_say_room(server, name);
        made_note(&server->made, name, serial, true);
        statement_forward_as(client, server, msg, 'P', serial, parse->name, name);
    }
}

static void forward_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                          struct plan *plan, struct server *server)
{
    bool known = session_find(&client->session, parse->name) != NULL;
    uint64_t serial;

    if (client->shares && parse->name.bytes > 0) {
        if (known)
            forward_taken(client, msg, parse, server);
        else
            share_parse(client, msg, parse, plan, server);
        return;
    }
    if (!known)
        clear_name(server, parse->name);
    serial = remember(client, parse, plan);
    if (serial != 0)
        made_note(&server->made, session_find(&client->session, parse->name)->name, serial, false);
    extended_begin(client, server);
    statement_forward(client, server, msg, 'P', serial);
}

static bool run_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                      struct plan *plan)
{
    struct server *server;
    enum arrival arrival;
    struct error err;

    if (local_answers(client, plan)) {
        remember(client, parse, plan);
        return extended_say(client, msg, write_parse_complete);
    }
    if (plan->statement_count > 0 && extended_refuse_failed(client, msg, plan))
        return true;
    arrival = arrive_for_parse(client, msg, parse, plan, &server, &err);
    if (arrival != ARRIVED)
        return extended_stays(client, msg, arrival, &err);
    forward_parse(client, msg, parse, plan, server);
    return true;
}

/* Longer than what is read: forwarded as it comes, and unknown at Bind. */
static bool pass_long(struct client *client, const struct msg *header)
{
    struct server *server;
    enum arrival arrival;
    struct error err;

    arrival = extended_arrive_anywhere(client, &server, &err);
    if (arrival != ARRIVED)
        return extended_stays(client, header, arrival, &err);
    session_forget(&client->session, slice_of(""));
    if (client->shares && buf_bytes(&client->stream.in) > MSG_HEADER_BYTES &&
        buf_at(&client->stream.in)[MSG_HEADER_BYTES] != '\0')
        server_pin(server, "a prepared statement that is not read", true);
    extended_begin(client, server);
    statement_forward(client, server, header, 'P', 0);
    return true;
}

bool parse_message(struct client *client, const struct msg *header)
{
    struct parse parse;
    struct plan *plan = NULL;
    struct msg msg;
    struct error err;
    bool done;

    if (header->total_bytes > ATTRIBUTE_BYTES_MAX)
        return pass_long(client, header);
    if (msg_next(&client->stream.in, &msg, &err) != WIRE_MSG)
        return false;
    if (!bind_read_parse(&client->loop->scratch, &msg, &parse))
        return extended_malformed(client, "Parse");
    if (!planning_plan(client, parse.text, &plan))
        return extended_no_memory(client, &msg);
    done = run_parse(client, &msg, &parse, plan);
    plan_give(plan);
    return done;
}
