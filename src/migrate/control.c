/* control.c - the control thread: one connection to the control database, one mailbox.
 * Owns:   the lease, what is published, the runners, the survey of the stores.
 * Leaves: every migration to its runner, SHOW to answers.c, tables to ledger.c, columns to survey.c.
 * Thread: its own.   Start at: on_letters(), then control_main().
 *
 * A runner that has switched a route waits for its publication while the tenant's writes are held. So letters
 * are read whenever this thread waits for a server, and what needs only memory (publishing, counting answers)
 * is done at once; everything else waits in a list until the statement under way has ended. Every statement
 * is bounded by a part of the lease, so that the next heartbeat is never late. */
#include "migrate/control.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "migrate/answers.h"
#include "migrate/runner.h"
#include "migrate/settings.h"
#include "migrate/survey.h"
#include "sql_embedded.h"

enum {
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 2000,
    IDLE_MS = 200,       /* at most this long without a look at what is due */
    APPLY_MS_MAX = 5000, /* a loop that has not answered a publication by then is a bug */
    INSTANCE_BYTES = 200,
};

struct running {
    struct runner *runner;
    bool ended, has_slot;
    struct running *next;
};

struct control {
    struct control_setup setup;
    pthread_t thread;
    struct mailbox *mailbox; /* borrowed from the switchboard */
    struct event_names *names;
    struct ledger_setup ledger_setup;
    struct runner_setup runner_setup;
    char instance[INSTANCE_BYTES], host[100];
    uint64_t lease_ms;

    struct ledger *ledger; /* NULL: not connected */
    char started_at[64];   /* of our row in proxy_instances; "": not registered yet */
    bool replaced;         /* another process has our name */
    bool others;           /* other instances are alive */
    uint64_t connect_next_ms, connect_wait_ms, heartbeat_next_ms, orphans_next_ms;
    bool read_routes, routes_read, ready;

    struct publisher *publisher;
    struct survey *survey;
    uint64_t applied_by_ms; /* 0: everything posted has been applied */
    uint64_t last_sequence;

    struct running *running;
    struct letter *publishing; /* struct runner_letter: PUBLISH, not applied everywhere yet */
    struct letter *slots;      /* struct runner_letter: SLOT, not granted yet */
    struct letter *requests;   /* struct control_request */
    bool stopping;
};

/* --- requests --- */

static void request_drop(struct letter *letter)
{
    struct control_request *request = (struct control_request *)letter;

    free(request->tenant);
    free(request->from);
    free(request->to);
    free(request->id);
    free(request->reason);
    free(request->filter);
    for (size_t i = 0; i < request->option_count; i++) {
        free(request->options[i].name);
        free(request->options[i].value);
    }
    rows_free(request->rows);
    free(request);
}

struct control_request *control_request_new(enum control_verb verb, struct mailbox *reply_to)
{
    struct control_request *request = calloc(1, sizeof *request);

    if (request == NULL)
        return NULL;
    request->letter.kind = LETTER_CONTROL;
    request->letter.drop = request_drop;
    request->letter.reply_to = reply_to == NULL ? NULL : mailbox_take(reply_to);
    request->verb = verb;
    return request;
}

/* --- publishing --- */

/* Answers the runners whose route every loop has applied. */
static void answer_published(struct control *c)
{
    struct letter *letter, *next;

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

static void publish(struct control *c)
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
    c->applied_by_ms = clock_ms() + APPLY_MS_MAX;
    LL_FOREACH(c->publishing, letter) {
        struct runner_letter *news = (struct runner_letter *)letter;

        if (news->sequence == 0)
            news->sequence = sequence;
    }
    answer_published(c);
}

static void complain_of_loops(struct control *c)
{
    if (c->applied_by_ms == 0 || clock_ms() < c->applied_by_ms)
        return;
    c->applied_by_ms = clock_ms() + APPLY_MS_MAX;
    log_line(c->setup.log, LOG_ERROR, "control",
             "an event loop has not applied the published routes for %d ms", (int)APPLY_MS_MAX);
}

/* --- letters --- */

static void grant_slots(struct control *c);

static struct running *find_running(struct control *c, const char *id)
{
    struct running *at;

    LL_FOREACH(c->running, at) {
        if (strcmp(runner_id(at->runner), id) == 0)
            return at;
    }
    return NULL;
}

