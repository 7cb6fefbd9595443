/* book.c - see book.h. */
#include "proxy/book.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/branches.h"
#include "proxy/execute.h"
#include "proxy/loop.h"
#include "proxy/planning.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/twophase.h"

/* The text of statement `index`; .at NULL: it cannot be told apart from its neighbours. */
static struct slice piece(const struct message *message, size_t index)
{
    struct slice text;

    if (message->plan->statement_count == 1 && message->params != NULL)
        return message->text;
    return shape_statement(message->shape, message->text, index, &text) ? text : (struct slice){ 0 };
}

static void append_literal(struct buf *out, const char *text)
{
    buf_append_text(out, " E'");
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            buf_append(out, text, 1);
        buf_append(out, text, 1);
    }
    buf_append_text(out, "'");
}

/* A change whose value came as a parameter, in words that need none. */
static void reword_setting(const struct plan_statement *statement, struct buf *value, struct buf *words)
{
    buf_append_text(words, "SELECT pg_catalog.set_config(");
    append_literal(words, statement->name);
    buf_append_text(words, ",");
    append_literal(words, buf_text(value));
    buf_append_text(words, statement->kind == STATEMENT_SET_LOCAL ? ", true)" : ", false)");
}

static struct slice behind_call(struct slice text)
{
    static const char name[] = "set_config";

    for (; text.bytes >= sizeof name - 1; text.at++, text.bytes--)
        if (strncasecmp(text.at, name, sizeof name - 1) == 0)
            return (struct slice){ text.at + 1, text.bytes - 1 };
    return (struct slice){ 0 };
}

/* One SELECT, several set_config(): its name is one of theirs. */
static bool sets_several(struct slice text)
{
    struct slice behind = text.at == NULL ? text : behind_call(text);

    return behind.at != NULL && behind_call(behind).at != NULL;
}

static bool book_set(struct client *client, const struct message *message,
                     const struct plan_statement *statement, struct slice *text, struct buf *words)
{
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name);
    bool local = statement->kind == STATEMENT_SET_LOCAL, known, ok;
    struct slice said = { 0 };
    struct buf value;

    buf_init(&value);
    known = !statement->local_unknown &&
            attribute_set_value(statement, message->text, message->shape, message->params, &value);
    if (known)
        said = slice_of(buf_text(&value));
    if (message->params != NULL && message->params->count > 0) {
        if (known && name.at != NULL)
            reword_setting(statement, &value, words);
        *text = known && name.at != NULL ? slice_of(buf_text(words)) : (struct slice){ 0 };
    }
    if (client->shares && !local && sets_several(message->text))
        client->session.overflow = true; /* more names than are remembered: nobody else may get this server */
    ok = (local && !client->txn.open) ||
         session_set(&client->session, name, *text, said, local, (unsigned)client->txn.savepoint_count,
                     client_ends_with(client));
    buf_done(&value);
    return ok;
}

static void book_setting(struct client *client, const struct message *message,
                         const struct plan_statement *statement, struct slice text)
{
    struct session *session = &client->session;
    struct txn *txn = &client->txn;
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name);
    struct buf words;
    bool ok;

    buf_init(&words);
    if (statement->kind == STATEMENT_SET || statement->kind == STATEMENT_SET_LOCAL)
        ok = book_set(client, message, statement, &text, &words);
    else
        ok = session_reset(session, name, text, (unsigned)txn->savepoint_count, client_ends_with(client));
    if (text.at != NULL && (txn->open || !message->simple)) /* a Query is a transaction of its own */
        ok = txn_note(txn, text) && ok;
    if (statement->name == NULL || strcmp(statement->name, "transaction_isolation") == 0) {
        txn->isolation = 0;
        txn->isolation_known = false;
    }
    if (!ok || text.at == NULL) {
        txn->overflow = true;
        session->overflow = session->overflow || !ok || statement->kind != STATEMENT_SET_LOCAL;
    }
    buf_done(&words);
}

/* What RESET ALL leaves and DISCARD ALL does not. */
static void book_discarded_role(struct client *client)
{
    static const char *const names[] = { "session_authorization", "role" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!session_reset(&client->session, slice_of(names[i]), slice_of(""), 0, client_ends_with(client)))
            client->session.overflow = true;
}

/* Something that may fail stands before it, unanswered or in its own message, and while everybody was at home
 * nobody waited for that: what is remembered may not be what the server did. No other store can be told then.
 */
static void book_unsure(struct client *client, int store)
{
    struct server *server = store < 0 ? NULL : client->servers[store];

    if (client->place.settles_late || (server != NULL && owed_has(server, "QFE")))
        client->txn.overflow = true;
}

