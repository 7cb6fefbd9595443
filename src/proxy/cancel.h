/* cancel.h - cancel keys, there and back: a CancelRequest finds its client on whatever loop it lives, and the
 * server that works for that client at this moment is asked to stop. While the asking is under way nothing
 * new is sent to that server, so that a late cancel never hits the next statement. */
#ifndef PGSHUNT_PROXY_CANCEL_H
#define PGSHUNT_PROXY_CANCEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct client;
struct loop;
struct server;

/* The connection that a CancelRequest came by. It is closed when the store has taken the request: who waits
 * for that, as PQcancel() does, may send its next statement without fear. */
struct cancel_asker {
    unsigned loop;
    uint32_t pid; /* its own cancel_pid */
};

/* `client` has sent a CancelRequest for another one. Says nothing whether it was right, as PostgreSQL does.
 * False: there is nothing to wait for. */
bool cancel_request(struct client *client, uint32_t pid, struct slice key);
/* Asks the store to cancel what `server` does; dropped if that has been answered before the store could be
 * reached. One at a time: another one says nothing new. */
void cancel_send(struct server *server, struct cancel_asker asker);
/* The same for a client that is about to be closed: late or not. */
void cancel_send_last(struct server *server);
/* Nothing (more) will come of it: its connection is closed. */
void cancel_answer(struct loop *loop, struct cancel_asker asker);

#endif
