/* takeover_wire.c - see takeover_wire.h. */
#include "app/takeover_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 2 * INHERITED_MAX };

union control_space {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static size_t list_fds(struct takeover_message *message, const struct inherited *list,
                       int fds[static FDS_MAX])
{
    size_t count = 0;

    message->count = (uint32_t)list->count;
    for (size_t i = 0; i < list->count; i++) {
        snprintf(message->sockets[i].what, sizeof message->sockets[i].what, "%s", list->at[i].what);
        message->sockets[i].has_lock = list->at[i].lock_fd >= 0;
        fds[count++] = list->at[i].fd;
        if (list->at[i].lock_fd >= 0)
            fds[count++] = list->at[i].lock_fd;
    }
    return count;
}

bool takeover_say(int fd, struct takeover_message *message, enum takeover_kind kind,
                  const struct inherited *list)
{
    union control_space space;
    struct iovec part = { message, sizeof *message };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
    int fds[FDS_MAX];
    size_t count = list == NULL ? 0 : list_fds(message, list, fds);
    ssize_t sent;

    message->kind = kind;
    message->version = TAKEOVER_VERSION;
    if (count > 0) {
        memset(&space, 0, sizeof space);
        header.msg_control = space.bytes;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        space.header.cmsg_level = SOL_SOCKET;
        space.header.cmsg_type = SCM_RIGHTS;
        space.header.cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(&space.header), fds, count * sizeof(int));
    }
    do
        sent = sendmsg(fd, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof *message;
}

static size_t received_fds(struct msghdr *header, int fds[static FDS_MAX])
{
    size_t count = 0;

    for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at)) {
        size_t bytes = at->cmsg_len - CMSG_LEN(0);

        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < bytes / sizeof(int) && count < FDS_MAX; i++)
            memcpy(&fds[count++], CMSG_DATA(at) + i * sizeof(int), sizeof(int));
    }
    return count;
}

/* false: their number is not what the message says. */
static bool put_in_list(struct takeover_message *message, const int *fds, size_t count,
                        struct inherited *list)
{
    size_t used = 0;

    list->count = 0;
    if (message->count > INHERITED_MAX)
        return false;
    for (size_t i = 0; i < message->count; i++) {
        struct inherited_socket *to = &list->at[i];
        size_t wanted = message->sockets[i].has_lock ? 2 : 1;

        if (used + wanted > count) {
            list->count = 0;
            return false;
        }
        message->sockets[i].what[INHERITED_NAME_BYTES - 1] = '\0';
        memcpy(to->what, message->sockets[i].what, sizeof to->what);
        to->fd = fds[used];
        to->lock_fd = wanted == 2 ? fds[used + 1] : -1;
        used += wanted;
        list->count = i + 1;
    }
    if (used == count)
        return true;
    list->count = 0;
    return false;
}

int takeover_hear(int fd, struct takeover_message *message, struct inherited *list)
{
    union control_space space;
    struct iovec part = { message, sizeof *message };
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes
    };
    int fds[FDS_MAX];
    size_t count;
    ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    count = received_fds(&header, fds);
    if (got == (ssize_t)sizeof *message && message->version == TAKEOVER_VERSION &&
        (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && message->key_bytes <= sizeof message->key &&
        (list != NULL ? put_in_list(message, fds, count, list) : count == 0))
        return 1;
    while (count > 0)
        close(fds[--count]);
    return -1;
}

bool takeover_wait(int fd, struct takeover_message *message, struct inherited *list, int timeout_ms)
{
    struct pollfd wait = { fd, POLLIN, 0 };
    int heard = 0;

    while (heard == 0) {
        int ready = poll(&wait, 1, timeout_ms);

        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        heard = takeover_hear(fd, message, list);
    }
    return heard > 0;
}

bool takeover_peer_is_trusted(int fd)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}
