/* reload.c - see reload.h.
 * Everything that can fail comes first; what follows are letters, made before the first is posted.
 * Owns:   nothing.   Leaves: who reads which key to the layers.   Start at: reload_run(). */
#include "app/reload.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "app/app_struct.h"
#include "base/clock.h"

enum { LOOPS_MS_MAX = 5000 }; /* loops answer in microseconds; one that does not is a bug, and is logged */

/* A log file that was moved away (logrotate) is made anew: the descriptor that all threads write to stays. */
static void reopen_log(struct app *app)
{
    struct error err;
    int fd;

    if (app->log_fd < 0)
        return;
    if (!app_open_log_file(config_text(app->current, CONFIG_LOG_DESTINATION), &fd, &err)) {
        log_error(app->log, LOG_ERROR, "app", &err, "the log was not reopened");
        return;
    }
    if (dup3(fd, app->log_fd, O_CLOEXEC) < 0)
        log_line(app->log, LOG_ERROR, "app", "the log was not reopened");
    close(fd);
}

static void wait_for_loops(struct app *app, struct mailbox *answers)
{
    uint64_t until_ms = clock_ms() + LOOPS_MS_MAX, now_ms;
    unsigned left = proxy_loop_count(app->proxy);
    struct pollfd fds = { mailbox_fd(answers), POLLIN, 0 };
    struct letter *letter;

    while (left > 0 && (now_ms = clock_ms()) < until_ms) {
        poll(&fds, 1, (int)(until_ms - now_ms));
        while ((letter = mailbox_next(answers)) != NULL) {
            letter_drop(letter);
            left--;
        }
    }
    if (left > 0)
        log_line(app->log, LOG_ERROR, "app", "%u event loops do not answer", left);
}

static void apply_level(const struct app *app)
{
    enum log_level level = LOG_INFO;

    log_level_parse(config_text(app->current, CONFIG_LOG_LEVEL), &level);
    log_set_level(app->log, level);
}

/* Posts to everybody, and waits until clients meet the new settings. */
static bool tell_everybody(struct app *app, const struct config *fresh, struct error *err)
{
    struct config_letter *control = config_letter_new(fresh), *console = config_letter_new(fresh);
    struct mailbox *answers = mailbox_new();
    bool ok = control != NULL && console != NULL && answers != NULL;

    ok = ok ? proxy_reload(app->proxy, fresh, answers, err) : error_no_memory(err);
    if (ok) {
        letter_send(app->switchboard.control, &control->letter);
        letter_send(app->switchboard.console, &console->letter);
        wait_for_loops(app, answers);
    } else {
        if (control != NULL)
            letter_drop(&control->letter);
        if (console != NULL)
            letter_drop(&console->letter);
    }
    if (answers != NULL)
        mailbox_close(answers);
    mailbox_give(answers);
    return ok;
}

/* What the file says, as far as libpq and its like can tell that it is wrong. */
static bool read_fresh(struct app *app, struct config **fresh, struct error *err)
{
    struct stores *stores = NULL;
    bool ok = config_read(app->file, fresh, err);

    ok = ok && stores_read(*fresh, &stores, err);
    stores_free(stores);
    return ok;
}

bool reload_run(struct app *app, struct rows *changes, struct error *err)
{
    struct config *fresh = NULL;
    bool ok = read_fresh(app, &fresh, err);

    if (ok)
        config_changes(app->current, fresh, changes);
    ok = ok && (!rows_failed(changes) || error_no_memory(err)) &&
         config_keep_fixed(fresh, app->current, err) && tell_everybody(app, fresh, err);
    if (!ok) {
        config_give(fresh);
        return false;
    }
    config_give(app->current);
    app->current = fresh;
    apply_level(app);
    reopen_log(app);
    return true;
}
