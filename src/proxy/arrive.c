/* arrive.c - see arrive.h. */
#include "proxy/arrive.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "proxy/branches.h"
#include "proxy/copy_row.h"
#include "proxy/execute.h"
#include "proxy/join.h"
#include "proxy/hear.h"
#include "proxy/local.h"
#include "proxy/loop.h"
#include "proxy/planning.h"
#include "proxy/owed.h"
#include "proxy/twophase.h"
#include "sql/copy.h"
#include "wire/write.h"

/* ---- attribution ---- */

static uint32_t tenant_type(const struct client *client)
{
    const struct schema *schema = planning_schema(client);

    for (size_t i = 0; i < schema->table_count; i++) {
        const struct schema_table *table = &schema->tables[i];

        if (table->class == TABLE_EVENT && table->tenant_column >= 0)
            return table->columns[table->tenant_column].type_oid;
    }
    return 25; /* text: taken as it is */
}

/* A tenant from a setting in canonical form; `out` empty and false if it is no value of the column's type. */
static bool canonical(const struct client *client, const char *value, char out[TENANT_BYTES_MAX])
{
    out[0] = '\0';
    return value[0] == '\0' || tenant_canonical(tenant_type(client), slice_of(value), out);
}

/* The same, or as it stands where it is no such value: a table whose tenants are of another type may take it,
 * and for the others it contradicts what the statement says. false: too long for either. */
static bool keep(const struct client *client, const char *value, char out[TENANT_BYTES_MAX])
{
    if (canonical(client, value, out))
        return true;
    if (strlen(value) >= TENANT_BYTES_MAX)
        return false;
    strcpy(out, value);
    return true;
}

void arrive_look_around(const struct client *client, struct surroundings *around, struct around *memory)
{
    const struct loop *loop = client->loop;
    const char *value = client->startup_tenant;
    enum session_value found = session_value(&client->session, loop->shared->tenant_setting, &value);

    memset(around, 0, sizeof *around);
    around->setting_unknown = found == SESSION_UNKNOWN || !keep(client, value, memory->setting) ||
                              (found == SESSION_ABSENT && client->startup_tenant_unknown);
    around->setting_tenant = memory->setting;
    canonical(client, client->user_tenant, memory->user);
    around->user_tenant = memory->user;
    around->mapped_database = client->mapped_database;
    around->transaction_tenant = client->txn.open || client->txn.branch >= 0 ? client->txn.tenant : "";
    around->transaction_several = client->txn.several;
    around->strict = route_table_away_count(loop->table) > 0 || route_table_paused_count(loop->table) > 0;
}

const struct store *arrive_home(struct client *client)
{
    const struct proxy_shared *shared = client->loop->shared;
    struct place_rules rules = { .table = client->loop->table,
                                 .default_store = stores_default(shared->stores) };
    struct surroundings around;
    struct around memory;

    if (!client->routed)
        return rules.default_store;
    arrive_look_around(client, &around, &memory);
    if (around.setting_tenant[0] != '\0')
        return place_of_tenant(&rules, around.setting_tenant);
    if (around.user_tenant[0] != '\0')
        return place_of_tenant(&rules, around.user_tenant);
    return rules.default_store;
}

/* ---- gates ---- */

struct gate_ask arrive_gate_ask(const struct client *client, const struct place *place)
{
    const struct server *server = place->store == NULL ? NULL : client->servers[place->store->index];

    return (struct gate_ask){
        .backend_pid = server == NULL ? 0 : server->pid,
        .sync = client_ends_with(client),
        .first_sync = client->txn.open ? client->txn.first_sync : client->sync_sent + 1,
        .lease_valid = loop_lease_is_valid(client->loop),
        .now_ms = clock_ms(),
    };
}

/* Passes for every tenant that the statement writes. */
static enum gate_answer ask_gates(struct client *client, const struct place *place, struct gate **closed)
{
    const struct attribution *found = &client->attribution;
    struct gates *gates = client->loop->gates;
    struct gate_ask ask;
    enum gate_answer answer = GATE_GO;

