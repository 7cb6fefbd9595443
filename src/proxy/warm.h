/* warm.h - from dual_write on, a session that has written the tenant gets its target connection, settings and
 * prepared statements in the background, so that the target is warm at the switch (DESIGN §4.4). */
#ifndef PGSHUNT_PROXY_WARM_H
#define PGSHUNT_PROXY_WARM_H

#include "proxy/client.h"
#include "route/letters.h"

struct loop;

void warm_note(struct client *client); /* its transaction has written: see its passes */
/* From the loop's clock: one that failed is tried again, while the tenant still is in dual_write. */
void warm_again(struct client *client);
void warm_ready(struct client *client, struct server *server);
void warm_lost(struct client *client, const struct server *server);
/* Counts a gate's answer's warm_ready and warm_failed over the loop's clients. */
void warm_count(struct loop *loop, struct gate_letter *letter);

#endif
