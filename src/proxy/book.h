/* book.h - what is remembered of a message that has found its server: transaction and journal, settings,
 * prepared statements, the tenant, what was read and written. */
#ifndef PGSHUNT_PROXY_BOOK_H
#define PGSHUNT_PROXY_BOOK_H

#include "proxy/arrive.h"

/* A Query. Call before the message is forwarded to `server`. */
void book_message(struct client *client, const struct message *message, struct server *server);
/* The same in two steps. A Bind has found its server: what it uses there. *bound: what its Execute will
 * change, NULL: nothing, or it is booked already. */
void book_bind(struct client *client, const struct message *message, struct server *server,
               struct bound **bound);
/* An Execute of it is about to be sent; again: the value of a SET is not believed a second time. */
void book_execute(struct client *client, struct bound *bound, struct server *server);
/* The server gets what an EXECUTE in the message names, if it lacks it. */
void book_make_executed(struct client *client, const struct message *message, struct server *server);
/* No more answers are due: what the server says of the transaction overrules what was concluded from
 * statements. */
void book_reconcile(struct client *client, struct server *server, char tx_status);

/* What the session had at other stores, and has discarded, goes there, too. */
void book_sweep(struct client *client);

/* The same for what the proxy answers itself (local.c). */
void book_begin(struct client *client, struct slice text, char isolation);
/* `store`: whose answer ends it; -1: the proxy's own. */
void book_end(struct client *client, const struct plan_statement *statement, int store);
void book_savepoint(struct client *client, const struct plan_statement *statement, struct slice text,
                    int store);

#endif