static void take_publication(struct control *c, struct runner_letter *news)
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
    publish(c);
    answer_published(c);
}

static void take_news(struct control *c, struct runner_letter *news)
{
    struct running *running;

    switch (news->news) {
    case RUNNER_PUBLISH:
        take_publication(c, news);
        return;
    case RUNNER_SLOT:
        LL_APPEND(c->slots, &news->letter);
        grant_slots(c);
        return;
    case RUNNER_ENDED:
        running = find_running(c, news->migration);
        if (running != NULL)
            running->ended = true;
        break;
    case RUNNER_LOOK:
        break;
    }
    letter_drop(&news->letter);
}

static void take_stale(struct control *c, struct stale_letter *stale)
{
    if (stale->what == STALE_ROUTE)
        c->read_routes = true;
    else
        survey_hurry(c->survey);
    letter_drop(&stale->letter);
}

/* A pg_wake's `stop`: called in the middle of statements, too. */
static void grant_slots(struct control *c);

/* What runs goes on as it was begun; what begins from now on begins by the new settings. */
static void take_config(struct control *c, struct config_letter *letter)
{
    const struct config *before = c->setup.config;

    c->setup.config = letter->config;
    c->runner_setup.config = letter->config;
    survey_follow(c->survey, letter->config);
    letter->config = before; /* given back by the letter's drop */
    letter_reply(&letter->letter);
    grant_slots(c);
}

static bool on_letters(void *who)
{
    struct control *c = who;
    struct letter *letter;

    while ((letter = mailbox_next(c->mailbox)) != NULL) {
        switch (letter->kind) {
        case LETTER_PUBLISH:
            publisher_answered(c->publisher, (struct publish_letter *)letter);
            answer_published(c);
            break;
        case LETTER_RUNNER:
            take_news(c, (struct runner_letter *)letter);
            break;
        case LETTER_STALE:
            take_stale(c, (struct stale_letter *)letter);
            break;
        case LETTER_CONTROL:
            LL_APPEND(c->requests, letter);
            break;
        case LETTER_CONFIG:
            take_config(c, (struct config_letter *)letter);
            break;
        case LETTER_STOP:
            c->stopping = true;
            letter_drop(letter);
            break;
        default:
            letter_drop(letter);
        }
    }
    return c->stopping;
}

/* --- runners --- */

static void grant_slots(struct control *c)
{
    int64_t most = config_number(c->setup.config, CONFIG_MAX_CONCURRENT_MIGRATIONS), used = 0;
    struct running *at;
    struct letter *letter, *next;

    LL_FOREACH(c->running, at)
        used += at->has_slot;
    LL_FOREACH_SAFE(c->slots, letter, next) {
        struct running *running = find_running(c, ((struct runner_letter *)letter)->migration);

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
static void start_runner(struct control *c, const char *id, struct control_request *request)
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

static void join_ended(struct control *c)
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
        grant_slots(c);
}

/* Migrations without a runner that are ours to carry on: after a start, or when another instance is gone. */
static bool adopt_orphans(struct control *c, struct error *err)
{
    const char *const values[] = { c->instance };
    PGresult *result = pg_query(ledger_pg(c->ledger), sql_find_orphans, 1, values, err);

    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        if (find_running(c, PQgetvalue(result, row, 0)) == NULL)
            start_runner(c, PQgetvalue(result, row, 0), NULL);
    }
    PQclear(result);
    c->orphans_next_ms = clock_ms() + c->lease_ms;
    return true;
}

static void stop_runners(struct control *c)
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
    return publisher_route(c->publisher, &route, err);
}

static bool read_routes(struct control *c, struct error *err)
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
    return fine;
}

/* What other instances and people have changed. */
static void take_notifies(struct control *c)
{
    char routing[IDENTIFIER_BYTES_MAX + 16];
    PGnotify *notify;

    snprintf(routing, sizeof routing, "%s.routing", c->ledger_setup.schema);
    PQconsumeInput(pg_raw(ledger_pg(c->ledger)));
    while ((notify = PQnotifies(pg_raw(ledger_pg(c->ledger)))) != NULL) {
        struct running *running = find_running(c, notify->extra);
        struct runner_letter *look = NULL;

        if (strcmp(notify->relname, routing) == 0)
            c->read_routes = true;
        else
            c->orphans_next_ms = 0;
        if (running != NULL && strcmp(notify->relname, routing) != 0)
            look = calloc(1, sizeof *look);
        if (look != NULL) {
            look->letter.kind = LETTER_RUNNER;
            look->letter.drop = (void (*)(struct letter *))free;
            look->news = RUNNER_LOOK;
            letter_send(runner_mailbox(running->runner), &look->letter);
        }
        PQfreemem(notify);
    }
}

