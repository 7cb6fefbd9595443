/* cancel.h - cancel keys, there and back: a CancelRequest finds its client on whatever loop it lives, and the
 * server that works for that client at this moment is asked to stop. While the asking is under way nothing
 * new is sent to that server, so that a late cancel never hits the next statement. */
#ifndef PGSHUNT_PROXY_CANCEL_H
#define PGSHUNT_PROXY_CANCEL_H

#include "base/slice.h"
#include "proxy/server.h"

struct loop;

/* A CancelRequest came in on `loop`. Says nothing whether it was right, as PostgreSQL does. */
void cancel_request(struct loop *loop, uint32_t pid, struct slice key);
/* Asks the store to cancel what `server` does. */
void cancel_send(struct server *server);

#endif
