/* hear.c - see hear.h. */
#include "proxy/hear.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/loop.h"
#include "proxy/server_say.h"
#include "wire/read.h"
#include "wire/write.h"

enum { REOPEN_MS = 1000 };

/* A channel by name: one that somebody on this loop listens to (ears->wanted), or that a ear has
 * said LISTEN for (ear->asked). */
struct name {
    char *text;
    bool on; /* wanted: seen in this sweep; asked: the store has confirmed it */
    UT_hash_handle hh;
};

struct ear {
    struct ears *all;
    const struct store *store;
    struct client *session; /* hosts the connection; no socket of its own, in no list of the loop */
    struct name *asked;
    bool must;   /* stays open while anybody listens: some client depends on it */
    bool failed; /* the last attempt has failed: nobody waits for this store */
    uint64_t open_after_ms;
};

struct ears {
    struct loop *loop;
    struct name *wanted;
    struct client *clients; /* those that listen */
    bool stopped;
    size_t count;
    struct ear at[STORES_MAX]; /* by store.index */
};

/* ---- names ---- */

static struct name *find_name(struct name *names, struct slice text)
{
    struct name *name = NULL;

    if (names != NULL)
        HASH_FIND(hh, names, text.at, text.bytes, name);
    return name;
}

static struct name *add_name(struct name **names, struct slice text)
{
    struct name *name = find_name(*names, text);

    if (name != NULL)
        return name;
    name = calloc(1, sizeof *name);
    if (name == NULL || (name->text = strndup(text.at, text.bytes)) == NULL) {
        free(name);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, *names, name->text, text.bytes, name);
    return name;
}

static void drop_name(struct name **names, struct name *name)
{
    HASH_DEL(*names, name);
    free(name->text);
    free(name);
}

static void drop_names(struct name **names)
{
    while (*names != NULL)
        drop_name(names, *names);
}

/* ---- one ear ---- */

static struct server *server_of(const struct ear *ear)
{
    return ear->session->servers[ear->store->index];
}

static bool make_session(struct ear *ear)
{
    struct client *session = calloc(1, sizeof *session);

    if (session == NULL)
        return false;
    stream_init(&session->stream, NULL); /* never opened: what would be sent to it goes nowhere */
    session->loop = ear->all->loop;
    session->ear = ear;
    session->state = CLIENT_IDLE;
    session->tx_status = 'I';
    session_init(&session->session);
    txn_init(&session->txn);
    session->user = strdup(ear->store->user == NULL ? "" : ear->store->user);
    session->database = strdup(ear->store->dbname);
    if (ear->store->password != NULL && ear->store->password[0] != '\0')
        session->credentials.password = strdup(ear->store->password);
    ear->session = session;
    return session->user != NULL && session->database != NULL;
}

static void free_session(struct client *session)
{
    if (session == NULL)
        return;
    free(session->user);
    free(session->database);
    credentials_done(&session->credentials);
    identity_give(session->identity);
    session_done(&session->session);
    buf_done(&session->stream.out);
    free(session);
}

static void open_ear(struct ear *ear)
{
    if (server_of(ear) != NULL || ear->all->stopped || clock_ms() < ear->open_after_ms)
        return;
    ear->open_after_ms = clock_ms() + REOPEN_MS;
    ear->must = true;
    if (server_open(ear->session, ear->store) == NULL)
        ear->failed = true;
}

static void close_ear(struct ear *ear)
{
    struct server *server = server_of(ear);

    drop_names(&ear->asked);
    ear->must = ear->failed = false;
    ear->open_after_ms = 0;
    if (server == NULL)
        return;
    ear->session->servers[ear->store->index] = NULL;
    server_close(server);
}

static void say(struct server *server, const char *verb, const char *channel)
{
    struct buf text;

    buf_init(&text);
    buf_append_format(&text, "%s \"", verb);
    for (; *channel != '\0'; channel++)
        buf_append(&text, *channel == '"' ? "\"\"" : channel, *channel == '"' ? 2 : 1);
    buf_append_text(&text, "\"");
    server_say(server, buf_slice(&text));
    buf_done(&text);
}

/* Its LISTENs become those that are wanted. */
static void catch_up(struct ear *ear)
{
    struct server *server = server_of(ear);
    struct name *name, *next, *asked;

    if (server == NULL || server->state != SERVER_READY)
        return;
    HASH_ITER(hh, ear->all->wanted, name, next) {
        if (find_name(ear->asked, slice_of(name->text)) != NULL ||
            (asked = add_name(&ear->asked, slice_of(name->text))) == NULL)
            continue;
        say(server, "LISTEN", asked->text);
        if (server_of(ear) != server || server->state != SERVER_READY)
            return;
    }
    HASH_ITER(hh, ear->asked, name, next) {
        if (find_name(ear->all->wanted, slice_of(name->text)) != NULL)
            continue;
        say(server, "UNLISTEN", name->text);
        if (server_of(ear) != server || server->state != SERVER_READY)
            return;
        drop_name(&ear->asked, name);
    }
    stream_flush(&server->stream);
}

