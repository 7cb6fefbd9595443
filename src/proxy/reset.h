/* reset.h - pool_mode = transaction: a server that carries what its client's session has left there (a
 * temporary table, a LISTEN, settings that nobody knows, names of the client's own) forgets it, then serves
 * again. First server_reset_query, then DISCARD ALL unless that is what it was: whatever the operator has
 * written, nothing that could change what another client's statement means (a temporary table of the event
 * table's name) stays. Only then is what we remember of the server forgotten, too: it wears nothing, has
 * nothing made. An error, an open transaction, or no end in SERVER_RESET_TIMEOUT_MS: it is closed. Leaves:
 * who gets it next to lend. Thread: the loop's.   Start at: reset_begin(). */
#ifndef PGSHUNT_PROXY_RESET_H
#define PGSHUNT_PROXY_RESET_H

#include <stdbool.h>

struct server;

/* Whether what it carries can be told to go: not a library, nor what could not be read (it may have loaded
 * one), nor anything if server_reset_query is empty. */
bool reset_is_possible(const struct server *server);
/* It has no client, is READY, outside transactions, and owes nothing. It may be closed before this returns.
 */
void reset_begin(struct server *server);
void reset_came(struct server *server);    /* bytes; ends in lend_return(), or closed */
void reset_expired(struct server *server); /* closes it if it takes too long */

#endif
