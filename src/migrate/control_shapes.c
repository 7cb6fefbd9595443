/* control_shapes.c - what the event loops have found of statements' shapes: asked for, written down, counted
 * in CHECK CUTOVER, SHOW SHAPES, CHECK COVERAGE. An operator's command sees what was sent before it: it waits
 * until every loop has told, then until that stands in the control database. Nobody else waits for this.
 * Other instances write theirs every SHAPES_POLL_MS. Thread: control's.   Start at: control_ask_loops(). */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/control_impl.h"
#include "migrate/coverage.h"

enum {
    SHAPES_POLL_MS = 2000,
    ASK_MS_MAX = 2000, /* loops answer in microseconds */
    LAST_MS_MAX = 500,
};

static bool needs_findings(enum control_verb verb)
{
    return verb == CONTROL_CHECK_CUTOVER || verb == CONTROL_CUTOVER || verb == CONTROL_START ||
           verb == CONTROL_SHOW_SHAPES || verb == CONTROL_CHECK_COVERAGE || verb == CONTROL_ACCEPT_SHAPE ||
           verb == CONTROL_WITHDRAW_SHAPE;
}

static bool needs_seen(enum control_verb verb)
{
    return verb == CONTROL_CHECK_COVERAGE || verb == CONTROL_START;
}

/* How many will answer. */
static unsigned post(struct control *c, enum show_what what)
{
    const struct switchboard *board = c->setup.switchboard;
    unsigned posted = 0;

    for (unsigned i = 0; i < board->loop_count; i++) {
        struct show_letter *letter = show_letter_new(what, c->round, c->mailbox);

        if (letter != NULL && mailbox_post(board->loops[i], &letter->letter))
            posted++;
        else if (letter != NULL)
            letter_drop(&letter->letter); /* the loop has ended */
        else
            c->round_failed = true;
    }
    return posted;
}

static void begin_round(struct control *c, bool seen)
{
    c->round++;
    c->round_failed = false;
    c->round_left = post(c, SHOW_FINDINGS);
    if (seen)
        c->round_left += post(c, SHOW_SEEN);
    c->round_ends_ms = clock_ms() + ASK_MS_MAX;
    c->shapes_next_ms = clock_ms() + SHAPES_POLL_MS;
}

/* Everything asked before is told as well: letters are answered in order. They are served next. */
static void end_round(struct control *c)
{
    struct letter *letter, *next;

    c->round_left = 0;
    LL_FOREACH_SAFE(c->asking, letter, next) {
        LL_DELETE(c->asking, letter);
        letter->next = NULL;
        ((struct control_request *)letter)->asked = true;
        LL_APPEND(c->requests, letter);
    }
}

bool control_ask_loops(struct control *c, struct control_request *request)
{
    if (request->asked || !needs_findings(request->verb))
        return false;
    LL_APPEND(c->asking, &request->letter);
    begin_round(c, needs_seen(request->verb));
    if (c->round_left == 0)
        end_round(c);
    return true;
}

void control_told(struct control *c, struct show_letter *letter)
{
    if (letter->what == SHOW_FINDINGS && !shapes_take(c->shapes, letter->loop, letter->rows))
        c->round_failed = true;
    if (letter->what == SHOW_SEEN && letter->loop < LOOPS_MAX) {
        rows_free(c->seen[letter->loop]);
        c->seen[letter->loop] = letter->rows;
        letter->rows = NULL;
    }
    if (letter->tag == c->round && c->round_left > 0 && --c->round_left == 0)
        end_round(c);
    letter_drop(&letter->letter);
}

void control_stop_asking(struct control *c)
{
    if (c->round_left == 0 || clock_ms() < c->round_ends_ms)
        return;
    log_line(c->setup.log, LOG_ERROR, "control", "an event loop has not told what it has found for %d ms",
             (int)ASK_MS_MAX);
    c->round_failed = true;
    end_round(c);
}

bool control_write_shapes(struct control *c, struct error *err)
{
    if (!c->round_failed)
        return shapes_write(c->shapes, c->ledger, err);
    error_set(err, "53000", "what the event loops have found of statements is not all known");
    return error_hint(err, "Try again; the log tells more.");
}

bool control_coverage(struct control *c, struct control_request *request, struct rows **rows,
                      struct error *err)
{
    const struct config *config = config_take(c->setup.config); /* RELOAD comes in the middle, too */
    struct coverage_setup setup = {
        .ledger = c->ledger,
        .stores = c->setup.stores,
        .schema = survey_schema(c->survey, stores_default(c->setup.stores)->index),
        .tenant_setting = config_text(config, CONFIG_TENANT_SETTING),
        .wake = &(struct pg_wake){ mailbox_fd(c->mailbox), c->on_letters, c },
        .seen = c->seen,
        .seen_count = LOOPS_MAX,
        .until_ms = clock_ms() + control_statement_ms_max(c),
    };
    struct coverage coverage;
    bool fine = coverage_check(&setup, &coverage, err);

    config_give(config);
    if (!fine)
        return false;
    if (rows == NULL && coverage.unexplained > 0)
        snprintf(
            request->notice, sizeof request->notice,
            "of %zu shapes of statements nobody knows whose rows they are about; CHECK COVERAGE lists them",
            coverage.unexplained);
    if (rows != NULL && coverage.left_out[0] != '\0')
        snprintf(request->notice, sizeof request->notice, "pg_stat_statements could not be read: %s",
                 coverage.left_out);
    if (rows != NULL)
        *rows = coverage.rows;
    else
        rows_free(coverage.rows);
    return true;
}

/* What cannot be written waits for the next time, and is told once: it is no reason to lose the lease, and a
 * command that must know fails by itself. */
void control_tend_shapes(struct control *c)
{
    struct error err;
    bool fine;

    if (c->round_left > 0 || clock_ms() < c->shapes_next_ms)
        return;
    fine = shapes_are_written(c->shapes) || shapes_write(c->shapes, c->ledger, &err);
    if (!fine && !c->shapes_failing)
        log_error(c->setup.log, LOG_WARN, "control", &err, "writing what was found of statements");
    c->shapes_failing = !fine;
    begin_round(c, false);
}

/* Best effort: a feed that came in the last two seconds, and comes again, is found again. */
void control_last_shapes(struct control *c)
{
    uint64_t until_ms = clock_ms() + LAST_MS_MAX;
    struct error err;

    if (c->ledger == NULL || !c->ready)
        return;
    begin_round(c, false);
    while (c->round_left > 0 && clock_ms() < until_ms) {
        poll(&(struct pollfd){ mailbox_fd(c->mailbox), POLLIN, 0 }, 1, LAST_MS_MAX / 10);
        c->on_letters(c);
    }
    pg_set_deadline(ledger_pg(c->ledger), clock_ms() + control_statement_ms_max(c));
    if (!shapes_write(c->shapes, c->ledger, &err))
        log_error(c->setup.log, LOG_WARN, "control", &err, "writing what was found of statements");
}
