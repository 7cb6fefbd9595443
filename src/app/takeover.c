/* takeover.c - see takeover.h. Both sides; what goes over the wire is takeover_wire's.
 * Owns:   the socket beside the admin socket, the connections to successor and predecessor.
 * Leaves: sockets to proxy and console, the clients' end to drain.   Start at: takeover_look(). */
#include "app/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/app_struct.h"
#include "app/takeover_wire.h"
#include "base/clock.h"
#include "base/failpoint.h"

enum {
    ANSWER_MS = 10000,      /* the other one's main thread answers at once, unless it is stuck */
    CUTOVER_MS_MAX = 30000, /* a cutover that is under way ends by its own timeouts */
    CUTOVER_LOOK_MS = 50,
    RELEASE_MS_MAX = 90000, /* CUTOVER_MS_MAX, and runners that stop */
    SERVE_MS_MAX = 60000,   /* a successor reads the routes by then, or we go on */
};

void takeover_init(struct takeover *takeover)
{
    memset(takeover, 0, sizeof *takeover);
    takeover->listener = takeover->successor = takeover->predecessor = -1;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool address_of(const struct app *app, struct sockaddr_un *address)
{
    int bytes;

    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    bytes = snprintf(address->sun_path, sizeof address->sun_path, "%s/.s.PGSQL.%d.takeover",
                     config_text(app->config, CONFIG_ADMIN_SOCKET_DIR),
                     (int)config_number(app->config, CONFIG_ADMIN_PORT));
    return bytes > 0 && (size_t)bytes < sizeof address->sun_path;
}

/* We hold the admin socket's lock: whatever stands there is stale, or our predecessor's, who has left. */
void takeover_listen(struct app *app)
{
    struct sockaddr_un address;
    int fd = -1;

    if (address_of(app, &address))
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        unlink(address.sun_path);
        if (fchmod(fd, 0600) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            chmod(address.sun_path, 0600) == 0 && listen(fd, 1) == 0) {
            app->takeover.listener = fd;
            return;
        }
        close(fd);
    }
    log_line(app->log, LOG_WARN, "app", "no successor can take over: cannot listen on \"%s\": %s",
             address.sun_path, strerror(errno));
}

void takeover_close(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    struct sockaddr_un address;

    if (takeover->listener >= 0 && address_of(app, &address))
        unlink(address.sun_path); /* closed in takeover_leave(): then it is the successor's */
    close_fd(&takeover->listener);
    close_fd(&takeover->successor);
    close_fd(&takeover->predecessor);
    inherited_leave_rest(&takeover->inherited);
}

/* ---- the successor ---- */

bool takeover_ask(struct app *app, struct error *err)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { 0 };
    struct sockaddr_un address;
    int fd = -1;

    if (address_of(app, &address))
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        log_line(app->log, LOG_INFO, "app", "there is nobody to take over from (\"%s\": %s)",
                 address.sun_path, strerror(errno));
        close_fd(&fd);
        return true;
    }
    takeover->predecessor = fd;
    if (!takeover_peer_is_trusted(fd) || !takeover_say(fd, &message, TAKEOVER_HELLO, NULL) ||
        !takeover_wait(fd, &message, &takeover->inherited, ANSWER_MS) || message.kind != TAKEOVER_SOCKETS) {
        error_set(err, "55000", "the process that runs did not give its sockets");
        return error_hint(err, "Its log says why; another successor may be at work.");
    }
    takeover->tag = (message.tag + 1) % PROXY_TAGS;
    takeover->succeeds = takeover->waits_to_serve = true;
    lease_share(&app->lease, true);
    log_line(app->log, LOG_INFO, "app", "taking over %zu sockets", takeover->inherited.count);
    return failpoint("takeover.after_sockets", err);
}

/* The predecessor is gone, whatever became of it: nobody else has clients. */
static void be_alone(struct app *app)
{
    close_fd(&app->takeover.predecessor);
    lease_share(&app->lease, false);
    log_line(app->log, LOG_INFO, "app", "the earlier process has ended");
}

