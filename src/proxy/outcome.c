/* outcome.c - see outcome.h. */
#include "proxy/outcome.h"

#include "base/clock.h"
#include "proxy/book.h"
#include "proxy/branches.h"
#include "proxy/hear.h"
#include "proxy/idle.h"
#include "proxy/join.h"
#include "proxy/loop.h"
#include "proxy/warm.h"

static void report_definition(struct client *client)
{
    struct stale_letter *letter = stale_letter_new(STALE_CATALOGUE, "");

    client->redefines = false;
    if (letter != NULL)
        letter_send(client->loop->shared->switchboard->control, &letter->letter);
}

/* What the transaction was has been decided. */
static void transaction_ended(struct client *client, struct server *server)
{
    if (client->redefines)
        report_definition(client);
    cursors_end(&client->cursors, client->sync_seen);
    if (client->sow.count > 0 || client->sow.unsettles > 0)
        sow_ended(client, client->outcome_failed);
    if (server != NULL && server->doubtful && !client->outcome_failed && client->shares)
        server_pin(server, "a statement that pgshunt cannot read", true);
    if (server != NULL)
        server->doubtful = false;
    client->outcome_failed = false;
    hear_flush(client);
    stats_add(client->loop->stats, STAT_TRANSACTIONS, 1);
    if (client->passes != NULL) {
        warm_note(client);
        gates_leave(&client->passes, client->sync_seen, clock_ms());
    }
}

/* The session has become what its statements made it, and the server that ran them with it. */
static void settle(struct client *client, struct server *server, char tx_status, uint64_t until)
{
    struct session *session = &client->session;
    uint64_t version = session->version;
    bool alike = server != NULL && session->journal.steps != NULL && join_is_worn(client, server);

    journal_ready(&session->journal, until, tx_status);
    if (alike && session->version != version)
        join_wears(client, server);
}

void outcome_ready(struct client *client, struct server *server, char tx_status, uint64_t until)
{
    bool over;

    client->sync_seen++;
    client->tx_status = tx_status;
    idle_answered(client);
    client->error_seen = false;
    over = tx_status == 'I' || (tx_status == 'T' && client->sync_seen == client->chain_sync);
    if (over)
        branches_ended(client); /* they keep what the journal still has */
    settle(client, server, tx_status, until);
    client->committed = false;
    if (over)
        transaction_ended(client, server);
    hear_settle(client);
    if (client->session.belongings.sweeps != 0)
        book_sweep(client);
    if (client->sync_seen == client->sync_sent && server != NULL)
        book_reconcile(client, server, tx_status);
}