/* ---- all of them ---- */

struct ears *ears_new(struct loop *loop)
{
    const struct stores *stores = loop->shared->stores;
    struct ears *ears = calloc(1, sizeof *ears);

    if (ears == NULL)
        return NULL;
    ears->loop = loop;
    for (size_t i = 0; i < stores->count; i++) {
        ears->count++;
        ears->at[i].all = ears;
        ears->at[i].store = &stores->at[i];
        if (!make_session(&ears->at[i])) {
            ears_free(ears);
            return NULL;
        }
    }
    return ears;
}

void ears_free(struct ears *ears)
{
    if (ears == NULL)
        return;
    for (size_t i = 0; i < ears->count; i++) {
        drop_names(&ears->at[i].asked);
        free_session(ears->at[i].session);
    }
    drop_names(&ears->wanted);
    free(ears);
}

void ears_stop(struct ears *ears)
{
    ears->stopped = true;
    for (size_t i = 0; i < ears->count; i++)
        close_ear(&ears->at[i]);
}

/* Marks the stores that tenants live in or move to, and the default store if there is any such. */
static void mark_relevant(const struct ears *ears, bool relevant[STORES_MAX])
{
    const struct route_table *table = ears->loop->table;
    unsigned home = stores_default(ears->loop->shared->stores)->index;

    for (size_t i = 0; i < route_table_count(table); i++) {
        const struct route *route = route_table_at(table, i);

        relevant[route->store->index] = true;
        if (route->target != NULL)
            relevant[route->target->index] = true;
        relevant[home] = true;
    }
}

void ears_follow(struct ears *ears)
{
    bool relevant[STORES_MAX] = { false };

    if (ears->stopped)
        return;
    if (ears->wanted == NULL) {
        for (size_t i = 0; i < ears->count; i++)
            close_ear(&ears->at[i]);
        return;
    }
    mark_relevant(ears, relevant);
    for (size_t i = 0; i < ears->count; i++) {
        if (relevant[i] || ears->at[i].must)
            open_ear(&ears->at[i]);
        catch_up(&ears->at[i]);
    }
}

/* What a transaction that is not over listens to. */
static void want_changes(const struct ears *ears, const struct journal *journal)
{
    const struct journal_step *step = NULL;
    struct name *name;

    while ((step = journal_next(journal, step, JOURNAL_CHANNEL, true)) != NULL) {
        const char *text = ((const struct channel_change *)step)->name;

        if (text != NULL && (name = find_name(ears->wanted, slice_of(text))) != NULL)
            name->on = true;
    }
}

/* What nobody listens to any more. While somebody waits for an ear his LISTEN is not remembered yet, and
 * nobody would wake him once its name is gone: nothing is swept then. */
static void sweep(struct ears *ears)
{
    struct name *name, *next;
    struct client *client;

    for (client = ears->clients; client != NULL; client = client->next_listening)
        if (client->state == CLIENT_JOINING)
            return;
    HASH_ITER(hh, ears->wanted, name, next)
        name->on = false;
    for (client = ears->clients; client != NULL; client = client->next_listening) {
        for (const struct channel *c = client->session.channels.all; c != NULL; c = c->hh.next)
            if (c->on && (name = find_name(ears->wanted, slice_of(c->name))) != NULL)
                name->on = true;
        want_changes(ears, &client->session.journal);
    }
    HASH_ITER(hh, ears->wanted, name, next)
        if (!name->on)
            drop_name(&ears->wanted, name);
}

void ears_tick(struct ears *ears)
{
    if (ears->stopped || ears->wanted == NULL)
        return;
    sweep(ears);
    ears_follow(ears);
    for (size_t i = 0; i < ears->count; i++)
        client_expired(ears->at[i].session);
}

static void retry_waiting(struct ears *ears, unsigned store)
{
    struct client *client, *next;

    DL_FOREACH_SAFE(ears->loop->clients, client, next)
        if (client->state == CLIENT_JOINING && client->waiting_store == (int)store)
            client_retry(client);
}

/* ---- clients ---- */

static void enlist(struct client *client)
{
    struct ears *ears = client->loop->ears;

    if (client->listening)
        return;
    client->listening = true;
    DL_APPEND2(ears->clients, client, prev_listening, next_listening);
}

void hear_leave(struct client *client)
{
    if (!client->listening)
        return;
    client->listening = false;
    DL_DELETE2(client->loop->ears->clients, client, prev_listening, next_listening);
    buf_done(&client->notified);
}

