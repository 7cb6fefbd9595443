/* inherited.c - see inherited.h. */
#include "base/inherited.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool inherited_take(struct inherited *inherited, const char *what, struct inherited_socket *taken)
{
    for (size_t i = 0; i < inherited->count; i++) {
        if (strcmp(inherited->at[i].what, what) != 0)
            continue;
        *taken = inherited->at[i];
        inherited->count--;
        memmove(&inherited->at[i], &inherited->at[i + 1], (inherited->count - i) * sizeof inherited->at[0]);
        return true;
    }
    return false;
}

static void close_one(const struct inherited_socket *socket)
{
    close(socket->fd);
    if (socket->lock_fd >= 0)
        close(socket->lock_fd);
}

void inherited_close_rest(struct inherited *inherited)
{
    while (inherited->count > 0) {
        const struct inherited_socket *socket = &inherited->at[--inherited->count];
        char lock_path[INHERITED_NAME_BYTES + sizeof ".lock"];

        if (socket->lock_fd >= 0) {
            snprintf(lock_path, sizeof lock_path, "%s.lock", socket->what);
            unlink(socket->what);
            unlink(lock_path);
        }
        close_one(socket);
    }
}

void inherited_leave_rest(struct inherited *inherited)
{
    while (inherited->count > 0)
        close_one(&inherited->at[--inherited->count]);
}
