/* join.h - a server that joins a session: opened, made like it (settings, reported parameters), told the
 * transaction so far. */
#ifndef PGSHUNT_PROXY_JOIN_H
#define PGSHUNT_PROXY_JOIN_H

#include "proxy/arrive.h"

/* A READY server at `store` that is like the session and has the open transaction. WAITING: the client will
 * be retried by client_server_ready() / client_server_quiet(). REFUSED: unavailable, or it cannot be made
 * alike. */
enum arrival join_server(struct client *client, const struct store *store, struct server **server,
                         struct error *err);

/* txn.isolation as the server itself knows it. WAITING: for its answer. */
enum arrival join_learn_isolation(struct client *client, struct server *server);

/* Whether `server` has the session's settings; and that it has them now (the client itself has said them
 * there). */
bool join_is_worn(struct client *client, const struct server *server);
void join_wears(struct client *client, struct server *server);

/* Queues what makes `server` like the session; silent. false: cannot (overflow). */
bool join_make_alike(struct client *client, struct server *server, struct error *err);

#endif
