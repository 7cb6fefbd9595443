/* control_runners.c - the runners of this instance: started, given their slots, taken over, joined.
 * Leaves: what a migration does to its runner.   Thread: control's.   Start at: control_start_runner(). */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/control_impl.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

struct running *control_find_running(struct control *c, const char *id)
{
    struct running *at;

    LL_FOREACH(c->running, at) {
        if (strcmp(runner_id(at->runner), id) == 0)
            return at;
    }
    return NULL;
}
void control_grant_slots(struct control *c)
{
    int64_t most = config_number(c->setup.config, CONFIG_MAX_CONCURRENT_MIGRATIONS), used = 0;
    struct running *at;
    struct letter *letter, *next;

    LL_FOREACH(c->running, at)
        used += at->has_slot;
    LL_FOREACH_SAFE(c->slots, letter, next) {
        struct running *running = control_find_running(c, ((struct runner_letter *)letter)->migration);

        if (used >= most)
            return;
        LL_DELETE(c->slots, letter);
        letter->next = NULL;
        if (running != NULL) {
            running->has_slot = true;
            used++;
        }
        letter_reply(letter);
    }
}

/* Takes the request (NULL: none) over. */
void control_start_runner(struct control *c, const char *id, struct control_request *request)
{
    struct running *running = calloc(1, sizeof *running);
    struct error err;

    if (running == NULL) {
        error_no_memory(&err);
        runner_answer(request, NULL, &err);
        return;
    }
    if (!runner_start(&c->runner_setup, id, request, &running->runner, &err)) {
        log_error(c->setup.log, LOG_ERROR, "control", &err, "starting the runner of migration %s", id);
        free(running);
        return;
    }
    LL_APPEND(c->running, running);
}

void control_join_ended(struct control *c)
{
    struct running *running, *next;
    bool freed = false;

    LL_FOREACH_SAFE(c->running, running, next) {
        if (!running->ended)
            continue;
        LL_DELETE(c->running, running);
        runner_join(running->runner);
        free(running);
        freed = true;
    }
    if (freed)
        control_grant_slots(c);
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
            control_start_runner(c, PQgetvalue(result, row, 0), NULL);
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
        free(running);
    }
}
