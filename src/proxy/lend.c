/* lend.c - see lend.h. */
#include "proxy/lend.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/loop.h"
#include "proxy/lost.h"
#include "proxy/server_say.h"
#include "proxy/tend.h"
#include "wire/read.h"
#include "wire/write.h"

static struct server *of_seat(struct pool_seat *seat)
{
    return (struct server *)((char *)seat - offsetof(struct server, seat));
}

static struct client *of_waiter(struct pool_waiter *waiter)
{
    return (struct client *)((char *)waiter - offsetof(struct client, line));
}

/* Looked at when the loop has handled what has come: nobody's turn is taken in the middle of another's. */
static void note_due(struct loop *loop, struct pool *pool)
{
    if (pool->due || loop->stopping)
        return;
    pool->due = true;
    DL_APPEND2(loop->due, pool, prev_due, next_due);
}

/* ---- finding the pool ---- */

/* Everything that a server must have from its login on. application_name is set like any setting. */
static struct identity *shared_identity(const struct client *client, const struct store *store)
{
    bool home = store == stores_default(client->loop->shared->stores);

    return identity_new(client->user, home ? client_dbname(client) : store->dbname, client->startup,
                        client->startup_count, "application_name", &client->credentials);
}

static struct pool *pool_of(struct client *client, const struct store *store)
{
    struct identity *identity;

    if (client->pools == NULL)
        client->pools = calloc(client->loop->shared->stores->count, sizeof(struct pool *));
    if (client->pools == NULL || client->pools[store->index] != NULL)
        return client->pools == NULL ? NULL : client->pools[store->index];
    identity = shared_identity(client, store);
    if (identity == NULL)
        return NULL;
    client->pools[store->index] = pools_join(client->loop->pools, store, identity);
    if (client->pools[store->index] != NULL && client->pools[store->index]->identity != identity)
        identity_renew(client->pools[store->index]->identity, &client->credentials);
    identity_give(identity);
    return client->pools[store->index];
}

/* ---- opening ---- */

static bool open_one(struct loop *loop, struct pool *pool)
{
    struct server *server = server_open_for(loop, pool->store, pool->identity);

    if (server == NULL) {
        quota_give(pool->quota);
        return false;
    }
    pool_opening(pool, &server->seat, clock_ms());
    return true;
}

static void open_more(struct loop *loop, struct pool *pool)
{
    uint64_t now_ms = clock_ms();

    while (pool_may_open(pool, now_ms))
        if (!open_one(loop, pool))
            return;
    if (pool->line != NULL && pool->starved && !pool_is_down(pool, now_ms)) {
        struct pool_seat *seat = pool_evict(pool); /* its end is this pool's turn */

        if (seat != NULL) {
            note_due(loop, pool);
            server_close(of_seat(seat));
        }
    }
}

/* ---- lending ---- */

static void attach(struct client *client, struct server *server)
{
    server->client = client;
    client->servers[server->store->index] = server;
    client->lent++;
}

enum arrival lend_server(struct client *client, const struct store *store, struct error *err)
{
    struct pool *pool = pool_of(client, store);
    struct pool_seat *seat;

    if (pool == NULL) {
        error_no_memory(err);
        return REFUSED;
    }
    /* First come, first served. */
    seat = pool->line == NULL ? pool_lend(pool, client->number, clock_ms()) : NULL;
    if (seat != NULL) {
        attach(client, of_seat(seat));
        return ARRIVED;
    }
    if (pool_is_down(pool, clock_ms())) {
        *err = pool->why;
        return REFUSED;
    }
    pool_wait(pool, &client->line, clock_ms());
    if (pool->idle != NULL)
        note_due(client->loop, pool); /* to be checked first, or for others who stand before it */
    else
        open_more(client->loop, pool);
    return WAITING;
}

char *lend_startup_name(const struct client *client)
{
    char *name = NULL;

    for (size_t i = 0; name == NULL && i < client->startup_count; i++)
        if (strcmp(client->startup[i].name, "application_name") == 0)
            name = strdup(client->startup[i].value);
    for (char *at = name; at != NULL && *at != '\0'; at++) /* as pg_clean_ascii() */
        if (*at < 32 || *at > 126)
            *at = '?';
    return name;
}

bool lend_has_reset_name(const struct server *server, struct slice name, struct slice value)
{
    const struct client *client = server->client;
    const char *bare, *said;

    if (!client->shares || server->seat.pool == NULL || !slice_is(name, "application_name") ||
        session_value(&client->session, "application_name", &said) != SESSION_ABSENT)
        return false;
    bare = report_get(&server->seat.pool->welcome, "application_name");
    return bare != NULL && slice_is(value, bare);
}

