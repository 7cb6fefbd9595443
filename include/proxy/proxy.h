/* proxy.h - the event loops as the app sees them: start and stop.
 * Threads: one acceptor and `workers` loops, all started by proxy_start(). */
#ifndef PGSHUNT_PROXY_PROXY_H
#define PGSHUNT_PROXY_PROXY_H

#include "base/config.h"
#include "base/error.h"
#include "base/inherited.h"
#include "base/log.h"
#include "base/stats.h"
#include "route/lease.h"
#include "route/letters.h"
#include "route/store.h"

struct proxy;

struct proxy_setup {
    const struct config *config; /* all borrowed until proxy_stop() */
    const struct stores *stores;
    const struct switchboard *switchboard;
    const struct lease *lease;
    struct log *log;
    struct stats **stats;        /* one set per loop */
    struct inherited *inherited; /* sockets of the process that ran before; what is used is taken out. NULL: none */
    unsigned tag;                /* of this process in cancel keys, below PROXY_TAGS: tells it from its predecessor */
};
enum { PROXY_TAGS = 8 };

/* Whether the files that the configuration names are right. */
bool proxy_check(const struct config *config, const struct stores *stores, struct error *err);
/* Binds `listen`, reads auth_file, starts the threads. Clients are answered 57P03 until a publication with `ready`. */
bool proxy_start(const struct proxy_setup *setup, struct proxy **proxy, struct error *err);
/* Other settings from now on (struct proxy_settings): a letter to every loop, which answers it to `reply_to` when they are
 * in force. false: a file that `config` names is wrong; nothing has changed. */
bool proxy_reload(struct proxy *proxy, const struct config *config, struct mailbox *reply_to, struct error *err);
unsigned proxy_loop_count(const struct proxy *proxy);
/* With `inherited`: nobody is accepted until this; the sockets are this process's alone from then on. */
bool proxy_accept(struct proxy *proxy, struct error *err);
void proxy_list_sockets(const struct proxy *proxy, struct inherited *list); /* borrowed descriptors */
bool proxy_is_own_key(const struct proxy *proxy, uint32_t pid);
/* A CancelRequest that came to a successor. */
void proxy_cancel(struct proxy *proxy, uint32_t pid, const void *key, size_t key_bytes);
/* A graceful end begins: whoever has been accepted by the kernel is taken in, then nobody; each client goes when its
 * transaction has ended (drain.h). Every loop answers to `reply_to` when it has begun: from then on proxy_client_count()
 * only falls. `has_successor`: the sockets are another process's now. proxy_stop() is still to be called, when nobody is left or time is over. */
bool proxy_drain(struct proxy *proxy, bool has_successor, struct mailbox *reply_to, struct error *err);
unsigned proxy_client_count(const struct proxy *proxy);
/* Ends: clients get 57P01, threads are joined, memory is freed. */
void proxy_stop(struct proxy *proxy);
const char *proxy_address(const struct proxy *proxy); /* the first one: "127.0.0.1:6432", or a socket's path */

#endif