void hear_settle(struct client *client)
{
    struct ears *ears = client->loop->ears;
    struct channels *channels = &client->session.channels;
    unsigned home = stores_default(client->loop->shared->stores)->index;

    if (!channels->changed || client->state == CLIENT_CLOSING)
        return;
    channels->changed = false;
    if (!channels_is_any_on(channels)) {
        if (channels->change_count == 0)
            hear_leave(client);
        return;
    }
    enlist(client);
    for (const struct channel *channel = channels->all; channel != NULL; channel = channel->hh.next) {
        if (!channel->on)
            continue;
        add_name(&ears->wanted, slice_of(channel->name));
        if (!(channel->own >> home & 1))
            ears->at[home].must = true;
    }
    ears_follow(ears);
}

bool hear_ready(struct client *client, struct slice name, unsigned index, unsigned *waits_for)
{
    struct ears *ears = client->loop->ears;
    unsigned home = stores_default(client->loop->shared->stores)->index;

    if (index == home && route_table_count(client->loop->table) == 0 && !ears->at[home].must)
        return true; /* everything is where its own server is */
    enlist(client);
    if (add_name(&ears->wanted, name) == NULL)
        return true;
    if (index != home)
        ears->at[home].must = true;
    ears_follow(ears);
    for (unsigned i = 0; i < ears->count; i++) {
        const struct ear *ear = &ears->at[i];
        const struct name *asked = find_name(ear->asked, name);

        if (i == index || !ear->must || ear->failed || (asked != NULL && asked->on))
            continue;
        *waits_for = i;
        return false;
    }
    return true;
}

/* Between two messages, outside of transactions, and nothing is owed: there PostgreSQL tells them, too. */
static bool may_be_told(const struct client *client)
{
    return client->state >= CLIENT_IDLE && client->state != CLIENT_CLOSING && client->tx_status == 'I' &&
           client->sync_sent == client->sync_seen && !client->txn.open && client->txn.branch < 0;
}

void hear_flush(struct client *client)
{
    if (buf_bytes(&client->notified) == 0)
        return;
    stream_send(&client->stream, buf_at(&client->notified), buf_bytes(&client->notified));
    buf_clear(&client->notified);
    buf_shrink(&client->notified);
}

static void tell(struct client *client, uint32_t pid, struct slice channel, struct slice payload)
{
    size_t mark = write_begin(&client->notified, BE_NOTIFICATION);
    struct error err;

    write_u32(&client->notified, pid);
    write_slice_text(&client->notified, channel);
    write_slice_text(&client->notified, payload);
    write_end(&client->notified, mark);
    if (buf_failed(&client->notified) || buf_bytes(&client->notified) > NOTIFIED_BYTES_MAX ||
        stream_waiting_bytes(&client->stream) > NOTIFIED_BYTES_MAX) {
        error_set(&err, "53400",
                  "more notifications wait than are kept for a client that does not take them");
        error_hint(&err, "End the transaction, or read what has come; then connect and LISTEN again.");
        client_fail(client, &err);
        return;
    }
    if (!may_be_told(client))
        return;
    hear_flush(client);
    stream_flush(&client->stream);
}

/* ---- news of a ear's connection ---- */

void hear_server_ready(struct client *session, struct server *server)
{
    struct ear *ear = session->ear;

    (void)server;
    ear->failed = false;
    catch_up(ear);
}

void hear_server_lost(struct client *session, struct server *server)
{
    struct ear *ear = session->ear;
    unsigned index = ear->store->index;

    log_error(session->loop->shared->log, LOG_WARN, "proxy", &server->why,
              "notifications of store \"%s\" are not heard for now", ear->store->name);
    drop_names(&ear->asked);
    ear->failed = true;
    session->servers[index] = NULL;
    server_close(server);
    retry_waiting(ear->all, index);
}

void hear_server_quiet(struct client *session, struct server *server)
{
    struct ear *ear = session->ear;

    if (server->silent_failed) { /* a store that refuses LISTEN (a standby) tells nothing */
        log_error(session->loop->shared->log, LOG_WARN, "proxy", &server->silent_why,
                  "store \"%s\" refuses LISTEN", ear->store->name);
        server->silent_failed = false;
    }
    for (struct name *name = ear->asked; name != NULL; name = name->hh.next)
        name->on = true;
    retry_waiting(ear->all, ear->store->index);
}

uint32_t hear_sender(const struct client *client, unsigned index, uint32_t pid)
{
    const struct server *own = client->servers[index];

    return own != NULL && own->pid == (int32_t)pid ? client->cancel_pid : pid;
}

void hear_told(struct client *session, struct server *server, const struct msg *msg)
{
    struct ears *ears = session->ear->all;
    struct client *client, *next;
    unsigned index = server->store->index;
    struct read body = read_msg(msg);
    uint32_t pid = read_u32(&body);
    struct slice channel = read_text(&body), payload = read_text(&body);

    if (body.bad)
        return;
    for (client = ears->clients; client != NULL; client = next) {
        next = client->next_listening;
        if (channels_hears(&client->session.channels, channel, index))
            tell(client, hear_sender(client, index, pid), channel, payload);
    }
}
