/* portal.c - see portal.h. */
#include "proxy/portal.h"

#include <string.h>

#include "proxy/book.h"
#include "proxy/copy_open.h"
#include "proxy/extended.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/statement.h"
#include "wire/read.h"
#include "wire/write.h"

static void describe_nothing(struct buf *answer)
{
    write_parameter_description_empty(answer);
    write_no_data(answer);
}

/* The body of Describe and Close: which statement ('S') or portal ('P'). */
static bool read_what(const struct msg *msg, char *what, struct slice *name)
{
    struct read body = read_msg(msg);

    *what = (char)read_u8(&body);
    *name = read_text(&body);
    return read_done(&body) && (*what == 'S' || *what == 'P');
}

static bool is_local_portal(const struct client *client, char what, struct slice name)
{
    return what == 'P' && client->local_portal != NULL && slice_is(name, client->local_portal);
}

bool portal_describe(struct client *client)
{
    struct prepared *prepared = NULL;
    char there[SHARE_NAME_BYTES];
    struct server *server;
    enum arrival arrival;
    struct error err;
    struct slice name;
    struct msg msg;
    char what;

    if (!extended_whole(client, &msg))
        return false;
    if (!read_what(&msg, &what, &name))
        return extended_malformed(client, "Describe");
    if (is_local_portal(client, what, name))
        return extended_say(client, &msg, write_no_data);
    if (what == 'S')
        prepared = session_find(&client->session, name);
    if (prepared != NULL && local_answers(client, prepared->plan))
        return extended_say(client, &msg, describe_nothing);
    if (extended_refuse_failed(client, &msg, NULL))
        return true;
    arrival = what == 'P' ? extended_arrive_at_portal(client, name, &server, &err)
                          : extended_arrive_anywhere(client, &server, &err);
    if (arrival != ARRIVED)
        return extended_stays(client, &msg, arrival, &err);
    extended_make_sure(server, prepared, there);
    extended_begin(client, server);
    extended_forward_named(client, server, &msg, 'D', name, there);
    return true;
}

static bool defer_copy(struct client *client, const struct msg *msg)
{
    struct message message = { .plan = client->local_plan,
                               .text = client->local_text,
                               .shape = &client->shape };
    const char *strings = report_slot(&client->session.reported, REPORT_STANDARD_CONFORMING_STRINGS);

    if (!shape_read(&client->shape, message.text, strings == NULL || strcmp(strings, "off") != 0) ||
        !copy_open_defer(client, &message, client->local_portal))
        return extended_no_memory(client, msg);
    buf_consume(&client->stream.in, msg->total_bytes);
    return true;
}

static bool execute_local(struct client *client, const struct msg *msg)
{
    struct buf answer;
    bool done;

    if (client->local_plan->statements[0].kind == STATEMENT_COPY_IN)
        return defer_copy(client, msg);
    buf_consume(&client->stream.in, msg->total_bytes);
    buf_init(&answer);
    done = local_run(client, &client->local_plan->statements[0], client->local_text, &answer);
    client_say(client, &answer, 0, !done);
    return true;
}

bool portal_execute(struct client *client)
{
    struct server *server;
    enum arrival arrival;
    struct error err;
    const struct cursor *open;
    bool ends;
    struct read body;
    struct slice portal;
    struct msg msg;
    uint64_t look;
    bool copies;

    if (!extended_whole(client, &msg))
        return false;
    body = read_msg(&msg);
    portal = read_text(&body);
    read_i32(&body);
    if (!read_done(&body))
        return extended_malformed(client, "Execute");
    if (client->local_portal != NULL && slice_is(portal, client->local_portal))
        return execute_local(client, &msg);
    if (extended_refuse_failed(client, &msg, NULL))
        return true;
    arrival = extended_arrive_at_portal(client, portal, &server, &err);
    if (arrival != ARRIVED)
        return extended_stays(client, &msg, arrival, &err);
    if (!copying_executes(client, portal, &copies)) {
        error_set(&err, "0A000", "the rows of this COPY cannot be read: another one has been bound since");
        error_hint(&err, "Execute a COPY before the next one is bound.");
        return extended_refuse(client, &msg, &err);
    }
    open = cursors_find(&client->cursors, portal);
    ends = open != NULL && open->ends;
    look = open == NULL ? 0 : open->look;
    client->last_store = (int)server->store->index;
    extended_begin(client, server);
    if (open != NULL && open->bound != NULL)
        book_execute(client, open->bound, server);
    statement_forward(client, server, &msg, 'E', 0);
    statement_note_look(server, look);
    if (copies && copying_must_read(client))
        copying_sent(client, server);
    else if (copies)
        copying_end(client);
    if (ends)
        statement_note_end(server);
    return true;
}

/* Made by SQL's PREPARE: on the server it has the name that the client gave it. */
static bool is_own(const struct client *client, struct slice name)
{
    const struct prepared *prepared = session_find(&client->session, name);

    return prepared != NULL && prepared->sql;
}

bool portal_close(struct client *client)
{
    struct server *server;
    enum arrival arrival;
    struct error err;
    struct slice name;
    struct msg msg;
    char what;

    if (!extended_whole(client, &msg))
        return false;
    if (!read_what(&msg, &what, &name))
        return extended_malformed(client, "Close");
    if (is_local_portal(client, what, name)) {
        local_drop_portal(client);
        return extended_say(client, &msg, write_close_complete);
    }
    server = client->txn.open && client->txn.branch < 0 ? NULL : arrive_current(client);
    if (what == 'P' && server != NULL && cursors_find(&client->cursors, name) != NULL) {
        arrival = extended_arrive_at_portal(client, name, &server, &err);
        if (arrival != ARRIVED)
            return extended_stays(client, &msg, arrival, &err);
        cursors_forget(&client->cursors, name);
    }
    if (client->shares && what == 'S' && name.bytes > 0 && !is_own(client, name))
        server = NULL; /* others may share it */
    if (what == 'S')
        session_forget(&client->session, name);
    if (server == NULL) /* nobody has it, or it is closed where it is made again under another serial */
        return extended_say(client, &msg, write_close_complete);
    if (what == 'S')
        made_gone(&server->made, name);
    extended_begin(client, server);
    statement_forward(client, server, &msg, 'C', 0);
    return true;
}
