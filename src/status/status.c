/* status.c - HTTP for machines: a libuv loop that lends its turns to libmicrohttpd.
 * A request is suspended, joins the snapshot that is under way (or begins one), and is answered when that is
 * whole. Owns:   its loop, the HTTP daemon, its mailbox, the snapshot, requests until their connection is
 * done. Leaves: what there is to say to pages.c, HTTP itself to libmicrohttpd. Thread: its own, but for
 * status_start() and status_stop().   Start at: on_request(), answer_waiting(). */
#include "status/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>
#include <uv.h>

#include "base/clock.h"
#include "migrate/control.h"
#include "status/pages.h"

enum { CONNECTIONS_MAX = 64, IDLE_SECONDS = 30, BACKLOG = 16, MEMORY_BYTES = 16 * 1024 };

/* One request, from its headers to its answer. */
struct waiting {
    struct MHD_Connection *connection;
    struct page_request request;
    bool ready; /* the snapshot is whole */
    struct waiting *next;
};

struct status {
    struct status_setup setup;
    struct mailbox *mailbox;
    struct MHD_Daemon *daemon;
    uv_loop_t loop;
    uv_poll_t letters, sockets;
    uv_timer_t timer; /* of the daemon and of the snapshot, whichever is first */
    uv_thread_t thread;
    struct snapshot snapshot;
    bool asking;
    struct waiting *waiting; /* suspended, or just resumed */
    struct letter stop;
};

static void turn(struct status *status);

/* --- requests --- */

static enum MHD_Result say(struct MHD_Connection *connection, unsigned code, const char *json)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(json), (void *)json, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(struct status *status, const struct waiting *waiting)
{
    const struct health_limits limits = {
        (double)config_number(status->setup.config, CONFIG_STUCK_AFTER_SECONDS),
        (double)config_number(status->setup.config, CONFIG_CUTOVER_MAX_LAG_EVENTS) * 10,
    };
    struct page_answer page;
    struct MHD_Response *response = NULL;
    enum MHD_Result result = MHD_NO;

    pages_answer(&waiting->request, &status->snapshot, &limits, &page);
    if (!buf_failed(&page.body))
        response = MHD_create_response_from_buffer(buf_bytes(&page.body), (void *)buf_at(&page.body),
                                                   MHD_RESPMEM_MUST_COPY);
    if (response != NULL) {
        MHD_add_response_header(response, "Content-Type", page.content_type);
        MHD_add_response_header(response, "Cache-Control", "no-store");
        if (page.gzip)
            MHD_add_response_header(response, "Content-Encoding", "gzip");
        result = MHD_queue_response(waiting->connection, page.status, response);
        MHD_destroy_response(response);
    }
    buf_done(&page.body);
    return result;
}

static void ask(struct status *status)
{
    if (status->asking)
        return;
    status->asking = true;
    snapshot_ask(&status->snapshot, status->setup.switchboard, status->setup.loop_stats, status->mailbox);
}

static enum MHD_Result begin(struct status *status, struct MHD_Connection *connection, enum page page,
                             void **request)
{
    struct waiting *waiting = calloc(1, sizeof *waiting);

    if (waiting == NULL)
        return MHD_NO;
    waiting->connection = connection;
    waiting->request = (struct page_request){
        page,
        pages_accepts(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
                      "application/openmetrics-text"),
        pages_accepts(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept-Encoding"), "gzip"),
    };
    LL_PREPEND(status->waiting, waiting);
    *request = waiting;
    MHD_suspend_connection(connection);
    ask(status);
    return MHD_YES;
}

/* Called when the headers are there, and again for every piece of a body and after a resume. */
static enum MHD_Result on_request(void *who, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **request)
{
    struct status *status = who;
    struct waiting *waiting = *request;
    enum page page;

    (void)version;
    (void)body;
    if (*body_bytes > 0) { /* nobody reads it */
        *body_bytes = 0;
        return MHD_YES;
    }
    if (waiting != NULL)
        return waiting->ready ? answer(status, waiting) : MHD_YES;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "{\"error\": \"only GET and HEAD\"}\n");
    if (!pages_find(url, &page))
        return say(connection, MHD_HTTP_NOT_FOUND,
                   "{\"error\": \"there are /metrics, /health, /health/migration and /ready\"}\n");
    return begin(status, connection, page, request);
}

static void on_completed(void *who, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode why)
{
    struct status *status = who;
    struct waiting *waiting = *request;

    (void)connection;
    (void)why;
    if (waiting == NULL)
        return;
    LL_DELETE(status->waiting, waiting);
    free(waiting);
    *request = NULL;
}

/* --- the snapshot --- */

static void answer_waiting(struct status *status)
{
    status->asking = false;
    for (struct waiting *at = status->waiting; at != NULL; at = at->next) {
        if (at->ready)
            continue;
        at->ready = true;
        MHD_resume_connection(at->connection);
    }
}

static void look_at_snapshot(struct status *status)
{
    if (status->asking &&
        (snapshot_is_complete(&status->snapshot) || clock_ms() >= status->snapshot.begun_ms + SNAPSHOT_MS))
        answer_waiting(status);
}

/* --- the loop --- */

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static void on_sockets(uv_poll_t *poll, int error, int events)
{
    (void)error;
    (void)events;
    turn(poll->data);
}

static uint64_t next_turn_ms(struct status *status)
{
    MHD_UNSIGNED_LONG_LONG http_ms;
    uint64_t ms = MHD_get_timeout(status->daemon, &http_ms) == MHD_YES ? http_ms : 3600 * 1000;
    uint64_t now_ms = clock_ms(), until_ms = status->snapshot.begun_ms + SNAPSHOT_MS;

    if (status->asking && until_ms > now_ms && until_ms - now_ms < ms)
        ms = until_ms - now_ms;
    return ms;
}