    if (gates_count(gates) == 0)
        return GATE_GO;
    ask = arrive_gate_ask(client, place);
    ask.provisional = found->tenancy == TENANCY_UNKNOWN && place->rows && !place->unknown_write;
    if (place->unknown_write || ask.provisional)
        return gates_enter(gates, NULL, &ask, &client->passes, closed);
    for (size_t i = 0; i < found->tenant_count && answer == GATE_GO; i++)
        answer = gates_enter(gates, found->tenants[i], &ask, &client->passes, closed);
    return answer;
}

/* A lock on no table (an advisory one) belongs where the rows are that it protects: with the tenant that
 * stands around it, if there is one. */
static enum gate_answer place_lock(struct client *client, struct place *place,
                                   const struct place_rules *rules, const struct surroundings *around,
                                   struct gate **closed)
{
    const char *tenant = around->transaction_tenant;
    struct gate_ask ask;

    if (tenant[0] == '\0' && !around->setting_unknown)
        tenant = around->setting_tenant;
    if (tenant[0] == '\0')
        tenant = around->user_tenant;
    if (tenant[0] == '\0' || place->store != NULL)
        return GATE_GO;
    place->store = place_of_tenant(rules, tenant);
    place->write = true;
    ask = arrive_gate_ask(client, place);
    return gates_enter(client->loop->gates, tenant, &ask, &client->passes, closed);
}

enum arrival arrive_hold(struct client *client, struct gate *closed)
{
    stats_add(client->loop->stats, STAT_HELD, 1);
    client_enter(client, EV_HOLD);
    gate_wait(closed, &client->waiter, clock_ms());
    return WAITING;
}

/* ---- where to ---- */

void arrive_look_at_comment(const struct client *client, const struct message *message, size_t index,
                            struct surroundings *around, struct around *memory)
{
    const char *key = attribute_comment_key(client->loop->shared->tenant_setting);

    around->comment_unknown =
        attribute_read_comment(message->shape, message->text, index, key, memory->comment) == COMMENT_UNKNOWN;
    around->comment_tenant = memory->comment;
}

/* What an earlier statement of the same message changes for the later ones: nothing of it is booked yet. */
static void look_further(struct client *client, const struct message *message, size_t index,
                         struct surroundings *around, struct around *memory)
{
    const struct plan_statement *statement = &message->plan->statements[index];
    struct running running;
    struct buf value;

    switch (statement->kind) {
    case STATEMENT_SET:
    case STATEMENT_SET_LOCAL:
        if (statement->name != NULL && strcasecmp(statement->name, client->loop->shared->tenant_setting) != 0)
            break;
        buf_init(&value);
        around->setting_unknown =
            statement->name == NULL || statement->local_unknown ||
            !attribute_set_value(statement, message->text, message->shape, message->params, &value) ||
            !keep(client, buf_text(&value), memory->setting);
        buf_done(&value);
        break;
    case STATEMENT_EXECUTE:
        execute_resolve(client, message, index, &running);
        around->setting_unknown =
            around->setting_unknown || running.statement->sets || running.statement->tenants_partial;
        break;
    case STATEMENT_RESET:
    case STATEMENT_RESET_ALL:
    case STATEMENT_DISCARD_ALL:
    case STATEMENT_ROLLBACK_TO:
        around->setting_unknown = true;
        break;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
        around->transaction_tenant = "";
        around->transaction_several = false;
        around->setting_unknown = true;
        break;
    default:
        break;
    }
}

/* A text that the server will refuse, which then does nothing: the error must come from where the transaction
 * is, so that it fails there. Nothing may be on its way: a setting that changes how a text is read could be.
 */
static bool will_be_refused(const struct client *client, const struct message *message)
{
    int index = client->txn.branch >= 0 ? client->txn.branch : client->last_store;
    const struct server *server = index < 0 ? NULL : client->servers[index];

    return message->plan != NULL && message->plan->refused && server != NULL &&
           server->state == SERVER_READY && server->major == PLAN_GRAMMAR_MAJOR && server_is_quiet(server) &&
           !server->pipeline;
}

/* The store of the temporary tables, if the statement names no other table of its class. -1: the rule holds.
 */
static int store_of_tables(const struct client *client, const struct plan_statement *statement)
{
    int store = -1;

    if (client->session.belongings.count == 0 || statement->defaults == NULL)
        return -1;
    for (const char *at = statement->defaults; *at != '\0'; at += strlen(at) + 1) {
        int here = belongings_table(&client->session.belongings, slice_of(at));

        if (here < 0 || (store >= 0 && here != store))
            return -1;
        store = here;
    }
    return store;
}

