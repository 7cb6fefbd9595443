/* portal.h - Describe, Execute and Close: what is done with an open portal, where it is open. */
#ifndef PGSHUNT_PROXY_PORTAL_H
#define PGSHUNT_PROXY_PORTAL_H

#include "proxy/client.h"
#include "wire/msg.h"

/* As statement_message(). */
bool portal_describe(struct client *client);
bool portal_execute(struct client *client);
bool portal_close(struct client *client);

#endif
