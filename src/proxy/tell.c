/* tell.c - see tell.h.   Start at: tell(). */
#include "proxy/tell.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/loop.h"
#include "proxy/tell_plans.h"

enum { ADDRESS_BYTES = 128 };

/* ---- values ---- */

struct now {
    uint64_t ms; /* clock_ms() */
    time_t wall;
};

static void put_time(struct rows *rows, uint64_t at_ms, const struct now *now)
{
    time_t at;
    struct tm parts;
    char text[40];

    if (at_ms == 0) {
        rows_text(rows, NULL);
        return;
    }
    at = now->wall - (time_t)((now->ms - at_ms) / 1000);
    gmtime_r(&at, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S+00", &parts);
    rows_text(rows, text);
}

static void put_address(struct rows *rows, const struct sockaddr_storage *address)
{
    char text[ADDRESS_BYTES] = "";
    int port = 0;

    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;

        inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
        port = ntohs(v4->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

        inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
        port = ntohs(v6->sin6_port);
    } else {
        snprintf(text, sizeof text, "unix");
    }
    rows_text(rows, text);
    rows_number(rows, port);
}

/* addr, port, local_addr, local_port */
static void put_addresses(struct rows *rows, const struct stream *stream)
{
    struct sockaddr_storage peer = { 0 }, local = { 0 };
    socklen_t peer_bytes = sizeof peer, local_bytes = sizeof local;
    uv_os_fd_t fd;

    if (!stream_is_open(stream) || uv_fileno(&stream->uv.handle, &fd) != 0 ||
        getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) != 0 ||
        getsockname(fd, (struct sockaddr *)&local, &local_bytes) != 0) {
        for (int column = 0; column < 4; column++)
            rows_text(rows, NULL);
        return;
    }
    put_address(rows, &peer);
    put_address(rows, &local);
}

/* As PgBouncer has it: version and cipher, or nothing. */
static void put_tls(struct rows *rows, const struct stream *stream)
{
    if (stream_is_encrypted(stream))
        rows_format(rows, "%s/%s", tls_version(stream->tls), tls_cipher(stream->tls));
    else
        rows_text(rows, "");
}

static void put_wait(struct rows *rows, uint64_t waited_ms)
{
    rows_number(rows, (int64_t)(waited_ms / 1000));
    rows_number(rows, (int64_t)(waited_ms % 1000 * 1000));
}

static void put_pointer(struct rows *rows, const void *pointer)
{
    if (pointer == NULL)
        rows_text(rows, NULL);
    else
        rows_format(rows, "%p", pointer);
}

static const char *store_name(const struct loop *loop, int index)
{
    return index < 0 ? NULL : loop->shared->stores->at[index].name;
}

/* ---- SHOW CLIENTS ---- */

static bool is_busy(const struct client *client)
{
    return client->answering >= 0 || client->sync_seen != client->sync_sent || client->passing_bytes > 0;
}

static const char *state_of(const struct client *client)
{
    switch (client->state) {
    case CLIENT_STARTUP:
    case CLIENT_AUTH:
    case CLIENT_LOGIN:
        return "login";
    case CLIENT_HELD:
    case CLIENT_JOINING:
    case CLIENT_SWITCHING:
    case CLIENT_LOOKING:
        return "waiting";
    default:
        return is_busy(client) ? "active" : client->tx_status == 'I' ? "idle" : "idle in transaction";
    }
}

static void put_why(struct rows *rows, const struct client *client)
{
    const char *store = store_name(client->loop, client->waiting_store);

    if (client->state == CLIENT_HELD)
        rows_text(rows, "a tenant's writes are held: its cutover runs, or the lease has run out");
    else if (client->state == CLIENT_JOINING || client->state == CLIENT_LOGIN)
        rows_format(rows, "a connection to store \"%s\"", store == NULL ? "" : store);
    else if (client->state == CLIENT_SWITCHING)
        rows_text(rows, "the answers of another store");
    else if (client->state == CLIENT_LOOKING)
        rows_text(rows, "the stream directory: whose stream it is");
    else
        rows_text(rows, NULL);
}

