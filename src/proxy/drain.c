/* drain.c - see drain.h. */
#include "proxy/drain.h"

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/copying.h"
#include "proxy/loop.h"

static bool is_owed_answers(const struct client *client)
{
    if (client->answering >= 0 || client->sync_seen != client->sync_sent || client->passing_bytes > 0 ||
        copying_is_deferred(client))
        return true;
    for (size_t i = 0; i < client->loop->shared->stores->count; i++)
        if (client->servers[i] != NULL && client->servers[i]->visible > 0)
            return true;
    return false;
}

/* Nothing of it is under way anywhere; txn.branch_count: an implicit transaction before its Sync has some. */
static bool is_between(const struct client *client)
{
    return client->state == CLIENT_IDLE && client->tx_status == 'I' && !client->txn.open &&
           client->txn.branch_count == 0 && !client->skip_to_sync && !is_owed_answers(client);
}

static bool may_go(const struct client *client)
{
    return is_between(client) && clock_ms() - client->welcomed_ms >= DRAIN_YOUNG_MS;
}

static void say_goodbye(struct client *client)
{
    struct error err;

    error_set(&err, "57P01", "terminating connection due to administrator command");
    error_detail(&err, "pgshunt shuts down; nothing of a transaction was under way.");
    client_fail(client, &err);
}

bool drain_instead(struct client *client)
{
    if (!client->loop->draining || !may_go(client))
        return false;
    say_goodbye(client);
    return true;
}

void drain_tick(struct loop *loop)
{
    struct client *client, *next;

    DL_FOREACH_SAFE(loop->clients, client, next)
        if (may_go(client))
            say_goodbye(client);
}

void drain_begin(struct loop *loop)
{
    loop->draining = true;
    drain_tick(loop);
}
