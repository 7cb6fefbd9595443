/* settings.c - see settings.h. */
#include "proxy/settings.h"

#include <stdlib.h>

static void settings_free(struct proxy_settings *settings)
{
    auth_rules_free(settings->rules);
    tls_set_give(settings->tls);
    config_give(settings->config);
    free(settings);
}

struct proxy_settings *proxy_settings_take(struct proxy_settings *settings)
{
    atomic_fetch_add_explicit(&settings->references, 1, memory_order_relaxed);
    return settings;
}

void proxy_settings_give(struct proxy_settings *settings)
{
    if (settings != NULL && atomic_fetch_sub_explicit(&settings->references, 1, memory_order_acq_rel) == 1)
        settings_free(settings);
}

static bool settings_fill(struct proxy_settings *settings, const struct config *config,
                          const struct stores *stores, struct error *err)
{
    settings->reject_unattributed = config_is(config, CONFIG_UNATTRIBUTED_WRITES, "reject");
    settings->plain_to_stores = config_flag(config, CONFIG_SERVER_PLAIN_PASSWORD);
    settings->client_idle_timeout_s = (unsigned)config_number(config, CONFIG_CLIENT_IDLE_TIMEOUT);
    settings->idle_transaction_timeout_s = (unsigned)config_number(config, CONFIG_IDLE_TRANSACTION_TIMEOUT);
    settings->query_timeout_s = (unsigned)config_number(config, CONFIG_QUERY_TIMEOUT);
    settings->directory_timeout_ms = (unsigned)config_number(config, CONFIG_DIRECTORY_TIMEOUT_MS);
    settings->max_clients = (unsigned)config_number(config, CONFIG_MAX_CLIENT_CONN);
    return tls_set_read(config, stores, &settings->tls, err) &&
           auth_rules_read(config, &settings->rules, err);
}

bool proxy_settings_read(const struct config *config, const struct stores *stores,
                         struct proxy_settings **read, struct error *err)
{
    struct proxy_settings *settings = calloc(1, sizeof *settings);

    *read = NULL;
    if (settings == NULL)
        return error_no_memory(err);
    atomic_init(&settings->references, 1);
    settings->config = config_take(config);
    if (settings_fill(settings, config, stores, err)) {
        *read = settings;
        return true;
    }
    settings_free(settings);
    return false;
}
