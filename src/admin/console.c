/* console.c - the admin socket's thread: accepts operators, moves their bytes, takes control's letters.
 * Owns:   its loop, the listening socket, every operator's connection, the view.
 * Leaves: the protocol to session.c, the socket file to base/socket_file.
 * Thread: its own, but for console_start() and console_stop().   Start at: on_connection(), settle(). */
#include "admin/console.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "admin/job.h"
#include "admin/session.h"
#include "admin/view.h"
#include "base/socket_file.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum {
    CONSOLE_CLIENTS_MAX = 1000, /* far more than operators and their scripts; bounds memory and descriptors */
    CONSOLE_REFUSALS_MAX = 100, /* of those that are one too many, as many hear why */
    CONSOLE_BACKLOG = 128,
    CONSOLE_READ_BYTES = 4096,   /* commands are short */
    CONSOLE_STOP_GRACE_MS = 500, /* for farewells to be read */
    CONSOLE_NAME_BYTES = 64,
};

struct connection {
    struct console *console;
    uint32_t pid;
    char name[CONSOLE_NAME_BYTES];
    struct session *session;
    struct session_hooks hooks;
    uv_pipe_t pipe;
    uv_timer_t timer; /* the startup packet's, then the job's */
    uv_write_t write;
    struct buf sending; /* what `write` is about */
    bool writing, reading, closing;
    int open_handles;
    UT_hash_handle hh;
};

struct console {
    struct console_setup setup;
    struct view view;
    struct socket_file socket;
    int listen_fd; /* `listener`'s */
    uv_loop_t loop;
    uv_pipe_t listener;
    uv_poll_t mailbox;
    uv_timer_t grace;
    uv_pipe_t refused; /* see refuse() */
    bool refusing, refuse_more;
    uv_thread_t thread;
    struct connection *connections;
    uint32_t last_pid;
    bool told_ready, stopping;
    struct letter stop; /* the console's own, so that stopping cannot fail for memory */
};

static void settle(struct connection *conn);
static void on_refused(uv_handle_t *handle);

/* --- an operator's end --- */

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *conn = handle->data;

    if (--conn->open_handles > 0)
        return;
    session_free(conn->session);
    buf_done(&conn->sending);
    free(conn);
}

/* May be called twice. */
static void connection_close(struct connection *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    if (conn->hh.tbl != NULL)
        HASH_DELETE(hh, conn->console->connections, conn);
    uv_close((uv_handle_t *)&conn->pipe, on_connection_closed);
    uv_close((uv_handle_t *)&conn->timer, on_connection_closed);
}

/* --- bytes --- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *chunk)
{
    struct connection *conn = handle->data;
    char *at = buf_reserve(session_in(conn->session), CONSOLE_READ_BYTES);

    (void)suggested;
    *chunk = uv_buf_init(at, at == NULL ? 0 : CONSOLE_READ_BYTES); /* no memory: on_read gets UV_ENOBUFS */
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *chunk)
{
    struct connection *conn = stream->data;

    (void)chunk;
    if (nread < 0) {
        connection_close(conn);
    } else if (nread > 0) {
        buf_grew(session_in(conn->session), (size_t)nread);
        session_run(conn->session);
        settle(conn);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *conn = write->data;

    conn->writing = false;
    if (conn->closing)
        return;
    if (status < 0) {
        connection_close(conn);
        return;
    }
    buf_clear(&conn->sending);
    buf_shrink(&conn->sending);
    session_run(conn->session); /* it may have waited for its answers to go */
    settle(conn);
}

static void send_answers(struct connection *conn)
{
    struct buf *out = session_out(conn->session);
    struct buf swap = conn->sending;
    uv_buf_t chunk;

    if (conn->writing || buf_bytes(out) == 0)
        return;
    conn->sending = *out;
    *out = swap;
    chunk = uv_buf_init(conn->sending.data + conn->sending.head, (unsigned)buf_bytes(&conn->sending));
    conn->write.data = conn;
    conn->writing = true;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->pipe, &chunk, 1, on_written) != 0) {
        conn->writing = false;
        connection_close(conn);
    }
}

