/* listen.h - the console's Unix-domain socket: one instance, one owner, nothing stale. Any one thread. */
#ifndef PGSHUNT_ADMIN_LISTEN_H
#define PGSHUNT_ADMIN_LISTEN_H

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

#include "base/error.h"

struct listen_socket {
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char lock_path[PATH_MAX];
    int fd;      /* bound, not yet listening; -1: none, or handed over */
    int lock_fd; /* held as long as the socket may be ours; -1: none */
};

/* Makes `dir`/.s.PGSQL.`port`, for everybody if `shared` (whoever accepts looks at the peer), else for our
 * own user (mode 0600). A socket that nobody listens on is replaced. false: 55006 (another instance, another
 * program), 58030. */
bool listen_open(struct listen_socket *socket, const char *dir, int port, bool shared, struct error *err);
/* Removes socket and lock file, closes what is still open. Fine on one that failed to open. */
void listen_close(struct listen_socket *socket);

#endif
