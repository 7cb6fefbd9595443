/* proxy.c - see include/proxy/proxy.h: puts the event loops and the acceptor together, and apart again. */
#include "proxy/proxy.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "proxy/acceptor.h"
#include "proxy/loop.h"

struct proxy {
    struct proxy_shared shared;
    atomic_uint client_count;
    struct listeners listeners;
    struct acceptor *acceptor;
    unsigned loop_count;
    struct loop loops[LOOPS_MAX];
};

static bool share(struct proxy *proxy, const struct proxy_setup *setup, struct error *err)
{
    struct proxy_shared *shared = &proxy->shared;
    const struct config *config = setup->config;

    shared->config = config;
    shared->stores = setup->stores;
    shared->switchboard = setup->switchboard;
    shared->lease = setup->lease;
    shared->log = setup->log;
    shared->auth_type = config_is(config, CONFIG_AUTH_TYPE, "trust") ? AUTH_TRUST : AUTH_SCRAM;
    shared->plain_to_stores = config_flag(config, CONFIG_SERVER_PLAIN_PASSWORD);
    shared->tenant_setting = config_text(config, CONFIG_TENANT_SETTING);
    shared->reject_unattributed = config_is(config, CONFIG_UNATTRIBUTED_WRITES, "reject");
    shared->max_clients = (unsigned)config_number(config, CONFIG_MAX_CLIENT_CONN);
    shared->client_count = &proxy->client_count;
    if (RAND_bytes(shared->mock_key, sizeof shared->mock_key) != 1)
        return error_set(err, "58000", "OpenSSL has no randomness");
    return auth_file_read(config_text(config, CONFIG_AUTH_FILE), &shared->auth_file, err);
}

static void stop_loops(struct proxy *proxy)
{
    for (unsigned i = 0; i < proxy->loop_count; i++) {
        struct letter *letter = stop_letter_new();

        if (letter == NULL)
            abort(); /* cannot even ask for the end */
        letter_send(proxy->shared.switchboard->loops[i], letter);
    }
    for (unsigned i = 0; i < proxy->loop_count; i++)
        loop_join(&proxy->loops[i]);
}

void proxy_stop(struct proxy *proxy)
{
    if (proxy == NULL)
        return;
    if (proxy->acceptor != NULL)
        acceptor_stop(proxy->acceptor);
    listeners_close(&proxy->listeners);
    stop_loops(proxy);
    auth_file_free(proxy->shared.auth_file);
    free(proxy);
}

bool proxy_start(const struct proxy_setup *setup, struct proxy **started, struct error *err)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);

    if (proxy == NULL)
        return error_no_memory(err);
    if (!share(proxy, setup, err) || !listeners_open(&proxy->listeners, setup->config, err)) {
        auth_file_free(proxy->shared.auth_file);
        free(proxy);
        return false;
    }
    while (proxy->loop_count < setup->switchboard->loop_count) {
        unsigned index = proxy->loop_count;

        if (!loop_start(&proxy->loops[index], &proxy->shared, index, setup->stats[index], err)) {
            proxy_stop(proxy);
            return false;
        }
        proxy->loop_count++;
    }
    if (!acceptor_start(&proxy->listeners, setup->switchboard, setup->log, &proxy->acceptor, err)) {
        proxy_stop(proxy);
        return false;
    }
    *started = proxy;
    return true;
}

const char *proxy_address(const struct proxy *proxy)
{
    return proxy->listeners.at[0].what;
}