/* --- the connection and the lease --- */

static bool listen(struct control *c, struct error *err)
{
    char sql[4 * IDENTIFIER_BYTES_MAX + 64], *routing, *migrations;
    char name[IDENTIFIER_BYTES_MAX + 16];
    PGconn *conn = pg_raw(ledger_pg(c->ledger));

    snprintf(name, sizeof name, "%s.routing", c->ledger_setup.schema);
    routing = PQescapeIdentifier(conn, name, strlen(name));
    snprintf(name, sizeof name, "%s.migrations", c->ledger_setup.schema);
    migrations = PQescapeIdentifier(conn, name, strlen(name));
    snprintf(sql, sizeof sql, "LISTEN %s; LISTEN %s", routing == NULL ? "x" : routing,
             migrations == NULL ? "x" : migrations);
    PQfreemem(routing);
    PQfreemem(migrations);
    return pg_run(ledger_pg(c->ledger), sql, 0, NULL, err);
}

/* The lease runs from before the heartbeat was sent (DESIGN §5). */
static bool register_instance(struct control *c, bool replace, struct error *err)
{
    uint64_t sent_boot_ms = clock_boot_ms();

    if (!ledger_register(c->ledger, c->host, (int64_t)c->lease_ms, replace, c->started_at, err))
        return false;
    c->replaced = false;
    lease_extend(c->setup.lease, sent_boot_ms + c->lease_ms);
    c->heartbeat_next_ms = clock_ms() + c->lease_ms / 3;
    return true;
}

static bool heartbeat(struct control *c, struct error *err)
{
    uint64_t sent_boot_ms = clock_boot_ms();
    bool ours;

    c->heartbeat_next_ms = clock_ms() + c->lease_ms / 3;
    if (!ledger_heartbeat(c->ledger, c->started_at, publisher_generation(c->publisher), &ours, &c->others,
                          err))
        return false;
    if (ours) {
        lease_extend(c->setup.lease, sent_boot_ms + c->lease_ms);
        return true;
    }
    /* The row is gone, or somebody else's. Without a lease the loops hold what a migration might move. */
    if (register_instance(c, false, err))
        return true;
    if (!error_is(err, "55000"))
        return false;
    if (!c->replaced)
        log_error(c->setup.log, LOG_ERROR, "control", err, "the lease");
    c->replaced = true;
    error_clear(err);
    return true;
}

static uint64_t statement_ms_max(const struct control *c)
{
    return c->lease_ms / 3 < 200 ? 200 : c->lease_ms / 3;
}

static bool open_ledger(struct control *c, struct error *err)
{
    if (!ledger_open(&c->ledger_setup, "pgshunt control",
                     &(struct pg_wake){ mailbox_fd(c->mailbox), on_letters, c }, statement_ms_max(c),
                     &c->ledger, err))
        return false;
    if (!ledger_upgrade(c->ledger, err))
        return false;
    pg_set_deadline(ledger_pg(c->ledger), clock_ms() + statement_ms_max(c));
    /* After a reconnect our row is still there; a heartbeat goes on with it. */
    if (c->started_at[0] == '\0' ? !register_instance(c, true, err) : !heartbeat(c, err))
        return false;
    return listen(c, err) && read_routes(c, err);
}

static void drop_ledger(struct control *c)
{
    ledger_close(c->ledger);
    c->ledger = NULL;
    c->orphans_next_ms = 0;
    c->connect_wait_ms = c->connect_wait_ms == 0 ? RECONNECT_MS_MIN : c->connect_wait_ms * 2;
    if (c->connect_wait_ms > RECONNECT_MS_MAX)
        c->connect_wait_ms = RECONNECT_MS_MAX;
    c->connect_next_ms = clock_ms() + c->connect_wait_ms;
}

