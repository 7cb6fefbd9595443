/* warm.c - see warm.h. */
#include "proxy/warm.h"

#include <string.h>

#include "base/clock.h"
#include "proxy/join.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/server_say.h"

enum { WARM_RETRY_MS = 2000, WARM_STATEMENTS_MAX = 256 };

static void warm_up(struct client *client, const struct route *route)
{
    uint64_t now_ms = clock_ms();

    memcpy(client->warm_tenant, route->tenant, sizeof client->warm_tenant);
    client->warm_store = (int)route->target->index;
    if (client->shares) {
        lend_warm(client, route->target);
        return;
    }
    if (client->servers[client->warm_store] != NULL ||
        (client->warm_failed && now_ms - client->warm_since_ms < WARM_RETRY_MS))
        return;
    client->warm_since_ms = now_ms;
    client->warm_wanted = true;
    server_open(client, route->target);
    client->warm_wanted = false;
    if (client->servers[client->warm_store] != NULL)
        client->servers[client->warm_store]->warm = true;
}

void warm_note(struct client *client)
{
    for (const struct gate_pass *pass = client->passes; pass != NULL; pass = pass->next) {
        const char *tenant = gate_pass_tenant(pass);
        const struct route *route = tenant == NULL ? NULL : route_table_get(client->loop->table, tenant);

        if (route != NULL && route->migration_state == ROUTING_DUAL_WRITE && route->target != NULL)
            warm_up(client, route);
    }
}

void warm_again(struct client *client)
{
    const struct route *route;

    if (!client->warm_failed || client->state == CLIENT_CLOSING)
        return;
    route = route_table_get(client->loop->table, client->warm_tenant);
    if (route != NULL && route->migration_state == ROUTING_DUAL_WRITE && route->target != NULL)
        warm_up(client, route);
    else
        client->warm_failed = false; /* nobody asks any more */
}

/* The statements that will follow the tenant. */
static void say_statements(struct client *client, struct server *server)
{
    struct prepared *prepared, *next;
    unsigned count = 0;

    HASH_ITER(hh, client->session.prepared, prepared, next) {
        const struct plan *plan = prepared->plan;

        if (prepared->sql || prepared->name[0] == '\0' || plan->statement_count != 1 ||
            !(plan->statements[0].tables & (TABLES_EVENT | TABLES_COMPANION)) ||
            count++ >= WARM_STATEMENTS_MAX)
            continue;
        server_say_parse(server, prepared, true);
    }
    if (server->pipeline)
        server_say_sync(server, true);
}

void warm_ready(struct client *client, struct server *server)
{
    struct error err;

    client->warm_failed = false;
    if (join_make_alike(client, server, &err))
        say_statements(client, server);
    if (server->state == SERVER_READY)
        stream_flush(&server->stream);
}

void warm_lost(struct client *client, const struct server *server)
{
    client->warm_failed = true;
    client->warm_why = server->why;
}

void warm_count(struct loop *loop, struct gate_letter *letter)
{
    struct client *client;

    DL_FOREACH(loop->clients, client) {
        const struct server *server;
        const struct error *failed;

        if (client->warm_store < 0 || strcmp(client->warm_tenant, letter->tenant) != 0)
            continue;
        if (client->shares) {
            letter->warm_ready += lend_is_warm(client, (unsigned)client->warm_store, &failed);
            if (failed != NULL) {
                letter->warm_failed++;
                snprintf(letter->warm_error, sizeof letter->warm_error, "user \"%s\": %.200s", client->user,
                         failed->message);
            }
            continue;
        }
        server = client->servers[client->warm_store];
        if (server != NULL && server->state == SERVER_READY && !server->silent_failed) {
            letter->warm_ready++;
        } else if (client->warm_failed || (server != NULL && server->silent_failed)) {
            const struct error *why = client->warm_failed ? &client->warm_why : &server->silent_why;

            letter->warm_failed++;
            snprintf(letter->warm_error, sizeof letter->warm_error, "user \"%s\": %.200s", client->user,
                     why->message);
        }
    }
}
