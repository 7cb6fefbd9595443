/* bind.h - the messages of the extended protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync. */
#ifndef PGSHUNT_PROXY_BIND_H
#define PGSHUNT_PROXY_BIND_H

#include "proxy/client.h"
#include "wire/msg.h"

/* As statement_message(). */
bool bind_message(struct client *client, const struct msg *header);

/* The parameter arrays of one Bind; one per loop, used within a handler only. */
struct bind_scratch {
    struct slice *values;
    uint16_t *formats;
    uint32_t *types;
    size_t capacity;
};
void bind_scratch_done(struct bind_scratch *scratch);

#endif
