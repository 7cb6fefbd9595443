/* socket_file.c - see socket_file.h.
 * A lock file beside the socket decides between two instances: a socket alone cannot tell "stale" from "about
 * to listen". Between two pgshunts it is flock() that counts, which ends with its holder; a PostgreSQL server
 * knows only the process id in the file, so ours stands there too, and a server's is obeyed. Owns: socket
 * file, lock file, both descriptors.   Leaves: who may talk to whoever accepts. Start at: socket_file_open().
 */
#include "base/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char our_mark[] = "pgshunt\n"; /* where a server names its data directory */

static bool make_paths(struct socket_file *file, const struct socket_file_wish *wish, struct error *err)
{
    int bytes = snprintf(file->path, sizeof file->path, "%s/.s.PGSQL.%d", wish->dir, wish->port);

    if (bytes < 0 || (size_t)bytes >= sizeof file->path) {
        file->path[0] = '\0';
        error_set(err, "22023", "the path of a socket in \"%.60s…\" is longer than %zu bytes", wish->dir,
                  sizeof file->path - 1);
        return error_hint(err, "Choose a shorter folder: %s.", wish->keys);
    }
    snprintf(file->lock_path, sizeof file->lock_path, "%s.lock", file->path);
    return true;
}

static bool in_use(const struct socket_file_wish *wish, struct error *err)
{
    return error_hint(err, "Is another pgshunt or PostgreSQL running? Choose another %s.", wish->keys);
}

/* Whether the descriptor is still what stands at the path: its holder may have removed it while we waited. */
static bool is_still_there(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* A server's lock: its process id, negative for a standalone backend, then its data directory. What a pgshunt
 * has left behind says nothing once nobody holds its flock(): the number may be anybody's by now. */
static long living_server(int fd)
{
    char text[64];
    ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
    const char *second;
    long pid;

    if (bytes <= 0)
        return 0;
    text[bytes] = '\0';
    second = strchr(text, '\n');
    if (second != NULL && strncmp(second + 1, our_mark, sizeof our_mark - 1) == 0)
        return 0;
    pid = labs(strtol(text, NULL, 10));
    if (pid <= 1 || pid > INT_MAX || pid == getpid())
        return 0;
    return kill((pid_t)pid, 0) == 0 || errno == EPERM ? pid : 0;
}

static bool sign(int fd, const struct socket_file *file, struct error *err)
{
    char text[32];
    int bytes = snprintf(text, sizeof text, "%ld\n%s", (long)getpid(), our_mark);

    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)bytes, 0) == bytes)
        return true;
    return error_set(err, "58030", "cannot write \"%s\": %s", file->lock_path, strerror(errno));
}

static bool is_ours(int fd, const struct socket_file *file, const struct socket_file_wish *wish,
                    struct error *err)
{
    struct stat stat;
    long pid;

    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_uid != geteuid())
        return error_set(err, "55006", "\"%s\" is not a file of ours", file->lock_path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        error_set(err, "55006", "another instance holds the lock \"%s\"", file->lock_path);
        return in_use(wish, err);
    }
    pid = living_server(fd);
    if (pid == 0)
        return true;
    error_set(err, "55006", "the lock \"%s\" belongs to process %ld", file->lock_path, pid);
    return in_use(wish, err);
}

static bool take_lock(struct socket_file *file, const struct socket_file_wish *wish, struct error *err)
{
    for (;;) {
        int fd = open(file->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return error_set(err, "58030", "cannot open \"%s\": %s", file->lock_path, strerror(errno));
        if (!is_ours(fd, file, wish, err)) {
            close(fd);
            return false;
        }
        if (is_still_there(fd, file->lock_path)) {
            file->lock_fd = fd;
            return sign(fd, file, err);
        }
        close(fd);
    }
}

static struct sockaddr_un address_of(const struct socket_file *file)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    memcpy(address.sun_path, file->path, sizeof address.sun_path);
    return address;
}

