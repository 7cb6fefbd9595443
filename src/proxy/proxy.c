/* proxy.c - see include/proxy/proxy.h: puts the event loops and the acceptor together, and apart again. */
#include "proxy/proxy.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

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

static struct quota_limits read_limits(const struct config *config)
{
    return (struct quota_limits){
        .pool_size = (unsigned)config_number(config, CONFIG_DEFAULT_POOL_SIZE),
        .reserve_size = (unsigned)config_number(config, CONFIG_RESERVE_POOL_SIZE),
        .user_max = (unsigned)config_number(config, CONFIG_MAX_USER_CONNECTIONS),
        .store_max = (unsigned)config_number(config, CONFIG_MAX_DB_CONNECTIONS),
    };
}

static bool share(struct proxy *proxy, const struct proxy_setup *setup, struct error *err)
{
    struct proxy_shared *shared = &proxy->shared;
    struct quota_limits limits = read_limits(setup->config);

    shared->stores = setup->stores;
    shared->switchboard = setup->switchboard;
    shared->lease = setup->lease;
    shared->log = setup->log;
    shared->tag = setup->tag;
    shared->tenant_setting = config_text(setup->config, CONFIG_TENANT_SETTING);
    shared->client_count = &proxy->client_count;
    shared->shares = config_is(setup->config, CONFIG_POOL_MODE, "transaction");
    shared->quotas = quotas_new(&limits);
    if (shared->quotas == NULL)
        return error_no_memory(err);
    return RAND_bytes(shared->mock_key, sizeof shared->mock_key) == 1 ||
           error_set(err, "58000", "OpenSSL has no randomness");
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

static void stop_accepting(struct proxy *proxy)
{
    if (proxy->acceptor != NULL)
        acceptor_stop(proxy->acceptor);
    proxy->acceptor = NULL;
    listeners_close(&proxy->listeners);
}

void proxy_stop(struct proxy *proxy)
{
    if (proxy == NULL)
        return;
    stop_accepting(proxy);
    stop_loops(proxy);
    quotas_free(proxy->shared.quotas);
    free(proxy);
}

bool proxy_check(const struct config *config, const struct stores *stores, struct error *err)
{
    struct proxy_settings *settings;
    bool ok = proxy_settings_read(config, stores, &settings, err);

    proxy_settings_give(settings);
    return ok;
}

static bool start_loops(struct proxy *proxy, const struct proxy_setup *setup, struct error *err)
{
    struct proxy_settings *settings;
    bool ok = proxy_settings_read(setup->config, setup->stores, &settings, err);

    while (ok && proxy->loop_count < setup->switchboard->loop_count) {
        unsigned index = proxy->loop_count;

        ok = loop_start(&proxy->loops[index], &proxy->shared, settings, index, setup->stats[index], err);
        if (ok)
            proxy->loop_count++;
    }
    proxy_settings_give(settings); /* each loop has its own reference */
    return ok;
}

bool proxy_start(const struct proxy_setup *setup, struct proxy **started, struct error *err)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);

    if (proxy == NULL)
        return error_no_memory(err);
    proxy->listeners.file.lock_fd = -1; /* nothing to close yet */
    if (share(proxy, setup, err) && listeners_open(&proxy->listeners, setup->config, setup->inherited, err) &&
        start_loops(proxy, setup, err) && (setup->inherited != NULL || proxy_accept(proxy, err))) {
        *started = proxy;
        return true;
    }
    proxy_stop(proxy);
    return false;
}

bool proxy_accept(struct proxy *proxy, struct error *err)
{
    listeners_own(&proxy->listeners);
    return acceptor_start(&proxy->listeners, proxy->shared.switchboard, proxy->shared.log, &proxy->acceptor,
                          err);
}

void proxy_list_sockets(const struct proxy *proxy, struct inherited *list)
{
    listeners_list(&proxy->listeners, list);
}

/* All letters first: a reload that fails has told nobody. */
bool proxy_reload(struct proxy *proxy, const struct config *config, struct mailbox *reply_to,
                  struct error *err)
{
    struct loop_letter *letters[LOOPS_MAX];
    struct quota_limits limits = read_limits(config);
    struct proxy_settings *settings;
    unsigned made = 0;

    if (!proxy_settings_read(config, proxy->shared.stores, &settings, err))
        return false;
    while (made < proxy->loop_count && (letters[made] = loop_letter_new(LOOP_SETTINGS)) != NULL) {
        letters[made]->settings = proxy_settings_take(settings);
        letters[made]->letter.reply_to = mailbox_take(reply_to);
        made++;
    }
    proxy_settings_give(settings);
    if (made == proxy->loop_count)
        quotas_limit(proxy->shared.quotas, &limits);
    for (unsigned i = 0; i < made; i++) {
        if (made == proxy->loop_count)
            letter_send(proxy->shared.switchboard->loops[i], &letters[i]->letter);
        else
            letter_drop(&letters[i]->letter);
    }
    return made == proxy->loop_count || error_no_memory(err);
}

bool proxy_drain(struct proxy *proxy, bool has_successor, struct mailbox *reply_to, struct error *err)
{
    struct loop_letter *letters[LOOPS_MAX];
    unsigned made = 0;

    for (; made < proxy->loop_count && (letters[made] = loop_letter_new(LOOP_DRAIN)) != NULL; made++)
        letters[made]->letter.reply_to = mailbox_take(reply_to);
    if (made < proxy->loop_count) {
        while (made > 0)
            letter_drop(&letters[--made]->letter);
        return error_no_memory(err);
    }
    if (has_successor)
        listeners_share(&proxy->listeners);
    stop_accepting(proxy);
    for (unsigned i = 0; i < made; i++) /* behind the last sockets */
        letter_send(proxy->shared.switchboard->loops[i], &letters[i]->letter);
    return true;
}

bool proxy_is_own_key(const struct proxy *proxy, uint32_t pid)
{
    return loop_tag_of_pid(pid) == proxy->shared.tag;
}

void proxy_cancel(struct proxy *proxy, uint32_t pid, const void *key, size_t key_bytes)
{
    unsigned index = loop_of_pid(pid);
    struct loop_letter *letter;

    if (index >= proxy->loop_count || key_bytes > CANCEL_KEY_BYTES_LONG)
        return;
    letter = loop_letter_new(LOOP_CANCEL); /* `asker`: nobody; no client has number 0 */
    if (letter == NULL)
        return;
    letter->pid = pid;
    letter->key_bytes = key_bytes;
    memcpy(letter->key, key, key_bytes);
    letter_send(proxy->shared.switchboard->loops[index], &letter->letter);
}

unsigned proxy_client_count(const struct proxy *proxy)
{
    return atomic_load(&proxy->client_count);
}

unsigned proxy_loop_count(const struct proxy *proxy)
{
    return proxy->loop_count;
}

const char *proxy_address(const struct proxy *proxy)
{
    return proxy->listeners.at[0].what;
}
