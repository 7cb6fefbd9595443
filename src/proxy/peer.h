/* peer.h - who a client is to its socket: its address, its system user. */
#ifndef PGSHUNT_PROXY_PEER_H
#define PGSHUNT_PROXY_PEER_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "proxy/stream.h"

enum { PEER_TEXT_BYTES = 64, PEER_USER_BYTES = 256 };

struct peer {
    struct sockaddr_storage address; /* AF_UNIX: a Unix-domain socket; AF_UNSPEC: gone */
    char text[PEER_TEXT_BYTES];      /* "127.0.0.1", "[local]", as PostgreSQL writes it */
};

void peer_of(const struct stream *stream, struct peer *peer);
/* The name of a system user, by the system's own tables (NSS). false: it has none. */
bool peer_user_name(uid_t uid, char name[PEER_USER_BYTES]);

#endif
