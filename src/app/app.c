/* app.c - struct app: everything that lives as long as the program, in the order in which it begins.
 *
 *   console (its lock keeps a second instance out) → proxy (binds, answers 57P03) → control (publishes the
 * routes)
 *
 * and the other way round at the end: while control stops, a cutover that it reverts still needs the loops'
 * gates.
 *
 * Owns:   configuration, log, stores, mailboxes, counters, lease, pid file.
 * Leaves: everything else to the layers.
 * Thread: main's; hook_ready() is called on the console's.   Start at: app_run(). */
#include "app/app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/app_struct.h"
#include "app/orders.h"
#include "base/failpoint.h"
#include "proxy/auth_file.h"

/* --- what every task needs --- */

static void say(const struct error *err)
{
    fprintf(stderr, "pgshunt: %s\n", err->message);
    if (err->detail[0] != '\0')
        fprintf(stderr, "%s\n", err->detail);
    if (err->hint[0] != '\0')
        fprintf(stderr, "%s\n", err->hint);
}

bool app_open_log_file(const char *path, int *fd, struct error *err)
{
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    return *fd >= 0 || error_set(err, "58030", "cannot open log \"%s\": %s", path, strerror(errno));
}

static bool open_log(struct app *app, struct error *err)
{
    const char *destination = config_text(app->config, CONFIG_LOG_DESTINATION);
    enum log_format format = config_is(app->config, CONFIG_LOG_FORMAT, "json") ? LOG_JSON : LOG_TEXT;
    enum log_level level = LOG_INFO;

    log_level_parse(config_text(app->config, CONFIG_LOG_LEVEL), &level);
    app->log_fd = -1;
    if (strcmp(destination, "stderr") != 0 && !app_open_log_file(destination, &app->log_fd, err))
        return false;
    app->log = log_new(level, format, app->log_fd < 0 ? STDERR_FILENO : app->log_fd);
    return app->log != NULL || error_no_memory(err);
}

/* Configuration, stores, users: what can be wrong with the files is found here. */
static bool read_configuration(struct app *app, const char *file, struct error *err)
{
    struct config *config;

    if (!config_read(file, &config, err))
        return false;
    app->file = file;
    app->config = config;
    app->current = config_take(config);
    return stores_read(config, &app->stores, err) && proxy_check(config, app->stores, err);
}

static void forget(struct app *app)
{
    for (unsigned i = 0; i < app->switchboard.loop_count; i++) {
        mailbox_give(app->switchboard.loops[i]);
        stats_free(app->stats[i]);
    }
    mailbox_give(app->switchboard.control);
    mailbox_give(app->switchboard.console);
    mailbox_give(app->switchboard.app);
    stores_free(app->stores);
    log_free(app->log);
    if (app->log_fd >= 0)
        close(app->log_fd);
    config_give(app->current);
    config_give(app->config);
    free(app);
}

static struct app *app_new(void)
{
    struct app *app = calloc(1, sizeof *app);

    if (app == NULL)
        fputs("pgshunt: out of memory\n", stderr);
    else
        app->log_fd = -1;
    if (app != NULL)
        takeover_init(&app->takeover);
    return app;
}

/* --- running --- */

static void hook_ready(void *who)
{
    const struct app *app = who;
    struct letter *letter = plain_letter_new(LETTER_READY);

    log_line(app->log, LOG_INFO, "app", "pgshunt %s ready on %s, admin socket %s", PGSHUNT_VERSION,
             proxy_address(app->proxy), console_socket_path(app->console));
    if (letter != NULL)
        letter_send(app->switchboard.app, letter);
}

static bool make_mailboxes(struct app *app, struct error *err)
{
    struct switchboard *board = &app->switchboard;
    unsigned loops = (unsigned)config_number(app->config, CONFIG_WORKERS);

    for (; board->loop_count < loops; board->loop_count++) {
        board->loops[board->loop_count] = mailbox_new();
        app->stats[board->loop_count] = stats_new();
        if (board->loops[board->loop_count] == NULL || app->stats[board->loop_count] == NULL) {
            board->loop_count++; /* forget() takes what there is of it */
            return error_no_memory(err);
        }
    }
    board->control = mailbox_new();
    board->console = mailbox_new();
    board->app = mailbox_new();
    return (board->control != NULL && board->console != NULL && board->app != NULL) || error_no_memory(err);
}

/* Every client and server is a descriptor. */
static void raise_open_files(const struct app *app)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_line(app->log, LOG_WARN, "app", "cannot raise the limit of open files: %s", strerror(errno));
    else
        log_line(app->log, LOG_DEBUG, "app", "up to %llu open files", (unsigned long long)limit.rlim_cur);
}

static bool write_pid_file(struct app *app, struct error *err)
{
    const char *path = config_text(app->config, CONFIG_PID_FILE);
    char text[32];
    int bytes = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int fd;

    if (*path == '\0')
        return true;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return error_set(err, "58030", "cannot write pid_file \"%s\": %s", path, strerror(errno));
    app->wrote_pid = write(fd, text, (size_t)bytes) == bytes;
    close(fd);
    return app->wrote_pid || error_set(err, "58030", "cannot write pid_file \"%s\"", path);
}

