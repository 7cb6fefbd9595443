/* relay.h - from a server to its client: pair answers with requests, pass on what was asked for, swallow what
 * the proxy asked for itself, keep the brakes. */
#ifndef PGSHUNT_PROXY_RELAY_H
#define PGSHUNT_PROXY_RELAY_H

#include "proxy/server.h"

/* Passes on whatever has come from a READY server. The server may be BROKEN, the client closing, when it
 * returns. */
void relay_run(struct server *server);
/* Local answers at the head of the line go out now. */
void relay_locals(struct server *server);

#endif