/* What is known without reading a statement again: the transaction's, else the login's. */
static const char *tenant_of(const struct client *client)
{
    const char *tenant = client->txn.tenant[0] != '\0'       ? client->txn.tenant
                         : client->startup_tenant[0] != '\0' ? client->startup_tenant
                                                             : client->user_tenant;

    return tenant[0] == '\0' ? NULL : tenant;
}

static void put_peer_process(struct rows *rows, const struct stream *stream)
{
    struct ucred peer = { 0 };
    socklen_t bytes = sizeof peer;
    uv_os_fd_t fd;

    if (stream_is_unix(stream) && uv_fileno(&stream->uv.handle, &fd) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0)
        rows_number(rows, peer.pid);
    else
        rows_text(rows, NULL);
}

static const char *application_of(const struct client *client)
{
    const char *said = session_reported(&client->session, "application_name");

    for (size_t i = 0; said == NULL && i < client->startup_count; i++)
        if (strcmp(client->startup[i].name, "application_name") == 0)
            said = client->startup[i].value;
    return said == NULL ? "" : said;
}

static void client_row(struct rows *rows, const struct client *client, const struct now *now)
{
    const struct server *link = client->last_store < 0 ? NULL : client->servers[client->last_store];

    rows_text(rows, "C");
    rows_text(rows, client->user);
    rows_text(rows, client->database);
    rows_text(rows, state_of(client));
    put_addresses(rows, &client->stream);
    put_time(rows, client->connected_ms, now);
    put_time(rows, client->request_ms, now);
    put_wait(rows, client_waits(client) ? now->ms - client->since_ms : 0);
    rows_flag(rows, client->loop->draining);
    put_pointer(rows, client);
    put_pointer(rows, link);
    put_peer_process(rows, &client->stream);
    put_tls(rows, &client->stream);
    rows_text(rows, application_of(client));
    rows_text(rows, store_name(client->loop, client->last_store));
    rows_text(rows, tenant_of(client));
    rows_flag(rows, client->tx_status != 'I');
    rows_flag(rows, client->state == CLIENT_HELD);
    put_why(rows, client);
    rows_format(rows, "%u.%" PRIu64, client->loop->index, client->number);
}

static void tell_clients(struct loop *loop, struct rows *rows, const struct now *now)
{
    static const struct rows_heading headings[] = {
        { "type", ROWS_TEXT },
        { "user", ROWS_TEXT },
        { "database", ROWS_TEXT },
        { "state", ROWS_TEXT },
        { "addr", ROWS_TEXT },
        { "port", ROWS_INT4 },
        { "local_addr", ROWS_TEXT },
        { "local_port", ROWS_INT4 },
        { "connect_time", ROWS_TIMESTAMPTZ },
        { "request_time", ROWS_TIMESTAMPTZ },
        { "wait", ROWS_INT8 },
        { "wait_us", ROWS_INT8 },
        { "close_needed", ROWS_BOOL },
        { "ptr", ROWS_TEXT },
        { "link", ROWS_TEXT },
        { "remote_pid", ROWS_INT4 },
        { "tls", ROWS_TEXT },
        { "application_name", ROWS_TEXT },
        { "store", ROWS_TEXT },
        { "tenant", ROWS_TEXT },
        { "in_transaction", ROWS_BOOL },
        { "held", ROWS_BOOL },
        { "why", ROWS_TEXT },
        { "id", ROWS_TEXT },
        { NULL, ROWS_TEXT },
    };
    const struct client *client;

    rows_columns(rows, headings);
    DL_FOREACH(loop->clients, client)
        client_row(rows, client, now);
}

/* ---- SHOW SERVERS ---- */