/* What our predecessor has given us; NULL: there is none. */
static struct inherited *inherited(struct app *app)
{
    return app->takeover.succeeds ? &app->takeover.inherited : NULL;
}

void app_write_pid_file(struct app *app)
{
    struct error err;

    if (!write_pid_file(app, &err))
        log_error(app->log, LOG_ERROR, "app", &err, "the pid_file");
}

void app_cancel(struct app *app, uint32_t pid, const void *key, size_t key_bytes)
{
    struct cancel_letter *letter;

    if (proxy_is_own_key(app->proxy, pid)) {
        proxy_cancel(app->proxy, pid, key, key_bytes);
        return;
    }
    letter = cancel_letter_new(pid, key, key_bytes);
    if (letter == NULL)
        return;
    takeover_pass_cancel(app, letter);
    letter_drop(&letter->letter);
}

static bool start_console(struct app *app, struct error *err)
{
    const struct console_setup setup = { app->config, app->stores, &app->switchboard, app->log, app->stats,
                                         hook_ready,  app,         inherited(app) };

    return console_start(&setup, &app->console, err);
}

static bool start_proxy(struct app *app, struct error *err)
{
    const struct proxy_setup setup = { app->config, app->stores, &app->switchboard, &app->lease,
                                       app->log,    app->stats,  inherited(app),    app->takeover.tag };

    return proxy_start(&setup, &app->proxy, err);
}

/* The file as it is now; one that cannot be read names nobody. */
static void each_login(const struct config *config,
                       bool (*take)(void *who, const char *user, const char *secret), void *who)
{
    struct auth_file *file;
    struct error err;

    if (!auth_file_read(config_text(config, CONFIG_AUTH_FILE), &file, &err))
        return;
    auth_file_each(file, take, who);
    auth_file_free(file);
}

bool app_start_control(struct app *app, bool follows, struct error *err)
{
    const struct control_setup setup = { app->config, app->stores, &app->switchboard, &app->lease,
                                         app->log,    follows,     each_login };

    return control_start(&setup, &app->control, err);
}

static bool start_status(struct app *app, struct error *err)
{
    const struct status_setup setup = { app->config, &app->switchboard, app->log, app->stats };

    return status_start(&setup, &app->status, err);
}

static bool start(struct app *app, struct error *err)
{
    if (!start_console(app, err) || (!app->takeover.succeeds && !write_pid_file(app, err)) ||
        !start_status(app, err) || !start_proxy(app, err))
        return false;
    if (!app->takeover.succeeds)
        takeover_listen(app);
    return takeover_release(app, err) && app_start_control(app, false, err);
}

static void stop(struct app *app)
{
    status_stop(app->status); /* first: it asks all the others */
    if (app->control != NULL)
        control_stop(app->control);
    if (app->proxy != NULL)
        proxy_stop(app->proxy);
    if (app->wrote_pid)
        unlink(config_text(app->config, CONFIG_PID_FILE));
    takeover_close(app); /* while the admin socket's lock is still ours */
    console_stop(app->console);
    app->status = NULL;
    app->control = NULL;
    app->proxy = NULL;
    app->console = NULL;
}

/* --- tasks --- */

/* From a configuration that is right to the end of the program. */
static int serve(struct app *app, bool takes_over)
{
    struct error err;
    bool started;

    raise_open_files(app);
    orders_block_signals();
    log_line(app->log, LOG_INFO, "app", "pgshunt %s starting, pid %ld", PGSHUNT_VERSION, (long)getpid());
    started = make_mailboxes(app, &err) && (!takes_over || takeover_ask(app, &err)) && start(app, &err);
    if (started)
        orders_follow(app);
    else
        log_error(app->log, LOG_ERROR, "app", &err, "cannot start");
    orders_unblock_signals();
    stop(app);
    log_line(app->log, LOG_INFO, "app", "pgshunt stopped");
    return started ? EXIT_OK : EXIT_FAILED;
}

int app_run(const char *file, bool takes_over)
{
    struct app *app = app_new();
    struct error err;
    int code = EXIT_USAGE;

    if (app == NULL)
        return EXIT_FAILED;
    if (failpoint_init(&err) && read_configuration(app, file, &err) && open_log(app, &err))
        code = serve(app, takes_over);
    else
        say(&err);
    forget(app);
    return code;
}

int app_check(const char *file)
{
    struct app *app = app_new();
    struct error err;
    bool good;

    if (app == NULL)
        return EXIT_FAILED;
    good = read_configuration(app, file, &err);
    if (good)
        printf("%s: ok\n", file);
    else
        say(&err);
    forget(app);
    return good ? EXIT_OK : EXIT_USAGE;
}

int app_init_control(const char *file)
{
    struct app *app = app_new();
    struct error err;
    int code = EXIT_USAGE;

    if (app == NULL)
        return EXIT_FAILED;
    if (failpoint_init(&err) && read_configuration(app, file, &err) && open_log(app, &err))
        code = control_init_schema(app->config, app->stores, app->log, &err) ? EXIT_OK : EXIT_FAILED;
    if (code != EXIT_OK)
        say(&err);
    forget(app);
    return code;
}