/* The daemon's turn; what it has begun or resumed is looked at until nothing is left to do at once. */
static void turn(struct status *status)
{
    look_at_snapshot(status);
    MHD_run(status->daemon);
    look_at_snapshot(status);
    uv_timer_start(&status->timer, on_timer, next_turn_ms(status), 0);
}

static void close_all(struct status *status)
{
    uv_close((uv_handle_t *)&status->letters, NULL);
    uv_close((uv_handle_t *)&status->sockets, NULL);
    uv_close((uv_handle_t *)&status->timer, NULL);
}

static void on_letters(uv_poll_t *poll, int error, int events)
{
    struct status *status = poll->data;
    struct letter *letter;

    (void)error;
    (void)events;
    while ((letter = mailbox_next(status->mailbox)) != NULL) {
        switch (letter->kind) {
        case LETTER_SHOW:
            snapshot_take_show(&status->snapshot, (struct show_letter *)letter);
            break;
        case LETTER_CONTROL:
            snapshot_take_control(&status->snapshot, (struct control_request *)letter);
            break;
        case LETTER_STOP:
            close_all(status);
            return; /* the rest is dropped with the mailbox */
        default:
            letter_drop(letter);
        }
    }
    turn(status);
}

static void run(void *who)
{
    struct status *status = who;

    uv_run(&status->loop, UV_RUN_DEFAULT);
}

/* --- beginning and end --- */

static bool wrong_address(const char *address, const char *why, struct error *err)
{
    error_set(err, "22023", "http_listen = %s: %s", address, why);
    return error_hint(err, "Write host:port, as in 127.0.0.1:9187, or leave it empty.");
}

/* SO_REUSEPORT: a successor (-R) listens while its predecessor still does. */
static int listen_at(const char *address, const struct addrinfo *info, struct error *err)
{
    const int on = 1;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error_set(err, "58030", "cannot listen on http_listen = %s: %s", address, strerror(errno));
    error_hint(err, "Another program may have the port: ss -ltnp shows which.");
    if (fd >= 0)
        close(fd);
    return -1;
}

static int open_listener(const char *address, struct error *err)
{
    const struct addrinfo wanted = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    const char *colon = strrchr(address, ':');
    struct addrinfo *found;
    char host[256];
    int fd, code;

    if (colon == NULL || colon == address || (size_t)(colon - address) >= sizeof host) {
        wrong_address(address, "a host and a port were expected", err);
        return -1;
    }
    snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        memmove(host, host + 1, strlen(host));
        host[strlen(host) - 1] = '\0';
    }
    code = getaddrinfo(host, colon + 1, &wanted, &found);
    if (code != 0) {
        wrong_address(address, gai_strerror(code), err);
        return -1;
    }
    fd = listen_at(address, found, err);
    freeaddrinfo(found);
    return fd;
}

static bool start_daemon(struct status *status, int fd, struct error *err)
{
    status->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, status, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, status, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_END);
    if (status->daemon != NULL)
        return true;
    close(fd);
    return error_set(err, "58030", "the HTTP server could not be started");
}

static bool start_thread(struct status *status, struct error *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(status->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (info == NULL || uv_loop_init(&status->loop) != 0)
        return error_set(err, "58030", "the HTTP server could not be started");
    status->letters.data = status->sockets.data = status->timer.data = status;
    uv_poll_init(&status->loop, &status->letters, mailbox_fd(status->mailbox));
    uv_poll_init(&status->loop, &status->sockets, info->epoll_fd);
    uv_timer_init(&status->loop, &status->timer);
    uv_poll_start(&status->letters, UV_READABLE, on_letters);
    uv_poll_start(&status->sockets, UV_READABLE, on_sockets);
    if (uv_thread_create(&status->thread, run, status) == 0)
        return true;
    close_all(status);
    uv_run(&status->loop, UV_RUN_DEFAULT);
    uv_loop_close(&status->loop);
    return error_set(err, "58030", "the HTTP server's thread could not be started");
}

static void drop_nothing(struct letter *me)
{
    (void)me; /* it is part of struct status */
}

static void status_free(struct status *status)
{
    if (status->daemon != NULL)
        MHD_stop_daemon(status->daemon); /* also closes the listening socket */
    if (status->mailbox != NULL)
        mailbox_close(status->mailbox);
    mailbox_give(status->mailbox);
    snapshot_done(&status->snapshot);
    free(status);
}

bool status_start(const struct status_setup *setup, struct status **started, struct error *err)
{
    const char *address = config_text(setup->config, CONFIG_HTTP_LISTEN);
    struct status *status;
    int fd;

    *started = NULL;
    if (*address == '\0')
        return true;
    status = calloc(1, sizeof *status);
    if (status == NULL)
        return error_no_memory(err);
    status->setup = *setup;
    status->stop = (struct letter){ .kind = LETTER_STOP, .drop = drop_nothing };
    status->mailbox = mailbox_new();
    fd = status->mailbox == NULL ? -1 : open_listener(address, err);
    if (status->mailbox == NULL)
        error_no_memory(err);
    if (fd < 0 || !start_daemon(status, fd, err) || !start_thread(status, err)) {
        status_free(status);
        return false;
    }
    log_line(setup->log, LOG_INFO, "status", "metrics and health at http://%s/", address);
    *started = status;
    return true;
}

void status_stop(struct status *status)
{
    if (status == NULL)
        return;
    mailbox_post(status->mailbox, &status->stop);
    uv_thread_join(&status->thread);
    /* A suspended connection has to be resumed before its daemon is stopped: microhttpd.h. */
    answer_waiting(status);
    uv_loop_close(&status->loop);
    status_free(status);
}