static const char *server_state_of(const struct server *server)
{
    switch (server->state) {
    case SERVER_CONNECTING:
    case SERVER_LOGIN:
        return "login";
    case SERVER_READY:
        return !server_is_quiet(server)   ? "active"
               : server->tx_status != 'I' ? "idle in transaction"
                                          : "idle";
    default:
        return "broken";
    }
}

static void server_row(struct rows *rows, const struct server *server, const struct now *now)
{
    rows_text(rows, "S");
    rows_text(rows, server->identity->user);
    rows_text(rows, server->identity->database);
    rows_text(rows, server_state_of(server));
    put_addresses(rows, &server->stream);
    put_time(rows, server->connected_ms, now);
    put_time(rows, server->request_ms, now);
    put_pointer(rows, server);
    put_pointer(rows, server->client);
    if (server->pid == 0)
        rows_text(rows, NULL);
    else
        rows_number(rows, server->pid);
    put_tls(rows, &server->stream);
    rows_text(rows, server->store->name);
    rows_flag(rows, server->warm);
}

static void tell_servers(struct loop *loop, struct rows *rows, const struct now *now)
{
    static const struct rows_heading headings[] = {
        { "type", ROWS_TEXT },
        { "user", ROWS_TEXT },
        { "database", ROWS_TEXT },
        { "state", ROWS_TEXT },
        { "addr", ROWS_TEXT },
        { "port", ROWS_INT4 },
        { "local_addr", ROWS_TEXT },
        { "local_port", ROWS_INT4 },
        { "connect_time", ROWS_TIMESTAMPTZ },
        { "request_time", ROWS_TIMESTAMPTZ },
        { "ptr", ROWS_TEXT },
        { "link", ROWS_TEXT },
        { "remote_pid", ROWS_INT4 },
        { "tls", ROWS_TEXT },
        { "store", ROWS_TEXT },
        { "warm", ROWS_BOOL },
        { NULL, ROWS_TEXT },
    };
    const struct server *server;

    rows_columns(rows, headings);
    DL_FOREACH2(loop->servers, server, next_of_loop)
        server_row(rows, server, now);
}

/* ---- SHOW POOLS: a row for each client and each server, summed by whoever asked ---- */

static void pool_row(struct rows *rows, const char *store, const char *database, const char *user,
                     const int counts[static 5], uint64_t wait_ms, bool shared)
{
    rows_text(rows, store);
    rows_text(rows, database);
    rows_text(rows, user);
    for (int i = 0; i < 5; i++)
        rows_number(rows, counts[i]);
    put_wait(rows, wait_ms);
    rows_text(rows, shared ? "transaction" : "session");
}

static void tell_pools(struct loop *loop, struct rows *rows, const struct now *now)
{
    static const struct rows_heading headings[] = {
        { "store", ROWS_TEXT },      { "database", ROWS_TEXT },   { "user", ROWS_TEXT },
        { "cl_active", ROWS_INT8 },  { "cl_waiting", ROWS_INT8 }, { "sv_active", ROWS_INT8 },
        { "sv_idle", ROWS_INT8 },    { "sv_login", ROWS_INT8 },   { "maxwait", ROWS_INT8 },
        { "maxwait_us", ROWS_INT8 }, { "pool_mode", ROWS_TEXT },  { NULL, ROWS_TEXT },
    };
    const struct client *client;
    const struct server *server;

    rows_columns(rows, headings);
    DL_FOREACH(loop->clients, client) {
        int store =
            client_waits(client) && client->waiting_store >= 0 ? client->waiting_store : client->last_store;
        const int counts[5] = { !client_waits(client), client_waits(client), 0, 0, 0 };

        if (client->database != NULL)
            pool_row(rows,
                     store_name(loop, store < 0 ? (int)stores_default(loop->shared->stores)->index : store),
                     client->database, client->user, counts,
                     client_waits(client) ? now->ms - client->since_ms : 0, client->shares);
    }
    DL_FOREACH2(loop->servers, server, next_of_loop) {
        bool ready = server->state == SERVER_READY;
        bool working = server->client != NULL || server->tended != TENDED_NOT;
        const int counts[5] = { 0, 0, ready && working, ready && !working, !ready };

        pool_row(rows, server->store->name, server->identity->database, server->identity->user, counts, 0,
                 server->seat.pool != NULL);
    }
}