static void keep_connected(struct control *c)
{
    struct error err;

    if (c->ledger != NULL || clock_ms() < c->connect_next_ms)
        return;
    error_clear(&err);
    if (open_ledger(c, &err)) {
        if (c->connect_wait_ms > 0)
            log_line(c->setup.log, LOG_INFO, "control", "the control database answers again");
        c->connect_wait_ms = 0;
        return;
    }
    if (!c->stopping)
        log_error(c->setup.log, LOG_WARN, "control", &err, "the control database");
    drop_ledger(c);
}

/* --- admin requests --- */

/* To the migration's runner, or what is to be said without one. Takes the request. */
static void pass_to_runner(struct control *c, struct control_request *request,
                           const struct found_migration *found)
{
    struct running *running = find_running(c, found->id);
    struct error err;

    if (running != NULL && !running->ended && mailbox_post(runner_mailbox(running->runner), &request->letter))
        return;
    if (request->verb == CONTROL_ABORT && found->state == MIGRATION_FAILED && running == NULL) {
        start_runner(c, found->id, request);
        return;
    }
    error_set(&err, "55000", "migration %s is in state %s", found->id, migration_state_name(found->state));
    if (migration_is_active(found->state)) {
        error_detail(&err, "Its runner has not started yet, or another instance carries it.");
        error_hint(&err, "SHOW MIGRATION '%s' names its owner; try again there.", found->id);
    } else {
        error_detail(&err, "invalid_state_transition: %s",
                     request->verb == CONTROL_ABORT ? "only an active or failed migration can be aborted"
                                                    : "this is for a migration that is under way");
        error_hint(&err, "SHOW MIGRATION '%s' tells how it ended.", found->id);
    }
    runner_answer(request, NULL, &err);
}

static bool show(struct control *c, const struct control_request *request,
                 const struct found_migration *found, struct rows **rows, struct error *err)
{
    switch (request->verb) {
    case CONTROL_SHOW_STORES:
        return answers_stores(c->setup.stores, c->survey, c->publisher, rows, err);
    case CONTROL_SHOW_TENANTS:
        return answers_tenants(c->publisher, rows, err);
    case CONTROL_SHOW_MIGRATIONS:
        return answers_migrations(c->ledger, request, rows, err);
    case CONTROL_SHOW_MIGRATION:
        return answers_migration(c->ledger, found->id, rows, err);
    case CONTROL_SHOW_AUDIT:
        return answers_audit(c->ledger, found->id, rows, err);
    case CONTROL_SHOW_INSTANCES:
        return answers_instances(c->ledger, rows, err);
    default:
        return error_set(err, "0A000", "control does not know this request");
    }
}

static bool names_a_migration(enum control_verb verb)
{
    return verb == CONTROL_SHOW_MIGRATION || verb == CONTROL_SHOW_LAG || verb == CONTROL_SHOW_AUDIT ||
           verb == CONTROL_CUTOVER || verb == CONTROL_CHECK_CUTOVER || verb == CONTROL_ABORT ||
           verb == CONTROL_FIND;
}

static bool is_for_runner(enum control_verb verb)
{
    return verb == CONTROL_SHOW_LAG || verb == CONTROL_CUTOVER || verb == CONTROL_CHECK_CUTOVER ||
           verb == CONTROL_ABORT;
}

static bool needs_ledger(enum control_verb verb)
{
    return verb != CONTROL_SHOW_STORES && verb != CONTROL_SHOW_TENANTS;
}

static void answer(struct control *c, struct control_request *request)
{
    struct found_migration found = { "", MIGRATION_PENDING };
    struct rows *rows = NULL;
    struct error err;
    bool fine = true;
    char id[UUID_TEXT_BYTES];

    if (c->ledger != NULL)
        pg_set_deadline(ledger_pg(c->ledger), clock_ms() + statement_ms_max(c));
    if (needs_ledger(request->verb) && c->ledger == NULL) {
        error_set(&err, "08001", "the control database cannot be reached");
        error_hint(&err, "pgshunt keeps trying; its log says why.");
        runner_answer(request, NULL, &err);
        return;
    }
    if (request->verb == CONTROL_START) {
        uuid_make_text(id);
        start_runner(c, id, request);
        return;
    }
    if (request->verb == CONTROL_CUTOVER && lease_is_shared(c->setup.lease)) {
        error_set(&err, "55006", "an earlier process of this instance still serves clients");
        error_detail(&err, "Their writes are not this process's to hold, so no cutover can begin.");
        error_hint(&err, "It ends when their transactions have ended, or shutdown_timeout_seconds after its "
                         "successor began; then try again.");
        runner_answer(request, NULL, &err);
        return;
    }
    if (names_a_migration(request->verb))
        fine =
            answers_find(c->ledger, request->id, &found, request->verb == CONTROL_FIND ? &rows : NULL, &err);
    if (fine && is_for_runner(request->verb)) {
        pass_to_runner(c, request, &found);
        return;
    }
    if (fine && request->verb != CONTROL_FIND)
        fine = show(c, request, &found, &rows, &err);
    runner_answer(request, rows, fine ? NULL : &err);
}

