/* client.c - see client.h: its life, and the loop over its messages. */
#include "proxy/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/cancel.h"
#include "proxy/copying.h"
#include "proxy/drain.h"
#include "proxy/lend.h"
#include "proxy/hear.h"
#include "proxy/idle.h"
#include "proxy/local.h"
#include "proxy/login.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/outcome.h"
#include "proxy/relay.h"
#include "proxy/secure.h"
#include "proxy/statement.h"
#include "proxy/warm.h"
#include "wire/write.h"

enum { IN_BYTES_MAX_WAITING = 1024 * 1024 }; /* a client that waits is not read beyond this */

/* SHOW STATS: how long it has waited, for the store it waited for. */
static void count_wait(struct client *client)
{
    if (client->waiting_store >= 0 && client_waits(client))
        tally_waited(&client->loop->tallies[client->waiting_store], (clock_ms() - client->since_ms) * 1000);
}

bool client_waits(const struct client *client)
{
    return client->state == CLIENT_LOGIN || client->state == CLIENT_HELD || client->state == CLIENT_JOINING ||
           client->state == CLIENT_SWITCHING || client->state == CLIENT_LOOKING;
}

void client_enter(struct client *client, enum client_event event)
{
    enum client_state next;

    if (!client_step(client->state, event, &next)) { /* our own mistake: better one client than all */
        log_line(client->loop->shared->log, LOG_ERROR, "proxy", "client: %s is not expected while %s",
                 client_event_name(event), client_state_name(client->state));
        next = CLIENT_CLOSING;
    }
    count_wait(client);
    client->state = next;
    client->since_ms = clock_ms();
}

/* ---- closing ---- */

static void client_free(struct client *client)
{
    credentials_done(&client->credentials);
    proxy_settings_give(client->settings); /* behind what borrows from it */
    for (size_t i = 0; i < client->startup_count; i++) {
        free(client->startup[i].name);
        free(client->startup[i].value);
    }
    free(client->startup);
    identity_give(client->identity);
    free(client->user);
    free(client->database);
    free(client->startup_path);
    session_done(&client->session);
    txn_reset(&client->txn);
    cursors_done(&client->cursors);
    local_drop_portal(client);
    copying_end(client);
    shape_done(&client->shape);
    attribution_done(&client->attribution);
    execute_arguments_done(&client->arguments);
    free(client);
}

static void on_gone(struct stream *stream)
{
    client_free((struct client *)stream);
}

static void leave_loop(struct client *client)
{
    struct loop *loop = client->loop;

    DL_DELETE(loop->clients, client);
    if (client->cancel_pid != 0)
        HASH_DEL(loop->by_pid, client);
    atomic_fetch_sub(loop->shared->client_count, 1);
    stats_add(loop->stats, STAT_CLIENTS_CLOSED, 1);
}

/* Everything but the stream itself. */
static void let_go(struct client *client)
{
    client_enter(client, EV_CLOSE);
    admit_done(client);
    gate_unwait(&client->waiter);
    finder_forget(client);
    sow_drop(client);
    hear_leave(client);
    gates_leave(&client->passes, UINT64_MAX,
                clock_ms()); /* a backend that still works is the tap's lock's to find */
    if (client->shares)
        lend_leave(client);
    for (size_t i = 0; i < client->loop->shared->stores->count; i++)
        if (client->servers[i] != NULL) {
            server_close(client->servers[i]);
            client->servers[i] = NULL;
        }
    leave_loop(client);
}

void client_close(struct client *client)
{
    if (client->state != CLIENT_CLOSING)
        let_go(client);
    stream_close(&client->stream);
}

void client_fail(struct client *client, const struct error *why)
{
    if (client->state == CLIENT_CLOSING)
        return;
    (client->old_protocol ? write_error_old : write_error)(stream_out(&client->stream), "FATAL", why);
    let_go(client);
    stream_finish(&client->stream);
    stream_close_by(&client->stream, &client->loop->lingering, clock_ms() + LAST_WORDS_MS);
}

