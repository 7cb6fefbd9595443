/* twophase.h - COMMIT PREPARED and ROLLBACK PREPARED go to the store that has the prepared transaction.
 * Nothing is remembered of it: it outlives sessions and the proxy, so the stores are asked, the default store
 * first. Its rows are locked in its store until then: no cutover of their tenants comes past the tap's lock.
 */
#ifndef PGSHUNT_PROXY_TWOPHASE_H
#define PGSHUNT_PROXY_TWOPHASE_H

#include "proxy/arrive.h"

bool twophase_asks(const struct client *client, const struct message *message);
/* *index is the store (the default store's own error if nobody knows the name). WAITING: the client's state
 * says for what; call again. REFUSED: a store that may have it is away. */
enum arrival twophase_find(struct client *client, const char *gid, int *index, struct error *err);
void twophase_forget(struct client *client); /* the statement has been sent, or refused */

#endif
