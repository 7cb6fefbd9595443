/* local.c - see local.h. */
#include "proxy/local.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "proxy/book.h"
#include "proxy/loop.h"
#include "wire/write.h"

static char status_of(const struct client *client)
{
    return client->txn.failed ? 'E' : client->txn.open ? 'T' : 'I';
}

/* Says `answer` and a ReadyForQuery of our own behind it. */
void local_ready(struct client *client, struct buf *answer, bool failed)
{
    char status = status_of(client);

    write_ready(answer, status);
    client_asks_ready(client);
    client_say(client, answer, status, failed);
}

bool local_answers(const struct client *client, const struct plan *plan)
{
    const struct txn *txn = &client->txn;
    const struct plan_statement *statement;

    if (!client->routed || plan == NULL || !plan->parsed || plan->statement_count != 1)
        return false;
    statement = &plan->statements[0];
    if (!txn->open)
        return statement->kind == STATEMENT_BEGIN && txn->branch < 0 &&
               route_table_away_count(client->loop->table) > 0;
    if (txn->branch >= 0)
        return false;
    switch (statement->kind) {
    case STATEMENT_COMMIT: /* who believes that it can be committed must hear that it was lost */
        return !txn->lost && !client->refused;
    case STATEMENT_ROLLBACK:
        return true;
    case STATEMENT_SAVEPOINT:
        return !txn->failed;
    case STATEMENT_RELEASE:
        return !txn->failed && txn_has_savepoint(txn, statement->name);
    case STATEMENT_ROLLBACK_TO:
        return txn_has_savepoint(txn, statement->name);
    default:
        return false;
    }
}

/* "START TRANSACTION" has a tag of its own. */
static const char *begin_tag(struct slice text)
{
    while (text.bytes > 0 && isspace((unsigned char)*text.at)) {
        text.at++;
        text.bytes--;
    }
    return text.bytes >= 5 && strncasecmp(text.at, "start", 5) == 0 ? "START TRANSACTION" : "BEGIN";
}

static bool run(struct client *client, const struct plan_statement *statement, struct slice text,
                struct buf *answer)
{
    struct txn *txn = &client->txn;
    bool failed = txn->failed;

    switch (statement->kind) {
    case STATEMENT_BEGIN:
        book_begin(client, text, statement->isolation);
        write_command_complete(answer, begin_tag(text));
        break;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
        failed = failed || statement->kind == STATEMENT_ROLLBACK;
        write_command_complete(answer, failed ? "ROLLBACK" : "COMMIT");
        book_end(client, statement, -1);
        return !failed;
    case STATEMENT_SAVEPOINT:
        book_savepoint(client, statement, text, -1);
        write_command_complete(answer, "SAVEPOINT");
        break;
    case STATEMENT_RELEASE:
        book_savepoint(client, statement, text, -1);
        write_command_complete(answer, "RELEASE");
        break;
    default:
        book_savepoint(client, statement, text, -1);
        txn->failed = false;
        write_command_complete(answer, "ROLLBACK");
    }
    return true;
}

bool local_run(struct client *client, const struct plan_statement *statement, struct slice text,
               struct buf *answer)
{
    bool well;

    client->session.journal.at = client->session.journal.said;
    well = run(client, statement, text, answer);
    client->session.journal.said++;
    return well;
}

bool local_bad_news(struct client *client, struct error *err)
{
    if (client->refused) {
        client->refused = false;
        *err = client->refused_why;
        return true;
    }
    if (!client->txn.lost)
        return false;
    client->txn.lost = false;
    *err = client->lost_why;
    error_detail(err,
                 "The transaction was lost with the connection to its store; nothing of it was committed.");
    error_hint(err, "ROLLBACK, then begin it again.");
    return true;
}

/* A COMMIT that is answered with an error has ended the transaction all the same. */
static void end_unwell(struct client *client, const struct plan *plan)
{
    struct buf unsaid;

    if (plan == NULL || !plan->parsed || plan->statement_count != 1 ||
        plan->statements[0].kind != STATEMENT_COMMIT)
        return;
    buf_init(&unsaid);
    local_run(client, &plan->statements[0], (struct slice){ 0 }, &unsaid);
    buf_done(&unsaid);
}

void local_failed(struct client *client, const struct plan *plan, struct error *err)
{
    if (local_bad_news(client, err))
        end_unwell(client, plan);
    else if (plan != NULL && plan->parsed && plan->statement_count == 1 &&
             plan->statements[0].kind == STATEMENT_ROLLBACK_TO)
        error_set(err, "3B001", "savepoint \"%s\" does not exist", plan->statements[0].name);
    else
        error_set(err, "25P02",
                  "current transaction is aborted, commands ignored until end of transaction block");
}

void local_drop_portal(struct client *client)
{
    free(client->local_portal);
    plan_give(client->local_plan);
    free((char *)client->local_text.at);
    client->local_portal = NULL;
    client->local_plan = NULL;
    client->local_text = (struct slice){ 0 };
}