static void fail_with(struct client *client, const char *sqlstate, const char *text)
{
    struct error err;

    error_set(&err, sqlstate, "%s", text);
    client_fail(client, &err);
}

/* ---- messages ---- */

static struct server *passing_server(struct client *client)
{
    return client->passing_to < 0 ? NULL : client->servers[client->passing_to];
}

/* The rest of a large message, as it comes. */
static void pass_rest(struct client *client)
{
    struct server *server = passing_server(client);
    size_t held = buf_bytes(&client->stream.in);
    size_t count = held < client->passing_bytes ? held : client->passing_bytes;

    if (server != NULL && server->state == SERVER_READY)
        stream_send(&server->stream, buf_at(&client->stream.in), count);
    buf_consume(&client->stream.in, count);
    client->passing_bytes -= count;
}

static bool is_braked(struct client *client)
{
    for (size_t i = 0; i < client->loop->shared->stores->count; i++)
        if (client->servers[i] != NULL && client->servers[i]->state == SERVER_READY &&
            (stream_is_full(&client->servers[i]->stream) || client->servers[i]->cancels > 0))
            return true;
    return false;
}

static bool idle_step(struct client *client)
{
    struct msg msg;
    struct error err;
    enum wire_result result;

    if (is_braked(client))
        return false;
    if (client->passing_bytes > 0) {
        pass_rest(client);
        return client->passing_bytes == 0;
    }
    if (copying_has_more(client))
        return copying_more(client);
    result = msg_peek(&client->stream.in, &msg, &err);
    if (result == WIRE_MSG && !msg_is_frontend(msg.type)) {
        error_set(&err, "08P01", "invalid frontend message type %d", (unsigned char)msg.type);
        result = WIRE_BAD;
    }
    if (result == WIRE_BAD) {
        client_fail(client, &err);
        return false;
    }
    if (result != WIRE_MSG || drain_instead(client))
        return false;
    idle_began(client);
    return statement_message(client, &msg);
}

static bool step_once(struct client *client)
{
    switch (client->state) {
    case CLIENT_STARTUP:
        return login_startup_step(client);
    case CLIENT_AUTH:
        return admit_step(client);
    case CLIENT_IDLE:
        return idle_step(client);
    default:
        return false;
    }
}

void client_flush(struct client *client)
{
    client->unflushed = false;
    for (size_t i = 0; i < client->loop->shared->stores->count; i++)
        if (client->servers[i] != NULL && client->servers[i]->state == SERVER_READY)
            stream_flush(&client->servers[i]->stream);
    if (client->state != CLIENT_CLOSING)
        stream_flush(&client->stream);
}

/* A client that waits is read a little ahead and then not at all: its own kernel buffer brakes it. */
static void set_brake(struct client *client)
{
    bool waits = client->state != CLIENT_STARTUP && client->state != CLIENT_AUTH &&
                 (client->state != CLIENT_IDLE || is_braked(client));
    bool brake = waits && buf_bytes(&client->stream.in) >= IN_BYTES_MAX_WAITING;

    if (admit_is_waiting(client)) /* nobody knows who it is: it gets less */
        brake = buf_bytes(&client->stream.in) >= AUTH_MESSAGE_BYTES_MAX;
    if (brake)
        stream_pause(&client->stream);
    else
        stream_start(&client->stream);
}

void client_run(struct client *client)
{
    if (client->running) { /* called back from within: the outer one goes on */
        client->again = true;
        return;
    }
    client->running = true;
    do {
        client->again = false;
        while (buf_bytes(&client->stream.in) > 0 && step_once(client))
            ;
        if (client->state != CLIENT_CLOSING)
            client_flush(client);
    } while (client->again && client->state != CLIENT_CLOSING);
    client->running = false;
    if (client->state == CLIENT_CLOSING)
        return;
    if (buf_bytes(&client->stream.in) == 0)
        buf_shrink(&client->stream.in);
    set_brake(client);
    if (client->lent > 0)
        lend_settle(client);
}

