/* settings.h - what RELOAD may change under the event loops: one immutable, counted set. Each loop swaps its
 * own pointer when a letter brings a new one; a client keeps the set it logged in by (its secrets, its
 * certificates) for its life. To add a setting: a field, its line in settings_read() or in settings_free().
 * Any thread. */
#ifndef PGSHUNT_PROXY_SETTINGS_H
#define PGSHUNT_PROXY_SETTINGS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "proxy/auth_rules.h"
#include "proxy/tls_set.h"

struct proxy_settings {
    atomic_uint references;
    const struct config *config; /* a reference */
    struct tls_set *tls;         /* a reference */
    struct auth_rules *rules;    /* who may log in, and how */
    bool reject_unattributed;
    bool plain_to_stores; /* server_plain_password */
    unsigned max_clients;
    unsigned directory_timeout_ms;
    unsigned client_idle_timeout_s, idle_transaction_timeout_s, query_timeout_s; /* 0: none */
};

/* Reads the files that the configuration names. false: `err` says which is wrong. */
bool proxy_settings_read(const struct config *config, const struct stores *stores,
                         struct proxy_settings **settings, struct error *err);
struct proxy_settings *proxy_settings_take(struct proxy_settings *settings);
void proxy_settings_give(struct proxy_settings *settings); /* NULL is fine */

#endif
