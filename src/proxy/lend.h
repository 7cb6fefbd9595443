/* lend.h - pool_mode = transaction: a client borrows a server for one transaction, then any other may have
 * it. Owns:   the servers that work for nobody; who gets one that is given back. Leaves: how many and which
 * to pool, making a server like its session to join, what a session leaves behind that no other may see to
 * pin. Thread: the loop's.   Start at: lend_server(), lend_settle().
 *
 * A server is given back when its transaction has ended (ReadyForQuery 'I'), it owes nothing, nothing is on
 * its way to it (also no cancel), and it is not pinned. One that is pinned, or has names of the client's own,
 * is reset when the client leaves (tend.h). It is never given back in a transaction: it is closed. */
#ifndef PGSHUNT_PROXY_LEND_H
#define PGSHUNT_PROXY_LEND_H

#include "proxy/arrive.h"

struct loop;

/* LOGIN: the client is welcomed now, once a server of its pool has logged in, or not at all. */
void lend_login(struct client *client);
/* client->servers[store] is one to work with (ARRIVED), or the client stands in line (WAITING: it will be
 * retried). */
enum arrival lend_server(struct client *client, const struct store *store, struct error *err);
/* The application_name that the client has logged in with, as PostgreSQL has it; free() it. NULL: none (or no
 * memory). Servers are shared without one, and given it like a setting. */
char *lend_startup_name(const struct client *client);
/* The server reports its own application_name because the client has said RESET: the client's is the one that
 * it has logged in with, which the server is given again before the next statement. */
bool lend_has_reset_name(const struct server *server, struct slice name, struct slice value);
/* Gives back what the client does not need any more. */
void lend_settle(struct client *client);
/* The client closes: its servers go back, or are closed with what they were doing. */
void lend_leave(struct client *client);

/* News of a server that works for nobody. */
void lend_ready(struct server *server);
void lend_lost(struct server *server);
void lend_came(struct server *server);   /* bytes, while it is idle */
void lend_forget(struct server *server); /* it is being closed: out of its pool */
/* It works for nobody any more and is as good as new, or wears what it is known to wear: whoever comes next
 * gets it, best `last_client` (0: nobody in particular). It may be closed instead. */
void lend_return(struct server *server, uint64_t last_client);

/* A connection of the client's at a store that it will need: as many as it shares where it works now. */
void lend_warm(struct client *client, const struct store *target);
/* Whether there is one; false with *why set if the last attempt has failed, *why NULL if it is not known yet.
 */
bool lend_is_warm(const struct client *client, unsigned store, const struct error **why);

bool lend_start(struct loop *loop);
void lend_reload(struct loop *loop); /* loop->settings are others */
void lend_tick(struct loop *loop);   /* often: who has waited too long */
void lend_sweep(struct loop *loop);  /* every second or so: what has been idle too long, min_pool_size */
void lend_stop(struct loop *loop);   /* closes all that works for nobody, for good */
void lend_done(struct loop *loop);   /* after the loop has ended */

#endif
