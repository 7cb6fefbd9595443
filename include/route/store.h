/* store.h - the stores of the configuration: where they are and who pgshunt is there. Immutable while the
 * program runs; any thread. Parsed from libpq connection strings by migrate/pg (stores_read), handed over by
 * the app. */
#ifndef PGSHUNT_ROUTE_STORE_H
#define PGSHUNT_ROUTE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

/* What its connection string says of TLS; "" : nothing, the server_tls_… keys decide. */
struct store_tls {
    char *mode; /* sslmode */
    char *ca_file, *cert_file, *key_file;
    char *host;     /* the name that verify-full looks for: `host`, else `hostaddr` */
    bool must_bind; /* channel_binding = require */
};

struct store {
    char name[STORE_NAME_BYTES_MAX];
    unsigned index;        /* in stores.at */
    char *conninfo;        /* for libpq; holds the password: never logged or shown */
    char *conninfo_public; /* the same without its password */
    char *host;            /* first host: a name, an address, or a directory ("/…") of the Unix socket */
    char *port;
    char *dbname;
    char *user, *password; /* pgshunt's own login there; password "" if none */
    struct store_tls tls;
};

struct stores {
    size_t count;
    unsigned default_index;
    struct store at[STORES_MAX];
};

const struct store *stores_get(const struct stores *stores, const char *name); /* NULL: not configured */
const struct store *stores_default(const struct stores *stores);
void stores_free(struct stores *stores); /* NULL is fine */

#endif