void book_end(struct client *client, const struct plan_statement *statement, int store)
{
    struct txn *txn = &client->txn;

    branches_end_later(client, store);
    if (statement->kind == STATEMENT_ROLLBACK)
        session_undo(&client->session, txn->open ? txn->first_sync : client->sync_sent + 1,
                     client->sync_sent + 1);
    else
        client->session.committed_sync = client->sync_sent + 1;
    if (statement->and_chain) {
        book_unsure(client, store);
        client->chain_sync = client->sync_sent + 1;
        txn_chain(txn, store < 0 ? txn->failed : client->place.failed);
        txn->first_sync = client->chain_sync + 1;
        return;
    }
    txn_reset(txn);
    if (store >= 0) /* until the Sync: what follows in the pipeline is an implicit transaction there */
        txn_join(txn, store);
}

void book_savepoint(struct client *client, const struct plan_statement *statement, struct slice text,
                    int store)
{
    struct txn *txn = &client->txn;
    const char *name = statement->name == NULL ? "" : statement->name;

    if (statement->kind != STATEMENT_SAVEPOINT)
        book_unsure(client, store);
    if (statement->kind == STATEMENT_SAVEPOINT) {
        if (text.at == NULL || !txn_savepoint(txn, text, name))
            txn->overflow = true;
    } else if (statement->kind == STATEMENT_RELEASE) {
        branches_tell(client, "RELEASE", name, store);
        if (txn_release(txn, name))
            session_release(&client->session, (unsigned)txn->savepoint_count);
    } else {
        branches_tell(client, "ROLLBACK TO", name, store);
        sow_drop(client);
        if (txn_rollback_to(txn, name))
            session_rollback_to(&client->session, (unsigned)txn->savepoint_count - 1);
    }
}

static void book_discard(struct client *client, struct server *server, const struct plan_statement *statement)
{
    if (statement->kind == STATEMENT_DISCARD_ALL ||
        (statement->kind == STATEMENT_DEALLOCATE && statement->name == NULL)) {
        session_forget_all(&client->session);
        made_done(&server->made);
    } else {
        session_forget(&client->session, slice_of(statement->name));
        made_gone(&server->made, slice_of(statement->name));
    }
}

/* LISTEN, UNLISTEN, and DISCARD ALL, which is one of all. */
static void book_channel(struct client *client, const struct plan_statement *statement, struct server *server)
{
    bool listen = statement->kind == STATEMENT_LISTEN;
    struct slice name = { 0 };

    if (statement->kind != STATEMENT_DISCARD_ALL && statement->name != NULL)
        name = slice_of(statement->name);
    if (client->routed && (!listen || name.at != NULL))
        channels_note(&client->session.channels, name, listen, server->store->index,
                      (unsigned)client->txn.savepoint_count, client->sync_sent + 1, client->session.mixed);
}

/* What the statement leaves at its store, or takes away there. */
static void book_belongings(struct client *client, const struct plan_statement *statement, unsigned store)
{
    struct belongings *belongings = &client->session.belongings;
    unsigned depth = (unsigned)client->txn.savepoint_count;
    uint64_t sync = client_ends_with(client);
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name);

    if (statement->created != NULL)
        belongings_note(belongings, BELONGING_TABLE, slice_of(statement->created), store, depth, sync);
    for (const char *at = statement->drops ? statement->defaults : NULL; at != NULL && *at != '\0';
         at += strlen(at) + 1)
        belongings_drop(belongings, BELONGING_TABLE, slice_of(at), depth, sync);
    if (statement->kind == STATEMENT_DECLARE && name.bytes > 0)
        belongings_note(belongings, statement->with_hold ? BELONGING_HELD : BELONGING_CURSOR, name, store,
                        depth, sync);
    if (statement->closes)
        belongings_drop(belongings, BELONGING_CURSOR, name, depth, sync);
    if (statement->advisory && !statement->unlocks)
        belongings_note(belongings, BELONGING_LOCK, (struct slice){ 0 }, store, depth, sync);
    if (statement->kind == STATEMENT_DISCARD_ALL) {
        belongings_drop(belongings, BELONGING_TABLE, (struct slice){ 0 }, depth, sync);
        belongings_drop(belongings, BELONGING_CURSOR, (struct slice){ 0 }, depth, sync);
    }
}

/* Where the client means all stores that it has something at, and the statement goes to one. */
static void tell_others(struct client *client, const struct plan_statement *statement, unsigned store)
{
    bool all = statement->kind == STATEMENT_DISCARD_ALL;
    struct buf text;

    if (!all && !statement->unlocks_all && !(statement->closes && statement->name == NULL))
        return;
    buf_init(&text);
    if (all || statement->closes)
        buf_append_text(&text, "CLOSE ALL;");
    if (all || statement->unlocks_all)
        buf_append_text(&text, "SELECT pg_catalog.pg_advisory_unlock_all();");
    if (all)
        buf_append_text(&text, "DISCARD TEMP;");
    for (size_t i = 0; i < client->loop->shared->stores->count; i++) {
        struct server *server = client->servers[i];

        if (i == store || server == NULL || server->state != SERVER_READY || server->tx_status != 'I' ||
            !belongings_are_at(&client->session.belongings, (unsigned)i))
            continue;
        server_say(server, buf_slice(&text));
        stream_flush(&server->stream);
    }
    buf_done(&text);
    if (all || statement->unlocks_all)
        belongings_unlock_all(&client->session.belongings);
}