bool takeover_release(struct app *app, struct error *err)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { 0 };

    if (!takeover->succeeds)
        return true;
    if (takeover_say(takeover->predecessor, &message, TAKEOVER_RELEASE, NULL) &&
        takeover_wait(takeover->predecessor, &message, NULL, RELEASE_MS_MAX)) {
        if (message.kind == TAKEOVER_RELEASE_DONE)
            return failpoint("takeover.after_release", err);
        return error_set(err, "55000", "the process that runs goes on: a cutover did not end in time");
    }
    be_alone(app); /* it has died: what it had is ours */
    return true;
}

bool takeover_serve(struct app *app, struct error *err)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { 0 };
    struct letter *letter;

    if (!takeover->waits_to_serve)
        return true;
    letter = plain_letter_new(LETTER_SERVE);
    if (letter == NULL)
        return error_no_memory(err);
    if (!proxy_accept(app->proxy, err)) {
        letter_drop(letter);
        return false;
    }
    takeover->waits_to_serve = false;
    letter_send(app->switchboard.console, letter);
    app_write_pid_file(app);
    if (takeover->predecessor >= 0)
        takeover_say(takeover->predecessor, &message, TAKEOVER_SERVING, NULL);
    inherited_close_rest(&takeover->inherited); /* addresses that the configuration does not name any more */
    log_line(app->log, LOG_INFO, "app", "serving");
    takeover_listen(app);
    return true;
}

void takeover_pass_cancel(struct app *app, const struct cancel_letter *letter)
{
    struct takeover_message message = { .pid = letter->pid, .key_bytes = (uint32_t)letter->key_bytes };

    memcpy(message.key, letter->key, letter->key_bytes);
    if (app->takeover.predecessor >= 0)
        takeover_say(app->takeover.predecessor, &message, TAKEOVER_CANCEL, NULL);
}

/* true: it has kept its sockets, and we have to end. */
static bool on_predecessor(struct app *app)
{
    struct takeover_message message;
    int heard = takeover_hear(app->takeover.predecessor, &message, NULL);
    struct error err;

    if (heard == 0)
        return false;
    if (heard > 0 && message.kind == TAKEOVER_KEPT) {
        log_line(app->log, LOG_ERROR, "app",
                 "the process that ran goes on: it did not hear in time that we serve");
        return true;
    }
    be_alone(app);
    if (takeover_serve(app, &err)) /* before the routes are known: 57P03 is better than no answer */
        return false;
    log_error(app->log, LOG_ERROR, "app", &err, "cannot accept anybody");
    return true;
}

/* ---- the predecessor ---- */

static void change_control(struct app *app, bool follows);

/* It will not serve: we go on as if it had never come. The lease that knew no end has one again: if the
 * control database is away, what a migration might move is held. */
static void go_on(struct app *app, const char *why)
{
    struct takeover *takeover = &app->takeover;

    log_line(app->log, LOG_WARN, "app", "a successor has given up: %s", why);
    close_fd(&takeover->successor);
    lease_share(&app->lease, takeover->predecessor >= 0);
    if (takeover->state == TAKEOVER_RELEASED) {
        lease_extend(&app->lease, clock_boot_ms() + (uint64_t)config_number(app->config, CONFIG_LEASE_MS));
        change_control(app, false);
    }
    takeover->state = TAKEOVER_NONE;
}