/* Where what the statement names is: a cursor, a lock that is given back. -1: anywhere. */
static int store_of_name(const struct client *client, const struct plan_statement *statement)
{
    const struct belongings *belongings = &client->session.belongings;

    if (belongings->count == 0)
        return -1;
    if (statement->kind == STATEMENT_FETCH && statement->name != NULL)
        return belongings_cursor(belongings, slice_of(statement->name));
    return statement->unlocks && statement->tables == 0 ? belongings_lock(belongings) : -1;
}

/* A Parse whose values have not come: tables of the default store are there, the rest may be anywhere. */
static bool place_asked(const struct client *client, const struct message *message, struct place *place,
                        const struct place_rules *rules)
{
    if (!message->asks_only || message->params != NULL || message->plan == NULL || !message->plan->parsed)
        return false;
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement = &message->plan->statements[i];
        int store = store_of_tables(client, statement);

        if (store >= 0)
            place->store = &rules->stores->at[store];
        else if (statement->tables & TABLES_DEFAULT)
            place->store = rules->default_store;
    }
    return true;
}

/* FETCH, MOVE, CLOSE: where the cursor was opened. */
static bool place_cursor(const struct client *client, const struct plan_statement *statement,
                         struct place *place, struct error *err)
{
    const struct cursor *portal =
        statement->name == NULL ? NULL : cursors_find(&client->cursors, slice_of(statement->name));

    return portal == NULL || place_go(place, &client->loop->shared->stores->at[portal->store], err);
}

struct place_rules arrive_rules(const struct client *client)
{
    const struct proxy_shared *shared = client->loop->shared;
    bool keeps = client->txn.open && client->txn.isolation != 'c';

    return (struct place_rules){ .table = client->loop->table,
                                 .default_store = stores_default(shared->stores),
                                 .reject_unattributed = client->loop->settings->reject_unattributed,
                                 .snapshots = keeps ? &client->txn : NULL,
                                 .stores = shared->stores };
}

static bool attribute_running(struct client *client, const struct message *message,
                              const struct running *running, const struct surroundings *around,
                              struct error *err)
{
    const struct plan_statement *statement = running->statement;

    if (statement->copy != NULL && message->row != NULL)
        return copy_row_attribute(statement, message->row, around, &client->attribution, err);
    if (statement->copy != NULL && message->rows_are_read)
        return attribute_before_rows(statement, around, &client->attribution, err);
    return attribute(statement, running->text, running->shape, running->params, around, &client->attribution,
                     err);
}

/* Of whom the statement is, its rows will say: until then there is nothing to be counted. */
static bool rows_will_tell(const struct place_rules *rules, const struct attribution *found)
{
    return rules->rows_are_read && found->tenancy == TENANCY_UNKNOWN;
}

/* Once a transaction has been attributed, what in it says nothing belongs to the same tenant: also behind a
 * statement of the same message. */
static void look_back(const struct attribution *found, struct surroundings *around, struct around *memory)
{
    if (found->tenancy != TENANCY_KNOWN || found->tenant_count == 0)
        return;
    if (found->tenant_count > 1 || found->null_tenant ||
        (around->transaction_tenant[0] != '\0' && strcmp(around->transaction_tenant, found->tenants[0]) != 0))
        around->transaction_several = true;
    if (around->transaction_tenant[0] == '\0') {
        memcpy(memory->transaction, found->tenants[0], sizeof memory->transaction);
        around->transaction_tenant = memory->transaction;
    }
}

/* One statement's tenants, and where they are. WAITING: the stream directory is being asked. `glance` NULL:
 * nothing runs yet. */
static enum arrival attribute_one(struct client *client, const struct message *message,
                                  const struct running *running, const struct surroundings *around,
                                  struct place *place, const struct place_rules *rules, struct glance *glance,
                                  struct error *err)
{
    struct attribution *found = &client->attribution;

    if (!attribute_running(client, message, running, around, err))
        return REFUSED;
    if (found->tenancy == TENANCY_ASKED) {
        client_enter(client, EV_LOOK);
        return WAITING;
    }
    if (found->tenancy == TENANCY_FAILED) {
        *err = client->seeker.why;
        return REFUSED;
    }
    if (glance != NULL && !rows_will_tell(rules, found))
        glance_note(glance, running, found);
    return place_add(place, rules, running->statement, found, err) ? ARRIVED : REFUSED;
}

