/* sync.c - see sync.h. */
#include "proxy/sync.h"

#include "proxy/branches.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "wire/write.h"

bool sync_flush(struct client *client, const struct msg *header)
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

bool sync_message(struct client *client, const struct msg *header)
{
    struct server *server;
    struct buf answer;

    if (client->txn.branch_count > 1) {
        branches_note_settings(client);
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
