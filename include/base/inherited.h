/* inherited.h - listening sockets on their way from one process to the next. Plain values; whoever holds one in
 * `struct inherited` owns its descriptors, until it takes them out. */
#ifndef PGSHUNT_BASE_INHERITED_H
#define PGSHUNT_BASE_INHERITED_H

#include <stdbool.h>
#include <stddef.h>

enum { INHERITED_MAX = 40, INHERITED_NAME_BYTES = 128 };

struct inherited_socket {
    char what[INHERITED_NAME_BYTES]; /* "127.0.0.1:6432", or the path of a Unix-domain socket */
    int fd, lock_fd;                 /* lock_fd: of a socket's file, else -1 */
};

struct inherited {
    size_t count;
    struct inherited_socket at[INHERITED_MAX];
};

/* The next one of that name, taken out. false: none is left. */
bool inherited_take(struct inherited *inherited, const char *what, struct inherited_socket *taken);
/* What nobody has taken: closed; a socket's file goes with it, whoever made it. */
void inherited_close_rest(struct inherited *inherited);
/* The same, but files stay: they are still somebody else's. */
void inherited_leave_rest(struct inherited *inherited);

#endif
