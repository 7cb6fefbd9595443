/* orders.c - see orders.h.   Start at: orders_follow(). */
#include "app/orders.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/app_struct.h"
#include "app/reload.h"

enum { STATUS_COLUMNS = 4 };

/* --- signals --- */

static void our_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGQUIT);
    sigaddset(signals, SIGHUP);
}

void orders_block_signals(void)
{
    sigset_t signals;

    our_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that is gone is an error of write() */
}

void orders_unblock_signals(void)
{
    sigset_t signals;

    our_signals(&signals);
    sigdelset(&signals, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/* --- RELOAD --- */

static struct rows *change_rows(void)
{
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "key", ROWS_TEXT);
    rows_column(rows, "old", ROWS_TEXT);
    rows_column(rows, "new", ROWS_TEXT);
    rows_column(rows, "status", ROWS_TEXT);
    return rows;
}

static void log_changes(const struct app *app, const struct rows *rows)
{
    for (size_t i = 0; i < rows_count(rows); i++)
        log_line(app->log, LOG_INFO, "app", "reload: %s: %s", rows_value(rows, i, 0),
                 rows_value(rows, i, STATUS_COLUMNS - 1));
}

/* false: `err`; nothing has changed. `rows` are the caller's either way. */
static bool reload(struct app *app, struct rows **rows, struct error *err)
{
    bool ok;

    *rows = change_rows();
    ok = *rows == NULL ? error_no_memory(err) : reload_run(app, *rows, err);
    if (!ok)
        log_error(app->log, LOG_ERROR, "app", err, "the configuration was not reloaded");
    else
        log_line(app->log, LOG_INFO, "app", "configuration reloaded, %zu changes", rows_count(*rows));
    if (ok)
        log_changes(app, *rows);
    return ok;
}

/* --- what comes --- */

/* With a successor that is about to serve, nothing of ours may be torn down under it. */
static bool end_gracefully(struct app *app, struct error *err)
{
    if (app->takeover.state == TAKEOVER_RELEASED) {
        takeover_leave(app);
        return true;
    }
    return app_drain_begin(app, false, err);
}

static void on_request(struct app *app, struct control_request *request)
{
    switch (request->verb) {
    case CONTROL_RELOAD:
        request->ok = reload(app, &request->rows, &request->err);
        break;
    case CONTROL_SHUTDOWN_GRACEFUL:
        log_line(app->log, LOG_INFO, "app", "SHUTDOWN GRACEFUL by %s", request->operator_name);
        request->ok = end_gracefully(app, &request->err);
        break;
    case CONTROL_SHOW_SHUTDOWN:
        request->rows = app_drain_show(app);
        request->ok = request->rows != NULL || error_no_memory(&request->err);
        break;
    default:
        error_set(&request->err, "0A000", "main does not know this request");
    }
    letter_reply(&request->letter);
}

/* true: it is time to stop. */
static bool on_letter(struct app *app, struct letter *letter)
{
    struct control_request *request = (struct control_request *)letter;
    struct error err;
    bool over = false;

    switch (letter->kind) {
    case LETTER_CONTROL:
        if (request->verb == CONTROL_SHUTDOWN) {
            log_line(app->log, LOG_INFO, "app", "stopping: SHUTDOWN by %s", request->operator_name);
            request->ok = true;
            letter_reply(letter);
            return true;
        }
        on_request(app, request);
        return false;
    case LETTER_READY:
        over = !takeover_serve(app, &err);
        if (over)
            log_error(app->log, LOG_ERROR, "app", &err, "cannot accept anybody");
        break;
    case LETTER_CANCEL:
        takeover_pass_cancel(app, (struct cancel_letter *)letter);
        break;
    default:
        break;
    }
    letter_drop(letter);
    return over;
}

static bool on_letters(struct app *app)
{
    struct letter *letter;
    bool over = false;

    while ((letter = mailbox_next(app->switchboard.app)) != NULL)
        over = on_letter(app, letter) || over;
    return over;
}

static bool on_signal(struct app *app, int number)
{
    struct rows *rows;
    struct error err;

    if (number == SIGHUP) {
        reload(app, &rows, &err);
        rows_free(rows);
        return false;
    }
    if (number == SIGTERM && app->drain.answers == NULL) {
        log_line(app->log, LOG_INFO, "app", "SIGTERM");
        if (end_gracefully(app, &err))
            return false;
        log_error(app->log, LOG_ERROR, "app", &err, "cannot shut down gracefully");
    }
    log_line(app->log, LOG_INFO, "app", "stopping: %s", strsignal(number));
    return true;
}

static bool on_signals(struct app *app, int fd)
{
    struct signalfd_siginfo info;
    bool over = false;

    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        over = on_signal(app, (int)info.ssi_signo) || over;
    return over;
}

/* Nothing but a drain and a successor's time need a clock. */
static int patience_ms(const struct app *app)
{
    if (app->drain.answers != NULL)
        return DRAIN_LOOK_MS;
    return app->takeover.state == TAKEOVER_RELEASED ? DRAIN_LOOK_MS : -1;
}

void orders_follow(struct app *app)
{
    enum { SIGNALS, LETTERS, TAKEOVER, FDS = TAKEOVER + TAKEOVER_FDS };
    struct pollfd fds[FDS] = { { .events = POLLIN }, { .events = POLLIN } };
    sigset_t signals;
    bool over = false;

    our_signals(&signals);
    fds[SIGNALS].fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    fds[LETTERS].fd = mailbox_fd(app->switchboard.app);
    if (fds[SIGNALS].fd < 0) {
        log_line(app->log, LOG_ERROR, "app", "cannot wait for signals: %s", strerror(errno));
        return;
    }
    while (!over) {
        takeover_poll_fds(app, fds + TAKEOVER);
        if (poll(fds, FDS, patience_ms(app)) < 0) {
            if (errno != EINTR)
                break;
            continue;
        }
        over = on_signals(app, fds[SIGNALS].fd) || over;
        over = on_letters(app) || over;
        over = takeover_look(app, fds + TAKEOVER) || over;
        over = app_drain_is_over(app) || over;
    }
    app_drain_done(app);
    close(fds[SIGNALS].fd);
}