/* Attributes every statement of the message, adds up where it must go, and asks the gates. */
static enum arrival find_place(struct client *client, const struct message *message, struct place *place,
                               struct error *err)
{
    const struct proxy_shared *shared = client->loop->shared;
    struct place_rules rules = arrive_rules(client);
    const struct gate_pass *keep = client->passes;
    const struct stream_finder directory = { .find = finder_find, .who = client };
    struct glance *glance = client->loop->glance;
    struct surroundings around;
    struct around memory;
    struct gate *closed = NULL;
    enum gate_answer answer = GATE_GO;
    enum arrival arrival;

    if (message->asks_only)
        rules.snapshots = NULL;
    if (place_asked(client, message, place, &rules))
        return ARRIVED;
    if (message->plan == NULL || !message->plan->parsed) {
        bool touches = message->plan == NULL ? !message->call : message->plan->touches;

        if (will_be_refused(client, message))
            return ARRIVED;
        glance_unread(glance, &rules, message, touches);
        if (!place_add_unparsed(place, &rules, touches, err))
            return REFUSED;
        if (place->write)
            answer = ask_gates(client, place, &closed);
    } else {
        arrive_look_around(client, &around, &memory);
        if (route_table_away_count(rules.table) > 0)
            around.streams = &directory;
        for (size_t i = 0; i < message->plan->statement_count && answer == GATE_GO; i++) {
            const struct plan_statement *statement;
            struct running running;
            bool writes;
            int named;

            if (i > 0)
                look_further(client, message, i - 1, &around, &memory);
            execute_resolve(client, message, i, &running);
            statement = running.statement;
            if (statement->kind == STATEMENT_PREPARE)
                continue; /* runs nothing */
            if (running.missing &&
                route_table_away_count(rules.table) > 0) { /* which server would have it? */
                gates_retreat(&client->passes, keep, clock_ms());
                error_set(err, "26000", "prepared statement \"%s\" does not exist", statement->name);
                return REFUSED;
            }
            place_note(place, statement);
            named = store_of_name(client, statement);
            if (named >= 0 && place->store == NULL)
                place->store = &shared->stores->at[named];
            if (named < 0 && statement->kind == STATEMENT_FETCH &&
                !place_cursor(client, statement, place, err))
                return REFUSED;
            if (statement->tables == 0 && statement->locks)
                answer = place_lock(client, place, &rules, &around, &closed);
            if (statement->tables == 0 && statement->advisory && place->store == NULL && !client->txn.open)
                place->store = rules.default_store; /* one place for whoever else wants that lock */
            if (statement->tables == 0 && statement->tenant_count == 0)
                continue;
            named = store_of_tables(client, statement);
            rules.tables_store = named >= 0 ? &shared->stores->at[named] : NULL;
            arrive_look_at_comment(client, message, i, &around, &memory);
            rules.rows_are_read = statement->copy != NULL && message->rows_are_read && message->row == NULL;
            arrival = attribute_one(client, message, &running, &around, place, &rules,
                                    message->asks_only ? NULL : glance, err);
            if (arrival != ARRIVED) {
                gates_retreat(&client->passes, keep, clock_ms());
                return arrival;
            }
            look_back(&client->attribution, &around, &memory);
            if (!message->asks_only && !rows_will_tell(&rules, &client->attribution))
                glance_rehearse(glance, client, &rules, &running, &client->attribution, named >= 0);
            writes = statement->class == CLASS_WRITE || statement->locks;
            if (writes && client->attribution.tenancy != TENANCY_NONE)
                answer = ask_gates(client, place, &closed);
        }
    }
    if (place->rows && place->store == NULL) /* rows of others stop it */
        place->store = rules.default_store;
    if (answer == GATE_GO)
        return ARRIVED;
    gates_retreat(&client->passes, keep, clock_ms());
    if (answer == GATE_HOLD)
        return arrive_hold(client, closed);
    error_no_memory(err);
    return REFUSED;
}

struct server *arrive_current(struct client *client)
{
    int index = client->txn.branch >= 0 ? client->txn.branch : client->last_store;
    struct server *server;

