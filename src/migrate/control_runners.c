/* control_runners.c - the runners of this instance: started, given their slots, taken over, joined.
 * Leaves: what a migration does to its runner.   Thread: control's.   Start at: control_start_runner(). */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/control_impl.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { EXPECTED_MS = 5000 };

struct running *control_find_running(struct control *c, const char *id)
{
    struct running *at;

    LL_FOREACH(c->running, at) {
        if (strcmp(runner_id(at->runner), id) == 0)
            return at;
    }
    return NULL;
}

static void free_running(struct running *running)
{
    letter_drop(running->asks);
    free(running);
}

/* --- slots -------------------------------------------------------------------------------------------- */

/* false: it is another's turn, who has only not come to ask for it. */
static bool grant_next(struct control *c, bool resumes, int64_t *free_slots)
{
    struct running *at;

    LL_FOREACH(c->running, at) {
        struct letter *asks = at->asks;

        if (*free_slots <= 0 || (!resumes && asks == NULL && clock_ms() < at->expected_ms))
            return false;
        if (asks == NULL || at->resumes != resumes)
            continue;
        at->has_slot = true;
        at->asks = NULL;
        --*free_slots;
        letter_reply(asks);
    }
    return true;
}

/* In the order of their START; what was paused goes first. */
void control_grant_slots(struct control *c)
{
    int64_t free_slots = config_number(c->setup.config, CONFIG_MAX_CONCURRENT_MIGRATIONS);
    struct running *at;

    LL_FOREACH(c->running, at)
        free_slots -= at->has_slot;
    if (grant_next(c, true, &free_slots))
        grant_next(c, false, &free_slots);
}

void control_take_slot(struct control *c, struct runner_letter *news)
{
    struct running *running = control_find_running(c, news->migration);

    if (running == NULL) {
        letter_drop(&news->letter);
        return;
    }
    letter_drop(running->asks);
    running->asks = &news->letter;
    running->resumes = news->resumes;
    running->expected_ms = 0;
    control_grant_slots(c);
}

void control_free_slot(struct control *c, const char *id)
{
    struct running *running = control_find_running(c, id);

    if (running == NULL)
        return;
    running->has_slot = false;
    letter_drop(running->asks);
    running->asks = NULL;
    control_grant_slots(c);
}

/* --- runners ------------------------------------------------------------------------------------------ */

/* Takes the request (NULL: none) over. */
struct running *control_start_runner(struct control *c, const char *id, struct control_request *request)
{
    struct running *running = calloc(1, sizeof *running);
    struct error err;

    if (running == NULL) {
        error_no_memory(&err);
        runner_answer(request, NULL, &err);
        return NULL;
    }
    if (!runner_start(&c->runner_setup, id, request, &running->runner, &err)) {
        log_error(c->setup.log, LOG_ERROR, "control", &err, "starting the runner of migration %s", id);
        free(running);
        return NULL;
    }
    LL_APPEND(c->running, running);
    return running;
}

void control_join_ended(struct control *c)
{
    struct running *running, *next;
    struct letter *left;

    LL_FOREACH_SAFE(c->running, running, next) {
        if (!running->ended)
            continue;
        LL_DELETE(c->running, running);
        while ((left = runner_left(running->runner)) != NULL) /* posted while it ended: dispatched anew */
            LL_APPEND(c->requests, left);
        runner_join(running->runner);
        free_running(running);
    }
    control_grant_slots(c); /* also when somebody has not asked in time */
}

/* What is under way has its slot, whatever else there is; what is pending asks soon, in no order of its own.
 */
static void adopt(struct control *c, const char *id, const char *state)
{
    enum migration_state known;
    struct running *running = control_start_runner(c, id, NULL);

    if (running == NULL || !migration_state_parse(state, &known))
        return;
    running->has_slot =
        known == MIGRATION_BULK_COPY || known == MIGRATION_DUAL_WRITE || known == MIGRATION_CUTOVER_PAUSED;
    if (known == MIGRATION_PENDING)
        running->expected_ms = clock_ms() + EXPECTED_MS;
}

/* Migrations without a runner that are ours to carry on: after a start, or when another instance is gone. */
bool control_adopt_orphans(struct control *c, struct error *err)
{
    struct buf stores;
    PGresult *result = NULL;

    buf_init(&stores);
    for (size_t i = 0; i < c->setup.stores->count; i++)
        sqltext_array_add(&stores, c->setup.stores->at[i].name);
    sqltext_array_end(&stores);
    if (buf_failed(&stores))
        error_no_memory(err);
    else
        result = pg_query(ledger_pg(c->ledger), sql_find_orphans, 2,
                          (const char *[]){ c->instance, buf_text(&stores) }, err);
    buf_done(&stores);
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        if (control_find_running(c, PQgetvalue(result, row, 0)) == NULL)
            adopt(c, PQgetvalue(result, row, 0), PQgetvalue(result, row, 1));
    }
    PQclear(result);
    c->orphans_next_ms = clock_ms() + c->lease_ms;
    return true;
}

void control_stop_runners(struct control *c)
{
    struct running *running, *next;

    LL_FOREACH(c->running, running) {
        struct letter *stop = stop_letter_new();

        if (stop != NULL)
            letter_send(runner_mailbox(running->runner), stop);
    }
    LL_FOREACH_SAFE(c->running, running, next) {
        LL_DELETE(c->running, running);
        runner_join(running->runner);
        free_running(running);
    }
}
