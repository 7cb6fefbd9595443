/* idle.c - see idle.h. The loop's cached clock is precise enough, and costs nothing per message. */
#include "proxy/idle.h"

#include "proxy/copying.h"
#include "proxy/loop.h"

void idle_began(struct client *client)
{
    if (client->busy_since_ms == 0)
        client->busy_since_ms = uv_now(&client->loop->uv);
}

void idle_answered(struct client *client)
{
    client->idle_since_ms = uv_now(&client->loop->uv);
    client->busy_since_ms = client->sync_sent == client->sync_seen ? 0 : client->idle_since_ms;
}

static struct server *working(const struct client *client)
{
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    return server != NULL && server->state == SERVER_READY && server->visible > 0 ? server : NULL;
}

static bool is_over(uint64_t since_ms, uint64_t now_ms, unsigned limit_s)
{
    return limit_s > 0 && since_ms > 0 && now_ms - since_ms >= limit_s * 1000ull;
}

static bool end_it(struct client *client, const char *sqlstate, const char *key)
{
    struct error err;

    error_set(&err, sqlstate, "terminating connection due to %s", key);
    error_hint(&err, "The key is pgshunt's, in section [pgshunt] of its configuration.");
    client_fail(client, &err);
    return false;
}

bool idle_check(struct client *client)
{
    const struct proxy_settings *settings = client->loop->settings;
    uint64_t now_ms = uv_now(&client->loop->uv);
    struct server *server = working(client);
    uint64_t since_ms = client->busy_since_ms > 0 ? client->busy_since_ms : client->idle_since_ms;

    if (client->replication || client->state < CLIENT_IDLE || client->state == CLIENT_CLOSING)
        return true;
    if (server != NULL) {
        if (!is_over(client->busy_since_ms, now_ms, settings->query_timeout_s))
            return true;
        cancel_send_last(server);
        return end_it(client, "57014", "query_timeout");
    }
    if (client->state != CLIENT_IDLE || copying_is_deferred(client))
        return true; /* it is we who let it wait */
    if (client->tx_status != 'I' && is_over(since_ms, now_ms, settings->idle_transaction_timeout_s))
        return end_it(client, "25P03", "idle_transaction_timeout");
    if (client->tx_status == 'I' && is_over(since_ms, now_ms, settings->client_idle_timeout_s))
        return end_it(client, "57P05", "client_idle_timeout");
    return true;
}
