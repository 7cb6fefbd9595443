/* drain.c - see drain.h. */
#include "app/drain.h"

#include "app/app_struct.h"
#include "base/clock.h"

static uint64_t until_ms(const struct app *app, uint64_t now_ms)
{
    int64_t seconds = config_number(app->current, CONFIG_SHUTDOWN_TIMEOUT_SECONDS);

    return seconds == 0 ? UINT64_MAX : now_ms + (uint64_t)seconds * 1000;
}

bool app_drain_begin(struct app *app, bool has_successor, struct error *err)
{
    struct drain *drain = &app->drain;

    if (drain->answers != NULL)
        return true;
    drain->answers = mailbox_new();
    if (drain->answers == NULL)
        return error_no_memory(err);
    if (!proxy_drain(app->proxy, has_successor, drain->answers, err)) {
        app_drain_done(app);
        return false;
    }
    drain->loops_left = proxy_loop_count(app->proxy);
    drain->since_ms = clock_ms();
    drain->until_ms = until_ms(app, drain->since_ms);
    log_line(app->log, LOG_INFO, "app", "nobody new is let in; waiting for the transactions of %u clients",
             proxy_client_count(app->proxy));
    return true;
}

bool app_drain_is_over(struct app *app)
{
    struct drain *drain = &app->drain;
    struct letter *letter;
    unsigned clients;

    if (drain->answers == NULL)
        return false;
    while ((letter = mailbox_next(drain->answers)) != NULL) {
        letter_drop(letter);
        drain->loops_left--;
    }
    /* Our successor takes our end for the end of all who came before it; our predecessor's time is bounded,
     * too. */
    if (app->takeover.state == TAKEOVER_LEFT && app->takeover.predecessor >= 0)
        return false;
    clients = proxy_client_count(app->proxy);
    if (drain->loops_left == 0 && clients == 0)
        return true;
    if (clock_ms() < drain->until_ms)
        return false;
    log_line(app->log, LOG_WARN, "app",
             "shutdown_timeout_seconds is over: %u clients lose their transactions", clients);
    return true;
}

void app_drain_done(struct app *app)
{
    if (app->drain.answers != NULL)
        mailbox_close(app->drain.answers);
    mailbox_give(app->drain.answers);
    app->drain.answers = NULL;
}

struct rows *app_drain_show(const struct app *app)
{
    static const struct rows_heading headings[] = { { "state", ROWS_TEXT },
                                                    { "clients", ROWS_INT8 },
                                                    { "seconds", ROWS_INT8 },
                                                    { "seconds_left", ROWS_INT8 },
                                                    { NULL, ROWS_TEXT } };
    const struct drain *drain = &app->drain;
    uint64_t now_ms = clock_ms();
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_columns(rows, headings);
    rows_text(rows, drain->answers != NULL           ? "shutting down"
                    : app->takeover.predecessor >= 0 ? "running, an earlier process still serves clients"
                                                     : "running");
    rows_number(rows, proxy_client_count(app->proxy));
    if (drain->answers == NULL) {
        rows_text(rows, NULL);
        rows_text(rows, NULL);
        return rows;
    }
    rows_number(rows, (int64_t)((now_ms - drain->since_ms) / 1000));
    if (drain->until_ms == UINT64_MAX)
        rows_text(rows, NULL);
    else
        rows_number(rows, (int64_t)((drain->until_ms - now_ms) / 1000));
    return rows;
}
