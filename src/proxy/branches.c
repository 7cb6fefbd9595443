/* branches.c - see branches.h. */
#include "proxy/branches.h"

#include <string.h>

#include "proxy/loop.h"
#include "proxy/server_say.h"
#include "wire/write.h"

static struct server *server_of(const struct client *client, int store)
{
    struct server *server = store < 0 ? NULL : client->servers[store];

    return server != NULL && server->state == SERVER_READY ? server : NULL;
}

static const char *name_of(const struct client *client, int store)
{
    return client->loop->shared->stores->at[store].name;
}

/* ---- which one ---- */

static enum arrival refuse_second_writer(struct client *client, const struct branch *writer, int index,
                                         const struct place *place, struct error *err)
{
    error_set(
        err, "0A000",
        "cross_store_transaction: the transaction writes in store \"%s\", the statement would in \"%s\"",
        name_of(client, writer->store), name_of(client, index));
    error_detail(err, place->changes
                          ? "A transaction may read in any store, and write in one."
                          : "What ends a transaction goes to the store where it has written; it stands in "
                            "one message with a statement for another.");
    error_hint(err, "Use one transaction per tenant, and keep writes to tables of the default store out of a "
                    "moved tenant's transactions.");
    return REFUSED;
}

static enum arrival refuse_pinned(struct client *client, const struct branch *pinned, int index,
                                  struct error *err)
{
    error_set(err, "0A000",
              "cross_store_transaction: the transaction's snapshot belongs to store \"%s\", the statement to "
              "\"%s\"",
              name_of(client, pinned->store), name_of(client, index));
    error_hint(err, "A snapshot that is exported or imported cannot be had in a second store.");
    return REFUSED;
}

/* Of such a message nobody can tell in time how far it gets, and the other branches must follow. */
static enum arrival refuse_mixed(struct error *err)
{
    error_set(err, "0A000",
              "cross_store_transaction: RELEASE and ROLLBACK TO do not stand behind another statement of "
              "their message when a transaction works in several stores");
    error_hint(err, "Send them as messages of their own.");
    return REFUSED;
}

/* COMMIT, BEGIN and what changes something in no table go where the transaction writes; the rest where the
 * last statement went. */
static int nowhere_special(const struct client *client, const struct place *place)
{
    const struct txn *txn = &client->txn;
    const struct branch *writer = txn_writer(txn);

    if (writer != NULL && (place->ends || place->changes || place->begins))
        return writer->store;
    return txn->branch >= 0 ? txn->branch : client->last_store;
}

/* All that it has done is a locking read whose answer is on its way: if that has found nothing, it is no
 * writer. */
static bool may_turn_out_a_reader(struct client *client, const struct branch *writer)
{
    struct server *server = server_of(client, writer->store);

    if (writer->look == 0 || server == NULL || server->visible == 0)
        return false;
    if (server->pipeline)
        write_flush(stream_out(&server->stream));
    return true;
}

enum arrival branches_choose(struct client *client, const struct place *place, int *index, int *waiting,
                             struct error *err)
{
    const struct txn *txn = &client->txn;
    const struct branch *writer, *pinned;

    *index = place->store != NULL ? (int)place->store->index : nowhere_special(client, place);
    if (*index < 0 || !client->routed)
        *index = (int)stores_default(client->loop->shared->stores)->index;
    if (txn->branch_count == 0 || (txn->branch_count == 1 && txn->branch == *index))
        return ARRIVED;
    if (place->settles_late)
        return refuse_mixed(err);
    pinned = txn_pinned(txn);
    if (pinned != NULL && pinned->store != *index)
        return refuse_pinned(client, pinned, *index, err);
    writer = txn_writer(txn);
    if (writer == NULL || writer->store == *index || (!place->changes && !place->ends))
        return ARRIVED;
    if (may_turn_out_a_reader(client, writer)) {
        *waiting = writer->store;
        return WAITING;
    }
    return refuse_second_writer(client, writer, *index, place, err);
}

/* ---- ends ---- */

/* Behind the extended messages that it has got, if any. */
static void say_end(struct server *server, const char *how)
{
    server->client->unflushed = true;
    if (server->pipeline)
        server_say_sync(server, true);
    if (server->state == SERVER_READY)
        server_say_quietly(server, slice_of(how));
}

