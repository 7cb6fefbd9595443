/* bind.c - see bind.h. A prepared statement is remembered with its plan at Parse; a Bind only reads the
 * parameters that say the tenant. A statement follows its tenant: where the server of the moment lacks it, it
 * is made there silently. */
#include "proxy/bind.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/book.h"
#include "proxy/branches.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "wire/read.h"
#include "wire/write.h"

enum {
    SMALL_MESSAGE_BYTES_MAX = 10000, /* PQ_SMALL_MESSAGE_LIMIT: Describe, Execute, Close and the like */
};
enum { BIND_AHEAD_BYTES = 1024 * 1024 }; /* of a Bind too large to keep, what is looked at */

void bind_scratch_done(struct bind_scratch *scratch)
{
    free(scratch->values);
    free(scratch->formats);
    free(scratch->types);
    memset(scratch, 0, sizeof *scratch);
}

static bool scratch_room(struct bind_scratch *scratch, size_t count)
{
    struct slice *values;
    uint16_t *formats;
    uint32_t *types;

    if (count <= scratch->capacity)
        return true;
    values = realloc(scratch->values, count * sizeof *values);
    scratch->values = values == NULL ? scratch->values : values;
    formats = realloc(scratch->formats, count * sizeof *formats);
    scratch->formats = formats == NULL ? scratch->formats : formats;
    types = realloc(scratch->types, count * sizeof *types);
    scratch->types = types == NULL ? scratch->types : types;
    if (values == NULL || formats == NULL || types == NULL)
        return false;
    scratch->capacity = count;
    return true;
}

static bool malformed(struct client *client, const char *what)
{
    struct error err;

    error_set(&err, "08P01", "invalid message format: %s", what);
    client_fail(client, &err);
    return false;
}

static bool no_memory(struct client *client, const struct msg *header)
{
    struct error err;

    error_no_memory(&err);
    statement_refuse(client, header, false, &err);
    return true;
}

static bool refuse(struct client *client, const struct msg *header, const struct error *err)
{
    statement_refuse(client, header, false, err);
    return true;
}

static bool say(struct client *client, const struct msg *header, void (*write)(struct buf *))
{
    struct buf answer;

    buf_consume(&client->stream.in, header->total_bytes);
    buf_init(&answer);
    write(&answer);
    client_say(client, &answer, 0, false);
    return true;
}

/* A server for a message that has no place of its own: the transaction's, else the last one's, else the
 * default store's. */
static enum arrival arrive_anywhere(struct client *client, struct server **server, struct error *err)
{
    static struct plan nothing = { .refs = 1, .parsed = true };
    struct message message = { .plan = &nothing };

    return arrive_at(client, &message, server, err);
}

