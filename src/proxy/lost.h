/* lost.h - a server has gone away: what its client is told, what of the session goes with it, and whether it
 * goes on. */
#ifndef PGSHUNT_PROXY_LOST_H
#define PGSHUNT_PROXY_LOST_H

#include "proxy/client.h"

/* BROKEN, at any time. The client may be closing when it returns; the server is closed. */
void lost_server(struct client *client, struct server *server);
/* LOGIN: its home server cannot be had; `unwilling`: it was refused there. */
void lost_home(struct client *client, const struct error *why, bool unwilling);

#endif
