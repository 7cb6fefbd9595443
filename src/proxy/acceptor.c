/* acceptor.c - see acceptor.h. */
#include "proxy/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/loop.h"

enum { NO_DESCRIPTORS_PAUSE_MS = 100, REST_TURNS = 32 };

struct acceptor {
    const struct switchboard *switchboard;
    struct log *log;
    pthread_t thread;
    int stop_fd;
    const struct listeners *listeners;
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

/* true: as many as it takes at a time, there may be more. */
static bool accept_some(struct acceptor *acceptor, int listener)
{
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            hand_over(acceptor, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_line(acceptor->log, LOG_ERROR, "proxy", "cannot accept a connection: %s", strerror(errno));
            clock_sleep_ms(NO_DESCRIPTORS_PAUSE_MS);
            return false;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return false;
        }
    }
    return true;
}

/* The last thing it does: whom the kernel has let in is not turned away. Bounded: more come all the time. */
static void accept_rest(struct acceptor *acceptor)
{
    for (size_t i = 0; i < acceptor->listeners->count; i++)
        for (int turn = 0; turn < REST_TURNS && accept_some(acceptor, acceptor->listeners->at[i].fd); turn++)
            ;
}

static void *acceptor_main(void *arg)
{
    struct acceptor *acceptor = arg;
    const struct listeners *listeners = acceptor->listeners;
    struct pollfd fds[LISTENERS_MAX + 1];

    pthread_setname_np(pthread_self(), "pgshunt-accept");
    for (size_t i = 0; i < listeners->count; i++)
        fds[i] = (struct pollfd){ .fd = listeners->at[i].fd, .events = POLLIN };
    fds[listeners->count] = (struct pollfd){ .fd = acceptor->stop_fd, .events = POLLIN };
    for (;;) {
        if (poll(fds, listeners->count + 1, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[listeners->count].revents != 0) {
            accept_rest(acceptor);
            return NULL;
        }
        for (size_t i = 0; i < listeners->count; i++)
            if (fds[i].revents != 0)
                accept_some(acceptor, listeners->at[i].fd);
    }
}

static void acceptor_free(struct acceptor *acceptor)
{
    if (acceptor->stop_fd >= 0)
        close(acceptor->stop_fd);
    free(acceptor);
}

bool acceptor_start(const struct listeners *listeners, const struct switchboard *switchboard, struct log *log,
                    struct acceptor **started, struct error *err)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);

    if (acceptor == NULL)
        return error_no_memory(err);
    acceptor->switchboard = switchboard;
    acceptor->log = log;
    acceptor->listeners = listeners;
    acceptor->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (acceptor->stop_fd < 0) {
        acceptor_free(acceptor);
        return error_set(err, "53000", "cannot make an eventfd: %s", strerror(errno));
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