static void answer_one(struct control *c)
{
    struct letter *letter = c->requests;

    if (letter == NULL)
        return;
    LL_DELETE(c->requests, letter);
    letter->next = NULL;
    answer(c, (struct control_request *)letter);
}

/* --- the story --- */

/* What is due on the control connection. */
static void tend_ledger(struct control *c)
{
    struct error err;
    bool fine = true;

    if (c->ledger == NULL)
        return;
    take_notifies(c);
    pg_set_deadline(ledger_pg(c->ledger), clock_ms() + statement_ms_max(c));
    if (clock_ms() >= c->heartbeat_next_ms)
        fine = heartbeat(c, &err);
    if (fine && c->read_routes)
        fine = read_routes(c, &err);
    /* Only after the first publication: it makes the gate of a tenant in cutover_paused, closed. A runner's
     * order that came first would make it open. */
    if (fine && c->ready && clock_ms() >= c->orphans_next_ms)
        fine = adopt_orphans(c, &err);
    if (!fine && !c->stopping)
        log_error(c->setup.log, LOG_WARN, "control", &err, "the control database");
    if (!fine || ledger_is_broken(c->ledger))
        drop_ledger(c);
}

/* The first publication waits for one look at every store, so that no client meets a table that is not known
 * only because nobody has looked yet; a store that is down is looked at once and not waited for. */
static void become_ready(struct control *c)
{
    if (!c->ready && c->routes_read && survey_looked_at_all(c->survey)) {
        publisher_routes_known(c->publisher);
        publish(c);
        c->ready = publisher_is_behind(c->publisher) ? false : true;
        if (c->ready)
            log_line(c->setup.log, LOG_INFO, "control", "ready: %zu tenants have a route, %zu live away",
                     route_table_count(publisher_table(c->publisher)),
                     route_table_away_count(publisher_table(c->publisher)));
    }
    if (c->ready)
        publish(c);
}

static uint64_t due_ms(const struct control *c)
{
    uint64_t due = c->ledger == NULL ? c->connect_next_ms : c->heartbeat_next_ms;
    uint64_t survey = survey_next_ms(c->survey);

    return survey < due ? survey : due;
}

static void wait(struct control *c)
{
    struct pollfd fds[2] = { { mailbox_fd(c->mailbox), POLLIN, 0 }, { -1, POLLIN, 0 } };
    uint64_t now_ms = clock_ms(), due = due_ms(c), left_ms = due > now_ms ? due - now_ms : 0;

    if (c->requests != NULL ||
        (c->ledger != NULL && (c->read_routes || (c->ready && now_ms >= c->orphans_next_ms))))
        return;
    if (c->ledger != NULL)
        fds[1].fd = PQsocket(pg_raw(ledger_pg(c->ledger)));
    poll(fds, 2, left_ms > IDLE_MS ? IDLE_MS : (int)left_ms);
}

static void *control_main(void *who)
{
    struct control *c = who;
    struct error err;

    while (!c->stopping) {
        on_letters(c);
        keep_connected(c);
        tend_ledger(c);
        if (!c->stopping && clock_ms() >= survey_next_ms(c->survey))
            survey_look(c->survey);
        become_ready(c);
        complain_of_loops(c);
        join_ended(c);
        answer_one(c);
        on_letters(c);
        if (!c->stopping)
            wait(c);
    }
    stop_runners(c);
    if (c->ledger != NULL) {
        pg_set_deadline(ledger_pg(c->ledger), clock_ms() + statement_ms_max(c));
        ledger_unregister(c->ledger, c->started_at, &err); /* else its lease runs out by itself */
    }
    return NULL;
}