void client_retry(struct client *client)
{
    if (client->state == CLIENT_HELD && client->waiter.gate != NULL && !client->refused)
        return; /* it stands in the gate's line: only the gate, its clock or a cancel takes it off */
    if (client->state == CLIENT_JOINING && client->line.pool != NULL && !client->refused)
        return; /* the same in a pool's line */
    gate_unwait(&client->waiter);
    pool_unwait(&client->line);
    if (client->state == CLIENT_HELD || client->state == CLIENT_JOINING ||
        client->state == CLIENT_SWITCHING || client->state == CLIENT_LOOKING)
        client_enter(client, EV_GO);
    if (client->state != CLIENT_CLOSING)
        client_run(client);
}

/* ---- answers of the proxy's own ---- */

void client_said(struct client *client, char ready, bool failed, uint64_t until)
{
    if (failed)
        client->outcome_failed = client->error_seen = true;
    if (ready != 0)
        outcome_ready(client, NULL, ready, until);
}

void client_asks_ready(struct client *client)
{
    client->sync_sent++;
    journal_close(&client->session.journal, client->txn.open);
}

void client_say(struct client *client, struct buf *bytes, char ready, bool failed)
{
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    if (server != NULL && server->visible > 0) {
        if (owed_add_local(server, bytes, ready, failed))
            return;
        buf_done(bytes);
        fail_with(client, "53200", "out of memory");
        return;
    }
    if (buf_failed(bytes)) {
        fail_with(client, "53200", "out of memory");
    } else {
        stream_send(&client->stream, buf_at(bytes), buf_bytes(bytes));
        client_said(client, ready, failed, client->session.journal.said);
    }
    buf_done(bytes);
}

uint64_t client_ends_with(const struct client *client)
{
    uint64_t next = client->sync_sent + 1;

    return client->txn.open && client->txn.first_sync > next ? client->txn.first_sync : next;
}

/* ---- news of servers ---- */

void client_welcome(struct client *client)
{
    login_welcome(client);
    client_run(client);
}

void client_refuse(struct client *client, const struct error *why)
{
    client->refused = true;
    client->refused_why = *why;
    client_retry(client);
}

void client_server_ready(struct client *client, struct server *server)
{
    if (client->ear != NULL) {
        hear_server_ready(client, server);
    } else if (client->state == CLIENT_LOGIN) {
        remember_login(client->loop->remember, client->user, client->database, &client->session);
        client->last_store = (int)server->store->index;
        client_welcome(client);
    } else if (client->state == CLIENT_JOINING && client->waiting_store == (int)server->store->index) {
        client_retry(client);
    } else if (server->warm) {
        warm_ready(client, server);
    }
}

void client_server_quiet(struct client *client, struct server *server)
{
    int index = (int)server->store->index;

    if (client->ear != NULL) {
        hear_server_quiet(client, server);
        return;
    }
    if (client->answering == index)
        client->answering = -1;
    if ((client->state == CLIENT_JOINING || client->state == CLIENT_SWITCHING) &&
        client->waiting_store == index)
        client_retry(client);
    else if (client->lent > 0)
        lend_settle(client);
}

/* ---- time, gates, cancels ---- */

static struct client *of_waiter(struct gate_waiter *waiter)
{
    return (struct client *)((char *)waiter - offsetof(struct client, waiter));
}

static void note_held(struct client *client)
{
    stats_add(client->loop->stats, STAT_HELD_MS_SUM, clock_ms() - client->since_ms);
}

static void on_gate_opened(struct gate_waiter *waiter)
{
    note_held(of_waiter(waiter));
    client_retry(of_waiter(waiter));
}

static void on_gate_expired(struct gate_waiter *waiter)
{
    struct client *client = of_waiter(waiter);

    note_held(client);
    client->refused = true;
    error_set(&client->refused_why, "55P03", "write_paused: the write was held for %llu ms and is given up",
              (unsigned long long)(clock_ms() - client->since_ms));
    error_detail(&client->refused_why,
                 "The tenant is being cut over to another store, or this proxy has lost the "
                 "control database. Nothing of the statement was executed.");
    error_hint(&client->refused_why, "Try again; SHOW MIGRATIONS on the admin socket tells the state.");
    client_retry(client);
}

