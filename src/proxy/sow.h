/* sow.h - which streams a client's open transaction writes, and whose they are: kept by the stream directory
 * once it has committed, and known to the transaction itself before that. Only while a tenant lives away. One
 * client's. Thread: its loop's.   Start at: sow_note(). */
#ifndef PGSHUNT_PROXY_SOW_H
#define PGSHUNT_PROXY_SOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/slice.h"

struct client;
struct running;
struct sown;

/* In struct client; all zeros at first. */
struct sow {
    struct sown *pending; /* of transactions that have not been answered, the latest first */
    unsigned count;
    bool mixed; /* the message at hand ends a transaction and goes on, or follows such a one before its
                   ReadyForQuery: how that ends says nothing of it */
    uint64_t ended_sync; /* the ReadyForQuery before which a COMMIT or ROLLBACK was sent last */
    uint64_t
        unsettles; /* the ReadyForQuery that ends one that may take streams from their tenants; 0: none */
};

/* The statement is on its way. */
void sow_note(struct client *client, const struct running *running);
/* What was to be decided by the ReadyForQuery seen last has been. */
void sow_ended(struct client *client, bool failed);
/* Nobody knows what becomes of it: ROLLBACK TO, a lost server, the end. */
void sow_drop(struct client *client);
bool sow_find(const struct sow *sow, struct slice key, char tenant[TENANT_BYTES_MAX]);

#endif
