/* join.c - see join.h. */
#include "proxy/join.h"

#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/loop.h"
#include "wire/write.h"

/* ---- making a server like the session ---- */

static const uint64_t TOLD_NOW = UINT64_MAX; /* told_here: its reports are on their way */

static bool is_pending(const struct session *session, const char *name)
{
    const struct setting *setting;

    DL_FOREACH(session->pending, setting)
        if (setting->name == NULL || strcasecmp(setting->name, name) == 0)
            return true;
    return false;
}

static void append_set(struct buf *text, const char *name, const char *value)
{
    buf_append_format(text, "SET %s TO '", name);
    for (; *value != '\0'; value++) {
        if (*value == '\'' || *value == '\\')
            buf_append(text, value, 1); /* both doubled: E'' is not needed for what these parameters hold */
        buf_append(text, value, 1);
    }
    buf_append_text(text, "';");
}

/* Role and database settings may differ between servers; what the client was told must stay true. */
static void append_reported(struct client *client, struct server *server, struct buf *text)
{
    const struct report *told = &client->session.reported;

    for (size_t i = 0; i < REPORT_SLOTS; i++) {
        const char *value = report_slot(told, i), *there = report_slot(&server->reported, i);

        if (value == NULL || (there != NULL && strcmp(value, there) == 0) || strchr(value, '\\') != NULL ||
            is_pending(&client->session, report_slot_name(i)))
            continue;
        append_set(text, report_slot_name(i), value);
    }
}

bool join_is_worn(struct client *client, const struct server *server)
{
    struct wear *wear;

    return !server->wear_unknown && session_wear(&client->session, &wear) && wear_equal(server->wear, wear);
}

void join_wears(struct client *client, struct server *server)
{
    struct wear *wear;

    if (!session_wear(&client->session, &wear)) {
        server->wear_unknown = true;
        return;
    }
    wear_take(wear);
    wear_give(server->wear);
    server->wear = wear;
    server->wear_unknown = false;
}

bool join_make_alike(struct client *client, struct server *server, struct error *err)
{
    struct wear *wear;
    struct buf text;

    if (client->session.overflow) {
        error_set(err, "0A000",
                  "cross_store_statement: the session has changed more settings than are remembered");
        return error_hint(err, "Connect anew: a new session begins at its tenant's store.");
    }
    if (!session_wear(&client->session, &wear))
        return error_no_memory(err);
    buf_init(&text);
    if (!join_is_worn(client, server))
        wear_change(server->wear, !server->wear_unknown, wear, &text);
    append_reported(client, server, &text);
    join_wears(client, server);
    server->told_client = client->number;
    server->told_version = client->session.reported.version;
    server->told_here = TOLD_NOW;
    if (buf_bytes(&text) > 0)
        server_say(server, buf_slice(&text));
    buf_done(&text);
    if (server->state == SERVER_READY)
        return true;
    *err = client->lost_why;
    return false;
}

/* A server of another kind may report the same thing in other words. */
static bool is_told(const struct client *client, const struct server *server)
{
    return server->told_client == client->number &&
           server->told_version == client->session.reported.version &&
           server->told_here == server->reported.version;
}

/* What the client was told counts only where it can be changed: in a transaction, its own SETs come by the
 * journal. */
static bool is_alike(struct client *client, const struct server *server)
{
    return join_is_worn(client, server) && (client->session.pending != NULL || is_told(client, server) ||
                                            report_is_alike(&client->session.reported, &server->reported));
}

static bool say_journal(struct client *client, struct server *server, struct error *err)
{
    struct txn *txn = &client->txn;

    if (txn->overflow) {
        error_set(err, "0A000", "cross_store_transaction: the transaction cannot be told to store \"%s\"",
                  server->store->name);
        return error_hint(
            err, "It began in a way pgshunt did not see, or its journal is too long. Begin it anew.");
    }
    txn->branch = (int)server->store->index;
    for (size_t i = 0; i < txn->journal_count && server->state == SERVER_READY; i++)
        server_say(server, slice_of(txn->journal[i]));
    if (server->state == SERVER_READY)
        return true;
    *err = client->lost_why;
    return false;
}

static enum arrival opening(struct client *client, const struct store *store, struct error *err)
{
    struct server *server = client->servers[store->index];

    if (server == NULL)
        server = server_open(client, store);
    if (server != NULL)
        return WAITING;
    *err = client->lost_why;
    return REFUSED;
}

/* What was said silently did not go well: the server is no place for this statement. */
static enum arrival join_failed(struct client *client, struct server *server, struct error *err)
{
    *err = server->silent_why;
    server->silent_failed = false;
    server->wear_unknown = true;
    if (client->txn.open && client->txn.branch == (int)server->store->index && !client->txn.read &&
        !client->txn.wrote) {
        server_say(server, slice_of("ROLLBACK"));
        client->txn.branch = -1;
    }
    return REFUSED;
}