void client_expired(struct client *client)
{
    uint64_t now_ms = clock_ms();

    if (client->state <= CLIENT_AUTH &&
        now_ms - client->since_ms > client->loop->settings->rules->login_timeout_ms) {
        fail_with(client, "57014", "canceling authentication due to timeout");
        return;
    }
    if (client->ear == NULL && !idle_check(client))
        return;
    for (size_t i = 0; i < client->loop->shared->stores->count; i++) {
        struct server *server = client->servers[i];

        if (server == NULL || server->state > SERVER_LOGIN)
            continue;
        server_expired(server);
        if (client->servers[i] != server)
            return; /* the client may be gone */
    }
}

void client_cancel(struct client *client, struct cancel_asker asker)
{
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    stats_add(client->loop->stats, STAT_CANCELS, 1);
    if (client->state == CLIENT_HELD || client->state == CLIENT_JOINING || client->state == CLIENT_LOOKING ||
        copying_is_deferred(client)) {
        gate_unwait(&client->waiter);
        client->refused = true;
        error_set(&client->refused_why, "57014", "canceling statement due to user request");
        cancel_answer(client->loop, asker);
        client_retry(client);
    } else if (server != NULL && server->visible > 0) {
        cancel_send(server, asker);
    } else {
        cancel_answer(client->loop, asker);
    }
}

/* ---- stream ---- */

static void on_came(struct stream *stream, size_t bytes)
{
    struct client *client = (struct client *)stream;

    stats_add(client->loop->stats, STAT_CLIENT_BYTES, bytes);
    client->request_ms = uv_now(&client->loop->uv);
    if (client->state != CLIENT_CLOSING)
        client_run(client);
}

static void on_secured(struct stream *stream)
{
    secure_done((struct client *)stream);
}

static void on_ended(struct stream *stream, int status)
{
    (void)status;
    secure_failed((struct client *)stream);
    client_close((struct client *)stream);
}

static void on_eased(struct stream *stream)
{
    struct client *client = (struct client *)stream;

    if (client->state == CLIENT_CLOSING)
        return;
    for (size_t i = 0; i < client->loop->shared->stores->count; i++)
        if (client->servers[i] != NULL)
            stream_start(&client->servers[i]->stream);
}

static const struct stream_hooks hooks = { on_came, on_ended, on_eased, on_gone, on_secured };

void client_open(struct loop *loop, int fd)
{
    struct client *client = calloc(1, sizeof *client);

    if (client == NULL) {
        close(fd);
        return;
    }
    stream_init(&client->stream, &hooks);
    client->loop = loop;
    client->number = ++loop->client_number;
    client->since_ms = client->connected_ms = clock_ms();
    client->home_store = client->last_store = client->answering = client->passing_to = client->waiting_store =
        client->warm_store = -1;
    client->tx_status = 'I';
    client->user_tenant = "";
    client->waiter.opened = on_gate_opened;
    client->waiter.expired = on_gate_expired;
    session_init(&client->session);
    client->session.serials = &loop->last_serial;
    txn_init(&client->txn);
    cursors_init(&client->cursors);
    shape_init(&client->shape);
    attribution_init(&client->attribution);
    DL_APPEND(loop->clients, client);
    atomic_fetch_add(loop->shared->client_count, 1);
    stats_add(loop->stats, STAT_CLIENTS_ACCEPTED, 1);
    if (!stream_accept(&client->stream, &loop->uv, fd)) {
        client_close(client);
        return;
    }
    loop_give_cancel_key(loop, client);
    stream_start(&client->stream);
}

const char *client_dbname(const struct client *client)
{
    return client->mapped_database ? stores_default(client->loop->shared->stores)->dbname : client->database;
}
