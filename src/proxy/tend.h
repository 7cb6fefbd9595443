/* tend.h - pool_mode = transaction: servers are looked after while they work for nobody, between two clients.
 *
 * Reset: one that carries what its client's session has left there (a temporary table, a LISTEN, settings
 * that nobody knows, names of the client's own) forgets it, then serves again. First server_reset_query, then
 * DISCARD ALL unless that is what it was: whatever the operator has written, nothing that could change what
 * another client's statement means (a temporary table of the event table's name) stays. Only then is what we
 * remember of the server forgotten, too: it wears nothing, has nothing made.
 *
 * Check: one that has been idle for long answers server_check_query before a client gets it: the network may
 * have forgotten the connection without a word.
 *
 * An error, an open transaction, or no end in SERVER_TEND_TIMEOUT_MS: it is closed, and no client has seen
 * it. Leaves: when, and who gets it next, to lend. Thread: the loop's.   Start at: tend_reset(),
 * tend_check(). */
#ifndef PGSHUNT_PROXY_TEND_H
#define PGSHUNT_PROXY_TEND_H

#include <stdbool.h>

struct server;

/* Whether what it carries can be told to go: not a library, nor what could not be read (it may have loaded
 * one), nor anything if server_reset_query is empty. */
bool tend_can_reset(const struct server *server);
/* It has no client, its seat is TENDED, it is READY, outside transactions, and owes nothing. It may be closed
 * before these return. */
void tend_reset(struct server *server);
void tend_check(struct server *server);
void tend_came(struct server *server);    /* bytes; ends in lend_return(), or closed */
void tend_expired(struct server *server); /* closes it if it takes too long */

#endif