/* SQL's PREPARE is remembered like Parse: the names are the same. */
static void book_prepare(struct client *client, const struct plan_statement *statement, struct slice text,
                         struct server *server)
{
    struct prepared *prepared = session_find(&client->session, slice_of(statement->name));
    struct plan *plan = NULL;

    if (prepared != NULL || text.at == NULL) {
        if (prepared != NULL)
            prepared->doubt = true;
        return;
    }
    if (!planning_plan(client, text, &plan))
        return; /* unknown at EXECUTE */
    prepared =
        session_prepare(&client->session, slice_of(statement->name), text, NULL, 0, plan, &client->shape);
    if (prepared == NULL) {
        plan_give(plan);
        return;
    }
    prepared->sql = true;
    planning_note(client, prepared);
    made_note(&server->made, prepared->name, prepared->serial, false);
}

/* Others may share what the client calls so: there is something of that name, and DEALLOCATE takes that. */
static void book_make_deallocated(struct client *client, const struct plan_statement *statement,
                                  struct server *server)
{
    if (statement->name != NULL && !arrive_has_failed(client) &&
        session_find(&client->session, slice_of(statement->name)) != NULL &&
        !made_knows(&server->made, slice_of(statement->name)))
        server_say_dummy(server, slice_of(statement->name));
}

/* The server has what an EXECUTE in the message names, and nothing else under the name of a PREPARE. */
void book_make_executed(struct client *client, const struct message *message, struct server *server)
{
    if (message->plan == NULL || !message->plan->parsed)
        return;
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement = &message->plan->statements[i];
        struct prepared *prepared;

        if (statement->kind == STATEMENT_PREPARE && message->simple && !arrive_has_failed(client) &&
            session_find(&client->session, slice_of(statement->name)) == NULL)
            server_say_deallocate(server, slice_of(statement->name));
        if (statement->kind == STATEMENT_DEALLOCATE && client->shares)
            book_make_deallocated(client, statement, server);
        if (statement->kind != STATEMENT_EXECUTE || statement->name == NULL)
            continue;
        prepared = session_find(&client->session, slice_of(statement->name));
        if (prepared == NULL || prepared->doubt || server_has_own(server, prepared))
            continue;
        server_say_own(server, prepared);
    }
}

void book_begin(struct client *client, struct slice text, char isolation)
{
    struct txn *txn = &client->txn;

    if (!txn->open) {
        txn->first_sync = client->sync_sent + 1;
        txn_look(txn, client->loop->table);
    }
    if (text.at == NULL || !txn_begin(txn, text, isolation))
        txn->open = txn->overflow = true; /* cannot be told to another server */
}

static void book_one(struct client *client, const struct message *message, size_t index,
                     struct server *server)
{
    const struct plan_statement *statement = &message->plan->statements[index];
    struct slice text = piece(message, index);
    struct txn *txn = &client->txn;

    if (message->runs_prepare)
        return;
    switch (statement->kind) {
    case STATEMENT_BEGIN:
        book_begin(client, text, statement->isolation);
        break;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
    case STATEMENT_PREPARE_TRANSACTION:
        book_end(client, statement, (int)server->store->index);
        break;
    case STATEMENT_COMMIT_PREPARED:
    case STATEMENT_ROLLBACK_PREPARED:
        twophase_forget(client);
        break;
    case STATEMENT_SAVEPOINT:
    case STATEMENT_RELEASE:
    case STATEMENT_ROLLBACK_TO:
        book_savepoint(client, statement, text, (int)server->store->index);
        break;
    case STATEMENT_SET_TRANSACTION:
        if (statement->isolation != 0)
            txn->isolation = statement->isolation;
        txn->isolation_known = false;
        if (txn->open && (text.at == NULL || !txn_note(txn, text)))
            txn->overflow = true;
        break;
    case STATEMENT_SET:
    case STATEMENT_SET_LOCAL:
    case STATEMENT_RESET:
    case STATEMENT_RESET_ALL:
        book_setting(client, message, statement, text);
        break;
    case STATEMENT_DISCARD_ALL: /* on a server that joins there is nothing to discard but settings */
        book_setting(client, message, statement, slice_of("RESET SESSION AUTHORIZATION; RESET ALL"));
        book_discarded_role(client);
        book_discard(client, server, statement);
        book_channel(client, statement, server);
        break;
    case STATEMENT_LISTEN:
    case STATEMENT_UNLISTEN:
        book_channel(client, statement, server);
        break;
    case STATEMENT_DEALLOCATE:
        book_discard(client, server, statement);
        break;
    case STATEMENT_PREPARE:
        book_prepare(client, statement, text, server);
        break;
    default:
        break;
    }
}

