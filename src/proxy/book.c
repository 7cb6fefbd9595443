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

    if (message->bound != NULL || (message->plan->statement_count == 1 && message->params != NULL))
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

/* For other servers that the transaction joins. A SET LOCAL outside a block lasts until the Sync: a server
 * that is told so by a message of its own has forgotten it by then. */
static bool note_told(struct client *client, const struct message *message, struct slice text)
{
    if (!client->txn.open && message->simple) /* a Query is a transaction of its own */
        return true;
    return txn_note(&client->txn, text);
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

/* The value that a SET gives; in `words` how to say it without parameters, empty: as it was said. */
static bool read_setting(const struct message *message, const struct plan_statement *statement,
                         struct buf *value, struct buf *words)
{
    bool known = !statement->local_unknown &&
                 attribute_set_value(statement, message->text, message->shape, message->params, value);

    if (known && statement->name != NULL && message->params != NULL && message->params->count > 0)
        reword_setting(statement, value, words);
    return known;
}

/* What is said to another server; .at NULL: nothing that it would understand. */
static struct slice said_again(const struct message *message, struct slice text, const struct buf *words)
{
    if (buf_bytes(words) > 0)
        return buf_slice(words);
    return message->params != NULL && message->params->count > 0 ? (struct slice){ 0 } : text;
}

static bool note_set(struct client *client, const struct message *message,
                     const struct plan_statement *statement, struct slice *text)
{
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name),
                 said = { 0 };
    bool local = statement->kind == STATEMENT_SET_LOCAL, ok;
    struct bound *bound = message->bound;
    struct buf value, words;

    buf_init(&value);
    buf_init(&words);
    if (bound != NULL) {
        if (bound->value != NULL && !bound->executed)
            said = slice_of(bound->value);
        if (bound->executed) /* whether it sets anything again is not known */
            *text = (struct slice){ 0 };
        else if (bound->words.at != NULL)
            *text = bound->words;
        else if (bound->parameters)
            *text = (struct slice){ 0 };
    } else {
        if (read_setting(message, statement, &value, &words))
            said = slice_of(buf_text(&value));
        *text = said_again(message, *text, &words);
    }
    if (client->shares && !local && sets_several(message->text))
        client->session.overflow = true; /* more names than are remembered: nobody else may get this server */
    ok = session_set(&client->session, name, *text, said, local) &&
         (text->at == NULL || note_told(client, message, *text));
    buf_done(&value);
    buf_done(&words);
    return ok;
}

static void book_setting(struct client *client, const struct message *message,
                         const struct plan_statement *statement, struct slice text)
{
    struct session *session = &client->session;
    struct txn *txn = &client->txn;
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name);
    bool ok;

    if (statement->kind == STATEMENT_SET || statement->kind == STATEMENT_SET_LOCAL)
        ok = note_set(client, message, statement, &text);
    else
        ok = session_reset(session, name, text) && (text.at == NULL || note_told(client, message, text));
    if (statement->name == NULL || strcmp(statement->name, "transaction_isolation") == 0) {
        txn->isolation = 0;
        txn->isolation_known = false;
    }
    if (!ok || text.at == NULL) {
        txn->overflow = true;
        session->overflow = session->overflow || !ok || statement->kind != STATEMENT_SET_LOCAL;
    }
}

