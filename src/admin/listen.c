/* listen.c - the admin socket in the file system.
 * A lock file beside it decides between two instances: a socket alone cannot tell "stale" from "about to
 * listen". Owns: socket file, lock file, both descriptors.   Leaves: who may talk to console.c. Thread: the
 * caller's.   Start at: listen_open(). */
#include "admin/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make_paths(struct listen_socket *sock, const char *dir, int port, struct error *err)
{
    int bytes = snprintf(sock->path, sizeof sock->path, "%s/.s.PGSQL.%d", dir, port);

    if (bytes < 0 || (size_t)bytes >= sizeof sock->path) {
        sock->path[0] = '\0';
        error_set(err, "22023", "the admin socket's path is longer than %zu bytes", sizeof sock->path - 1);
        return error_hint(err, "Choose a shorter admin_socket_dir.");
    }
    snprintf(sock->lock_path, sizeof sock->lock_path, "%s.lock", sock->path);
    return true;
}

static bool in_use(struct error *err, const char *what)
{
    error_set(err, "55006", "%s", what);
    return error_hint(err, "Is another pgshunt running? Choose another admin_port or admin_socket_dir.");
}

/* Whether the descriptor is still what stands at the path: its holder may have removed it while we waited. */
static bool is_still_there(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

static bool take_lock(struct listen_socket *sock, struct error *err)
{
    for (;;) {
        struct stat stat;
        int fd = open(sock->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return error_set(err, "58030", "cannot open \"%s\": %s", sock->lock_path, strerror(errno));
        if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_uid != geteuid()) {
            close(fd);
            return error_set(err, "55006", "\"%s\" is not a file of ours", sock->lock_path);
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            return in_use(err, "another instance holds the admin socket's lock");
        }
        if (is_still_there(fd, sock->lock_path)) {
            sock->lock_fd = fd;
            return true;
        }
        close(fd);
    }
}

static struct sockaddr_un address_of(const struct listen_socket *sock)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memcpy(address.sun_path, sock->path, sizeof address.sun_path);
    return address;
}

/* What stands at the path from an earlier life goes; what is alive, or no socket at all, stays. */
static bool remove_stale(const struct listen_socket *sock, struct error *err)
{
    struct sockaddr_un address = address_of(sock);
    struct stat stat;
    int fd, failure;

    if (lstat(sock->path, &stat) != 0)
        return errno == ENOENT ||
               error_set(err, "58030", "cannot look at \"%s\": %s", sock->path, strerror(errno));
    if (!S_ISSOCK(stat.st_mode))
        return error_set(err, "55006", "\"%s\" exists and is not a socket", sock->path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(err, "58030", "cannot make a socket: %s", strerror(errno));
    failure = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    if (failure != ECONNREFUSED && failure != ENOENT)
        return in_use(err, "somebody listens on the admin socket's path");
    if (unlink(sock->path) != 0 && errno != ENOENT)
        return error_set(err, "58030", "cannot remove \"%s\": %s", sock->path, strerror(errno));
    return true;
}

static bool bind_socket(struct listen_socket *sock, bool shared, struct error *err)
{
    struct sockaddr_un address = address_of(sock);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_set(err, "58030", "cannot make a socket: %s", strerror(errno));
    /* The file gets the descriptor's mode (Linux), less the umask: it is never open to others for a moment.
     */
    if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        error_set(err, "58030", "cannot bind the admin socket \"%s\": %s", sock->path, strerror(errno));
        close(fd);
        return false;
    }
    sock->fd = fd;
    if (chmod(sock->path, shared ? 0666 : 0600) != 0)
        return error_set(err, "58030", "cannot set the mode of \"%s\": %s", sock->path, strerror(errno));
    return true;
}

bool listen_open(struct listen_socket *sock, const char *dir, int port, bool shared, struct error *err)
{
    sock->fd = sock->lock_fd = -1;
    if (make_paths(sock, dir, port, err) && take_lock(sock, err) && remove_stale(sock, err) &&
        bind_socket(sock, shared, err))
        return true;
    if (sock->fd < 0 && sock->lock_fd >= 0) { /* the path is somebody else's */
        unlink(sock->lock_path);
        close(sock->lock_fd);
        sock->lock_fd = -1;
    }
    listen_close(sock);
    return false;
}

void listen_close(struct listen_socket *sock)
{
    if (sock->lock_fd < 0)
        return;
    unlink(sock->path); /* ours as long as we hold the lock */
    if (sock->fd >= 0)
        close(sock->fd);
    unlink(sock->lock_path);
    close(sock->lock_fd);
    sock->fd = sock->lock_fd = -1;
}
