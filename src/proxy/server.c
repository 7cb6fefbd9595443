/* server.c - see server.h. */
#include "proxy/server.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/lost.h"
#include "proxy/owed.h"
#include "proxy/relay.h"
#include "proxy/tend.h"
#include "wire/read.h"
#include "wire/write.h"

bool server_is_quiet(const struct server *server)
{
    return server->line_count == 0 && server->passing_bytes == 0;
}

const char *server_name_of(const struct server *server, struct prepared *prepared)
{
    return server->client != NULL && server->client->shares
               ? session_share(&server->client->session, prepared)
               : prepared->name;
}

bool server_has_own(const struct server *server, const struct prepared *prepared)
{
    return made_is(&server->made, slice_of(prepared->name), prepared->serial);
}

bool server_has(struct server *server, struct prepared *prepared)
{
    const char *name = server_name_of(server, prepared);

    if (name == prepared->name)
        return server_has_own(server, prepared);
    if (!made_knows(&server->made, slice_of(name)))
        return false;
    made_used(&server->made, name);
    return true;
}

/* ---- life ---- */

static void server_free(struct server *server)
{
    owed_done(server);
    made_done(&server->made);
    wear_give(server->wear);
    report_done(&server->reported);
    identity_give(server->identity);
    prove_done(&server->prove);
    free(server);
}

static void on_gone(struct stream *stream)
{
    struct server *server = (struct server *)stream;

    if (!dial_abandon(&server->dial))
        server_free(server);
}

void server_break(struct server *server, const struct error *why)
{
    struct client *client = server->client;

    if (server->state == SERVER_BROKEN)
        return;
    server->state = SERVER_BROKEN;
    if (!server->why_from_server)
        server->why = *why;
    stream_pause(&server->stream);
    if (client != NULL)
        lost_server(client, server);
    else if (server->seat.pool != NULL)
        lend_lost(server);
}

void server_pin(struct server *server, const char *why, bool for_good)
{
    server->pinned = why;
    server->spoilt = server->spoilt || for_good;
}

void server_count_bytes(struct server *server)
{
    struct tally *tally = &server->loop->tallies[server->store->index];

    tally->total[TALLY_RECEIVED_BYTES] += server->stream.out_bytes - server->told_bytes;
    server->told_bytes = server->stream.out_bytes;
}

void server_close(struct server *server)
{
    struct loop *loop = server->loop;

    stats_add(loop->stats, STAT_SERVERS_CLOSED, 1);
    DL_DELETE2(loop->servers, server, prev_of_loop, next_of_loop);
    server_count_bytes(server);
    server->client = NULL;
    lend_forget(server);
    if (server->state == SERVER_READY) {
        write_terminate(stream_out(&server->stream));
        server->state = SERVER_BROKEN;
        stream_finish(&server->stream);
        stream_close_by(&server->stream, &loop->lingering, clock_ms() + LAST_WORDS_MS);
    } else {
        server->state = SERVER_BROKEN;
        stream_close(&server->stream);
    }
}

static void break_with(struct server *server, const char *sqlstate, const char *what)
{
    struct error err;

    error_set(&err, sqlstate, "store_unavailable: store \"%s\": %s", server->store->name, what);
    error_hint(&err, "SHOW STORES on the admin socket tells which stores can be reached.");
    server_break(server, &err);
}

/* ---- login ---- */

static void append_pair(const char **pairs, size_t *count, const char *name, const char *value)
{
    pairs[(*count)++] = name;
    pairs[(*count)++] = value;
}

/* The client's own startup parameters: role and database settings then work as on a direct connection. */
static void send_startup(struct server *server)
{
    const struct identity *who = server->identity;
    const char **pairs = calloc(2 * (who->startup_count + 2), sizeof *pairs);
    size_t count = 0;

    if (pairs == NULL) {
        break_with(server, "53200", "out of memory");
        return;
    }
    append_pair(pairs, &count, "user", who->user);
    append_pair(pairs, &count, "database",
                server->store == stores_default(server->loop->shared->stores) ? who->database
                                                                              : server->store->dbname);
    for (size_t i = 0; i < who->startup_count; i++)
        append_pair(pairs, &count, who->startup[i].name, who->startup[i].value);
    write_startup(stream_out(&server->stream), who->protocol_minor, pairs, count / 2);
    free(pairs);
    server->state = SERVER_LOGIN;
    server->since_ms = clock_ms();
    stream_start(&server->stream);
    stream_flush(&server->stream);
}

static struct prove_who who_is_proved(const struct server *server)
{
    const struct loop *loop = server->loop;