    if (index < 0)
        index = (int)stores_default(client->loop->shared->stores)->index;
    server = client->servers[index];
    return server != NULL && server->state == SERVER_READY ? server : NULL;
}

/* The transaction has failed on its branch (as far as the client knows everything that was answered). */
bool arrive_has_failed(const struct client *client)
{
    return client->txn.open && client->txn.branch >= 0 && client->tx_status == 'E' &&
           client->sync_seen >= client->healing_sync;
}

static enum arrival wait_for(struct client *client, enum client_event event, unsigned store_index)
{
    client->waiting_store = (int)store_index;
    client_enter(client, event);
    return WAITING;
}

/* Another store still owes the client answers: those come first. Without a Sync it keeps them to itself. */
static bool owes_elsewhere(struct client *client, int index)
{
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    if (server == NULL || client->answering == index || server->visible == 0)
        return false;
    if (server->pipeline)
        write_flush(stream_out(&server->stream));
    return true;
}

/* Before a LISTEN is sent, the listeners of the other stores listen. */
static bool hears_everywhere(struct client *client, const struct message *message, unsigned index)
{
    const struct plan *plan = message->plan;
    unsigned waits_for;

    for (size_t i = 0; client->routed && plan != NULL && i < plan->statement_count; i++) {
        const struct plan_statement *statement = &plan->statements[i];

        if (statement->kind != STATEMENT_LISTEN || statement->name == NULL ||
            hear_ready(client, slice_of(statement->name), index, &waits_for))
            continue;
        wait_for(client, EV_JOIN, waits_for);
        return false;
    }
    return true;
}

/* A branch has looked before a tenant moved: whether it keeps its snapshot decides what is read where. */
static enum arrival know_isolation(struct client *client, const struct message *message, int *waiting)
{
    struct txn *txn = &client->txn;
    struct server *server;

    if (message->asks_only || (message->plan != NULL && message->plan->statement_count == 0) || !txn->open ||
        txn->isolation_known || !txn_is_older(txn, client->loop->table))
        return ARRIVED;
    server = client->servers[txn->branch];
    *waiting = txn->branch;
    if (server == NULL || server->state != SERVER_READY)
        return ARRIVED;
    return join_learn_isolation(client, server);
}

static bool ends_failure(const struct plan_statement *statement)
{
    return statement->kind == STATEMENT_ROLLBACK || statement->kind == STATEMENT_COMMIT ||
           statement->kind == STATEMENT_ROLLBACK_TO || statement->kind == STATEMENT_PREPARE_TRANSACTION;
}

/* Where PostgreSQL answers 25P02. A ROLLBACK goes where the transaction has written: the gates count that
 * one. What a message says behind the failure's end must be at home there, too. */
static enum arrival find_failed(struct client *client, const struct message *message, int *index,
                                struct error *err)
{
    const struct plan *plan = message->plan;
    struct place *place = &client->place;
    bool ends =
        plan != NULL && plan->parsed && plan->statement_count > 0 && ends_failure(&plan->statements[0]);
    enum arrival arrival = ARRIVED;

    if (ends && plan->statement_count > 1 && client->routed)
        arrival = find_place(client, message, place, err);
    else if (ends)
        place_note(place, &plan->statements[0]);
    place->failed = true;
    if (arrival != ARRIVED)
        return arrival;
    *index = txn_ends_at(&client->txn, true, place->rolls_back);
    if (place->store == NULL || (int)place->store->index == *index)
        return ARRIVED;
    error_set(err, "0A000",
              "cross_store_transaction: the transaction failed in store \"%s\", and goes on in \"%s\"",
              client->loop->shared->stores->at[*index].name, place->store->name);
    error_hint(err, "Send what ends the failed transaction as a message of its own.");
    return REFUSED;
}

/* The store that the message goes to, its gates passed. */
static enum arrival find_store(struct client *client, const struct message *message, int *index, int *waiting,
                               struct error *err)
{
    struct place *place = &client->place;
    enum arrival arrival;