/* What failed while it was warmed up is tried again in earnest. */
static bool warm_is_over(struct server *server)
{
    if (!server_is_quiet(server))
        return false;
    if (server->silent_failed) {
        server->silent_failed = false;
        server->wear_unknown = true;
    }
    server->warm = false;
    return true;
}

enum arrival join_server(struct client *client, const struct store *store, struct server **found,
                         struct error *err)
{
    struct server *server = client->servers[store->index];
    bool journal = client->txn.open && client->txn.branch < 0;

    if (server == NULL || server->state != SERVER_READY)
        return opening(client, store, err);
    if (server->warm && !warm_is_over(server))
        return WAITING;
    if (is_alike(client, server) && !journal && !server->silent_failed &&
        (server->line_count == 0 || server->visible > 0)) {
        *found = server;
        return ARRIVED;
    }
    if (!server_is_quiet(server))
        return WAITING;
    if (server->told_here == TOLD_NOW)
        server->told_here = server->reported.version;
    if (server->silent_failed)
        return join_failed(client, server, err);
    if (is_alike(client, server) && !journal) {
        *found = server;
        return ARRIVED;
    }
    if (!is_alike(client, server) && !join_make_alike(client, server, err))
        return REFUSED;
    if (journal && !say_journal(client, server, err))
        return REFUSED;
    if (server_is_quiet(server)) { /* there was nothing to say */
        *found = server;
        return ARRIVED;
    }
    return WAITING;
}

/* ---- leaving a branch ---- */

/* Role, database, options, SET: many things decide the isolation level. The branch itself is asked, once,
 * when it matters. WAITING: for its answer. */
static enum arrival learn_isolation(struct client *client, struct server *old)
{
    struct txn *txn = &client->txn;

    if (!old->asking) {
        server_ask(old, slice_of("SHOW transaction_isolation"));
        return WAITING;
    }
    if (!server_is_quiet(old))
        return WAITING;
    old->asking = false;
    txn->isolation =
        strncmp(old->captured, "read ", 5) == 0 ? 'c' : 'r'; /* not known: as if it had a snapshot */
    txn->isolation_known = true;
    return ARRIVED;
}

static enum arrival refuse_leave(struct client *client, const struct place *place, int index,
                                 struct error *err)
{
    const struct stores *stores = client->loop->shared->stores;
    const struct txn *txn = &client->txn;
    bool moved = place->tenant_rows && !place->default_rows && txn->tenant[0] != '\0' && !txn->read_other;

    if (moved && route_table_get(client->loop->table, txn->tenant) != NULL &&
        route_table_get(client->loop->table, txn->tenant)->store == &stores->at[index]) {
        error_set(err, "40001",
                  "tenant_moved: tenant \"%s\" has moved to store \"%s\" during this transaction",
                  txn->tenant, stores->at[index].name);
        error_hint(err, "Roll back and run the transaction again.");
        return REFUSED;
    }
    error_set(err, "0A000",
              "cross_store_transaction: the transaction works in store \"%s\", the statement in \"%s\"",
              stores->at[txn->branch].name, stores->at[index].name);
    error_detail(err, "One transaction touches one store.");
    error_hint(err,
               "Use one transaction per tenant, and keep tables of the default store out of a moved tenant's "
               "transactions.");
    return REFUSED;
}

static void leave(struct client *client, struct server *old)
{
    struct txn *txn = &client->txn;

    if (old->pipeline)
        server_say_sync(old, true);
    if (txn->open)
        server_say(old, slice_of("ROLLBACK"));
    txn->branch = -1;
    txn->read = txn->read_other = false;
}

enum arrival join_leave_branch(struct client *client, const struct place *place, int *index,
                               struct error *err)
{
    struct txn *txn = &client->txn;
    struct server *old = client->servers[txn->branch];

    if (old == NULL || old->state != SERVER_READY) {
        txn->branch = -1;
        return ARRIVED;
    }
    if (txn->wrote || (txn->open && (txn->pinned || txn->read_other || txn->overflow)))
        return refuse_leave(client, place, *index, err);
    if (old->visible > 0) { /* its answers come first; without a Sync it keeps them to itself */
        if (old->pipeline)
            write_flush(stream_out(&old->stream));
        return WAITING;
    }
    if (txn->open && txn->read && !txn->isolation_known && learn_isolation(client, old) == WAITING)
        return WAITING;
    if (txn->open && txn->read && txn->isolation != 'c') {
        if (place->write)
            return refuse_leave(client, place, *index, err);
        *index = txn->branch;
        return ARRIVED;
    }
    leave(client, old);
    return ARRIVED;
}
