/* lost.c - see lost.h. */
#include "proxy/lost.h"

#include <string.h>

#include "base/clock.h"
#include "proxy/branches.h"
#include "proxy/copying.h"
#include "proxy/hear.h"
#include "proxy/loop.h"
#include "proxy/outcome.h"
#include "proxy/owed.h"
#include "proxy/warm.h"
#include "wire/write.h"

enum { LEND_TRIES_MAX = 3 };

/* Its COMMIT was on the way, or done: only the store knows. */
static void outcome_unknown(struct error *unknown, const struct error *why)
{
    error_set(unknown, "08007", "transaction resolution unknown: the store was lost while it committed");
    error_detail(unknown, "%s", why->message);
    error_hint(unknown, "Look whether what the transaction wrote is there before it is tried again.");
}

/* The block that is open when all owed answers are in has failed. Before its BEGIN there is none. */
static char status_behind(const struct client *client, struct server *server)
{
    return client->txn.open && !owed_ends(server, false) ? 'E' : 'I';
}

/* Answers what the lost server owed: an error for every statement, a ReadyForQuery for every one that was
 * due. */
static void answer_for(struct client *client, struct server *server, const struct error *why)
{
    struct buf *out = stream_out(&client->stream);
    bool told = false;
    struct request *head;
    struct error unknown;

    outcome_unknown(&unknown, why);
    while ((head = owed_head(server)) != NULL) {
        char kind = head->silent ? 0 : head->kind;

        uint64_t from = head->ordinal + head->done, until = head->ordinal + head->statements;
        char ready = head->ready;
        bool failed = head->failed;

        if (kind == REQUEST_LOCAL) {
            stream_send(&client->stream, buf_at(&head->local), buf_bytes(&head->local));
        } else if (kind != 0) {
            if (!told && (kind != 'S' || client->outcome_failed == false))
                write_error(out, "ERROR", owed_ends(server, true) ? &unknown : why);
            told = true;
            journal_failed(&client->session.journal, from, until);
        }
        owed_pop(server);
        if (kind == REQUEST_LOCAL)
            client_said(client, ready, failed, until);
        if (kind == 'Q' || kind == 'S' || kind == 'F') {
            char status = status_behind(client, server);

            write_ready(out, status);
            client->outcome_failed = true;
            told = false;
            outcome_ready(client, NULL, status, until);
        }
    }
    client->skip_to_sync = client->skip_to_sync || told;
}

/* It was refused, by the store or by us who could not answer what it asked for. */
static bool is_unwilling(const struct server *server)
{
    return server->why_from_server || strncmp(server->why.sqlstate, "28", 2) == 0;
}

/* The home store is down, not unwilling: a tenant that lives elsewhere can still be served. */
void lost_home(struct client *client, const struct error *why, bool unwilling)
{
    if (unwilling || !client->routed || route_table_away_count(client->loop->table) == 0 ||
        !remember_recall(client->loop->remember, client->user, client->database, &client->session))
        client_fail(client, why);
    else
        client_welcome(client);
}

static void begin_without_home(struct client *client, struct server *server, const struct error *why)
{
    bool unwilling = is_unwilling(server);

    client->servers[server->store->index] = NULL;
    server_close(server);
    lost_home(client, why, unwilling);
}

/* What it needed there was nothing that another server of the pool could not do as well. */
static bool may_try_another(struct client *client, const struct server *server)
{
    return client->shares && server->visible == 0 && server->pinned == NULL &&
           txn_at(&client->txn, (int)server->store->index) == NULL && ++client->lend_tries <= LEND_TRIES_MAX;
}

/* PostgreSQL would have ended the session, and another server cannot go on with this one: it had something
 * there that cannot be made again, or it was told to go for being silent. */
static bool ends_session(const struct client *client, const struct server *server)
{
    const char *sqlstate = server->why.sqlstate;
    unsigned index = server->store->index;

    if (client->replication || belongings_are_at(&client->session.belongings, index))
        return true;
    if (!server->why_from_server)
        return false;
    if (strcmp(sqlstate, "25P03") == 0) /* idle_in_transaction_session_timeout */
        return txn_at((struct txn *)&client->txn, (int)index) != NULL;
    return strcmp(sqlstate, "57P05") == 0 && client->last_store == (int)index && client->tx_status == 'I' &&
           client->sync_sent == client->sync_seen; /* idle_session_timeout: not of a store left behind */
}

void lost_server(struct client *client, struct server *server)
{
    int index = (int)server->store->index;
    struct error why = server->why;
    bool owed = server->visible > 0, cut = server->passing_bytes > 0 && !server->passing_silent;
    bool again = may_try_another(client, server);

    if (client->ear != NULL) {
        hear_server_lost(client, server);
        return;
    }
    if (client->state == CLIENT_LOGIN) {
        begin_without_home(client, server, &why);
        return;
    }
    client->lost_why = why;
    if (server->warm || client->warm_wanted)
        warm_lost(client, server);
    log_error(client->loop->shared->log, LOG_WARN, "proxy", &why, "user \"%s\" lost store \"%s\"",
              client->user, server->store->name);
    if (ends_session(client, server)) {
        if (cut)
            client_close(client);
        else
            client_fail(client, &why);
        return;
    }
    copying_failed(client, server);
    if (owed)
        answer_for(client, server, &why);
    else if (!again && !server->warm && index == client->last_store && index == client->home_store &&
             client->state == CLIENT_IDLE) {
        client->refused = true; /* what the session had there is gone: its next statement says so, once */
        client->refused_why = why;
    }
    client->servers[index] = NULL;
    if (client->answering == index)
        client->answering = -1;
    if (txn_at(&client->txn, index) != NULL) {
        branches_abandon(client, index);
        if (client->txn.open) { /* what follows of it, sent already perhaps, must not run on its own */
            txn_fail(&client->txn);
            client->txn.lost = !owed && !client->refused;
        } else {
            txn_reset(&client->txn);
        }
        session_lost(&client->session, client->answering >= 0);
        sow_drop(client);
        gates_leave(&client->passes, UINT64_MAX, clock_ms());
    }
    client->lent -= server->seat.pool != NULL;
    server_close(server);
    if (cut) { /* half a row has been sent: nothing can be said in its middle */
        client_close(client);
        return;
    }
    if ((client->state == CLIENT_JOINING || client->state == CLIENT_SWITCHING) &&
        client->waiting_store == index && !client->skip_to_sync && !again) {
        client->txn.lost = false; /* said once, by this */
        client->refused = true;
        client->refused_why = why;
    }
    channels_lost(&client->session.channels, (unsigned)index); /* from now on the shared listener tells it */
    hear_settle(client);
    client_retry(client);
}
