/* client.c - see client.h: its life, and the loop over its messages. */
#include "proxy/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/book.h"
#include "proxy/branches.h"
#include "proxy/cancel.h"
#include "proxy/drain.h"
#include "proxy/join.h"
#include "proxy/lend.h"
#include "proxy/hear.h"
#include "proxy/idle.h"
#include "proxy/local.h"
#include "proxy/login.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/relay.h"
#include "proxy/secure.h"
#include "proxy/statement.h"
#include "proxy/warm.h"
#include "wire/write.h"

enum { LEND_TRIES_MAX = 3 };
enum { IN_BYTES_MAX_WAITING = 1024 * 1024 }; /* a client that waits is not read beyond this */

/* SHOW STATS: how long it has waited, for the store it waited for. */
static void count_wait(struct client *client)
{
    if (client->waiting_store >= 0 && client_waits(client))
        client->loop->tallies[client->waiting_store].total[TALLY_WAIT_US] +=
            (clock_ms() - client->since_ms) * 1000;
}

bool client_waits(const struct client *client)
{
    return client->state == CLIENT_LOGIN || client->state == CLIENT_HELD || client->state == CLIENT_JOINING ||
           client->state == CLIENT_SWITCHING;
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
    session_done(&client->session);
    txn_reset(&client->txn);
    cursors_done(&client->cursors);
    local_drop_portal(client);
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
    if (client->state == CLIENT_HELD || client->state == CLIENT_JOINING || client->state == CLIENT_SWITCHING)
        client_enter(client, EV_GO);
    if (client->state != CLIENT_CLOSING)
        client_run(client);
}

/* ---- answers of the proxy's own ---- */

void client_said(struct client *client, char ready, bool failed)
{
    if (failed)
        client->outcome_failed = client->error_seen = true;
    if (ready != 0)
        client_ready_seen(client, NULL, ready);
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
        client_said(client, ready, failed);
    }
    buf_done(bytes);
}

uint64_t client_ends_with(const struct client *client)
{
    uint64_t next = client->sync_sent + 1;

    return client->txn.open && client->txn.first_sync > next ? client->txn.first_sync : next;
}

/* What the transaction was has been decided. */
static void transaction_ended(struct client *client, struct server *server)
{
    bool alike = server != NULL && client->session.pending != NULL && join_is_worn(client, server);

    branches_ended(client);
    cursors_end(&client->cursors, client->sync_seen);
    if (client->outcome_failed)
        session_rollback(&client->session, client->sync_seen);
    else
        session_commit(&client->session, client->sync_seen);
    if (alike)
        join_wears(client, server);
    if (server != NULL && server->doubtful && !client->outcome_failed && client->shares)
        server->pinned = "a statement that pgshunt cannot read";
    if (server != NULL)
        server->doubtful = false;
    client->outcome_failed = false;
    hear_settle(client);
    hear_flush(client);
    stats_add(client->loop->stats, STAT_TRANSACTIONS, 1);
    if (client->passes != NULL) {
        warm_note(client);
        gates_leave(&client->passes, client->sync_seen, clock_ms());
    }
}