static void set_reading(struct connection *conn, bool reading)
{
    if (conn->closing || reading == conn->reading)
        return;
    conn->reading = reading;
    if (!reading)
        uv_read_stop((uv_stream_t *)&conn->pipe);
    else if (uv_read_start((uv_stream_t *)&conn->pipe, on_alloc, on_read) != 0)
        connection_close(conn);
}

/* After whatever happened to a session: what it said is sent, what it wants is done. */
static void settle(struct connection *conn)
{
    if (conn->closing)
        return;
    send_answers(conn);
    if (conn->closing)
        return;
    if (session_is_over(conn->session) && !conn->writing)
        connection_close(conn);
    else
        set_reading(conn, session_wants_input(conn->session));
}

/* --- what a session asks for --- */

static bool hook_ask(void *who, struct control_request *request)
{
    struct connection *conn = who;
    const struct switchboard *switchboard = conn->console->setup.switchboard;

    request->letter.reply_to = mailbox_take(switchboard->console);
    return mailbox_post(request->verb >= CONTROL_FOR_MAIN ? switchboard->app : switchboard->control,
                        &request->letter);
}

static unsigned hook_ask_loops(void *who, enum show_what what, uint64_t tag)
{
    struct connection *conn = who;
    const struct switchboard *board = conn->console->setup.switchboard;
    unsigned asked = 0;

    for (unsigned i = 0; i < board->loop_count; i++) {
        struct show_letter *letter = show_letter_new(what, tag, board->console);

        if (letter == NULL)
            continue;
        if (mailbox_post(board->loops[i], &letter->letter))
            asked++;
        else
            letter_drop(&letter->letter);
    }
    return asked;
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *conn = timer->data;

    if (session_is_starting(conn->session)) {
        connection_close(conn);
        return;
    }
    session_tick(conn->session);
    settle(conn);
}

static void hook_wake_in(void *who, uint64_t ms)
{
    struct connection *conn = who;

    uv_timer_start(&conn->timer, on_timer, ms, 0);
}

static struct connection *find_connection(const struct console *console, uint32_t pid)
{
    struct connection *conn;

    HASH_FIND(hh, console->connections, &pid, sizeof pid, conn);
    return conn;
}

static void hook_cancel(void *who, uint32_t pid, struct slice key)
{
    struct connection *conn = who;
    struct connection *other = find_connection(conn->console, pid);

    if (other == NULL || other == conn)
        return;
    session_cancel(other->session, key);
    settle(other);
}

/* --- who may come in --- */

static void name_of_user(uid_t uid, char name[CONSOLE_NAME_BYTES])
{
    char memory[4096];
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, memory, sizeof memory, &found) == 0 && found != NULL)
        snprintf(name, CONSOLE_NAME_BYTES, "%s", entry.pw_name);
    else
        snprintf(name, CONSOLE_NAME_BYTES, "uid %u", (unsigned)uid);
}

static bool is_admin_user(const struct config *config, const char *name)
{
    const char *list = config_text(config, CONFIG_ADMIN_USERS);
    struct slice item;
    size_t at = 0;

    while (config_next_item(list, &at, &item))
        if (slice_is(item, name))
            return true;
    return false;
}

/* Fills conn->name. false: `err` says why not. */
static bool check_peer(struct connection *conn, struct error *err)
{
    const struct console *console = conn->console;
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&conn->pipe, &fd) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0)
        return error_set(err, "28000", "the operating system does not say who you are");
    name_of_user(peer.uid, conn->name);
    if (HASH_COUNT(console->connections) >= CONSOLE_CLIENTS_MAX)
        return error_set(err, "53300", "sorry, too many clients already on the admin socket");
    if (peer.uid == geteuid() || peer.uid == 0 || is_admin_user(console->view.config, conn->name))
        return true;
    log_line(console->setup.log, LOG_WARN, "console", "system user %s is not allowed in", conn->name);
    error_set(err, "28000", "system user \"%s\" may not use the admin socket", conn->name);
    return error_hint(err, "admin_users under [auth] names who may.");
}

static struct session *session_of(struct connection *conn, const struct error *refusal)
{
    struct session_setup setup = {
        .view = &conn->console->view,
        .hooks = &conn->hooks,
        .operator_name = conn->name,
        .pid = conn->pid,
        .refusal = refusal,
    };

