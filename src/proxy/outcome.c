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
    bool alike = server != NULL && client->session.pending != NULL && join_is_worn(client, server);

    branches_ended(client);
    if (client->redefines)
        report_definition(client);
    cursors_end(&client->cursors, client->sync_seen);
    if (client->outcome_failed)
        session_rollback(&client->session, client->sync_seen);
    else
        session_commit(&client->session, client->sync_seen);
    if (client->sow.count > 0 || client->sow.unsettles > 0)
        sow_ended(client, client->outcome_failed);
    if (alike)
        join_wears(client, server);
    if (server != NULL && server->doubtful && !client->outcome_failed && client->shares)
        server_pin(server, "a statement that pgshunt cannot read", true);
    if (server != NULL)
        server->doubtful = false;
    client->outcome_failed = false;
    hear_settle(client);
    hear_flush(client);
    stats_add(client->loop->stats, STAT_TRANSACTIONS, 1);
    if (client->passes != NULL) {
        warm_note(client);
        gates_leave(&client->passes, client->sync_seen, clock_ms());
    }
}

void outcome_ready(struct client *client, struct server *server, char tx_status)
{
    client->sync_seen++;
    client->tx_status = tx_status;
    idle_answered(client);
    client->error_seen = false;
    if (tx_status == 'I' || (tx_status == 'T' && client->sync_seen == client->chain_sync))
        transaction_ended(client, server);
    else
        session_not_undone(&client->session, client->sync_seen);
    if (client->sync_seen == client->sync_sent && server != NULL)
        book_reconcile(client, server, tx_status);
}
