/* acceptor.h - the listening sockets and the one thread that accepts on them: descriptors go to the loops in
 * turn, by letter (libuv 1.44 hands no handle from loop to loop). */
#ifndef PGSHUNT_PROXY_ACCEPTOR_H
#define PGSHUNT_PROXY_ACCEPTOR_H

#include "base/error.h"
#include "base/log.h"
#include "route/letters.h"

struct acceptor;

/* `listen`: "host:port, host:port"; "*" is every address. */
bool acceptor_start(const char *listen, const struct switchboard *switchboard, struct log *log,
                    struct acceptor **acceptor, struct error *err);
void acceptor_stop(struct acceptor *acceptor); /* closes the sockets, joins the thread */
int acceptor_port(const struct acceptor *acceptor);

#endif
