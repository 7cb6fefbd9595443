/* takeover_wire.h - what the two processes of a takeover say to each other: one message a packet
 * (SOCK_SEQPACKET). Both are of this machine and, by the check of credentials, of one user or root. */
#ifndef PGSHUNT_APP_TAKEOVER_WIRE_H
#define PGSHUNT_APP_TAKEOVER_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/inherited.h"
#include "base/limits.h"

enum takeover_kind {
    TAKEOVER_HELLO = 1,
    TAKEOVER_SOCKETS,
    TAKEOVER_RELEASE,
    TAKEOVER_RELEASE_DONE,
    TAKEOVER_KEPT,
    TAKEOVER_SERVING,
    TAKEOVER_CANCEL,
};

enum { TAKEOVER_VERSION = 1 };

struct takeover_message {
    uint32_t kind, version;
    uint32_t tag;   /* SOCKETS: of the sender's cancel keys */
    uint32_t count; /* SOCKETS */
    struct {
        char what[INHERITED_NAME_BYTES];
        uint32_t has_lock; /* its descriptor follows the socket's */
    } sockets[INHERITED_MAX];
    uint32_t pid, key_bytes; /* CANCEL */
    unsigned char key[CANCEL_KEY_BYTES_LONG];
};

/* `list` NULL: no descriptors. */
bool takeover_say(int fd, struct takeover_message *message, enum takeover_kind kind,
                  const struct inherited *list);
/* 1: a message; its descriptors are in `list`, which may be NULL (none are expected then, and those that come
 * are closed). 0: nothing yet. -1: the other one has ended, or talks nonsense. */
int takeover_hear(int fd, struct takeover_message *message, struct inherited *list);
/* The same, waiting. */
bool takeover_wait(int fd, struct takeover_message *message, struct inherited *list, int timeout_ms);
bool takeover_peer_is_trusted(int fd); /* our own user, or root */

#endif
