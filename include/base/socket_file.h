/* socket_file.h - a listening Unix-domain socket as PostgreSQL makes one: DIR/.s.PGSQL.PORT and a lock file
 * beside it; one owner, nothing stale. Any one thread. */
#ifndef PGSHUNT_BASE_SOCKET_FILE_H
#define PGSHUNT_BASE_SOCKET_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/inherited.h"

enum { SOCKET_FILE_LOCK_BYTES = sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof ".lock" };

struct socket_file {
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char lock_path[SOCKET_FILE_LOCK_BYTES];
    int fd;      /* bound, not yet listening; -1: none, or somebody else's to close */
    int lock_fd; /* held as long as the socket may be ours; -1: none */
    bool shared; /* another process has it, too: closing leaves both files */
};

struct socket_file_wish {
    const char *dir;
    int port;
    unsigned mode;     /* of the socket: 0600 is for our own user */
    const char *group; /* whose socket it is to be; NULL or "" : our own */
    const char *keys;  /* the configuration keys a hint names: "admin_port or admin_socket_dir" */
};

/* Makes the socket and its lock. A socket that nobody listens on is replaced; the lock file of a PostgreSQL
 * server that is alive is respected, and ours is one that it respects. false: 55006 (another instance,
 * another program), 22023, 58030. */
bool socket_file_open(struct socket_file *file, const struct socket_file_wish *wish, struct error *err);
/* One that another process made and still has: `shared`, until socket_file_own(). false: its path is not the wish's. */
bool socket_file_adopt(struct socket_file *file, const struct socket_file_wish *wish, struct inherited *inherited);
void socket_file_own(struct socket_file *file); /* alone from now on: the lock names us */
/* Removes socket and lock file, closes what is still open. Fine on one that failed to open, and twice. */
void socket_file_close(struct socket_file *file);

#endif