/* What RESET ALL leaves and DISCARD ALL does not. */
static void book_discarded_role(struct client *client)
{
    static const char *const names[] = { "session_authorization", "role" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!session_reset(&client->session, slice_of(names[i]), slice_of("")))
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

    bool failed = store < 0 ? txn->failed : client->place.failed;

    branches_end_later(client, store);
    client->sow.ended_sync = client->sync_sent + 1;
    session_say(&client->session,
                statement->kind == STATEMENT_ROLLBACK || failed ? JOURNAL_ROLLBACK : JOURNAL_COMMIT, NULL);
    if (statement->and_chain) {
        book_unsure(client, store);
        client->chain_sync = client->sync_sent + 1;
        txn_chain(txn, failed);
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
        session_say(&client->session, JOURNAL_SAVEPOINT, name);
        if (text.at == NULL || !txn_savepoint(txn, text, name))
            txn->overflow = true;
    } else if (statement->kind == STATEMENT_RELEASE) {
        branches_tell(client, "RELEASE", name, store);
        txn_release(txn, name);
        session_say(&client->session, JOURNAL_RELEASE, name);
    } else {
        branches_tell(client, "ROLLBACK TO", name, store);
        sow_drop(client);
        txn_rollback_to(txn, name);
        session_say(&client->session, JOURNAL_ROLLBACK_TO, name);
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
        channels_note(&client->session.channels, name, listen, server->store->index);
}

/* What of it is meant for every store that the session has something at, while the statement goes to one. */
static unsigned sweeps(const struct plan_statement *statement)
{
    if (statement->kind == STATEMENT_DISCARD_ALL)
        return SWEEP_CURSORS | SWEEP_LOCKS | SWEEP_TABLES;
    return (statement->closes && statement->name == NULL ? SWEEP_CURSORS : 0) |
           (statement->unlocks_all ? SWEEP_LOCKS : 0);
}

/* What the statement leaves at its store, or takes away there. */
static void book_belongings(struct client *client, const struct plan_statement *statement, unsigned store)
{
    struct belongings *belongings = &client->session.belongings;
    struct slice name = statement->name == NULL ? (struct slice){ 0 } : slice_of(statement->name),
                 all = { 0 };

    if (statement->created != NULL)
        belongings_note(belongings, BELONGING_TABLE, slice_of(statement->created), store);
    for (const char *at = statement->drops ? statement->defaults : NULL; at != NULL && *at != '\0';
         at += strlen(at) + 1)
        belongings_note_gone(belongings, BELONGING_TABLE, slice_of(at));
    if (statement->kind == STATEMENT_DECLARE && name.bytes > 0)
        belongings_note(belongings, statement->with_hold ? BELONGING_HELD : BELONGING_CURSOR, name, store);
    if (statement->closes)
        belongings_note_gone(belongings, BELONGING_CURSOR, name);
    if (statement->advisory && !statement->unlocks)
        belongings_note(belongings, BELONGING_LOCK, all, store);
    if (sweeps(statement) != 0) /* heard before what it takes away is forgotten */
        belongings_note_sweep(belongings, sweeps(statement), store);
    if (statement->kind == STATEMENT_DISCARD_ALL) {
        belongings_note_gone(belongings, BELONGING_TABLE, all);
        belongings_note_gone(belongings, BELONGING_CURSOR, all);
    }
}

/* DISCARD ALL also lets go of a server that somebody has pinned, but for a library. */
void book_sweep(struct client *client)
{
    struct belongings *belongings = &client->session.belongings;
    unsigned store = belongings->swept_store, what = belongings_take_sweep(belongings);
    bool all = (what & SWEEP_TABLES) != 0;
    struct buf text;

    buf_init(&text);
    if (what & SWEEP_CURSORS)
        buf_append_text(&text, "CLOSE ALL;");
    if (what & SWEEP_LOCKS)
        buf_append_text(&text, "SELECT pg_catalog.pg_advisory_unlock_all();");
    if (what & SWEEP_TABLES)
        buf_append_text(&text, "DISCARD TEMP;UNLISTEN *;");
    for (size_t i = 0; i < client->loop->shared->stores->count; i++) {
        struct server *server = client->servers[i];

        if (server == NULL || server->state != SERVER_READY || server->tx_status != 'I')
            continue;
        if (i != store && (all || (belongings->swept_stores >> i & 1))) {
            server_say(server, buf_slice(&text));
            client->unflushed = true;
        }
        if (all && !server->spoilt)
            server->pinned = NULL;
        if (all && i != store)
            channels_lost(&client->session.channels, (unsigned)i);
    }
    buf_done(&text);
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
    session_set(&client->session, (struct slice){ 0 }, slice_of(""), (struct slice){ 0 }, false);
    client->session.overflow = true; /* and cannot be made again elsewhere */
}

/* What no other client may find, or this one miss: the server is its own from now on. */
static void book_pin(struct client *client, const struct plan_statement *statement, struct server *server)
{
    if (client->shares && statement->keeps != NULL && statement->kind != STATEMENT_PREPARE)
        server_pin(server, statement->keeps, strcmp(statement->keeps, "a library") == 0);
}

/* The one used last knows the whole journal. */
static void book_told(struct txn *txn)
{
    struct branch *branch = txn_at(txn, txn->branch);

    if (branch != NULL)
        branch->journal_at = txn->journal_count;
}

/* PostgreSQL answers 25P02 to anything else. */
static bool ends_failure(enum statement_kind kind)
{
    return kind == STATEMENT_COMMIT || kind == STATEMENT_ROLLBACK || kind == STATEMENT_ROLLBACK_TO ||
           kind == STATEMENT_PREPARE_TRANSACTION;
}

static bool ends_and_goes_on(const struct plan *plan)
{
    for (size_t i = 0; i + 1 < plan->statement_count; i++)
        if (plan->statements[i].kind == STATEMENT_COMMIT || plan->statements[i].kind == STATEMENT_ROLLBACK)
            return true;
    return false;
}

/* The message goes to `server`, whatever becomes of it. false: that is all that is known of it. */
static bool book_arrival(struct client *client, const struct message *message, struct server *server)
{
    static const struct plan_statement unread = { .class = CLASS_WRITE };
    struct txn *txn = &client->txn;

    client->last_store = (int)server->store->index;
    client->look = 0;
    txn_join(txn, client->last_store);
    if (message->plan == NULL || !message->plan->parsed) {
        server->doubtful = message->plan != NULL;
        txn_used(txn, txn_at(txn, client->last_store), &unread, client->loop->table);
        return false;
    }
    client->sow.mixed = ends_and_goes_on(message->plan) || client->sow.ended_sync == client->sync_sent + 1;
    txn_about(txn, client->place.tenant, client->place.several);
    return true;
}

/* What it reads and writes there. `alone`: the first CommandComplete that answers the message is its own. */
static void book_use(struct client *client, const struct plan_statement *statement, bool alone)
{
    struct txn *txn = &client->txn;
    struct branch *branch = txn_join(txn, client->last_store);
    uint64_t looks = txn->looks;

    if (statement->kind == STATEMENT_PREPARE) /* runs nothing */
        return;
    txn_used(txn, branch, statement, client->loop->table);
    if (txn->looks != looks && alone)
        client->look = branch->look;
    else if (txn->looks != looks)
        branch->look = 0;
}

/* What it changes. `statement` is what runs: the message's own, or what its EXECUTE names. */
static void book_changes(struct client *client, const struct message *message, size_t index,
                         const struct plan_statement *statement, struct server *server)
{
    struct session *session = &client->session;

    session->journal.at = session->journal.said + index;
    book_belongings(client, statement, server->store->index);
    book_one(client, message, index, server);
    book_pin(client, statement, server);
    if (statement->sets && statement->kind == STATEMENT_PREPARE)
        session->prepared_sets = true;
    else if (statement->sets ||
             (statement->kind == STATEMENT_EXECUTE && statement->tenants_partial && session->prepared_sets))
        book_unknown(client);
    if (statement->shadows)
        session->temp_shadows = true;
    if (statement->ddl && (statement->tables & (TABLES_EVENT | TABLES_COMPANION)))
        client->redefines = true;
}

void book_message(struct client *client, const struct message *message, struct server *server)
{
    bool failed = arrive_has_failed(client);

    if (!book_arrival(client, message, server))
        return;
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        struct running running;

        execute_resolve(client, message, i, &running);
        if (failed && !ends_failure(running.statement->kind))
            continue;
        if (failed)
            client->healing_sync = client->sync_sent + 1;
        failed = false;
        book_use(client, running.statement, message->plan->statement_count == 1);
        if (running.statement->kind != STATEMENT_PREPARE)
            sow_note(client, &running);
        book_changes(client, message, i, running.statement, server);
    }
    book_told(&client->txn);
}