    return (struct prove_who){ .credentials = &server->identity->credentials,
                               .user = server->identity->user,
                               .store = server->store->name,
                               .may_send_plain = loop->settings->plain_to_stores ||
                                                 server->store->host[0] == '/' ||
                                                 stream_is_encrypted(&server->stream),
                               .encrypted = stream_is_encrypted(&server->stream),
                               .must_bind = server->store->tls.must_bind,
                               .binding = stream_binding(&server->stream),
                               .derive = loop->derive };
}

static void on_authentication(struct server *server, const struct msg *msg)
{
    struct prove_who who = who_is_proved(server);
    struct error err;

    if (!prove_answer(&server->prove, &who, msg, stream_out(&server->stream), &err))
        server_break(server, &err);
}

static void on_key_data(struct server *server, const struct msg *msg)
{
    struct read body = read_msg(msg);
    struct slice key;

    server->pid = read_i32(&body);
    key = read_slice(&body, read_left(&body));
    if (body.bad || key.bytes > sizeof server->key) {
        break_with(server, "08P01", "its cancel key is longer than the protocol allows");
        return;
    }
    server->key_bytes = key.bytes;
    if (key.bytes > 0)
        memcpy(server->key, key.at, key.bytes);
}

/* What the server says when it ends a session, kept for the client. */
static void remember_error(struct server *server, const struct msg *msg)
{
    struct slice code = read_error_field(msg, 'C'), text = read_error_field(msg, 'M');
    struct slice detail = read_error_field(msg, 'D'), hint = read_error_field(msg, 'H');
    char sqlstate[6] = "XX000";

    if (code.bytes == 5)
        memcpy(sqlstate, code.at, 5);
    error_set(&server->why, sqlstate, "%.*s", (int)text.bytes, text.at);
    if (detail.bytes > 0)
        error_detail(&server->why, "%.*s", (int)detail.bytes, detail.at);
    if (hint.bytes > 0)
        error_hint(&server->why, "%.*s", (int)hint.bytes, hint.at);
    server->why_from_server = true;
}

/* "15.18 (Debian 15.18-0+deb12u1)", "16beta1" */
static unsigned leading_number(struct slice text)
{
    unsigned number = 0;

    for (size_t i = 0; i < text.bytes && text.at[i] >= '0' && text.at[i] <= '9' && number < 1000; i++)
        number = number * 10 + (unsigned)(text.at[i] - '0');
    return number;
}

static void on_login_refused(struct server *server, const struct msg *msg)
{
    struct prove_who who = who_is_proved(server);

    remember_error(server, msg);
    prove_explain(&server->prove, &who, &server->why);
    server_break(server, &server->why);
}

static void on_login_parameter(struct server *server, const struct msg *msg)
{
    struct read body = read_msg(msg);
    struct slice name = read_text(&body), value = read_text(&body);

    if (slice_is(name, "server_version"))
        server->major = leading_number(value);
    report_note(&server->reported, name, value);
    if (server->client != NULL &&
        server->client->state == CLIENT_LOGIN) /* the home server: what the client will be told */
        session_report(&server->client->session, name, value);
}

static void on_login_message(struct server *server, const struct msg *msg)
{
    switch (msg->type) {
    case BE_AUTHENTICATION:
        on_authentication(server, msg);
        break;
    case BE_PARAMETER_STATUS:
        on_login_parameter(server, msg);
        break;
    case BE_BACKEND_KEY_DATA:
        on_key_data(server, msg);
        break;
    case BE_NOTICE:
        if (server->client != NULL && server->client->state == CLIENT_LOGIN)
            stream_send(&server->client->stream, msg->body - MSG_HEADER_BYTES, msg->total_bytes);
        break;
    case BE_NEGOTIATE_VERSION:
        break;
    case BE_ERROR:
        on_login_refused(server, msg);
        break;
    case BE_READY:
        server->state = SERVER_READY;
        server->since_ms = clock_ms();
        server->tx_status = 'I';
        break;
    default:
        break_with(server, "08P01", "an unexpected message during login");
    }
}

static void run_login(struct server *server)
{
    struct client *client = server->client;
    struct msg msg;
    struct error err;

    while (server->state == SERVER_LOGIN) {
        enum wire_result result = msg_next(&server->stream.in, &msg, &err);

        if (result == WIRE_MORE)
            break;
        if (result == WIRE_BAD || msg.total_bytes > AUTH_MESSAGE_BYTES_MAX) {
            break_with(server, "08P01", "it does not speak PostgreSQL's protocol");
            return;
        }
        on_login_message(server, &msg);
        if (server->state == SERVER_BROKEN)
            return;
        buf_consume(&server->stream.in, msg.total_bytes);
    }
    stream_flush(&server->stream);
    if (server->state != SERVER_READY)
        return;
    if (client != NULL)
        client_server_ready(client, server);
    else
        lend_ready(server);
}