static void roll_back(struct client *client, const struct branch *branch)
{
    struct server *server = server_of(client, branch->store);

    if (server == NULL)
        return;
    if (client->txn.open) {
        say_end(server, "ROLLBACK");
    } else if (server->pipeline) {
        server_say_fail(server, "the transaction was given up");
        if (server->state == SERVER_READY)
            server_say_sync(server, true);
    }
}

void branches_abandon(struct client *client, int except)
{
    struct txn *txn = &client->txn;

    for (size_t i = txn->branch_count; i > 0; i--) {
        const struct branch branch = txn->branches[i - 1];

        if (branch.store == except)
            continue;
        txn_leave(txn, branch.store);
        roll_back(client, &branch);
    }
}

void branches_end_later(struct client *client, int store)
{
    struct txn *txn = &client->txn;

    if (txn->branch_count <= 1 || !txn->open)
        return;
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct server *server = server_of(client, txn->branches[i].store);

        if (server == NULL || txn->branches[i].store == store)
            continue;
        server->ends_sync = client->sync_sent + 1;
        client->ends_due = true;
    }
}

/* It commits by itself, whatever becomes of the client's transaction: the SETs that it was told, or has run,
 * are not what it was made like. */
static void note_committed(const struct client *client, struct server *server)
{
    if (session_is_changing(&client->session, NULL))
        server->wear_unknown = true;
}

void branches_end_now(struct client *client, struct server *server)
{
    server->ends_sync = 0;
    note_committed(client, server);
    say_end(server, client->committed ? "COMMIT" : "ROLLBACK");
}

void branches_ended(struct client *client)
{
    if (!client->ends_due)
        return;
    client->ends_due = false;
    for (size_t i = 0; i < client->loop->shared->stores->count; i++) {
        struct server *server = server_of(client, (int)i);

        if (server == NULL || server->ends_sync == 0)
            continue;
        if (server->ends_sync <= client->sync_seen)
            branches_end_now(client, server);
        else
            client->ends_due = true;
    }
}

/* A reading branch whose COMMIT may fail, or that must have ended before PREPARE TRANSACTION. */
static bool must_end_first(const struct client *client, const struct place *place)
{
    const struct txn *txn = &client->txn;

    return txn->open && txn->branch_count > 1 && place->ends && !place->rolls_back && !place->asks_only &&
           !place->failed && (place->prepares || txn->isolation == 's');
}

static void take_silent_error(struct server *server, struct error *err)
{
    *err = server->silent_why;
    server->silent_failed = false;
}

static enum arrival end_readers(struct client *client, int index, int *waiting, struct error *err)
{
    struct txn *txn = &client->txn;

    for (size_t i = 0; i < txn->branch_count; i++) {
        struct branch *branch = &txn->branches[i];
        struct server *server = server_of(client, branch->store);

        if (branch->store == index || branch->ending || server == NULL)
            continue;
        branch->ending = true;
        if (server->pipeline)
            server_say_sync(server, true);
        note_committed(client, server);
        server_say(server, slice_of("COMMIT"));
    }
    for (size_t i = txn->branch_count; i > 0; i--) {
        const struct branch branch = txn->branches[i - 1];
        struct server *server = server_of(client, branch.store);

        if (branch.store == index)
            continue;
        if (server != NULL && !server_is_quiet(server)) {
            *waiting = branch.store;
            return WAITING;
        }
        txn_leave(txn, branch.store);
        if (server == NULL || !server->silent_failed)
            continue;
        take_silent_error(server, err);
        branches_abandon(client, -1);
        txn_reset(txn);
        return REFUSED;
    }
    txn_join(txn, index);
    return ARRIVED;
}

/* The branch used last has done nothing that another could not be told: it need not be kept open. */
static void leave_bare(struct client *client, int index)
{
    struct txn *txn = &client->txn;
    struct branch *last = txn_at(txn, txn->branch);
    struct server *server;

    if (last == NULL || last->store == index || !txn_is_bare(last) || txn->overflow)
        return;
    server = server_of(client, last->store);
    if (server != NULL && !txn->open)
        note_committed(client, server);
    if (server != NULL && txn->open)
        say_end(server, "ROLLBACK");
    else if (server != NULL && server->pipeline)
        server_say_sync(server, true);
    txn_leave(txn, last->store);
}