/* ---- how long it took, by classes: for /metrics ---- */

static void tell_spreads(const struct loop *loop, struct rows *rows)
{
    static const char *const names[SPREADS] = { [SPREAD_QUERY] = "query", [SPREAD_WAIT] = "wait" };
    static const enum tally_what sums[SPREADS] = {
        [SPREAD_QUERY] = TALLY_QUERY_US, [SPREAD_WAIT] = TALLY_WAIT_US
    };
    static const struct rows_heading headings[] = {
        { "store", ROWS_TEXT }, { "what", ROWS_TEXT },   { "at_most_us", ROWS_INT8 },
        { "count", ROWS_INT8 }, { "sum_us", ROWS_INT8 }, { NULL, ROWS_TEXT },
    };
    const struct stores *stores = loop->shared->stores;

    rows_columns(rows, headings);
    for (size_t i = 0; i < stores->count; i++) {
        for (int spread = 0; spread < SPREADS; spread++) {
            for (int class = 0; class < TALLY_CLASSES; class ++) {
                rows_text(rows, stores->at[i].name);
                rows_text(rows, names[spread]);
                if (class < TALLY_BOUNDS)
                    rows_number(rows, (int64_t)tally_bounds_us[class]);
                else
                    rows_text(rows, NULL);
                rows_number(rows, (int64_t)loop->tallies[i].spread[spread][class]);
                rows_number(rows, (int64_t)loop->tallies[i].total[sums[spread]]);
            }
        }
    }
}

/* ---- SHOW STATS: raw numbers of each store; totals and averages are made by whoever asked ---- */

static void tell_stats(struct loop *loop, struct rows *rows)
{
    static const char *const names[TALLY_COUNT] = { "xact_count", "query_count", "received", "sent",
                                                    "xact_time",  "query_time",  "wait_time" };
    const struct stores *stores = loop->shared->stores;
    char name[64];

    rows_column(rows, "store", ROWS_TEXT);
    rows_column(rows, "database", ROWS_TEXT);
    for (int last = 0; last < 2; last++)
        for (int what = 0; what < TALLY_COUNT; what++) {
            snprintf(name, sizeof name, "%s_%s", last ? "last" : "total", names[what]);
            rows_column(rows, name, ROWS_INT8);
        }
    for (size_t i = 0; i < stores->count; i++) {
        const struct tally *tally = &loop->tallies[i];

        rows_text(rows, stores->at[i].name);
        rows_text(rows, stores->at[i].dbname);
        for (int what = 0; what < TALLY_COUNT; what++)
            rows_number(rows, (int64_t)tally->total[what]);
        for (int what = 0; what < TALLY_COUNT; what++)
            rows_number(rows, (int64_t)tally->last_period[what]);
    }
}

void tell(struct loop *loop, struct show_letter *letter)
{
    const struct now now = { clock_ms(), time(NULL) };
    struct rows *rows = rows_new();

    letter->loop = loop->index;
    letter->rows = rows;
    if (rows == NULL)
        return;
    switch (letter->what) {
    case SHOW_CLIENTS:
        tell_clients(loop, rows, &now);
        break;
    case SHOW_SERVERS:
        tell_servers(loop, rows, &now);
        break;
    case SHOW_POOLS:
        tell_pools(loop, rows, &now);
        break;
    case SHOW_STATS:
        tell_stats(loop, rows);
        break;
    case SHOW_SPREADS:
        tell_spreads(loop, rows);
        break;
    case SHOW_PLANS:
        tell_plans(loop->planner, rows);
        break;
    case SHOW_SEEN:
        seen_tell(loop->glance->seen, rows);
        break;
    case SHOW_FINDINGS:
        seen_tell_findings(loop->glance->seen, rows);
        break;
    }
}
