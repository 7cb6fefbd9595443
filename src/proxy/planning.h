/* planning.h - texts to plans, as the session stands now. The plan of a prepared statement is made again when what its names
 * mean may have changed: PostgreSQL does the same (RevalidateCachedQuery). */
#ifndef PGSHUNT_PROXY_PLANNING_H
#define PGSHUNT_PROXY_PLANNING_H

#include "proxy/client.h"

/* A reference to the plan of `text`; client->shape is filled. false: no memory. */
bool planning_plan(struct client *client, struct slice text, struct plan **plan);
/* Remembers what `prepared` was planned by: at once after planning_plan(). */
void planning_note(const struct client *client, struct prepared *prepared);
/* Before a prepared statement's plan is used. false: no memory, its plan may be wrong. */
bool planning_refresh(struct client *client, struct prepared *prepared);
/* The store whose catalogue says what names mean: the default store's. */
const struct schema *planning_schema(const struct client *client);

#endif
