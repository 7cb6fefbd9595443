/* acceptor.h - the one thread that accepts on the listening sockets: descriptors go to the loops in
 * turn, by letter (libuv 1.44 hands no handle from loop to loop). */
#ifndef PGSHUNT_PROXY_ACCEPTOR_H
#define PGSHUNT_PROXY_ACCEPTOR_H

#include "base/error.h"
#include "base/log.h"
#include "proxy/listeners.h"
#include "route/letters.h"

struct acceptor;

/* Borrows `listeners` until acceptor_stop(). */
bool acceptor_start(const struct listeners *listeners, const struct switchboard *switchboard, struct log *log,
                    struct acceptor **acceptor, struct error *err);
void acceptor_stop(struct acceptor *acceptor); /* joins the thread */

#endif
