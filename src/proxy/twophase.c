/* twophase.c - see twophase.h. */
#include "proxy/twophase.h"

#include <string.h>

#include "proxy/join.h"
#include "proxy/loop.h"
#include "proxy/server_say.h"

bool twophase_asks(const struct client *client, const struct message *message)
{
    const struct plan *plan = message->plan;
    enum statement_kind kind;

    if (plan == NULL || !plan->parsed || plan->statement_count != 1 || message->asks_only ||
        !client->routed || client->txn.open || plan->statements[0].name == NULL ||
        route_table_away_count(client->loop->table) == 0)
        return false;
    kind = plan->statements[0].kind;
    return kind == STATEMENT_COMMIT_PREPARED || kind == STATEMENT_ROLLBACK_PREPARED;
}

void twophase_forget(struct client *client)
{
    client->gid_asked = 0;
    client->gid_found = false;
}

/* The stores in the order in which they are asked: the default store, then by index. */
static unsigned nth_store(const struct stores *stores, unsigned n)
{
    if (n == 0)
        return stores->default_index;
    return n <= stores->default_index ? n - 1 : n;
}

static void ask(struct server *server, const char *gid)
{
    struct buf text;

    buf_init(&text);
    buf_append_text(
        &text,
        "SELECT 'here' FROM pg_catalog.pg_prepared_xacts WHERE database = current_database() AND gid = E'");
    for (; *gid != '\0'; gid++) {
        if (*gid == '\'' || *gid == '\\')
            buf_append(&text, gid, 1);
        buf_append(&text, gid, 1);
    }
    buf_append_text(&text, "'");
    server_say_asking(server, buf_slice(&text));
    buf_done(&text);
}

static enum arrival wait_for(struct client *client, enum client_event event, unsigned store)
{
    client->waiting_store = (int)store;
    client_enter(client, event);
    return WAITING;
}

/* One store's answer. */
static enum arrival hear(struct client *client, const char *gid, unsigned store, struct error *err)
{
    struct server *server = client->servers[store];
    enum arrival arrival;

    if (server == NULL || !server->asking) {
        arrival = join_server(client, &client->loop->shared->stores->at[store], &server, err);
        if (arrival == WAITING)
            return wait_for(client, EV_JOIN, store);
        if (arrival == REFUSED)
            return REFUSED;
        ask(server, gid);
    }
    if (server->state != SERVER_READY || !server_is_quiet(server))
        return wait_for(client, EV_SWITCH, store);
    server->asking = false;
    client->gid_found = strcmp(server->captured, "here") == 0;
    if (!server->silent_failed)
        return ARRIVED;
    server->silent_failed = false;
    *err = server->silent_why;
    return REFUSED;
}

enum arrival twophase_find(struct client *client, const char *gid, int *index, struct error *err)
{
    const struct stores *stores = client->loop->shared->stores;

    while (!client->gid_found && client->gid_asked < stores->count) {
        unsigned store = nth_store(stores, client->gid_asked);
        enum arrival arrival = hear(client, gid, store, err);

        if (arrival != ARRIVED)
            return arrival;
        if (!client->gid_found)
            client->gid_asked++;
    }
    *index = (int)nth_store(stores, client->gid_found ? client->gid_asked : 0);
    return ARRIVED;
}