enum arrival branches_make_room(struct client *client, const struct place *place, int index, int *waiting,
                                struct error *err)
{
    if (must_end_first(client, place))
        return end_readers(client, index, waiting, err);
    leave_bare(client, index);
    return ARRIVED;
}

/* ---- savepoints ---- */

static void say_or_break(struct server *server, struct buf *text)
{
    struct error err;

    if (!buf_failed(text)) {
        server_say(server, buf_slice(text));
        return;
    }
    error_no_memory(&err);
    server_break(server, &err);
}

void branches_tell(struct client *client, const char *verb, const char *name, int except)
{
    struct txn *txn = &client->txn;
    struct buf text;

    if (txn->branch_count <= 1)
        return;
    buf_init(&text);
    buf_append_format(&text, "%s SAVEPOINT \"", verb);
    for (const char *from = name; *from != '\0'; from++) {
        if (*from == '"')
            buf_append(&text, from, 1);
        buf_append(&text, from, 1);
    }
    buf_append_text(&text, "\"");
    for (size_t i = 0; i < txn->branch_count; i++) {
        struct server *server = server_of(client, txn->branches[i].store);

        if (server != NULL && txn->branches[i].store != except && txn_has_made(txn, &txn->branches[i], name))
            say_or_break(server, &text);
    }
    buf_done(&text);
}

/* ---- Sync ---- */

void branches_note_settings(struct client *client)
{
    for (size_t i = 0; i < client->txn.branch_count; i++) {
        const struct branch *branch = &client->txn.branches[i];
        struct server *server = server_of(client, branch->store);

        if (server != NULL && (!client->txn.open || branch->journal_at == 0))
            note_committed(client, server);
    }
}

int branches_sync_at(const struct client *client, bool failed)
{
    const struct branch *writer = client->txn.open || failed ? NULL : txn_writer(&client->txn);

    return writer != NULL ? writer->store : client->txn.branch;
}

/* A block goes on behind its Sync. What had not been told of its BEGIN was an implicit transaction, and is
 * over. */
static void sync_block(struct client *client, int store)
{
    struct txn *txn = &client->txn;

    for (size_t i = txn->branch_count; i > 0; i--) {
        const struct branch *branch = &txn->branches[i - 1];
        struct server *server = server_of(client, branch->store);

        if (branch->store == store)
            continue;
        if (server != NULL && server->pipeline)
            server_say_sync(server, true);
        if (branch->journal_at == 0)
            txn_leave(txn, branch->store);
    }
}

void branches_sync_quietly(struct client *client, int store)
{
    struct txn *txn = &client->txn;

    for (size_t i = 0; i < txn->branch_count; i++) {
        struct server *server = server_of(client, txn->branches[i].store);

        if (server != NULL && server->pipeline && txn->branches[i].store != store)
            server_say_sync(server, true);
    }
}

/* The others of an implicit transaction end first: whether they could is known before the writing one does.
 */
static enum arrival sync_implicit(struct client *client, int store, int *waiting, struct error *err)
{
    struct txn *txn = &client->txn;

    branches_sync_quietly(client, store);
    for (size_t i = txn->branch_count; i > 0; i--) {
        const struct branch branch = txn->branches[i - 1];
        struct server *server = server_of(client, branch.store);

        if (branch.store == store)
            continue;
        if (server != NULL && branch.used && !server_is_quiet(server)) {
            *waiting = branch.store;
            return WAITING;
        }
        txn_leave(txn, branch.store);
        if (server == NULL || !branch.used || !server->silent_failed)
            continue;
        take_silent_error(server, err);
        return REFUSED;
    }
    return ARRIVED;
}

enum arrival branches_sync(struct client *client, int store, bool failed, int *waiting, struct error *err)
{
    if (client->txn.open)
        sync_block(client, store);
    else if (failed)
        branches_abandon(client, store);
    else
        return sync_implicit(client, store, waiting, err);
    return ARRIVED;
}
