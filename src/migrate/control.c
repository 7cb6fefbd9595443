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
#include "migrate/control_impl.h"
#include "migrate/settings.h"

enum {
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 2000,
    IDLE_MS = 200, /* at most this long without a look at what is due */
};

/* --- letters --- */

static void take_news(struct control *c, struct runner_letter *news)
{
    struct running *running;

    switch (news->news) {
    case RUNNER_PUBLISH:
        control_take_publication(c, news);
        return;
    case RUNNER_SLOT:
        control_take_slot(c, news);
        return;
    case RUNNER_REST:
        control_free_slot(c, news->migration);
        break;
    case RUNNER_SWITCHED:
        running = control_find_running(c, news->migration);
        if (running != NULL) {
            running->has_slot = false;
            running->switched = true;
            control_grant_slots(c);
        }
        break;
    case RUNNER_ENDED:
        running = control_find_running(c, news->migration);
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

/* What runs goes on as it was begun; what begins from now on begins by the new settings. */
static void take_config(struct control *c, struct config_letter *letter)
{
    const struct config *before = c->setup.config;

    c->setup.config = letter->config;
    c->runner_setup.config = letter->config;
    survey_follow(c->survey, letter->config);
    letter->config = before; /* given back by the letter's drop */
    letter_reply(&letter->letter);
    control_grant_slots(c);
}

/* A pg_wake's `stop`: called in the middle of statements, too. */
static bool on_letters(void *who)
{
    struct control *c = who;
    struct letter *letter;

    while ((letter = mailbox_next(c->mailbox)) != NULL) {
        switch (letter->kind) {
        case LETTER_PUBLISH:
            publisher_answered(c->publisher, (struct publish_letter *)letter);
            control_answer_published(c);
            break;
        case LETTER_GATE:
            follower_answered(c->follower, (struct gate_letter *)letter);
            break;
        case LETTER_DOORBELL:
            follower_rung(c->follower, (struct doorbell_letter *)letter);
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
        case LETTER_SHOW:
            control_told(c, (struct show_letter *)letter);
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

/* --- the connection and the lease --- */

static bool listen_to(struct control *c, const char *what, struct error *err)
{
    char name[IDENTIFIER_BYTES_MAX + 16], sql[2 * sizeof name + 16], *quoted;

    snprintf(name, sizeof name, "%s.%s", c->ledger_setup.schema, what);
    quoted = PQescapeIdentifier(pg_raw(ledger_pg(c->ledger)), name, strlen(name));
    if (quoted == NULL)
        return error_no_memory(err);
    snprintf(sql, sizeof sql, "LISTEN %s", quoted);
    PQfreemem(quoted);
    return pg_run(ledger_pg(c->ledger), sql, 0, NULL, err);
}

static bool listen(struct control *c, struct error *err)
{
    return listen_to(c, "routing", err) && listen_to(c, "migrations", err) && listen_to(c, "rung", err);
}

/* The lease runs from before the heartbeat was sent (DESIGN §5). One that ran out is had again only when
 * every loop goes by routes that were read since: others have not waited for this instance. */
static void extend_lease(struct control *c, uint64_t until_boot_ms)
{
    if (lease_is_valid(c->setup.lease, clock_boot_ms())) {
        lease_extend(c->setup.lease, until_boot_ms);
        return;
    }
    c->read_routes = true;
    c->regained_boot_ms = until_boot_ms;
}

static void regain_lease(struct control *c)
{
    if (c->regained_boot_ms == 0 || c->read_routes || publisher_is_behind(c->publisher) ||
        !publisher_is_applied(c->publisher, c->last_sequence))
        return;
    lease_extend(c->setup.lease, c->regained_boot_ms);
    c->regained_boot_ms = 0;
}

static bool register_instance(struct control *c, bool replace, struct error *err)
{
    uint64_t sent_boot_ms = clock_boot_ms();
    bool first = c->started_at[0] == '\0';

    if (!ledger_register(c->ledger, c->host, (int64_t)c->lease_ms, replace, c->started_at, err))
        return false;
    c->replaced = false;
    c->note_all = c->read_routes = true;
    if (first) /* no client is served before the routes have been read */
        lease_extend(c->setup.lease, sent_boot_ms + c->lease_ms);
    else
        extend_lease(c, sent_boot_ms + c->lease_ms);
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
        extend_lease(c, sent_boot_ms + c->lease_ms);
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

uint64_t control_statement_ms_max(const struct control *c)
{
    return c->lease_ms / 3 < 200 ? 200 : c->lease_ms / 3;
}

static bool open_ledger(struct control *c, struct error *err)
{
    if (!ledger_open(&c->ledger_setup, "pgshunt control",
                     &(struct pg_wake){ mailbox_fd(c->mailbox), on_letters, c }, control_statement_ms_max(c),
                     &c->ledger, err))
        return false;
    if (!c->setup.follows && !ledger_upgrade(c->ledger, err))
        return false;
    pg_set_deadline(ledger_pg(c->ledger), clock_ms() + control_statement_ms_max(c));
    if (c->setup.follows)
        return listen(c, err) && control_read_routes(c, err);
    /* After a reconnect our row is still there; a heartbeat goes on with it. */
    if (c->started_at[0] == '\0' ? !register_instance(c, true, err) : !heartbeat(c, err))
        return false;
    return listen(c, err) && control_read_routes(c, err);
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

/* --- the story --- */

/* Only after the first publication: it makes the gate of a tenant in cutover_paused, closed. A runner's order
 * that came first would make it open. */
static bool orphans_are_due(const struct control *c)
{
    return c->ready && !c->setup.follows && clock_ms() >= c->orphans_next_ms;
}

/* What is due on the control connection. */
static void tend_ledger(struct control *c)
{
    struct error err;
    bool fine = true;

    if (c->ledger == NULL)
        return;
    control_take_notifies(c);
    pg_set_deadline(ledger_pg(c->ledger), clock_ms() + control_statement_ms_max(c));
    if (!c->setup.follows && clock_ms() >= c->heartbeat_next_ms)
        fine = heartbeat(c, &err);
    if (fine && c->read_routes)
        fine = control_read_routes(c, &err);
    fine = fine && (c->setup.follows || !c->ready ||
                    follower_tell(c->follower, c->ledger, c->instance, c->started_at,
                                  lease_is_shared(c->setup.lease), &err));
    if (fine && !c->setup.follows) {
        char channel[IDENTIFIER_BYTES_MAX + 16];

        snprintf(channel, sizeof channel, "%s.rung", c->ledger_setup.schema);
        fine = follower_ring(c->follower, c->ledger, channel, &err);
    }
    if (fine && orphans_are_due(c))
        fine = control_adopt_orphans(c, &err);
    if (fine && c->ready)
        control_tend_shapes(c);
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
        control_publish(c);
        c->ready = publisher_is_behind(c->publisher) ? false : true;
        if (c->ready && c->setup.follows)
            log_line(c->setup.log, LOG_INFO, "control", "following the routes until this process ends");
        else if (c->ready)
            log_line(c->setup.log, LOG_INFO, "control", "ready: %zu tenants have a route, %zu live away",
                     route_table_count(publisher_table(c->publisher)),
                     route_table_away_count(publisher_table(c->publisher)));
    }
    if (c->ready)
        control_publish(c);
}

static uint64_t due_ms(const struct control *c)
{
    uint64_t due = c->ledger == NULL  ? c->connect_next_ms
                   : c->setup.follows ? clock_ms() + IDLE_MS
                                      : c->heartbeat_next_ms;
    uint64_t survey = survey_next_ms(c->survey);

    if (c->ledger != NULL && follower_ring_ms(c->follower) < due)
        due = follower_ring_ms(c->follower);
    return survey < due ? survey : due;
}

static void wait(struct control *c)
{
    struct pollfd fds[2] = { { mailbox_fd(c->mailbox), POLLIN, 0 }, { -1, POLLIN, 0 } };
    uint64_t now_ms = clock_ms(), due = due_ms(c), left_ms = due > now_ms ? due - now_ms : 0;

    if (c->requests != NULL || (c->ledger != NULL && (c->read_routes || orphans_are_due(c))))
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
        regain_lease(c);
        control_complain_of_loops(c);
        control_join_ended(c);
        control_stop_asking(c);
        control_answer_one(c);
        on_letters(c);
        if (!c->stopping)
            wait(c);
    }
    control_stop_runners(c);
    control_last_shapes(c);
    if (c->ledger != NULL && !c->setup.follows) {
        pg_set_deadline(ledger_pg(c->ledger), clock_ms() + control_statement_ms_max(c));
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
    struct letter *lists[] = { c->publishing, c->requests, c->asking };

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        LL_FOREACH_SAFE(lists[i], letter, next)
            letter_drop(letter);
    }
    for (size_t i = 0; i < LOOPS_MAX; i++)
        rows_free(c->seen[i]);
    shapes_free(c->shapes);
    survey_free(c->survey);
    follower_free(c->follower);
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
                                   .look_ms_max =
                                       control_statement_ms_max(c) / 2 }; /* to connect, and to read */

    if (!event_names_new(c->setup.config, &c->names, err))
        return false;
    c->publisher = publisher_new(c->setup.switchboard, c->setup.stores, c->mailbox);
    survey.publisher = c->publisher;
    c->survey = c->publisher == NULL ? NULL : survey_new(&survey);
    c->shapes = shapes_new(c->instance, c->setup.log);
    c->follower = follower_new(c->setup.switchboard, c->mailbox);
    return (c->follower != NULL && c->survey != NULL && c->shapes != NULL) || error_no_memory(err);
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
    c->on_letters = on_letters;
    c->lease_ms = (uint64_t)config_number(setup->config, CONFIG_LEASE_MS);
    name_instance(c);
    c->ledger_setup =
        (struct ledger_setup){ .conninfo = control_conninfo(setup->config, setup->stores),
                               .schema = config_text(setup->config, CONFIG_CONTROL_SCHEMA),
                               .instance = c->instance,
                               .default_store = stores_default(setup->stores)->name,
                               .in_default_store =
                                   config_text(setup->config, CONFIG_CONTROL_CONNINFO)[0] == '\0' };
    if (!build(c, err)) {
        control_free(c);
        return false;
    }
    c->runner_setup =
        (struct runner_setup){ setup->config,    setup->stores, setup->switchboard, c->names,
                               &c->ledger_setup, setup->log,    setup->lease,       setup->each_login };
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