/* What the client will be told, as if the server had been its own. */
static void welcome(struct client *client, const struct pool *pool)
{
    char *name = lend_startup_name(client);

    for (size_t i = 0; i < pool->welcome.count; i++)
        session_report(&client->session, slice_of(pool->welcome.pairs[i].name),
                       slice_of(pool->welcome.pairs[i].value));
    if (name != NULL)
        session_report(&client->session, slice_of("application_name"), slice_of(name));
    free(name);
    client->last_store = (int)pool->store->index;
    client_welcome(client);
}

void lend_login(struct client *client)
{
    const struct store *home = arrive_home(client);
    struct pool *pool = pool_of(client, home);
    struct error err;

    if (pool == NULL) {
        error_no_memory(&err);
        lost_home(client, &err, true);
    } else if (pool->welcome.count > 0) {
        welcome(client, pool);
    } else if (pool_is_down(pool, clock_ms())) {
        lost_home(client, &pool->why, pool->unwilling);
    } else {
        pool_wait(pool, &client->line, clock_ms());
        open_more(client->loop, pool);
    }
}

/* False: nothing that could be lent. */
static bool serve_waiter(struct pool *pool, struct pool_waiter *waiter)
{
    struct client *client = of_waiter(waiter);
    struct pool_seat *seat;

    if (client->state == CLIENT_LOGIN) {
        pool_unwait(waiter);
        welcome(client, pool);
        return true;
    }
    seat = pool_lend(pool, client->number, clock_ms());
    if (seat == NULL)
        return false;
    pool_unwait(waiter);
    attach(client, of_seat(seat));
    client_retry(client);
    return true;
}

static void serve(struct loop *loop, struct pool *pool)
{
    size_t turns = pool->waiting_count; /* whoever comes back to the line waits for the next round */
    struct pool_seat *seat;

    while (turns > 0 && pool->line != NULL && pool->idle != NULL && serve_waiter(pool, pool->line))
        turns--;
    while ((seat = pool_doubt(pool, clock_ms())) != NULL)
        tend_check(of_seat(seat));
    open_more(loop, pool);
    if (turns == 0 && pool->line != NULL && pool->idle != NULL)
        note_due(loop, pool);
}

static void on_check(uv_check_t *check)
{
    struct loop *loop = check->data;
    struct pool *pool, *line = loop->due;

    loop->due = NULL;
    while ((pool = line) != NULL) {
        DL_DELETE2(line, pool, prev_due, next_due);
        pool->due = false;
        if (!loop->stopping)
            serve(loop, pool);
    }
}

/* ---- giving back ---- */

/* Nothing of the client's is under way there, nor will it be without a new message. */
static bool is_at_rest(const struct client *client, const struct server *server)
{
    int index = (int)server->store->index;

    return server->state == SERVER_READY && server->tx_status == 'I' && server->ends_sync == 0 &&
           !server->pipeline && !server->copy_in && server->cancels == 0 && server_is_quiet(server) &&
           txn_at((struct txn *)&client->txn, index) == NULL &&
           !(client->passing_bytes > 0 && client->passing_to == index);
}

static bool is_done_with(const struct client *client, const struct server *server)
{
    return server->pinned == NULL && !client->session.overflow && is_at_rest(client, server);
}

static bool is_waited_for(const struct client *client, const struct server *server)
{
    return (client->state == CLIENT_JOINING || client->state == CLIENT_SWITCHING) &&
           client->waiting_store == (int)server->store->index;
}

/* Names of the client's own are nobody else's. True: they are on their way out, and this is called again. */
static bool tidy(struct server *server)
{
    const char *name;
    bool said = server->made_stale;

    if (server->made_stale) {
        server->made_stale = false;
        made_done(&server->made);
        server_say_quietly(server, slice_of("DEALLOCATE ALL"));
    }
    while ((name = made_next_own(&server->made)) != NULL) {
        said = true;
        server_say_close(server, slice_of(name));
    }
    if (said && server->state == SERVER_READY) {
        server_say_sync(server, true);
        stream_flush(&server->stream);
    }
    return said;
}

static void detach(struct client *client, struct server *server)
{
    int index = (int)server->store->index;

    client->servers[index] = NULL;
    client->lent--;
    if (client->answering == index)
        client->answering = -1;
    server->client = NULL;
    server->made.unnamed_serial = 0;
}

void lend_return(struct server *server, uint64_t last_client)
{
    struct pool *pool = server->seat.pool;

    if (pool_must_close(&server->seat, clock_ms())) {
        server_close(server);
        return;
    }
    pool_back(&server->seat, last_client, clock_ms());
    stream_start(&server->stream); /* its client may have been slow */
    if (pool->line != NULL)
        note_due(server->loop, pool);
}

static void give_back(struct client *client, struct server *server)
{
    if (server->silent_failed) { /* made like a session in vain, and nobody asked for it any more */
        server->silent_failed = server->asking = false;
        server->wear_unknown = true;
    }
    client->lend_tries = 0;
    detach(client, server);
    lend_return(server, client->number);
}