/* What stands at the path from an earlier life goes; what is alive, or no socket at all, stays. */
static bool remove_stale(const struct socket_file *file, const struct socket_file_wish *wish,
                         struct error *err)
{
    struct sockaddr_un address = address_of(file);
    struct stat stat;
    int fd, failure;

    if (lstat(file->path, &stat) != 0)
        return errno == ENOENT ||
               error_set(err, "58030", "cannot look at \"%s\": %s", file->path, strerror(errno));
    if (!S_ISSOCK(stat.st_mode))
        return error_set(err, "55006", "\"%s\" exists and is not a socket", file->path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set(err, "58030", "cannot make a socket: %s", strerror(errno));
    failure = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    if (failure != ECONNREFUSED && failure != ENOENT) {
        error_set(err, "55006", "somebody listens on \"%s\"", file->path);
        return in_use(wish, err);
    }
    if (unlink(file->path) != 0 && errno != ENOENT)
        return error_set(err, "58030", "cannot remove \"%s\": %s", file->path, strerror(errno));
    return true;
}

/* The group before the mode: chown() takes mode bits away, and the socket is nobody else's until then. */
static bool open_to(const struct socket_file *file, const struct socket_file_wish *wish, struct error *err)
{
    if (wish->group != NULL && *wish->group != '\0') {
        char memory[4096];
        struct group entry, *found = NULL;

        if (getgrnam_r(wish->group, &entry, memory, sizeof memory, &found) != 0 || found == NULL)
            return error_set(err, "22023", "there is no group \"%s\"", wish->group);
        if (chown(file->path, (uid_t)-1, found->gr_gid) != 0)
            return error_set(err, "58030", "cannot give \"%s\" to group \"%s\": %s", file->path, wish->group,
                             strerror(errno));
    }
    return chmod(file->path, wish->mode) == 0 ||
           error_set(err, "58030", "cannot set the mode of \"%s\": %s", file->path, strerror(errno));
}

static bool bind_socket(struct socket_file *file, const struct socket_file_wish *wish, struct error *err)
{
    struct sockaddr_un address = address_of(file);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_set(err, "58030", "cannot make a socket: %s", strerror(errno));
    /* The file gets the descriptor's mode (Linux), less the umask: it is never open to others for a moment.
     */
    if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        error_set(err, "58030", "cannot bind \"%s\": %s", file->path, strerror(errno));
        close(fd);
        return false;
    }
    file->fd = fd;
    return open_to(file, wish, err);
}

bool socket_file_open(struct socket_file *file, const struct socket_file_wish *wish, struct error *err)
{
    file->fd = file->lock_fd = -1;
    file->shared = false;
    if (make_paths(file, wish, err) && take_lock(file, wish, err) && remove_stale(file, wish, err) &&
        bind_socket(file, wish, err))
        return true;
    if (file->fd < 0 && file->lock_fd >= 0) { /* the path is somebody else's */
        unlink(file->lock_path);
        close(file->lock_fd);
        file->lock_fd = -1;
    }
    socket_file_close(file);
    return false;
}

bool socket_file_adopt(struct socket_file *file, const struct socket_file_wish *wish,
                       struct inherited *inherited)
{
    struct inherited_socket socket;
    struct error err;

    file->fd = file->lock_fd = -1;
    if (inherited == NULL || !make_paths(file, wish, &err) || !inherited_take(inherited, file->path, &socket))
        return false;
    file->fd = socket.fd;
    file->lock_fd = socket.lock_fd;
    file->shared = true;
    return true;
}

void socket_file_own(struct socket_file *file)
{
    struct error err;

    if (!file->shared)
        return;
    file->shared = false;
    sign(file->lock_fd, file,
         &err); /* a server would take an old number for a dead one's: flock() still counts for us */
}

void socket_file_close(struct socket_file *file)
{
    if (file->lock_fd < 0)
        return;
    if (!file->shared)
        unlink(file->path); /* ours as long as we hold the lock */
    if (file->fd >= 0)
        close(file->fd);
    if (!file->shared)
        unlink(file->lock_path);
    close(file->lock_fd);
    file->fd = file->lock_fd = -1;
}
