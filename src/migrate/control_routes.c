/* control_routes.c - control's routes: read, published, and the runners who wait for that.
 * Leaves: counting answers to publisher.c.   Thread: control's.   Start at: control_publish(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/control_impl.h"
#include "sql_embedded.h"

enum { APPLY_MS_MAX = 5000 }; /* a loop that has not answered a publication by then is a bug */

/* --- publishing --- */

/* Answers the runners whose route every loop has applied. */
void control_answer_published(struct control *c)
{
    struct letter *letter, *next;

    follower_applied(c->follower, c->publisher);
    LL_FOREACH_SAFE(c->publishing, letter, next) {
        struct runner_letter *news = (struct runner_letter *)letter;

        if (news->sequence == 0 || !publisher_is_applied(c->publisher, news->sequence))
            continue;
        LL_DELETE(c->publishing, letter);
        letter->next = NULL;
        letter_reply(letter);
    }
    if (c->applied_by_ms != 0 && publisher_is_applied(c->publisher, c->last_sequence))
        c->applied_by_ms = 0;
}

void control_publish(struct control *c)
{
    struct error err;
    struct letter *letter;
    uint64_t sequence;

    if (!publisher_is_behind(c->publisher))
        return;
    if (!publisher_post(c->publisher, &sequence, &err)) {
        log_error(c->setup.log, LOG_ERROR, "control", &err,
                  "publishing routes"); /* tried again in the next turn */
        return;
    }
    c->last_sequence = sequence;
    follower_posted(c->follower, sequence);
    c->applied_by_ms = clock_ms() + APPLY_MS_MAX;
    LL_FOREACH(c->publishing, letter) {
        struct runner_letter *news = (struct runner_letter *)letter;

        if (news->sequence == 0)
            news->sequence = sequence;
    }
    control_answer_published(c);
}

void control_complain_of_loops(struct control *c)
{
    if (c->applied_by_ms == 0 || clock_ms() < c->applied_by_ms)
        return;
    c->applied_by_ms = clock_ms() + APPLY_MS_MAX;
    log_line(c->setup.log, LOG_ERROR, "control",
             "an event loop has not applied the published routes for %d ms", (int)APPLY_MS_MAX);
}
void control_take_publication(struct control *c, struct runner_letter *news)
{
    struct error err;

    news->sequence = 0;
    if (!publisher_route(c->publisher, &news->route, &err)) {
        log_error(c->setup.log, LOG_ERROR, "control", &err, "taking a route");
        c->read_routes = true; /* it is in the control database */
    }
    LL_APPEND(c->publishing, &news->letter);
    if (!publisher_is_behind(c->publisher)) /* NOTIFY was faster: it has been posted already */
        news->sequence = c->last_sequence;
    control_publish(c);
    control_answer_published(c);
}

/* --- routes --- */

/* A row of read_routes.sql. A proxy that does not know a store must not guess where its tenants live. */
static bool take_route(struct control *c, const PGresult *result, int row, struct error *err)
{
    const char *target = PQgetvalue(result, row, 3);
    struct route route;

    memset(&route, 0, sizeof route);
    if (strlen(PQgetvalue(result, row, 0)) >= sizeof route.tenant)
        return error_set(err, "22001", "the routing table has a tenant of more than %d bytes",
                         TENANT_BYTES_MAX - 1);
    snprintf(route.tenant, sizeof route.tenant, "%s", PQgetvalue(result, row, 0));
    route.store = stores_get(c->setup.stores, PQgetvalue(result, row, 1));
    route.target = PQgetisnull(result, row, 3) ? NULL : stores_get(c->setup.stores, target);
    if (route.store == NULL || (route.target == NULL && !PQgetisnull(result, row, 3))) {
        error_set(err, "42704", "tenant \"%s\" is routed to store \"%s\", which is not configured",
                  route.tenant, route.store == NULL ? PQgetvalue(result, row, 1) : target);
        return error_hint(err, "Add it under [stores], then start pgshunt again.");
    }
    if (!routing_state_parse(PQgetvalue(result, row, 2), &route.migration_state))
        return error_set(err, "22023", "tenant \"%s\" has an unknown migration_state", route.tenant);
    snprintf(route.migration, sizeof route.migration, "%s", PQgetvalue(result, row, 4));
    route.generation = strtoull(PQgetvalue(result, row, 5), NULL, 10);
    route.owner_epoch = strtoull(PQgetvalue(result, row, 6), NULL, 10);
    route.foreign = !PQgetisnull(result, row, 7) && strcmp(PQgetvalue(result, row, 7), c->instance) != 0;
    route.hold_ms_max = strtoull(PQgetvalue(result, row, 8), NULL, 10);
    return (publisher_knows(c->publisher, &route) && !c->note_all) ||
           (follower_note(c->follower, &route, err) && publisher_route(c->publisher, &route, err));
}

bool control_read_routes(struct control *c, struct error *err)
{
    PGresult *result;
    bool fine = true;

    c->read_routes = false;
    result = pg_query(ledger_pg(c->ledger), sql_read_routes, 0, NULL, err);
    for (int row = 0; result != NULL && fine && row < PQntuples(result); row++)
        fine = take_route(c, result, row, err);
    fine = fine && result != NULL;
    PQclear(result);
    if (!fine)
        c->read_routes = true;
    else
        c->routes_read = true;
    if (fine) {
        c->note_all = false;
        if (!publisher_is_behind(c->publisher)) /* nothing new: it has been published */
            follower_posted(c->follower, c->last_sequence);
        follower_applied(c->follower, c->publisher);
    }
    return fine;
}

/* Backends of another instance's have written: "migration pid pid …". */
static void pass_rings(struct control *c, const char *text)
{
    char id[UUID_TEXT_BYTES];
    struct running *running;
    const char *at = strchr(text, ' ');

    snprintf(id, sizeof id, "%.*s", at == NULL ? 0 : (int)(at - text), text);
    running = control_find_running(c, id);
    while (running != NULL && at != NULL) {
        struct doorbell_letter *ring = doorbell_letter_new("", atoi(at));

        if (ring != NULL)
            letter_send(runner_mailbox(running->runner), &ring->letter);
        at = strchr(at + 1, ' ');
    }
}

static void pass_look(struct control *c, const char *id)
{
    struct running *running = control_find_running(c, id);
    struct runner_letter *look = running == NULL ? NULL : calloc(1, sizeof *look);

    if (look == NULL)
        return;
    look->letter.kind = LETTER_RUNNER;
    look->letter.drop = (void (*)(struct letter *))free;
    look->news = RUNNER_LOOK;
    letter_send(runner_mailbox(running->runner), &look->letter);
}

/* What other instances and people have changed. */
void control_take_notifies(struct control *c)
{
    size_t skip = strlen(c->ledger_setup.schema) + 1; /* "schema." */
    PGnotify *notify;

    PQconsumeInput(pg_raw(ledger_pg(c->ledger)));
    while ((notify = PQnotifies(pg_raw(ledger_pg(c->ledger)))) != NULL) {
        const char *channel = strlen(notify->relname) > skip ? notify->relname + skip : "";

        if (strcmp(channel, "routing") == 0) {
            c->read_routes = true;
        } else if (strcmp(channel, "rung") == 0) {
            pass_rings(c, notify->extra);
        } else {
            c->orphans_next_ms = 0;
            pass_look(c, notify->extra);
        }
        PQfreemem(notify);
    }
}
