/* listeners.c - see listeners.h.   Start at: listeners_open(). */
#include "proxy/listeners.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static bool add(struct listeners *listeners, int fd, const char *what, struct error *err)
{
    struct listener *listener = &listeners->at[listeners->count];

    if (listeners->count == LISTENERS_MAX)
        return error_set(err, "F0000", "listen: more than %d addresses", LISTENERS_MAX);
    listener->fd = fd;
    snprintf(listener->what, sizeof listener->what, "%s", what);
    listeners->count++;
    return true;
}

static bool bind_one(struct listeners *listeners, const struct addrinfo *address, const char *what,
                     struct error *err)
{
    int yes = 1, fd;

    fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (address->ai_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    }
    if (fd < 0 || bind(fd, address->ai_addr, address->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        error_set(err, "F0000", "cannot listen on \"%s\": %s", what, strerror(errno));
        if (fd >= 0)
            close(fd);
        return error_hint(err,
                          "Is another pgshunt or PostgreSQL using that port? Change `listen` in [pgshunt].");
    }
    if (add(listeners, fd, what, err))
        return true;
    close(fd);
    return false;
}

/* An item of `listen`: "*" is every address of both families. */
static bool bind_address(struct listeners *listeners, struct slice item, struct error *err)
{
    const struct addrinfo wanted = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    char what[sizeof listeners->at[0].what], name[256], service[8];
    struct addrinfo *found, *each;
    struct slice host;
    bool ok = true;
    int port, rc;

    snprintf(what, sizeof what, "%.*s", (int)item.bytes, item.at);
    if (!config_parse_address(item, &host, &port) || host.bytes >= sizeof name)
        return error_set(err, "F0000", "listen: expected host:port, found \"%s\"", what);
    snprintf(name, sizeof name, "%.*s", (int)host.bytes, host.at);
    snprintf(service, sizeof service, "%d", port);
    rc = getaddrinfo(strcmp(name, "*") == 0 ? NULL : name, service, &wanted, &found);
    if (rc != 0)
        return error_set(err, "F0000", "listen: \"%s\": %s", what, gai_strerror(rc));
    for (each = found; each != NULL && ok; each = each->ai_next)
        ok = bind_one(listeners, each, what, err);
    freeaddrinfo(found);
    return ok;
}

/* One address may be several sockets: both families of "*". */
static bool adopt_address(struct listeners *listeners, struct slice item, struct inherited *inherited,
                          bool *found, struct error *err)
{
    char what[INHERITED_NAME_BYTES];
    struct inherited_socket socket;

    *found = false;
    snprintf(what, sizeof what, "%.*s", (int)item.bytes, item.at);
    while (inherited != NULL && inherited_take(inherited, what, &socket)) {
        *found = true;
        if (!add(listeners, socket.fd, what, err)) {
            close(socket.fd);
            return false;
        }
    }
    return true;
}

static bool bind_addresses(struct listeners *listeners, const struct config *config,
                           struct inherited *inherited, struct error *err)
{
    struct slice item;
    size_t at = 0;
    bool found;

    while (config_next_item(config_text(config, CONFIG_LISTEN), &at, &item))
        if (!adopt_address(listeners, item, inherited, &found, err) ||
            (!found && !bind_address(listeners, item, err)))
            return false;
    return true;
}

static bool bind_file(struct listeners *listeners, const struct config *config, struct inherited *inherited,
                      struct error *err)
{
    struct socket_file *file = &listeners->file;
    const struct socket_file_wish wish = {
        .dir = config_text(config, CONFIG_UNIX_SOCKET_DIR),
        .port = config_socket_port(config),
        .mode = config_socket_mode(config),
        .group = config_text(config, CONFIG_UNIX_SOCKET_GROUP),
        .keys = "unix_socket_dir or unix_socket_port",
    };

    if (*wish.dir == '\0')
        return true;
    if (!socket_file_adopt(file, &wish, inherited) && !socket_file_open(file, &wish, err))
        return false;
    if (listen(file->fd, BACKLOG) != 0)
        return error_set(err, "58030", "cannot listen on \"%s\": %s", file->path, strerror(errno));
    if (!add(listeners, file->fd, file->path, err))
        return false;
    file->fd = -1; /* the listener's now */
    return true;
}

bool listeners_open(struct listeners *listeners, const struct config *config, struct inherited *inherited,
                    struct error *err)
{
    listeners->count = 0;
    listeners->file.fd = listeners->file.lock_fd = -1;
    if (bind_addresses(listeners, config, inherited, err) && bind_file(listeners, config, inherited, err))
        return true;
    listeners_close(listeners);
    return false;
}

void listeners_close(struct listeners *listeners)
{
    socket_file_close(&listeners->file); /* first: nobody finds a file that leads nowhere */
    while (listeners->count > 0)
        close(listeners->at[--listeners->count].fd);
}

void listeners_own(struct listeners *listeners)
{
    socket_file_own(&listeners->file);
}

void listeners_share(struct listeners *listeners)
{
    listeners->file.shared = true;
}

void listeners_list(const struct listeners *listeners, struct inherited *list)
{
    for (size_t i = 0; i < listeners->count && list->count < INHERITED_MAX; i++) {
        struct inherited_socket *to = &list->at[list->count++];
        bool is_file = listeners->file.lock_fd >= 0 && i == listeners->count - 1;

        snprintf(to->what, sizeof to->what, "%s", listeners->at[i].what);
        to->fd = listeners->at[i].fd;
        to->lock_fd = is_file ? listeners->file.lock_fd : -1;
    }
}
