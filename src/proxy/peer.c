/* peer.c - see peer.h. */
#include "proxy/peer.h"

#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

void peer_of(const struct stream *stream, struct peer *peer)
{
    int bytes = sizeof peer->address;

    memset(peer, 0, sizeof *peer);
    snprintf(peer->text, sizeof peer->text, "[local]");
    if (stream_is_unix(stream)) {
        peer->address.ss_family = AF_UNIX;
    } else if (uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *)&peer->address, &bytes) != 0) {
        peer->address.ss_family = AF_UNSPEC;
        snprintf(peer->text, sizeof peer->text, "[gone]");
    } else if (getnameinfo((const struct sockaddr *)&peer->address, (socklen_t)bytes, peer->text,
                           sizeof peer->text, NULL, 0, NI_NUMERICHOST) != 0) {
        snprintf(peer->text, sizeof peer->text, "[unknown]");
    }
}

bool peer_user_name(uid_t uid, char name[PEER_USER_BYTES])
{
    char space[16384];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, space, sizeof space, &found) != 0 || found == NULL ||
        strlen(found->pw_name) >= PEER_USER_BYTES)
        return false;
    strcpy(name, found->pw_name);
    return true;
}
