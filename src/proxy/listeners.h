/* listeners.h - the sockets that applications connect to: those of `listen`, and the Unix-domain one.
 * Owned by the proxy; the acceptor borrows them. Any one thread. */
#ifndef PGSHUNT_PROXY_LISTENERS_H
#define PGSHUNT_PROXY_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/error.h"
#include "base/socket_file.h"

enum { LISTENERS_MAX = 32 };

struct listener {
    int fd;         /* listening, not blocking */
    char what[128]; /* "127.0.0.1:6432", or the socket's path */
};

struct listeners {
    size_t count;
    struct listener at[LISTENERS_MAX]; /* TCP first, in the order of `listen` */
    struct socket_file file;           /* of the Unix-domain one; its fd is at[count - 1].fd */
};

/* false: what cannot be bound, and nothing is left behind. */
/* What `inherited` (NULL: nothing) has is taken from there: shared with its other owner until
 * listeners_own(). */
bool listeners_open(struct listeners *listeners, const struct config *config, struct inherited *inherited,
                    struct error *err);
void listeners_own(struct listeners *listeners);
void listeners_share(struct listeners *listeners); /* somebody else has them, too: closing leaves the file */
void listeners_list(const struct listeners *listeners, struct inherited *list); /* borrowed descriptors */
void listeners_close(struct listeners *listeners); /* and removes the socket's file; fine to call twice */

#endif
