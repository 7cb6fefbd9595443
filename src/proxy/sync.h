/* sync.h - Flush and Sync: the end of a pipeline, at every store that has got a part of it. */
#ifndef PGSHUNT_PROXY_SYNC_H
#define PGSHUNT_PROXY_SYNC_H

#include "proxy/client.h"
#include "wire/msg.h"

/* As statement_message(). */
bool sync_flush(struct client *client, const struct msg *header);
bool sync_message(struct client *client, const struct msg *header);

#endif
