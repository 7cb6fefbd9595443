/* outcome.h - a ReadyForQuery has come: what has become of the transaction, for all that waits to know. */
#ifndef PGSHUNT_PROXY_OUTCOME_H
#define PGSHUNT_PROXY_OUTCOME_H

#include "proxy/client.h"

/* A visible ReadyForQuery has been passed on (or was said by the proxy: `server` NULL). It answers the
 * statements before number `until` of the session's journal. */
void outcome_ready(struct client *client, struct server *server, char tx_status, uint64_t until);

#endif
