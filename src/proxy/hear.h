/* hear.h - notifications from stores where a client has no server of its own that listens.
 * Owns:   one connection per store and loop, as the role of [stores], opened once somebody listens and some
 *         tenant lives (or is about to live) there: an ear; what it has said LISTEN for; the line of clients
 *         that listen.
 * Leaves: what a session listens to, and when that counts, to channels; the connection itself to server.
 * Thread: the loop's.   Start at: hear_ready(), then hear_told().
 *
 * A LISTEN is sent to the client's server only when every ear already listens to that channel: what is
 * notified anywhere after its commit is heard. While an ear is down, what is notified there is not (the
 * log says so); it is opened again every second. */
#ifndef PGSHUNT_PROXY_HEAR_H
#define PGSHUNT_PROXY_HEAR_H

#include <stdbool.h>

#include "base/slice.h"
#include "wire/msg.h"

struct client;
struct ears;
struct loop;
struct server;

struct ears *ears_new(struct loop *loop); /* NULL: no memory */
void ears_free(struct ears *ears);        /* after the loop has ended; NULL is fine */
void ears_stop(struct ears *ears);        /* closes the connections, for good */
void ears_follow(struct ears *ears);      /* routes have changed */
void ears_tick(struct ears *ears);        /* every second or so */

/* The client is about to LISTEN to `name` by its server at store `index`. false: it has to wait for the
 * ear at store *waits_for, and will be retried. */
bool hear_ready(struct client *client, struct slice name, unsigned index, unsigned *waits_for);
void hear_settle(struct client *client); /* its channels may have changed */
void hear_leave(struct client *client);  /* it closes */
void hear_flush(struct client *client);  /* what waits goes to its stream; it is between two messages */

/* News of an ear's connection: `session` is the sham client that it works for. */
void hear_server_ready(struct client *session, struct server *server);
void hear_server_lost(struct client *session, struct server *server);
void hear_server_quiet(struct client *session, struct server *server);
/* Who has notified, as `client` knows it: a client knows itself by the number that we gave it, and drops what
 * it has sent itself (PQbackendPID() against be_pid). */
uint32_t hear_sender(const struct client *client, unsigned index, uint32_t pid);
void hear_told(struct client *session, struct server *server, const struct msg *msg);

#endif