/* Some setting has changed, and which one cannot be read. */
static void book_unknown(struct client *client)
{
    session_set(&client->session, (struct slice){ 0 }, slice_of(""), (struct slice){ 0 }, false,
                (unsigned)client->txn.savepoint_count, client_ends_with(client));
    client->session.overflow = true; /* and cannot be made again elsewhere */
}

static bool ends_and_goes_on(const struct plan *plan)
{
    for (size_t i = 0; i + 1 < plan->statement_count; i++)
        if (plan->statements[i].kind == STATEMENT_COMMIT || plan->statements[i].kind == STATEMENT_ROLLBACK)
            return true;
    return false;
}

/* What no other client may find, or this one miss: the server is its own from now on. DISCARD ALL alone
 * undoes all of it, but for a library. */
static void book_pin(struct client *client, const struct message *message,
                     const struct plan_statement *statement, struct server *server)
{
    if (!client->shares)
        return;
    if (statement->keeps != NULL && statement->kind != STATEMENT_PREPARE)
        server_pin(server, statement->keeps, strcmp(statement->keeps, "a library") == 0);
    else if (statement->kind == STATEMENT_DISCARD_ALL && message->simple && !client->txn.open &&
             message->plan->statement_count == 1 && !server->spoilt)
        server->pinned = NULL;
}

/* The one used last knows the whole journal. */
static void book_told(struct txn *txn)
{
    struct branch *branch = txn_at(txn, txn->branch);

    if (branch != NULL)
        branch->journal_at = txn->journal_count;
}

void book_message(struct client *client, const struct message *message, struct server *server)
{
    static const struct plan_statement unread = { .class = CLASS_WRITE };
    struct txn *txn = &client->txn;
    bool failed = arrive_has_failed(client);

    client->last_store = (int)server->store->index;
    txn_join(txn, client->last_store);
    if (message->plan == NULL || !message->plan->parsed) {
        server->doubtful = message->plan != NULL;
        txn_used(txn, txn_at(txn, client->last_store), &unread, client->loop->table);
        return;
    }
    if (txn->tenant[0] == '\0' && client->place.tenant[0] != '\0')
        memcpy(txn->tenant, client->place.tenant, sizeof txn->tenant);
    txn->several = txn->several || client->place.several ||
                   (client->place.tenant[0] != '\0' && strcmp(txn->tenant, client->place.tenant) != 0);
    client->session.mixed = ends_and_goes_on(message->plan);
    if (client->session.committed_sync == client->sync_sent + 1)
        session_mix(&client->session);
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement;
        struct running running;

        execute_resolve(client, message, i, &running);
        statement = running.statement;
        if (failed && statement->kind != STATEMENT_COMMIT && statement->kind != STATEMENT_ROLLBACK &&
            statement->kind != STATEMENT_ROLLBACK_TO)
            continue; /* PostgreSQL answers 25P02 */
        if (failed)
            client->healing_sync = client->sync_sent + 1;
        failed = false;
        if (statement->kind != STATEMENT_PREPARE) /* runs nothing */
            txn_used(txn, txn_join(txn, client->last_store), statement, client->loop->table);
        if (statement->kind != STATEMENT_PREPARE)
            sow_note(client, &running);
        tell_others(client, statement, server->store->index);
        book_belongings(client, statement, server->store->index);
        book_one(client, message, i, server);
        book_pin(client, message, statement, server);
        if (statement->sets && statement->kind == STATEMENT_PREPARE)
            client->session.prepared_sets = true;
        else if (statement->sets || (statement->kind == STATEMENT_EXECUTE && statement->tenants_partial &&
                                     client->session.prepared_sets))
            book_unknown(client);
        if (statement->shadows)
            client->session.temp_shadows = true;
        if (statement->ddl && (statement->tables & (TABLES_EVENT | TABLES_COMPANION)))
            client->redefines = true;
    }
    book_told(txn);
}

/* Real news: a BEGIN that failed, a procedure that committed, a COMMIT that did not happen. */
void book_reconcile(struct client *client, struct server *server, char tx_status)
{
    struct txn *txn = &client->txn;
    int index = (int)server->store->index;

    if (tx_status == 'I' && txn->open && txn->branch == index) {
        branches_abandon(client, index);
        txn_reset(txn);
    } else if (tx_status != 'I' && !txn->open && !txn->lost) {
        txn_reset(txn);
        txn->open = txn->overflow =
            true; /* begun in a way we did not see: cannot be told to another server */
        txn_join(txn, index)->wrote = true;
    }
}