/* Where the portal was opened; most are where the last statement went, and nothing is in the way there. */
static enum arrival arrive_at_portal(struct client *client, struct slice name, struct server **server,
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

static void in_pipeline(struct client *client, struct server *server)
{
    server->pipeline = true;
    txn_join(&client->txn, (int)server->store->index);
}

/* ---- reading Parse and Bind ---- */

struct parse {
    struct slice name, text;
    size_t type_count;
};

static bool read_parse(struct client *client, const struct msg *msg, struct parse *parse)
{
    struct bind_scratch *scratch = &client->loop->scratch;
    struct read body = read_msg(msg);

    parse->name = read_text(&body);
    parse->text = read_text(&body);
    parse->type_count = read_u16(&body);
    if (!scratch_room(scratch, parse->type_count))
        return false;
    for (size_t i = 0; i < parse->type_count; i++)
        scratch->types[i] = read_u32(&body);
    return read_done(&body);
}

struct bind {
    struct slice portal, name;
    struct parameters params;
};

/* `whole` false: only the beginning of the message is there; what could be read counts. */
static bool read_bind(struct client *client, const char *bytes, size_t count, bool whole, struct bind *bind)
{
    struct bind_scratch *scratch = &client->loop->scratch;
    struct read body = read_bytes_of(bytes, count);
    size_t format_count, value_count;
    uint16_t first;

    memset(bind, 0, sizeof *bind);
    bind->portal = read_text(&body);
    bind->name = read_text(&body);
    format_count = read_u16(&body);
    if (!scratch_room(scratch, 65536))
        return false;
    for (size_t i = 0; i < format_count; i++)
        scratch->formats[i] = read_u16(&body);
    value_count = read_u16(&body);
    if (body.bad || (format_count > 1 && format_count != value_count))
        return false;
    first = format_count > 0 ? scratch->formats[0] : 0;
    for (size_t i = format_count > 1 ? value_count : 0; i < value_count; i++)
        scratch->formats[i] = first;
    for (size_t i = 0; i < value_count; i++) {
        int32_t bytes_here = read_i32(&body);

        scratch->values[i] = (struct slice){ 0 };
        if (bytes_here >= 0)
            scratch->values[i] = read_slice(&body, (size_t)bytes_here);
        if (bytes_here >= 0 && !body.bad && scratch->values[i].at == NULL)
            scratch->values[i].at = ""; /* empty is not NULL */
        if (body.bad)
            break;
        bind->params.count = i + 1;
    }
    bind->params.values = scratch->values;
    bind->params.formats = scratch->formats;
    return !body.bad || !whole;
}

static void add_types(struct bind *bind, const struct prepared *prepared)
{
    const struct plan_statement *made = &prepared->plan->statements[0];

    bind->params.types = prepared->sql ? made->types : prepared->types;
    bind->params.type_count = prepared->sql ? made->type_count : prepared->type_count;
}

/* ---- Parse ---- */

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
           read_bind(client, msg.body, msg.body_bytes, true, bind) && slice_equal(bind->name, name);
}

static enum arrival arrive_for_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                                     struct plan *plan, struct server **server, struct error *err)
{
    struct message message = {
        .plan = plan, .text = parse->text, .shape = &client->shape, .asks_only = true
    };
    struct bind bind;

    if (!client->routed)
        return arrive_anywhere(client, server, err);
    if (!peek_bind(client, msg, parse->name, &bind))
        return arrive_at(client, &message, server, err);
    bind.params.types = client->loop->scratch.types;
    bind.params.type_count = parse->type_count;
    message.params = &bind.params;
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
    in_pipeline(client, server);
    statement_forward(client, server, msg, 'P', 0);
}

