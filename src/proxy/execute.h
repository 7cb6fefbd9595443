/* execute.h - what a statement of a message runs: itself; for an EXECUTE, what was prepared under that name,
 * with the EXECUTE's arguments as its parameters; for a Bind of what SQL's PREPARE made, what stands in it.
 */
#ifndef PGSHUNT_PROXY_EXECUTE_H
#define PGSHUNT_PROXY_EXECUTE_H

#include "proxy/arrive.h"

/* Its tenants stand in `text`, whose shape and parameters are these. Borrows from the message and from
 * client->arguments: until the next execute_resolve(). */
struct running {
    const struct plan_statement *statement;
    struct plan_statement own; /* its memory, where it is not the message's */
    struct slice text;
    const struct shape *shape;
    const struct parameters *params;
    bool missing; /* an EXECUTE of a name that the session does not know */
};

/* Never fails: what is not known is a write of unknown tenants. */
void execute_resolve(struct client *client, const struct message *message, size_t index,
                     struct running *running);

#endif