/* --- starting and stopping --- */

/* The same after a restart: whoever has the row then is our own predecessor. */
static void name_instance(struct control *c)
{
    const char *name = config_text(c->setup.config, CONFIG_INSTANCE_NAME);

    if (gethostname(c->host, sizeof c->host - 1) != 0)
        snprintf(c->host, sizeof c->host, "unknown");
    if (name[0] != '\0')
        snprintf(c->instance, sizeof c->instance, "%.99s/%.90s", c->host, name);
    else
        snprintf(c->instance, sizeof c->instance, "%.99s:%d", c->host, config_socket_port(c->setup.config));
}

static const char *control_conninfo(const struct config *config, const struct stores *stores)
{
    const char *own = config_text(config, CONFIG_CONTROL_CONNINFO);

    return own[0] == '\0' ? stores_default(stores)->conninfo : own;
}

static void control_free(struct control *c)
{
    struct letter *letter, *next;
    struct letter *lists[] = { c->publishing, c->slots, c->requests };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        LL_FOREACH_SAFE(lists[i], letter, next)
            letter_drop(letter);
    }
    survey_free(c->survey);
    publisher_free(c->publisher);
    ledger_close(c->ledger);
    event_names_free(c->names);
    config_give(c->setup.config);
    free(c);
}

static bool build(struct control *c, struct error *err)
{
    struct survey_setup survey = { .config = c->setup.config,
                                   .stores = c->setup.stores,
                                   .log = c->setup.log,
                                   .wake = { mailbox_fd(c->mailbox), on_letters, c },
                                   .look_ms_max = statement_ms_max(c) / 2 }; /* to connect, and to read */

    if (!event_names_new(c->setup.config, &c->names, err))
        return false;
    c->publisher = publisher_new(c->setup.switchboard, c->setup.stores, c->mailbox);
    survey.publisher = c->publisher;
    c->survey = c->publisher == NULL ? NULL : survey_new(&survey);
    return c->survey != NULL || error_no_memory(err);
}

bool control_start(const struct control_setup *setup, struct control **control, struct error *err)
{
    struct control *c = calloc(1, sizeof *c);

    *control = NULL;
    if (c == NULL)
        return error_no_memory(err);
    c->setup = *setup;
    config_take(setup->config);
    c->mailbox = setup->switchboard->control;
    c->lease_ms = (uint64_t)config_number(setup->config, CONFIG_LEASE_MS);
    name_instance(c);
    c->ledger_setup = (struct ledger_setup){ .conninfo = control_conninfo(setup->config, setup->stores),
                                             .schema = config_text(setup->config, CONFIG_CONTROL_SCHEMA),
                                             .instance = c->instance,
                                             .default_store = stores_default(setup->stores)->name };
    if (!build(c, err)) {
        control_free(c);
        return false;
    }
    c->runner_setup = (struct runner_setup){ setup->config, setup->stores,    setup->switchboard,
                                             c->names,      &c->ledger_setup, setup->log };
    if (pthread_create(&c->thread, NULL, control_main, c) != 0) {
        control_free(c);
        return error_set(err, "53000", "could not start the control thread");
    }
    *control = c;
    return true;
}

void control_stop(struct control *c)
{
    struct letter *stop;

    if (c == NULL)
        return;
    while ((stop = stop_letter_new()) == NULL)
        clock_sleep_ms(10); /* nobody else frees what we wait for, but other threads may */
    letter_send(c->mailbox, stop);
    pthread_join(c->thread, NULL);
    mailbox_close(c->mailbox);
    control_free(c);
}

bool control_init_schema(const struct config *config, const struct stores *stores, struct log *log,
                         struct error *err)
{
    struct ledger_setup setup = { .conninfo = control_conninfo(config, stores),
                                  .schema = config_text(config, CONFIG_CONTROL_SCHEMA),
                                  .instance = "init",
                                  .default_store = stores_default(stores)->name };
    struct ledger *ledger;
    bool fine;

    if (!ledger_open(&setup, "pgshunt init", NULL, 30000, &ledger, err))
        return false;
    fine = ledger_upgrade(ledger, err);
    if (fine)
        log_line(log, LOG_INFO, "control", "the control schema \"%s\" is up to date", setup.schema);
    ledger_close(ledger);
    return fine;
}