void lend_settle(struct client *client)
{
    const struct stores *stores = client->loop->shared->stores;

    for (size_t i = 0; client->lent > 0 && i < stores->count; i++) {
        struct server *server = client->servers[i];

        if (server != NULL && is_done_with(client, server) && !is_waited_for(client, server) && !tidy(server))
            give_back(client, server);
    }
}

/* Gives it back, at once or when it has forgotten what the client has left there; or closes it. */
static void leave_one(struct client *client, struct server *server)
{
    bool is_clean = is_done_with(client, server) && made_next_own(&server->made) == NULL;
    bool at_rest = is_at_rest(client, server);

    if (is_clean) {
        give_back(client, server);
        return;
    }
    detach(client, server);
    if (!at_rest || !tend_can_reset(server) || pool_must_close(&server->seat, clock_ms())) {
        server_close(server);
        return;
    }
    pool_tend(&server->seat);
    tend_reset(server);
}

void lend_leave(struct client *client)
{
    const struct stores *stores = client->loop->shared->stores;

    pool_unwait(&client->line);
    for (size_t i = 0; i < stores->count; i++) {
        if (client->servers[i] != NULL)
            leave_one(client, client->servers[i]);
    }
    for (size_t i = 0; client->pools != NULL && i < stores->count; i++)
        if (client->pools[i] != NULL)
            pool_leave(client->pools[i]);
    free(client->pools);
    client->pools = NULL;
}

/* ---- news ---- */

void lend_ready(struct server *server)
{
    struct pool *pool = server->seat.pool;

    report_done(&pool->welcome);
    for (size_t i = 0; i < server->reported.count; i++)
        report_note(&pool->welcome, slice_of(server->reported.pairs[i].name),
                    slice_of(server->reported.pairs[i].value));
    remember_report(server->loop->remember, server->identity->user, server->identity->database,
                    &pool->welcome);
    pool_opened(&server->seat, clock_ms());
    note_due(server->loop, pool);
}

/* Nobody else will come: whoever waits hears why. */
static void refuse_line(struct pool *pool)
{
    for (size_t turns = pool->waiting_count; turns > 0 && pool->line != NULL; turns--) {
        struct client *client = of_waiter(pool->line);

        pool_unwait(&client->line);
        if (client->state == CLIENT_LOGIN)
            lost_home(client, &pool->why, pool->unwilling);
        else
            client_refuse(client, &pool->why);
    }
}

void lend_lost(struct server *server)
{
    struct loop *loop = server->loop;
    struct pool *pool = server->seat.pool;
    bool opening = server->seat.state == SEAT_OPENING;

    log_error(loop->shared->log, LOG_WARN, "proxy", &server->why, "pool of user \"%s\" lost store \"%s\"",
              server->identity->user, server->store->name);
    if (opening)
        pool_failed(pool, &server->why,
                    server->why_from_server || strncmp(server->why.sqlstate, "28", 2) == 0, clock_ms());
    server_close(server);
    if (opening && pool_is_down(pool, clock_ms()))
        refuse_line(pool);
    note_due(loop, pool);
}

void lend_came(struct server *server)
{
    struct msg msg;
    struct error err;
    enum wire_result result;

    while ((result = msg_next(&server->stream.in, &msg, &err)) == WIRE_MSG) {
        struct read body = read_msg(&msg);
        struct slice name;

        if (msg.type == BE_PARAMETER_STATUS) {
            name = read_text(&body);
            report_note(&server->reported, name, read_text(&body));
        } else if (msg.type != BE_NOTICE) { /* FATAL: the connection ends; anything else: nobody asked */
            error_set(&err, "08006", "store_unavailable: store \"%s\" ended an idle connection",
                      server->store->name);
            server_break(server, &err);
            return;
        }
        buf_consume(&server->stream.in, msg.total_bytes);
    }
    if (result == WIRE_BAD)
        server_break(server, &err);
}

void lend_forget(struct server *server)
{
    struct pool *pool = server->seat.pool;

    if (pool == NULL)
        return;
    pool_gone(&server->seat);
    if (pool->line != NULL)
        note_due(server->loop, pool);
    if (!quota_is_starved(pool->quota))
        return;
    for (struct pool *other = pools_first(server->loop->pools); other != NULL; other = other->hh.next)
        if (other->starved && other->store == pool->store)
            note_due(server->loop, other);
}

/* ---- warm connections ---- */

void lend_warm(struct client *client, const struct store *target)
{
    struct pool *pool = pool_of(client, target);
    const struct pool *here = client->last_store < 0 ? NULL : client->pools[client->last_store];
    size_t wanted = here == NULL || here == pool ? 1 : here->idle_count + here->lent_count;

    if (pool == NULL)
        return;
    while (pool->opening_count + pool->idle_count + pool->lent_count < wanted &&
           pool_may_warm(pool, clock_ms()))
        if (!open_one(client->loop, pool))
            return;
}