/* Clients share the statement: whoever comes first has it made. */
static void share_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                        struct plan *plan, struct server *server)
{
    uint64_t serial = remember(client, parse, plan);
    struct prepared *prepared = serial == 0 ? NULL : session_find(&client->session, parse->name);
    const char *name = prepared == NULL ? NULL : session_share(&client->session, prepared);

    in_pipeline(client, server);
    if (name == NULL || name == prepared->name) { /* it cannot be made again elsewhere */
        server->pinned = "a prepared statement that cannot be shared";
        statement_forward(client, server, msg, 'P', serial);
    } else if (has_surely(client, server, name)) {
        made_used(&server->made, name);
        say(client, msg, write_parse_complete);
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
    in_pipeline(client, server);
    statement_forward(client, server, msg, 'P', serial);
}

static bool refuse_failed(struct client *client, const struct msg *msg, const struct plan *plan)
{
    struct error err;

    if (!client->txn.failed)
        return false;
    local_failed(plan, &err);
    return refuse(client, msg, &err);
}

static bool run_parse(struct client *client, const struct msg *msg, const struct parse *parse,
                      struct plan *plan)
{
    struct server *server;
    struct error err;

    if (local_answers(client, plan)) {
        remember(client, parse, plan);
        return say(client, msg, write_parse_complete);
    }
    if (plan->statement_count > 0 && refuse_failed(client, msg, plan))
        return true;
    switch (arrive_for_parse(client, msg, parse, plan, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        return refuse(client, msg, &err);
    case ARRIVED:
        break;
    }
    forward_parse(client, msg, parse, plan, server);
    return true;
}

/* Longer than what is read: forwarded as it comes, and unknown at Bind. */
static bool on_long_parse(struct client *client, const struct msg *header)
{
    struct server *server;
    struct error err;

    switch (arrive_anywhere(client, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        return refuse(client, header, &err);
    case ARRIVED:
        break;
    }
    session_forget(&client->session, slice_of(""));
    if (client->shares && buf_bytes(&client->stream.in) > MSG_HEADER_BYTES &&
        buf_at(&client->stream.in)[MSG_HEADER_BYTES] != '\0')
        server->pinned = "a prepared statement that is not read";
    in_pipeline(client, server);
    statement_forward(client, server, header, 'P', 0);
    return true;
}

static bool on_parse(struct client *client, const struct msg *header)
{
    struct parse parse;
    struct plan *plan = NULL;
    struct msg msg;
    struct error err;
    bool done;

    if (header->total_bytes > ATTRIBUTE_BYTES_MAX)
        return on_long_parse(client, header);
    if (msg_next(&client->stream.in, &msg, &err) != WIRE_MSG)
        return false;
    if (!read_parse(client, &msg, &parse))
        return malformed(client, "Parse");
    if (!arrive_plan(client, parse.text, &plan))
        return no_memory(client, &msg);
    done = run_parse(client, &msg, &parse, plan);
    plan_give(plan);
    return done;
}

/* ---- Bind ---- */

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
        return no_memory(client, msg);
    }
    return say(client, msg, write_bind_complete);
}

/* To the server where the statement has another name than the client knows, or the same. */
static void forward_named(struct client *client, struct server *server, const struct msg *msg, char owed,
                          struct slice name, const char *there)
{
    if (there[0] == '\0' || slice_is(name, there))
        statement_forward(client, server, msg, owed, 0);
    else
        statement_forward_as(client, server, msg, owed, 0, name, there);
}

/* The statement is made where it lacks; `there`: what it is called there, "" if as the client calls it. */
static void make_sure(struct server *server, struct prepared *prepared, char there[SHARE_NAME_BYTES])
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

static bool run_bind(struct client *client, const struct msg *msg, struct bind *bind,
                     struct prepared *prepared)
{
    char there[SHARE_NAME_BYTES];
    struct message message = { 0 };
    struct server *server;
    struct error err;
    bool ends;

    if (prepared != NULL) {
        add_types(bind, prepared);
        message = (struct message){ .plan = prepared->plan,
                                    .text = prepared->text,
                                    .shape = &prepared->shape,
                                    .params = &bind->params,
                                    .runs_prepare = prepared->sql };
        if (local_answers(client, prepared->plan))
            return bind_local(client, msg, bind, prepared);
    }
    if (refuse_failed(client, msg, prepared == NULL ? NULL : prepared->plan))
        return true;
    switch (arrive_at(client, &message, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        return refuse(client, msg, &err);
    case ARRIVED:
        break;
    }
    if (client->local_portal != NULL && slice_is(bind->portal, client->local_portal))
        local_drop_portal(client);
    make_sure(server, prepared, there);
    book_make_executed(client, &message, server);
    ends = (client->place.ends && client->txn.open) || client->place.finishes;
    in_pipeline(client, server);
    if (prepared == NULL || prepared->plan->statement_count > 0)
        book_message(client, &message, server);
    if (bind->portal.bytes > 0 && client->txn.open)
        txn_join(&client->txn, client->last_store)->kept = true; /* the unnamed one ends with the next Bind */
    cursors_note(&client->cursors, bind->portal,
                 &(struct cursor){
                     .store = (int)server->store->index, .ends = ends, .sync = client_ends_with(client) });
    forward_named(client, server, msg, 'B', bind->name, there);
    return true;
}

static bool on_bind(struct client *client, const struct msg *header)
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
    if (!read_bind(client, msg.body, whole ? msg.body_bytes : there, whole, &bind))
        return malformed(client, "Bind");
    return run_bind(client, &msg, &bind, session_find(&client->session, bind.name));
}

/* ---- the others ---- */

static bool whole_message(struct client *client, const struct msg *header, struct msg *msg)
{
    struct error err;

    (void)header;
    return msg_next(&client->stream.in, msg, &err) == WIRE_MSG;
}

static void describe_nothing(struct buf *answer)
{
    write_parameter_description_empty(answer);
    write_no_data(answer);
}

static bool on_describe(struct client *client, const struct msg *header)
{
    struct prepared *prepared = NULL;
    char there[SHARE_NAME_BYTES];
    struct server *server;
    struct error err;
    struct read body;
    struct slice name;
    struct msg msg;
    char what;

    if (!whole_message(client, header, &msg))
        return false;
    body = read_msg(&msg);
    what = (char)read_u8(&body);
    name = read_text(&body);
    if (!read_done(&body) || (what != 'S' && what != 'P'))
        return malformed(client, "Describe");
    if (what == 'P' && client->local_portal != NULL && slice_is(name, client->local_portal))
        return say(client, &msg, write_no_data);
    if (what == 'S')
        prepared = session_find(&client->session, name);
    if (prepared != NULL && local_answers(client, prepared->plan))
        return say(client, &msg, describe_nothing);
    if (refuse_failed(client, &msg, NULL))
        return true;
    switch (what == 'P' ? arrive_at_portal(client, name, &server, &err)
                        : arrive_anywhere(client, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        return refuse(client, &msg, &err);
    case ARRIVED:
        break;
    }
    make_sure(server, prepared, there);
    in_pipeline(client, server);
    forward_named(client, server, &msg, 'D', name, there);
    return true;
}

static bool execute_local(struct client *client, const struct msg *msg)
{
    struct buf answer;
    bool done;

    buf_consume(&client->stream.in, msg->total_bytes);
    buf_init(&answer);
    done = local_run(client, &client->local_plan->statements[0], client->local_text, &answer);
    client_say(client, &answer, 0, !done);
    return true;
}

static bool on_execute(struct client *client, const struct msg *header)
{
    struct server *server;
    struct error err;
    const struct cursor *open;
    struct read body;
    struct slice portal;
    struct msg msg;

    if (!whole_message(client, header, &msg))
        return false;
    body = read_msg(&msg);
    portal = read_text(&body);
    read_i32(&body);
    if (!read_done(&body))
        return malformed(client, "Execute");
    if (client->local_portal != NULL && slice_is(portal, client->local_portal))
        return execute_local(client, &msg);
    if (refuse_failed(client, &msg, NULL))
        return true;
    switch (arrive_at_portal(client, portal, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        return refuse(client, &msg, &err);
    case ARRIVED:
        break;
    }
    open = cursors_find(&client->cursors, portal);
    in_pipeline(client, server);
    statement_forward(client, server, &msg, 'E', 0);
    if (open != NULL && open->ends)
        statement_note_end(server);
    return true;
}

/* Made by SQL's PREPARE: on the server it has the name that the client gave it. */
static bool is_own(const struct client *client, struct slice name)
{
    const struct prepared *prepared = session_find(&client->session, name);

    return prepared != NULL && prepared->sql;
}

static bool on_close(struct client *client, const struct msg *header)
{
    struct server *server;
    struct error err;
    struct read body;
    struct slice name;
    struct msg msg;
    char what;

    if (!whole_message(client, header, &msg))
        return false;
    body = read_msg(&msg);
    what = (char)read_u8(&body);
    name = read_text(&body);
    if (!read_done(&body) || (what != 'S' && what != 'P'))
        return malformed(client, "Close");
    if (what == 'P' && client->local_portal != NULL && slice_is(name, client->local_portal)) {
        local_drop_portal(client);
        return say(client, &msg, write_close_complete);
    }
    server = client->txn.open && client->txn.branch < 0 ? NULL : arrive_current(client);
    if (what == 'P' && server != NULL && cursors_find(&client->cursors, name) != NULL) {
        switch (arrive_at_portal(client, name, &server, &err)) {
        case WAITING:
            return false;
        case REFUSED:
            return refuse(client, &msg, &err);
        case ARRIVED:
            break;
        }
        cursors_forget(&client->cursors, name);
    }
    if (client->shares && what == 'S' && name.bytes > 0 && !is_own(client, name))
        server = NULL; /* others may share it */
    if (what == 'S')
        session_forget(&client->session, name);
    if (server == NULL) /* nobody has it, or it is closed where it is made again under another serial */
        return say(client, &msg, write_close_complete);
    if (what == 'S')
        made_gone(&server->made, name);
    in_pipeline(client, server);
    statement_forward(client, server, &msg, 'C', 0);
    return true;
}

static bool on_flush(struct client *client, const struct msg *header)
{
    struct server *server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];

    if (server != NULL && server->state == SERVER_READY)
        statement_forward(client, server, header, 0, 0);
    else
        buf_consume(&client->stream.in, header->total_bytes);
    return true;
}

/* A reading branch could not commit: the client hears its error, and nothing of the rest is committed. */
static void fail_sync(struct client *client, struct server *server, const struct error *err)
{
    struct buf answer;

    buf_init(&answer);
    write_error(&answer, "ERROR", err);
    client_say(client, &answer, 0, true);
    if (server->pipeline)
        server_say_fail(server, err->message);
}

/* The branches that will not answer the Sync. false: waits for theirs. */
static bool sync_others(struct client *client)
{
    const struct server *last = client->servers[client->txn.branch];
    bool failed = client->skip_to_sync || (last != NULL && last->skipping) ||
                  (client->error_seen && client->sync_sent == client->sync_seen);
    int store = branches_sync_at(client, failed), waiting = -1;
    struct error err;

    switch (branches_sync(client, store, failed, &waiting, &err)) {
    case WAITING:
        client->waiting_store = waiting;
        client_enter(client, EV_SWITCH);
        return false;
    case REFUSED:
        branches_abandon(client, store);
        if (client->servers[store] != NULL && client->servers[store]->state == SERVER_READY)
            fail_sync(client, client->servers[store], &err);
        break;
    case ARRIVED:
        break;
    }
    txn_join(&client->txn, store);
    return true;
}

static bool on_sync(struct client *client, const struct msg *header)
{
    struct server *server;
    struct buf answer;

    if (client->txn.branch_count > 1) {
        branches_note_spoilt(client);
        if (!sync_others(client))
            return false;
    }
    server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];
    client->skip_to_sync = false;
    if (server == NULL && !client->txn.open)
        server = arrive_current(client);
    if (server != NULL && server->state != SERVER_READY)
        server = NULL;
    if (server == NULL) {
        buf_consume(&client->stream.in, header->total_bytes);
        buf_init(&answer);
        local_ready(client, &answer, false);
    } else if (server->copy_in) { /* the server ignores it while it expects CopyData */
        statement_forward(client, server, header, 0, 0);
        return true;
    } else {
        server->pipeline = false;
        statement_forward(client, server, header, 'S', 0);
    }
    if (!client->txn.open) {
        txn_reset(&client->txn);
        local_drop_portal(client);
    }
    return true;
}

bool bind_message(struct client *client, const struct msg *header)
{
    if ((header->type == FE_FLUSH || header->type == FE_SYNC) && header->total_bytes != MSG_HEADER_BYTES)
        return malformed(client, msg_name(header->type, true));
    if (header->type != FE_PARSE && header->type != FE_BIND && header->total_bytes > SMALL_MESSAGE_BYTES_MAX)
        return malformed(client, msg_name(header->type, true));
    switch (header->type) {
    case FE_PARSE:
        return on_parse(client, header);
    case FE_BIND:
        return on_bind(client, header);
    case FE_DESCRIBE:
        return on_describe(client, header);
    case FE_EXECUTE:
        return on_execute(client, header);
    case FE_CLOSE:
        return on_close(client, header);
    case FE_FLUSH:
        return on_flush(client, header);
    default:
        return on_sync(client, header);
    }
}