    if (getrandom(setup.key, sizeof setup.key, 0) != (ssize_t)sizeof setup.key)
        return NULL;
    conn->hooks = (struct session_hooks){ hook_ask, hook_ask_loops, hook_wake_in, hook_cancel, conn };
    return session_new(&setup);
}

static uint32_t next_pid(struct console *console)
{
    do
        console->last_pid = console->last_pid % INT32_MAX + 1;
    while (find_connection(console, console->last_pid) != NULL);
    return console->last_pid;
}

/* An accepted connection begins; everything that fails from here on ends in connection_close(). */
static void connection_begin(struct connection *conn)
{
    struct console *console = conn->console;
    struct error err;
    bool allowed = check_peer(conn, &err);

    conn->pid = next_pid(console);
    if (HASH_COUNT(console->connections) < CONSOLE_CLIENTS_MAX + CONSOLE_REFUSALS_MAX)
        conn->session = session_of(conn, allowed ? NULL : &err);
    if (conn->session == NULL) {
        connection_close(conn);
        return;
    }
    HASH_ADD(hh, console->connections, pid, sizeof conn->pid, conn);
    if (conn->hh.tbl == NULL) {
        connection_close(conn);
        return;
    }
    uv_timer_start(&conn->timer, on_timer, LOGIN_TIMEOUT_MS, 0);
    settle(conn);
}

/* No memory for a connection: it is accepted all the same and closed, or libuv would listen no more. */
static void refuse(struct console *console)
{
    if (console->refusing) {
        console->refuse_more = true;
        return;
    }
    console->refusing = true;
    console->refused.data = console;
    uv_pipe_init(&console->loop, &console->refused, 0);
    uv_accept((uv_stream_t *)&console->listener, (uv_stream_t *)&console->refused);
    uv_close((uv_handle_t *)&console->refused, on_refused);
}

static void on_refused(uv_handle_t *handle)
{
    struct console *console = handle->data;
    bool more = console->refuse_more;

    console->refusing = console->refuse_more = false;
    if (more && !console->stopping)
        refuse(console);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct console *console = listener->data;
    struct connection *conn;

    if (status < 0) {
        log_line(console->setup.log, LOG_WARN, "console", "cannot accept: %s", uv_strerror(status));
        return;
    }
    conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        refuse(console);
        return;
    }
    conn->console = console;
    conn->pipe.data = conn->timer.data = conn;
    uv_pipe_init(&console->loop, &conn->pipe, 0);
    uv_timer_init(&console->loop, &conn->timer);
    conn->open_handles = 2;
    if (uv_accept(listener, (uv_stream_t *)&conn->pipe) == 0)
        connection_begin(conn);
    else
        connection_close(conn);
}

/* --- letters --- */

static void take_publication(struct console *console, struct publish_letter *publish)
{
    struct view *view = &console->view;

    route_table_give(view->table);
    catalogue_give(view->catalogue);
    view->table = publish->table;
    view->catalogue = publish->catalogue;
    view->ready = publish->ready && view->table != NULL && view->catalogue != NULL;
    publish->table = NULL;
    publish->catalogue = NULL;
    publish->loop = console->setup.switchboard->loop_count;
    letter_reply(&publish->letter);
    if (view->ready && !console->told_ready) {
        console->told_ready = true;
        console->setup.ready(console->setup.who);
    }
}

static unsigned socket_mode(const struct config *config)
{
    return *config_text(config, CONFIG_ADMIN_USERS) != '\0' ? 0666 : 0600; /* check_peer() decides */
}

static void take_config(struct console *console, struct config_letter *letter)
{
    const struct config *before = console->view.config;

    console->view.config = letter->config;
    letter->config = before; /* given back by the letter's drop */
    if (chmod(console->socket.path, socket_mode(console->view.config)) != 0)
        log_line(console->setup.log, LOG_WARN, "console", "cannot set the mode of \"%s\"",
                 console->socket.path);
    letter_reply(&letter->letter);
}

static void take_answer(struct console *console, struct control_request *request)
{
    struct connection *conn = find_connection(console, job_owner_of_tag(request->tag));

    if (conn == NULL) {
        letter_drop(&request->letter);
        return;
    }
    session_answer(conn->session, request);
    settle(conn);
}

