/* bind.h - Bind: a prepared statement follows its tenant; where the server of the moment lacks it, it is made
 * there silently. */
#ifndef PGSHUNT_PROXY_BIND_H
#define PGSHUNT_PROXY_BIND_H

#include "proxy/client.h"
#include "wire/msg.h"

/* As statement_message(). */
bool bind_message(struct client *client, const struct msg *header);

#endif
