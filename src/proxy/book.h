/* book.h - what is remembered of a message that has found its server: transaction and journal, settings,
 * prepared statements, the tenant, what was read and written. */
#ifndef PGSHUNT_PROXY_BOOK_H
#define PGSHUNT_PROXY_BOOK_H

#include "proxy/arrive.h"

/* Call before the message is forwarded to `server`. */
void book_message(struct client *client, const struct message *message, struct server *server);
/* The server gets what an EXECUTE in the message names, if it lacks it. */
void book_make_executed(struct client *client, const struct message *message, struct server *server);
/* No more answers are due: what the server says of the transaction overrules what was concluded from
 * statements. */
void book_reconcile(struct client *client, struct server *server, char tx_status);

/* The same for what the proxy answers itself (local.c). */
void book_begin(struct client *client, struct slice text, char isolation);
/* `store`: whose answer ends it; -1: the proxy's own. */
void book_end(struct client *client, const struct plan_statement *statement, int store);
void book_savepoint(struct client *client, const struct plan_statement *statement, struct slice text,
                    int store);

#endif
