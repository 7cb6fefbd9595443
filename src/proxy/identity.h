/* identity.h - as whom a server connection logs in: user, database, startup parameters, credentials. A copy
 * of what the client brought, so that a connection may begin, and outlive, without it. Immutable but for the
 * credentials (a later login of the same user brings fresher ones); reference counted, one loop's. */
#ifndef PGSHUNT_PROXY_IDENTITY_H
#define PGSHUNT_PROXY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/auth.h"
#include "proxy/report.h"

struct identity {
    unsigned refs;
    char *user, *database;
    struct parameter_pair *startup; /* all but user, database, _pq_.* */
    size_t startup_count;
    struct credentials credentials;
    unsigned protocol_minor; /* of 3.x */
};

/* `without`: a startup parameter that is left out; NULL: none. NULL: no memory. */
struct identity *identity_new(const char *user, const char *database, const struct parameter_pair *startup,
                              size_t startup_count, const char *without,
                              const struct credentials *credentials);
struct identity *identity_take(struct identity *identity);
void identity_give(struct identity *identity); /* NULL is fine */
/* The fresher credentials. Without memory the old ones stay. */
void identity_renew(struct identity *identity, const struct credentials *credentials);

#endif