static void on_asked(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    int fd = accept4(takeover->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (takeover->successor >= 0 || app->drain.answers != NULL || takeover->waits_to_serve ||
        !takeover_peer_is_trusted(fd)) {
        close(fd); /* one at a time */
        return;
    }
    takeover->successor = fd;
}

static void offer(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { .tag = takeover->tag };
    struct inherited list = { 0 };

    proxy_list_sockets(app->proxy, &list);
    console_list_sockets(app->console, &list);
    takeover->state = TAKEOVER_OFFERED;
    log_line(app->log, LOG_INFO, "app", "a successor takes over");
    if (!takeover_say(takeover->successor, &message, TAKEOVER_SOCKETS, &list))
        go_on(app, "it has gone");
}

/* No new one begins any more (lease_share()); one that is past its commit must have told our loops before
 * control stops. Runners count theirs themselves: nobody has to be asked who may not answer. */
static bool wait_for_cutovers(struct app *app)
{
    uint64_t until_ms = clock_ms() + CUTOVER_MS_MAX;

    while (lease_has_moves(&app->lease) && clock_ms() < until_ms)
        clock_sleep_ms(CUTOVER_LOOK_MS);
    return !lease_has_moves(&app->lease);
}

/* Control ends, and begins anew: with `follows` only to go by the routes that others write, be it by hand. */
static void change_control(struct app *app, bool follows)
{
    struct error err;

    control_stop(app->control);
    app->control = NULL;
    mailbox_open(app->switchboard.control);
    if (!app_start_control(app, follows, &err))
        log_error(app->log, LOG_ERROR, "app", &err, "cannot start control again");
}

static void release(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { 0 };
    struct error err;

    lease_share(&app->lease, true);
    if (!failpoint("takeover.before_release", &err) || !wait_for_cutovers(app)) {
        takeover_say(takeover->successor, &message, TAKEOVER_KEPT, NULL);
        go_on(app, "a cutover did not end in time");
        return;
    }
    change_control(app, true);
    /* No cutover begins before we have ended: our loops may believe the routes until then. */
    lease_extend(&app->lease, UINT64_MAX);
    takeover->state = TAKEOVER_RELEASED;
    takeover->until_ms = clock_ms() + SERVE_MS_MAX;
    log_line(app->log, LOG_INFO, "app", "migrations are the successor's");
    if (!takeover_say(takeover->successor, &message, TAKEOVER_RELEASE_DONE, NULL))
        go_on(app, "it has gone");
}

/* It serves: we finish what is under way. */
void takeover_leave(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    struct letter *letter = plain_letter_new(LETTER_LEAVE);
    struct error err;

    takeover->state = TAKEOVER_LEFT;
    close_fd(&takeover->listener); /* the path is the successor's */
    app->wrote_pid = false;
    if (letter != NULL)
        letter_send(app->switchboard.console, letter);
    if (!app_drain_begin(app, true, &err)) {
        log_error(app->log, LOG_ERROR, "app", &err, "cannot end gracefully");
        takeover->state = TAKEOVER_NONE;
    }
}

static void on_successor(struct app *app)
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message;
    int heard = takeover_hear(takeover->successor, &message, NULL);

    if (heard == 0)
        return;
    if (heard < 0 && takeover->state == TAKEOVER_LEFT)
        close_fd(&takeover->successor); /* it was killed: our clients still finish */
    else if (heard < 0)
        go_on(app, "it has ended");
    else if (message.kind == TAKEOVER_HELLO && takeover->state == TAKEOVER_NONE)
        offer(app);
    else if (message.kind == TAKEOVER_RELEASE && takeover->state == TAKEOVER_OFFERED)
        release(app);
    else if (message.kind == TAKEOVER_SERVING && takeover->state == TAKEOVER_RELEASED)
        takeover_leave(app);
    else if (message.kind == TAKEOVER_CANCEL)
        app_cancel(app, message.pid, message.key, message.key_bytes);
}

/* ---- main's loop ---- */

void takeover_poll_fds(const struct app *app, struct pollfd fds[static TAKEOVER_FDS])
{
    const struct takeover *takeover = &app->takeover;

    fds[0] = (struct pollfd){ takeover->listener, POLLIN, 0 };
    fds[1] = (struct pollfd){ takeover->successor, POLLIN, 0 };
    fds[2] = (struct pollfd){ takeover->predecessor, POLLIN, 0 };
}

bool takeover_look(struct app *app, const struct pollfd fds[static TAKEOVER_FDS])
{
    struct takeover *takeover = &app->takeover;
    struct takeover_message message = { 0 };

    if (fds[0].fd >= 0 && fds[0].revents != 0)
        on_asked(app);
    if (fds[1].fd >= 0 && fds[1].revents != 0)
        on_successor(app);
    if (takeover->state == TAKEOVER_RELEASED && clock_ms() >= takeover->until_ms) {
        takeover_say(takeover->successor, &message, TAKEOVER_KEPT, NULL);
        go_on(app, "it does not serve in time");
    }
    return fds[2].fd >= 0 && fds[2].revents != 0 && on_predecessor(app);
}