static void take_show(struct console *console, struct show_letter *letter)
{
    struct connection *conn = find_connection(console, job_owner_of_tag(letter->tag));

    if (conn == NULL) {
        letter_drop(&letter->letter);
        return;
    }
    session_told(conn->session, letter);
    settle(conn);
}

static void take_news(struct console *console, struct news_letter *news)
{
    struct connection *conn = find_connection(console, job_owner_of_tag(news->tag));

    if (conn != NULL) {
        session_news(conn->session, news);
        settle(conn);
    }
    letter_drop(&news->letter);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct console *console = timer->data;
    struct connection *conn, *next;

    HASH_ITER(hh, console->connections, conn, next) {
        connection_close(conn);
    }
    uv_close((uv_handle_t *)&console->grace, NULL);
}

static void stop(struct console *console)
{
    struct connection *conn, *next;
    struct error err;

    if (console->stopping)
        return;
    console->stopping = true;
    if (!uv_is_closing((uv_handle_t *)&console->listener))
        uv_close((uv_handle_t *)&console->listener, NULL);
    uv_close((uv_handle_t *)&console->mailbox, NULL);
    error_set(&err, "57P01", "terminating connection due to administrator command");
    HASH_ITER(hh, console->connections, conn, next) {
        session_end(conn->session, &err);
        settle(conn);
    }
    if (console->connections == NULL)
        uv_close((uv_handle_t *)&console->grace, NULL);
    else
        uv_timer_start(&console->grace, on_grace_over, CONSOLE_STOP_GRACE_MS, 0);
}

/* A successor: the socket is ours alone from now on. */
static void serve(struct console *console)
{
    int code;

    if (!console->socket.shared)
        return; /* since the start */
    socket_file_own(&console->socket);
    code = uv_listen((uv_stream_t *)&console->listener, CONSOLE_BACKLOG, on_connection);
    if (code != 0)
        log_line(console->setup.log, LOG_ERROR, "console", "cannot listen: %s", uv_strerror(code));
}

/* Operators come back to our successor. */
static void leave(struct console *console)
{
    struct connection *conn, *next;
    struct error err;

    console->socket.shared = true;
    if (!uv_is_closing((uv_handle_t *)&console->listener))
        uv_close((uv_handle_t *)&console->listener, NULL);
    error_set(&err, "57P01", "terminating connection: another process has taken over");
    HASH_ITER(hh, console->connections, conn, next) {
        session_end(conn->session, &err);
        settle(conn);
    }
}

static void on_letters(uv_poll_t *poll, int status, int events)
{
    struct console *console = poll->data;
    struct letter *letter;

    (void)status;
    (void)events;
    while (!console->stopping && (letter = mailbox_next(console->setup.switchboard->console)) != NULL) {
        switch (letter->kind) {
        case LETTER_PUBLISH:
            take_publication(console, (struct publish_letter *)letter);
            break;
        case LETTER_CONTROL:
            take_answer(console, (struct control_request *)letter);
            break;
        case LETTER_SHOW:
            take_show(console, (struct show_letter *)letter);
            break;
        case LETTER_NEWS:
            take_news(console, (struct news_letter *)letter);
            break;
        case LETTER_CONFIG:
            take_config(console, (struct config_letter *)letter);
            break;
        case LETTER_SERVE:
            letter_drop(letter);
            serve(console);
            break;
        case LETTER_LEAVE:
            letter_drop(letter);
            leave(console);
            break;
        case LETTER_STOP:
            letter_drop(letter);
            stop(console);
            break;
        default:
            letter_drop(letter);
            break;
        }
    }
}

/* --- start and stop --- */

static void run(void *who)
{
    struct console *console = who;

    uv_run(&console->loop, UV_RUN_DEFAULT); /* until every handle is closed */
}

static void drop_nothing(struct letter *letter)
{
    (void)letter; /* a part of the console */
}

static bool uv_failed(struct error *err, const char *what, int code)
{
    return error_set(err, "58000", "cannot %s: %s", what, uv_strerror(code));
}