/* ---- stream ---- */

static void on_came(struct stream *stream, size_t bytes)
{
    struct server *server = (struct server *)stream;

    if ((server->client == NULL && server->seat.pool == NULL) || server->state == SERVER_BROKEN)
        return;
    stats_add(server->loop->stats, STAT_SERVER_BYTES, bytes);
    server->loop->tallies[server->store->index].total[TALLY_SENT_BYTES] += bytes;
    if (server->state == SERVER_LOGIN)
        run_login(server);
    else if (server->client == NULL && server->tended != TENDED_NOT)
        tend_came(server);
    else if (server->client == NULL)
        lend_came(server);
    else
        relay_run(server);
}

static void on_ended(struct stream *stream, int status)
{
    struct server *server = (struct server *)stream;

    if (server->client == NULL && server->seat.pool == NULL) {
        stream_close(stream);
        return;
    }
    const struct error *why = stream_why(stream);

    break_with(server, "08006",
               status == UV_EOF ? "the server closed the connection"
               : why != NULL    ? why->message
                                : uv_strerror(status));
}

static void on_eased(struct stream *stream)
{
    struct server *server = (struct server *)stream;

    if (server->client != NULL)
        client_retry(server->client);
}

static const struct stream_hooks hooks = { on_came, on_ended, on_eased, on_gone };

static void on_dialled(struct dial *dial, int status)
{
    struct server *server = (struct server *)((char *)dial - offsetof(struct server, dial));

    struct error err;

    if (status == 0) {
        send_startup(server);
    } else {
        dial_explain(dial, status, &err);
        server_break(server, &err);
    }
}

static void on_dial_freed(struct dial *dial)
{
    server_free((struct server *)((char *)dial - offsetof(struct server, dial)));
}

static bool has_identity(struct client *client)
{
    if (client->identity != NULL)
        return true;
    client->identity = identity_new(client->user, client_dbname(client), client->startup,
                                    client->startup_count, NULL, &client->credentials);
    if (client->identity == NULL)
        return false;
    /* The client's own protocol version: a server that is too old for it answers as it would without us. */
    client->identity->protocol_minor = client->protocol_minor;
    return true;
}

static struct server *server_new(struct loop *loop, const struct store *store, struct identity *identity)
{
    struct server *server = calloc(1, sizeof *server);

    if (server == NULL)
        return NULL;
    stream_init(&server->stream, &hooks);
    server->loop = loop;
    server->identity = identity_take(identity);
    server->store = store;
    server->state = SERVER_CONNECTING;
    server->since_ms = server->connected_ms = clock_ms();
    DL_APPEND2(loop->servers, server, prev_of_loop, next_of_loop);
    server->tx_status = 'I';
    server->dial.done = on_dialled;
    server->dial.freed = on_dial_freed;
    stats_add(loop->stats, STAT_SERVERS_OPENED, 1);
    return server;
}

struct server *server_open(struct client *client, const struct store *store)
{
    struct server *server = has_identity(client) ? server_new(client->loop, store, client->identity) : NULL;

    if (server == NULL)
        return NULL;
    server->client = client;
    client->servers[store->index] = server;
    dial_begin(&server->dial, &client->loop->uv, &server->stream, store, client->loop->settings->tls);
    return client->servers[store->index];
}

struct server *server_open_for(struct loop *loop, const struct store *store, struct identity *identity)
{
    struct server *server = server_new(loop, store, identity);

    if (server == NULL)
        return NULL;
    dial_begin(&server->dial, &loop->uv, &server->stream, store, loop->settings->tls);
    return server;
}

void server_expired(struct server *server)
{
    struct error err;

    if (server->state == SERVER_CONNECTING && server->dial.failed != 0) {
        error_set(&err, "08001", "store_unavailable: store \"%s\": %s", server->store->name,
                  uv_strerror(server->dial.failed));
        server_break(server, &err);
    } else if (server->state <= SERVER_LOGIN && clock_ms() - server->since_ms >= SERVER_LOGIN_TIMEOUT_MS) {
        error_set(&err, "08001", "store_unavailable: store \"%s\" did not answer within %d s",
                  server->store->name, SERVER_LOGIN_TIMEOUT_MS / 1000);
        server_break(server, &err);
    }
}
