/* copy_open.h - a COPY whose store is not known before its first row: answered by the proxy, opened where the
 * row belongs. Thread: the client's loop. */
#ifndef PGSHUNT_PROXY_COPY_OPEN_H
#define PGSHUNT_PROXY_COPY_OPEN_H

#include "proxy/copying.h"

/* A tenant lives elsewhere, the message is such a COPY alone, and nothing around it says whose rows they are.
 */
bool copy_open_waits(struct client *client, const struct message *message);
/* Answers it: CopyInResponse. `portal` NULL: a Query. false: no memory. */
bool copy_open_defer(struct client *client, const struct message *message, const char *portal);
/* Sends it, and what is held of its rows, to the store of `row`; NULL: to any. WAITING: ask again. */
enum arrival copy_open(struct client *client, const struct copy_row *row, struct error *err);
/* Every COPY of the plan means the same columns there: it names them, or the table has them in the same
 * order. */
bool copy_open_fits(const struct client *client, const struct plan *plan, const struct server *server,
                    struct error *err);
/* Extended protocol: CopyDone or CopyFail has been sent behind it. */
void copy_open_done(struct server *server);

#endif
