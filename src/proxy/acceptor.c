/* acceptor.c - see acceptor.h. */
#include "proxy/acceptor.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/loop.h"

enum { SOCKETS_MAX = 16, BACKLOG = 1024, NO_DESCRIPTORS_PAUSE_MS = 100 };

struct acceptor {
    const struct switchboard *switchboard;
    struct log *log;
    pthread_t thread;
    int stop_fd;
    int sockets[SOCKETS_MAX];
    size_t socket_count;
    unsigned turn;
};

static void hand_over(struct acceptor *acceptor, int fd)
{
    struct loop_letter *letter = loop_letter_new(LOOP_SOCKET);

    if (letter == NULL) {
        close(fd);
        return;
    }
    letter->fd = fd;
    acceptor->turn = (acceptor->turn + 1) % acceptor->switchboard->loop_count;
    letter_send(acceptor->switchboard->loops[acceptor->turn], &letter->letter);
}

static void accept_some(struct acceptor *acceptor, int listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            hand_over(acceptor, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_line(acceptor->log, LOG_ERROR, "proxy", "cannot accept a connection: %s", strerror(errno));
            clock_sleep_ms(NO_DESCRIPTORS_PAUSE_MS);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void *acceptor_main(void *arg)
{
    struct acceptor *acceptor = arg;
    struct pollfd fds[SOCKETS_MAX + 1];

    pthread_setname_np(pthread_self(), "pgshunt-accept");
    for (size_t i = 0; i < acceptor->socket_count; i++)
        fds[i] = (struct pollfd){ .fd = acceptor->sockets[i], .events = POLLIN };
    fds[acceptor->socket_count] = (struct pollfd){ .fd = acceptor->stop_fd, .events = POLLIN };
    for (;;) {
        if (poll(fds, acceptor->socket_count + 1, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[acceptor->socket_count].revents != 0)
            return NULL;
        for (size_t i = 0; i < acceptor->socket_count; i++)
            if (fds[i].revents != 0)
                accept_some(acceptor, acceptor->sockets[i]);
    }
}

static bool bind_one(struct acceptor *acceptor, const struct addrinfo *address, const char *what,
                     struct error *err)
{
    int yes = 1, fd;

    if (acceptor->socket_count == SOCKETS_MAX)
        return error_set(err, "F0000", "listen: more than %d addresses", SOCKETS_MAX);
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
    acceptor->sockets[acceptor->socket_count++] = fd;
    return true;
}

/* "host:port", "[v6]:port", "*:port". */
static bool bind_address(struct acceptor *acceptor, char *text, struct error *err)
{
    char what[300];
    const struct addrinfo wanted = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found, *each;
    char *colon = strrchr(text, ':'), *host = text;
    bool ok = true;
    int rc;

    if (colon == NULL)
        return error_set(err, "F0000", "listen: expected host:port, found \"%s\"", text);
    snprintf(what, sizeof what, "%s", text);
    *colon = '\0';
    if (*host == '[' && colon > host && colon[-1] == ']') {
        host++;
        colon[-1] = '\0';
    }
    rc = getaddrinfo(strcmp(host, "*") == 0 || *host == '\0' ? NULL : host, colon + 1, &wanted, &found);
    if (rc != 0)
        return error_set(err, "F0000", "listen: \"%s\": %s", what, gai_strerror(rc));
    for (each = found; each != NULL && ok; each = each->ai_next)
        ok = bind_one(acceptor, each, what, err);
    freeaddrinfo(found);
    return ok;
}

static bool bind_all(struct acceptor *acceptor, const char *listen, struct error *err)
{
    char *copy = strdup(listen), *rest = copy, *each;
    bool ok = copy != NULL || error_no_memory(err);

    while (ok && (each = strsep(&rest, ",")) != NULL) {
        each += strspn(each, " \t");
        each[strcspn(each, " \t")] = '\0';
        ok = *each == '\0' || bind_address(acceptor, each, err);
    }
    free(copy);
    if (ok && acceptor->socket_count == 0)
        return error_set(err, "F0000", "listen is empty");
    return ok;
}

static void acceptor_free(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->socket_count; i++)
        close(acceptor->sockets[i]);
    if (acceptor->stop_fd >= 0)
        close(acceptor->stop_fd);
    free(acceptor);
}

bool acceptor_start(const char *listen, const struct switchboard *switchboard, struct log *log,
                    struct acceptor **started, struct error *err)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);

    if (acceptor == NULL)
        return error_no_memory(err);
    acceptor->switchboard = switchboard;
    acceptor->log = log;
    acceptor->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (acceptor->stop_fd < 0 || !bind_all(acceptor, listen, err)) {
        if (acceptor->stop_fd < 0)
            error_set(err, "53000", "cannot make an eventfd: %s", strerror(errno));
        acceptor_free(acceptor);
        return false;
    }
    if (pthread_create(&acceptor->thread, NULL, acceptor_main, acceptor) != 0) {
        acceptor_free(acceptor);
        return error_set(err, "53000", "cannot start the acceptor's thread");
    }
    *started = acceptor;
    return true;
}

void acceptor_stop(struct acceptor *acceptor)
{
    uint64_t one = 1;

    if (write(acceptor->stop_fd, &one, sizeof one) == sizeof one)
        pthread_join(acceptor->thread, NULL);
    acceptor_free(acceptor);
}

int acceptor_port(const struct acceptor *acceptor)
{
    struct sockaddr_storage address = { 0 };
    socklen_t bytes = sizeof address;

    getsockname(acceptor->sockets[0], (struct sockaddr *)&address, &bytes);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}