/* ---- portals ---- */

/* Its Execute leaves something behind that a Bind does not. */
static bool changes_something(const struct plan_statement *statement)
{
    return (statement->kind != STATEMENT_PLAIN && statement->kind != STATEMENT_FETCH) ||
           statement->created != NULL || statement->drops || statement->closes || statement->advisory ||
           statement->sets || statement->shadows || statement->keeps != NULL ||
           (statement->ddl && (statement->tables & (TABLES_EVENT | TABLES_COMPANION)) != 0);
}

static struct bound *keep_bound(const struct message *message)
{
    const struct plan_statement *statement = &message->plan->statements[0];
    struct bound *bound = bound_new(message->plan, message->text);
    struct buf value, words;

    if (bound == NULL || (statement->kind != STATEMENT_SET && statement->kind != STATEMENT_SET_LOCAL))
        return bound;
    buf_init(&value);
    buf_init(&words);
    if (read_setting(message, statement, &value, &words))
        bound->value = strdup(buf_text(&value)); /* no memory: unknown */
    if (buf_bytes(&words) > 0 && (bound->words.at = strdup(buf_text(&words))) != NULL)
        bound->words.bytes = buf_bytes(&words);
    bound->parameters = message->params != NULL && message->params->count > 0;
    buf_done(&value);
    buf_done(&words);
    return bound;
}

/* An EXECUTE is booked at once: what it names may be gone when the portal is executed. So is what cannot be
 * kept. Too much is remembered then, and all of it as unknown or as something to be looked after. */
void book_bind(struct client *client, const struct message *message, struct server *server,
               struct bound **bound)
{
    struct running running;

    *bound = NULL;
    if (!book_arrival(client, message, server) || message->plan->statement_count == 0)
        return;
    twophase_forget(client);
    execute_resolve(client, message, 0, &running);
    book_use(client, running.statement, true);
    if (running.statement->kind != STATEMENT_PREPARE)
        sow_note(client, &running);
    if (message->runs_prepare || !changes_something(running.statement)) {
        book_told(&client->txn);
        return;
    }
    if (running.statement->kind != STATEMENT_EXECUTE)
        *bound = keep_bound(message);
    if (*bound == NULL && (!arrive_has_failed(client) || ends_failure(running.statement->kind)))
        book_changes(client, message, 0, running.statement, server);
    book_told(&client->txn);
}

void book_execute(struct client *client, struct bound *bound, struct server *server)
{
    const struct plan_statement *statement = &bound->plan->statements[0];
    struct message message = { .plan = bound->plan, .text = bound->text, .bound = bound };
    bool failed = arrive_has_failed(client);

    place_init(&client->place);
    client->place.failed = failed;
    client->last_store = (int)server->store->index;
    if (failed && !ends_failure(statement->kind))
        return;
    if (failed)
        client->healing_sync = client->sync_sent + 1;
    book_changes(client, &message, 0, statement, server);
    bound->executed = true;
    book_told(&client->txn);
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