static bool open_handles(struct console *console, struct error *err)
{
    int code;

    uv_pipe_init(&console->loop, &console->listener, 0);
    uv_timer_init(&console->loop, &console->grace);
    console->listener.data = console->mailbox.data = console->grace.data = console;
    code = uv_poll_init(&console->loop, &console->mailbox, mailbox_fd(console->setup.switchboard->console));
    if (code != 0) {
        uv_close((uv_handle_t *)&console->listener, NULL);
        uv_close((uv_handle_t *)&console->grace, NULL);
        uv_run(&console->loop, UV_RUN_DEFAULT);
        return uv_failed(err, "watch the console's mailbox", code);
    }
    code = uv_pipe_open(&console->listener, console->socket.fd);
    console->listen_fd = console->socket.fd;
    if (code == 0)
        console->socket.fd = -1; /* the handle's now */
    if (code == 0 && !console->socket.shared) {
        code = uv_listen((uv_stream_t *)&console->listener, CONSOLE_BACKLOG, on_connection);
    }
    if (code == 0)
        code = uv_poll_start(&console->mailbox, UV_READABLE, on_letters);
    if (code == 0)
        code = uv_thread_create(&console->thread, run, console);
    if (code == 0)
        return true;
    stop(console);
    uv_run(&console->loop, UV_RUN_DEFAULT);
    return uv_failed(err, "start the console", code);
}

static void console_free(struct console *console)
{
    route_table_give(console->view.table);
    catalogue_give(console->view.catalogue);
    config_give(console->view.config);
    planner_free(console->view.planner);
    free(console);
}

static struct console *console_new(const struct console_setup *setup)
{
    struct console *console = calloc(1, sizeof *console);

    if (console == NULL)
        return NULL;
    console->setup = *setup;
    console->stop = (struct letter){ .kind = LETTER_STOP, .drop = drop_nothing };
    console->view = (struct view){
        .config = config_take(setup->config),
        .stores = setup->stores,
        .loop_stats = setup->loop_stats,
        .loop_count = setup->switchboard->loop_count,
        .log = setup->log,
        .planner = planner_new(config_text(setup->config, CONFIG_TENANT_SETTING)),
    };
    if (console->view.planner != NULL)
        return console;
    console_free(console);
    return NULL;
}

bool console_start(const struct console_setup *setup, struct console **console, struct error *err)
{
    struct console *made = console_new(setup);
    const struct socket_file_wish wish = {
        .dir = config_text(setup->config, CONFIG_ADMIN_SOCKET_DIR),
        .port = (int)config_number(setup->config, CONFIG_ADMIN_PORT),
        .mode =
            *config_text(setup->config, CONFIG_ADMIN_USERS) != '\0' ? 0666 : 0600, /* check_peer() decides */
        .keys = "admin_port or admin_socket_dir",
    };
    int code;

    if (made == NULL)
        return error_no_memory(err);
    if (!socket_file_adopt(&made->socket, &wish, setup->inherited) &&
        !socket_file_open(&made->socket, &wish, err)) {
        console_free(made);
        return false;
    }
    code = uv_loop_init(&made->loop);
    if (code != 0 ? uv_failed(err, "make the console's loop", code) : open_handles(made, err)) {
        *console = made;
        return true;
    }
    if (code == 0)
        uv_loop_close(&made->loop);
    socket_file_close(&made->socket);
    console_free(made);
    return false;
}

void console_stop(struct console *console)
{
    if (console == NULL)
        return;
    if (mailbox_post(console->setup.switchboard->console, &console->stop))
        uv_thread_join(&console->thread);
    mailbox_close(console->setup.switchboard->console);
    uv_loop_close(&console->loop);
    socket_file_close(&console->socket);
    console_free(console);
}

void console_list_sockets(const struct console *console, struct inherited *list)
{
    struct inherited_socket *to = &list->at[list->count];

    if (list->count == INHERITED_MAX)
        return;
    list->count++;
    snprintf(to->what, sizeof to->what, "%s", console->socket.path);
    to->fd = console->listen_fd;
    to->lock_fd = console->socket.lock_fd;
}

const char *console_socket_path(const struct console *console)
{
    return console->socket.path;
}