bool lend_is_warm(const struct client *client, unsigned store, const struct error **why)
{
    const struct pool *pool = client->pools == NULL ? NULL : client->pools[store];

    *why = pool != NULL && pool->failed_ms != 0 ? &pool->why : NULL;
    return pool != NULL && pool->idle_count + pool->lent_count > 0;
}

/* ---- time ---- */

static void expire(struct pool *pool)
{
    struct pool_waiter *waiter;

    while ((waiter = pool_overdue(pool, clock_ms())) != NULL) {
        struct client *client = of_waiter(waiter);
        struct error err;

        error_set(&err, "53300",
                  "query_wait_timeout: no connection to store \"%s\" became free within %llu ms",
                  pool->store->name, (unsigned long long)(clock_ms() - waiter->since_ms));
        error_detail(&err, "%zu connections of user \"%s\" work for clients of this loop, %zu clients wait.",
                     pool->lent_count, pool->identity->user, pool->waiting_count);
        error_hint(&err,
                   "Shorter transactions, or a larger default_pool_size; a session that holds a lock, a "
                   "temporary table or a LISTEN keeps its connection.");
        pool_unwait(waiter);
        if (client->state == CLIENT_LOGIN)
            lost_home(client, &err, true);
        else
            client_refuse(client, &err);
    }
}

void lend_tick(struct loop *loop)
{
    for (struct pool *pool = pools_first(loop->pools); pool != NULL; pool = pool->hh.next) {
        struct pool_seat *seat;

        expire(pool);
        pool_look(pool, clock_ms());
        if (pool->line != NULL)
            note_due(loop, pool); /* another loop may have given one up, a store may be tried again */
        else if ((seat = pool_yield(pool, clock_ms())) != NULL)
            server_close(of_seat(seat));
    }
}

void lend_sweep(struct loop *loop)
{
    for (struct pool *pool = pools_first(loop->pools); pool != NULL; pool = pool->hh.next) {
        struct pool_seat *seat;

        while ((seat = pool_outlived(pool, clock_ms())) != NULL)
            server_close(of_seat(seat));
        open_more(loop, pool);
    }
    for (struct server *server = loop->servers, *next; server != NULL; server = next) {
        next = server->next_of_loop;
        if (server->client != NULL || server->seat.pool == NULL)
            continue;
        if (server->tended != TENDED_NOT)
            tend_expired(server);
        else
            server_expired(server);
    }
    pools_sweep(loop->pools);
}

/* ---- life ---- */

static struct pool_rules read_rules(const struct config *config)
{
    bool checks = config_text(config, CONFIG_SERVER_CHECK_QUERY)[0] != '\0';

    return (struct pool_rules){
        .min_size = (unsigned)config_number(config, CONFIG_MIN_POOL_SIZE),
        .reserve_after_ms = 1000 * (uint64_t)config_number(config, CONFIG_RESERVE_POOL_TIMEOUT),
        .idle_ms_max = 1000 * (uint64_t)config_number(config, CONFIG_SERVER_IDLE_TIMEOUT),
        .lifetime_ms_max = 1000 * (uint64_t)config_number(config, CONFIG_SERVER_LIFETIME),
        .wait_ms_max = 1000 * (uint64_t)config_number(config, CONFIG_QUERY_WAIT_TIMEOUT),
        .retry_after_ms = 1000 * (uint64_t)config_number(config, CONFIG_SERVER_LOGIN_RETRY),
        .check_after_ms =
            checks ? 1000 * (uint64_t)config_number(config, CONFIG_SERVER_CHECK_DELAY) : UINT64_MAX,
    };
}

bool lend_start(struct loop *loop)
{
    struct pool_rules rules = read_rules(loop->settings->config);

    loop->pools = pools_new(&rules, loop->shared->quotas);
    loop->check.data = loop;
    return loop->pools != NULL && uv_check_init(&loop->uv, &loop->check) == 0 &&
           uv_check_start(&loop->check, on_check) == 0;
}

/* Nobody is thrown out: connections that are too many, or too old now, go as they become idle. */
void lend_reload(struct loop *loop)
{
    struct pool_rules rules = read_rules(loop->settings->config);

    pools_obey(loop->pools, &rules);
}

void lend_stop(struct loop *loop)
{
    for (struct server *server = loop->servers, *next; server != NULL; server = next) {
        next = server->next_of_loop;
        if (server->client == NULL && server->seat.pool != NULL)
            server_close(server);
    }
    uv_check_stop(&loop->check);
    uv_close((uv_handle_t *)&loop->check, NULL);
}

void lend_done(struct loop *loop)
{
    pools_free(loop->pools);
}