void client_ready_seen(struct client *client, struct server *server, char tx_status)
{
    client->sync_seen++;
    client->tx_status = tx_status;
    idle_answered(client);
    client->error_seen = false;
    if (tx_status == 'I' || (tx_status == 'T' && client->sync_seen == client->chain_sync))
        transaction_ended(client, server);
    else
        session_not_undone(&client->session, client->sync_seen);
    if (client->sync_seen == client->sync_sent && server != NULL)
        book_reconcile(client, server, tx_status);
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

/* Its COMMIT was on the way, or done: only the store knows. */
static void outcome_unknown(struct error *unknown, const struct error *why)
{
    error_set(unknown, "08007", "transaction resolution unknown: the store was lost while it committed");
    error_detail(unknown, "%s", why->message);
    error_hint(unknown, "Look whether what the transaction wrote is there before it is tried again.");
}

/* Answers what the lost server owed: an error for every statement, a ReadyForQuery for every one that was
 * due. */
static void answer_for(struct client *client, struct server *server, const struct error *why)
{
    struct buf *out = stream_out(&client->stream);
    bool told = false;
    struct request *head;
    struct error unknown;

    outcome_unknown(&unknown, why);
    while ((head = owed_head(server)) != NULL) {
        char kind = head->silent ? 0 : head->kind;

        char ready = head->ready;
        bool failed = head->failed;

        if (kind == REQUEST_LOCAL) {
            stream_send(&client->stream, buf_at(&head->local), buf_bytes(&head->local));
        } else if (kind != 0) {
            if (!told && (kind != 'S' || client->outcome_failed == false))
                write_error(out, "ERROR", head->ends ? &unknown : why);
            told = true;
        }
        owed_pop(server);
        if (kind == REQUEST_LOCAL)
            client_said(client, ready, failed);
        if (kind == 'Q' || kind == 'S' || kind == 'F') {
            write_ready(out, 'I');
            client->outcome_failed = true;
            told = false;
            client_ready_seen(client, NULL, 'I');
        }
    }
    client->skip_to_sync = client->skip_to_sync || told;
}

/* It was refused, by the store or by us who could not answer what it asked for. */
static bool is_unwilling(const struct server *server)
{
    return server->why_from_server || strncmp(server->why.sqlstate, "28", 2) == 0;
}

/* The home store is down, not unwilling: a tenant that lives elsewhere can still be served. */
void client_home_failed(struct client *client, const struct error *why, bool unwilling)
{
    if (unwilling || !client->routed || route_table_away_count(client->loop->table) == 0 ||
        !remember_recall(client->loop->remember, client->user, client->database, &client->session))
        client_fail(client, why);
    else
        client_welcome(client);
}

static void begin_without_home(struct client *client, struct server *server, const struct error *why)
{
    bool unwilling = is_unwilling(server);

    client->servers[server->store->index] = NULL;
    server_close(server);
    client_home_failed(client, why, unwilling);
}

/* What it needed there was nothing that another server of the pool could not do as well. */
static bool may_try_another(struct client *client, const struct server *server)
{
    return client->shares && server->visible == 0 && server->pinned == NULL &&
           txn_at(&client->txn, (int)server->store->index) == NULL && ++client->lend_tries <= LEND_TRIES_MAX;
}

/* PostgreSQL would have ended the session, and another server cannot go on with this one: it had something
 * there that cannot be made again, or it was told to go for being silent. */
static bool ends_session(const struct client *client, const struct server *server)
{
    const char *sqlstate = server->why.sqlstate;
    unsigned index = server->store->index;

    if (client->replication || belongings_are_at(&client->session.belongings, index))
        return true;
    if (!server->why_from_server)
        return false;
    if (strcmp(sqlstate, "25P03") == 0) /* idle_in_transaction_session_timeout */
        return txn_at((struct txn *)&client->txn, (int)index) != NULL;
    return strcmp(sqlstate, "57P05") == 0 && client->last_store == (int)index && client->tx_status == 'I' &&
           client->sync_sent == client->sync_seen; /* idle_session_timeout: not of a store left behind */
}

void client_server_lost(struct client *client, struct server *server)
{
    int index = (int)server->store->index;
    struct error why = server->why;
    bool owed = server->visible > 0, cut = server->passing_bytes > 0 && !server->passing_silent;
    bool again = may_try_another(client, server);

    if (client->ear != NULL) {
        hear_server_lost(client, server);
        return;
    }
    if (client->state == CLIENT_LOGIN) {
        begin_without_home(client, server, &why);
        return;
    }
    client->lost_why = why;
    if (server->warm || client->warm_wanted)
        warm_lost(client, server);
    log_error(client->loop->shared->log, LOG_WARN, "proxy", &why, "user \"%s\" lost store \"%s\"",
              client->user, server->store->name);
    if (ends_session(client, server)) {
        if (cut)
            client_close(client);
        else
            client_fail(client, &why);
        return;
    }
    if (owed)
        answer_for(client, server, &why);
    else if (!again && !server->warm && index == client->last_store && index == client->home_store &&
             client->state == CLIENT_IDLE) {
        client->refused = true; /* what the session had there is gone: its next statement says so, once */
        client->refused_why = why;
    }
    client->servers[index] = NULL;
    if (client->answering == index)
        client->answering = -1;
    if (txn_at(&client->txn, index) != NULL) {
        bool lost = client->txn.open && !owed && !client->refused;

        branches_abandon(client, index);
        txn_reset(&client->txn);
        client->txn.lost = lost;
        session_rollback(&client->session, UINT64_MAX);
        gates_leave(&client->passes, UINT64_MAX, clock_ms());
    }
    client->lent -= server->seat.pool != NULL;
    server_close(server);
    if (cut) { /* half a row has been sent: nothing can be said in its middle */
        client_close(client);
        return;
    }
    if ((client->state == CLIENT_JOINING || client->state == CLIENT_SWITCHING) &&
        client->waiting_store == index && !client->skip_to_sync && !again) {
        client->txn.lost = false; /* said once, by this */
        client->refused = true;
        client->refused_why = why;
    }
    channels_lost(&client->session.channels, (unsigned)index); /* from now on the shared listener tells it */
    hear_settle(client);
    client_retry(client);
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
    if (client->state == CLIENT_HELD || client->state == CLIENT_JOINING) {
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
