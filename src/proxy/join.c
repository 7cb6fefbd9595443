/* join.c - see join.h. */
#include "proxy/join.h"

#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/branches.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/server_say.h"
#include "wire/write.h"

/* ---- making a server like the session ---- */

static const uint64_t TOLD_NOW = UINT64_MAX; /* told_here: its reports are on their way */

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

/* Role and database settings may differ between servers; what the client was told must stay true. Behind
 * other changes (a RESET ALL brings the server's own values back) nothing that it has reported counts. */
static void append_reported(struct client *client, struct server *server, struct buf *text)
{
    const struct report *told = &client->session.reported;
    bool changed = buf_bytes(text) > 0;

    for (size_t i = 0; i < REPORT_SLOTS; i++) {
        const char *value = report_slot(told, i), *there = report_slot(&server->reported, i);

        if (value == NULL || (!changed && there != NULL && strcmp(value, there) == 0) ||
            strchr(value, '\\') != NULL || session_is_changing(&client->session, report_slot_name(i)))
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

/* A branch of the transaction was made like the session when it joined, and hears of what has changed since
 * by the journal; a Query of ours in the middle of its pipeline would end it. What the client was told counts
 * only where it can be changed: in a transaction, its own SETs come by the journal. */
static bool is_alike(struct client *client, const struct server *server)
{
    if (txn_at(&client->txn, (int)server->store->index) != NULL)
        return true;
    return join_is_worn(client, server) &&
           (session_is_changing(&client->session, NULL) || is_told(client, server) ||
            report_is_alike(&client->session.reported, &server->reported));
}

/* ---- the transaction so far ---- */

/* What the journal has that the server has not been told. Nothing is told to a failed transaction, nor to one
 * that is rolled back now. */
static bool is_behind(struct client *client, const struct server *server)
{
    struct txn *txn = &client->txn;
    int index = (int)server->store->index;
    const struct branch *branch;

    if ((!txn->open && txn->journal_count == 0 && !txn->overflow) || client->place.failed)
        return false;
    branch = txn_at(txn, index);
    if (branch == NULL)
        return true;
    if (client->place.rolls_back || txn->branch == index)
        return false;
    return txn->overflow || branch->journal_at < txn->journal_count;
}

static bool say_journal(struct client *client, struct server *server, struct error *err)
{
    struct txn *txn = &client->txn;
    struct branch *branch;
    size_t from;

    if (txn->overflow) {
        error_set(err, "0A000", "cross_store_transaction: the transaction cannot be told to store \"%s\"",
                  server->store->name);
        return error_hint(
            err, "It began in a way pgshunt did not see, or its journal is too long. Begin it anew.");
    }
    branch = txn_join(txn, (int)server->store->index);
    from = branch->journal_at;
    branch->journal_at = txn->journal_count;
    for (size_t i = from; i < txn->journal_count && server->state == SERVER_READY; i++)
        (txn->open ? server_say : server_say_in_pipeline)(server, slice_of(txn->journal[i]));
    if (server->state == SERVER_READY && txn->open && txn->branch_count > 1 && !txn->isolation_known)
        server_say_asking(server,
                          slice_of("SHOW transaction_isolation")); /* it decides how they end together */
    if (server->state == SERVER_READY)
        return true;
    *err = client->lost_why;
    return false;
}

/* Role, database, options, SET: many things decide the isolation level, and the server itself knows. */
static void take_isolation(struct client *client, struct server *server)
{
    struct txn *txn = &client->txn;

    server->asking = false;
    if (!txn->open)
        return;
    if (strncmp(server->captured, "read ", 5) == 0)
        txn->isolation = 'c';
    else
        txn->isolation =
            strcmp(server->captured, "repeatable read") == 0 ? 'r' : 's'; /* not known: strictest */
    txn->isolation_known = true;
}

enum arrival join_learn_isolation(struct client *client, struct server *server)
{
    if (!server->asking) {
        server_say_asking(server, slice_of("SHOW transaction_isolation"));
        return WAITING;
    }
    if (!server_is_quiet(server))
        return WAITING;
    take_isolation(client, server);
    return ARRIVED;
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

/* What was said silently did not go well: the server is no place for this statement. A branch that had no
 * other is left; the statement's refusal then fails one that is older. */
static enum arrival join_failed(struct client *client, struct server *server, struct error *err)
{
    struct txn *txn = &client->txn;
    struct branch *branch = txn_at(txn, (int)server->store->index);

    *err = server->silent_why;
    server->silent_failed = server->asking = false;
    server->wear_unknown = true;
    if (txn->open && branch != NULL && txn_is_bare(branch)) {
        server_say_quietly(server, slice_of("ROLLBACK"));
        txn_leave(txn, branch->store);
    }
    return REFUSED;
}

/* It failed where the client does not look, and a ROLLBACK TO has healed it since. */
static bool is_healed(struct client *client, const struct server *server)
{
    return client->txn.open && server->tx_status == 'T' && !server->wear_unknown &&
           txn_at(&client->txn, (int)server->store->index) != NULL;
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

/* Nothing is told to a transaction that has failed: it would answer 25P02. */
static bool is_failed_branch(const struct client *client, const struct server *server)
{
    return client->place.failed && server->ends_sync == 0 && !server->asking && server->tx_status == 'E' &&
           (server->line_count == 0 || server->visible > 0) &&
           txn_at((struct txn *)&client->txn, (int)server->store->index) != NULL;
}

enum arrival join_server(struct client *client, const struct store *store, struct server **found,
                         struct error *err)
{
    struct server *server = client->servers[store->index];
    bool journal;

    if (server == NULL && client->shares) {
        enum arrival arrival = lend_server(client, store, err);

        if (arrival != ARRIVED)
            return arrival;
        server = client->servers[store->index];
    }
    if (server == NULL || server->state != SERVER_READY)
        return opening(client, store, err);
    if (server->warm && !warm_is_over(server))
        return WAITING;
    if (is_failed_branch(client, server)) {
        server->silent_failed = false;
        *found = server;
        return ARRIVED;
    }
    if (server->ends_sync != 0)
        branches_end_now(client, server);
    /* At once: what it reports later is another one's doing (a RESET), and is to be made alike again. */
    if (server->told_here == TOLD_NOW && server_is_quiet(server))
        server->told_here = server->reported.version;
    journal = is_behind(client, server);
    if (is_alike(client, server) && !journal && !server->silent_failed && !server->asking &&
        (server->line_count == 0 || server->visible > 0)) {
        *found = server;
        return ARRIVED;
    }
    if (!server_is_quiet(server)) {
        if (server->pipeline)
            write_flush(stream_out(&server->stream));
        return WAITING;
    }
    if (server->silent_failed && !is_healed(client, server))
        return join_failed(client, server, err);
    server->silent_failed = false;
    if (server->asking)
        take_isolation(client, server);
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