    place_init(place);
    place->asks_only = message->asks_only;
    if (arrive_has_failed(client))
        return find_failed(client, message, index, err);
    if (message->at != NULL) {
        *index = (int)message->at->index;
        return ARRIVED;
    }
    if (twophase_asks(client, message)) {
        if (owes_elsewhere(client, -1))
            return wait_for(client, EV_SWITCH, (unsigned)client->answering);
        place->changes = place->finishes = true;
        return twophase_find(client, message->plan->statements[0].name, index, err);
    }
    if (know_isolation(client, message, waiting) == WAITING)
        return wait_for(client, EV_SWITCH, (unsigned)*waiting);
    arrival = client->routed ? find_place(client, message, place, err) : ARRIVED;
    if (client->state == CLIENT_LOOKING)
        finder_flush(client->loop->finder);
    if (arrival != ARRIVED)
        return arrival;
    arrival = branches_choose(client, place, index, waiting, err);
    return arrival == WAITING ? wait_for(client, EV_SWITCH, (unsigned)*waiting) : arrival;
}

/* A COMMIT, RELEASE or ROLLBACK TO is remembered when it is sent, and is not executed if something before it
 * has failed: once a second store may join, that must be known. */
static bool must_know_first(struct client *client)
{
    const struct txn *txn = &client->txn;
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    if (!client->place.settles || client->place.asks_only || !txn->open || server == NULL ||
        server->visible == 0 ||
        (txn->branch_count <= 1 && route_table_away_count(client->loop->table) == 0) ||
        !owed_has(server, "QFE"))
        return false;
    if (server->pipeline)
        write_flush(stream_out(&server->stream));
    return true;
}

/* Nobody else's answers are due, and no branch stands in the way. */
static enum arrival clear_the_way(struct client *client, int index, int *waiting, struct error *err)
{
    if (owes_elsewhere(client, index)) {
        *waiting = client->answering;
        return WAITING;
    }
    if (must_know_first(client)) {
        *waiting = client->answering;
        return WAITING;
    }
    return branches_make_room(client, &client->place, index, waiting, err);
}

/* What was said before a Sync, and has not been answered, may still turn out otherwise (journal.h): the
 * tenant setting, search_path. While it matters where a statement goes, that must be known. Within a pipeline
 * it need not: an error there takes this message, too. */
static bool must_hear_first(const struct client *client, const struct message *message)
{
    struct server *server = client->answering < 0 ? NULL : client->servers[client->answering];

    if (!client->routed || route_table_count(client->loop->table) == 0 || server == NULL ||
        server->visible == 0 || (message->plan != NULL && message->plan->statement_count == 0) ||
        !journal_is_unheard(&client->session.journal))
        return false;
    if (server->pipeline)
        write_flush(stream_out(&server->stream));
    return true;
}

enum arrival arrive_at(struct client *client, const struct message *message, struct server **server,
                       struct error *err)
{
    const struct gate_pass *keep = client->passes;
    enum arrival arrival;
    int index, waiting = -1;

    *server = NULL;
    glance_begin(client->loop->glance);
    if (local_bad_news(client, err))
        return REFUSED;
    if (must_hear_first(client, message))
        return wait_for(client, EV_SWITCH, (unsigned)client->answering);
    arrival = find_store(client, message, &index, &waiting, err);
    if (arrival == ARRIVED) {
        arrival = clear_the_way(client, index, &waiting, err);
        if (arrival == WAITING)
            wait_for(client, EV_SWITCH, (unsigned)waiting);
    }
    if (arrival == ARRIVED && !hears_everywhere(client, message, (unsigned)index))
        arrival = WAITING;
    if (arrival == ARRIVED) {
        arrival = join_server(client, &client->loop->shared->stores->at[index], server, err);
        if (arrival == WAITING) /* asked again when it goes on: a login must not hold up a drain */
            wait_for(client, EV_JOIN, (unsigned)index);
    }
    if (arrival != WAITING)
        glance_end(client->loop->glance, client, arrival == ARRIVED);
    /* What was looked up is true for this message, however long it has waited for a server; and a Parse that
     * has looked at the Bind behind it has asked for that one. */
    if (arrival != WAITING && !(arrival == ARRIVED && message->asks_only && message->params != NULL))
        finder_forget(client);
    if (arrival != ARRIVED && client->passes != NULL && client->passes != keep)
        gates_retreat(&client->passes, keep, clock_ms());
    for (struct gate_pass *pass = client->passes; arrival == ARRIVED && pass != keep; pass = pass->next)
        if (pass->backend_pid == 0) /* asked before the server was lent */
            pass->backend_pid = (*server)->pid;
    return arrival;
}
