/* local.h - what the proxy answers without a server: transaction control while no store has been needed yet.
 */
#ifndef PGSHUNT_PROXY_LOCAL_H
#define PGSHUNT_PROXY_LOCAL_H

#include "proxy/client.h"

bool local_answers(const struct client *client, const struct plan *plan);
/* Does what the statement asks for, and appends its CommandComplete. False: it ended a transaction badly. */
bool local_run(struct client *client, const struct plan_statement *statement, struct slice text,
               struct buf *answer);
/* Says `answer` and a ReadyForQuery of our own behind it. */
void local_ready(struct client *client, struct buf *answer, bool failed);
/* A server went away, and nobody has been told: is to be said once, before anything else. */
bool local_bad_news(struct client *client, struct error *err);
/* What a statement is answered while the transaction has failed, and no server knows of it. */
void local_failed(struct client *client, const struct plan *plan, struct error *err);
void local_drop_portal(struct client *client);

#endif
