/* statement.c - see statement.h: where a statement goes, and what is remembered of it. The messages of the
 * extended protocol are in bind.c. */
#include "proxy/statement.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "proxy/bind.h"
#include "proxy/join.h"
#include "proxy/loop.h"
#include "wire/read.h"
#include "wire/write.h"

/* ---- planning ---- */

/* Encodings in which a byte of a multi-byte character may look like ASCII (src/backend/utils/mb/README). */
static bool encoding_is_safe(const char *name)
{
    static const char *const unsafe[] = {
        "SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"
    };

    for (size_t i = 0; name != NULL && i < sizeof unsafe / sizeof unsafe[0]; i++)
        if (strcasecmp(name, unsafe[i]) == 0)
            return false;
    return true;
}

static const struct schema *default_schema(const struct client *client)
{
    return client->loop->catalogue->schemas[stores_default(client->loop->shared->stores)->index];
}

bool statement_plan(struct client *client, struct slice text, struct plan **plan)
{
    const struct session *session = &client->session;
    const char *strings = session_reported(session, "standard_conforming_strings"), *path = NULL;
    struct plan_context context = {
        .schema = default_schema(client),
        .standard_conforming_strings = strings == NULL || strcmp(strings, "off") != 0,
        .encoding_safe = encoding_is_safe(session_reported(session, "client_encoding")),
        .temp_shadows = session->temp_shadows,
    };

    if (session_value(session, "search_path", &path) == SESSION_FOUND)
        context.search_path = slice_of(path);
    stats_add(client->loop->stats, STAT_STATEMENTS, 1);
    return planner_plan(client->loop->planner, text, &context, &client->shape, plan);
}

/* ---- attribution ---- */

static uint32_t tenant_type(const struct client *client)
{
    const struct schema *schema = default_schema(client);

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

struct around { /* the memory behind struct surroundings */
    char setting[TENANT_BYTES_MAX], user[TENANT_BYTES_MAX];
};

static void look_around(const struct client *client, struct surroundings *around, struct around *memory)
{
    const struct loop *loop = client->loop;
    const char *value = client->startup_tenant;
    enum session_value found = session_value(&client->session, loop->shared->tenant_setting, &value);

    memset(around, 0, sizeof *around);
    around->setting_unknown = found == SESSION_UNKNOWN || !canonical(client, value, memory->setting);
    around->setting_tenant = memory->setting;
    canonical(client, client->user_tenant, memory->user);
    around->user_tenant = memory->user;
    around->transaction_tenant = client->txn.open || client->txn.branch >= 0 ? client->txn.tenant : "";
    around->strict = route_table_away_count(loop->table) > 0 || route_table_paused_count(loop->table) > 0;
}

const struct store *statement_home(struct client *client)
{
    const struct proxy_shared *shared = client->loop->shared;
    struct place_rules rules = { client->loop->table, stores_default(shared->stores), true };
    struct surroundings around;
    struct around memory;

    if (!client->routed)
        return rules.default_store;
    look_around(client, &around, &memory);
    if (around.setting_tenant[0] != '\0')
        return place_of_tenant(&rules, around.setting_tenant);
    if (around.user_tenant[0] != '\0')
        return place_of_tenant(&rules, around.user_tenant);
    return rules.default_store;
}

/* ---- gates ---- */

static struct gate_ask asks(const struct client *client, const struct place *place)
{
    const struct server *server = place->store == NULL ? NULL : client->servers[place->store->index];

    return (struct gate_ask){
        .backend_pid = server == NULL ? 0 : server->pid,
        .sync = client->sync_sent + 1,
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
    ask = asks(client, place);
    if (place->unknown_write)
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
    place->tenant_rows = place->write = true;
    ask = asks(client, place);
    return gates_enter(client->loop->gates, tenant, &ask, &client->passes, closed);
}

static enum arrival hold(struct client *client, struct gate *closed)
{
    stats_add(client->loop->stats, STAT_HELD, 1);
    client_enter(client, EV_HOLD);
    gate_wait(closed, &client->waiter, clock_ms());
    return WAITING;
}

/* ---- where to ---- */

/* What an earlier statement of the same message changes for the later ones: nothing of it is booked yet. */
static void look_further(const struct client *client, const struct message *message,
                         const struct plan_statement *statement, struct surroundings *around,
                         struct around *memory)
{
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
            !canonical(client, buf_text(&value), memory->setting);
        buf_done(&value);
        break;
    case STATEMENT_EXECUTE:
        around->setting_unknown = true; /* what it runs is not looked up here */
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
        around->setting_unknown = true;
        break;
    default:
        break;
    }
}

/* What an EXECUTE will run, as far as it is known: a prepared statement whose tenants stand in its own text.
 */
struct executed {
    struct plan_statement statement;
    struct slice text;
    const struct shape *shape;
};

static void look_up_executed(const struct client *client, const struct plan_statement *execute,
                             struct executed *executed)
{
    const struct prepared *prepared =
        execute->name == NULL ? NULL : session_find(&client->session, slice_of(execute->name));

    memset(executed, 0, sizeof *executed);
    if (prepared == NULL || prepared->doubt || prepared->plan->statement_count != 1) {
        executed->statement.class = CLASS_WRITE;
        executed->statement.tables = TABLES_EVENT;
        executed->statement.tenants_partial = true;
        return;
    }
    executed->statement = prepared->plan->statements[0];
    executed->text = prepared->text;
    executed->shape = &prepared->shape;
}

/* As attribute(); a PREPARE runs nothing, an EXECUTE what was prepared. */
static bool attribute_one(struct client *client, const struct message *message,
                          const struct plan_statement **statement, const struct surroundings *around,
                          struct executed *executed, struct error *err)
{
    if ((*statement)->kind != STATEMENT_EXECUTE)
        return attribute(*statement, message->text, message->shape, message->params, around,
                         &client->attribution, err);
    look_up_executed(client, *statement, executed);
    *statement = &executed->statement;
    return attribute(&executed->statement, executed->text, executed->shape, NULL, around,
                     &client->attribution, err);
}

/* Attributes every statement of the message, adds up where it must go, and asks the gates. */
static enum arrival find_place(struct client *client, const struct message *message, struct place *place,
                               struct error *err)
{
    const struct proxy_shared *shared = client->loop->shared;
    struct place_rules rules = { client->loop->table, stores_default(shared->stores),
                                 shared->reject_unattributed };
    const struct gate_pass *keep = client->passes;
    struct surroundings around;
    struct around memory;
    struct gate *closed = NULL;
    enum gate_answer answer = GATE_GO;

    place_init(place);
    if (message->plan == NULL || !message->plan->parsed) {
        if (!place_add_unparsed(place, &rules, message->plan == NULL || message->plan->touches, err))
            return REFUSED;
        if (place->write)
            answer = ask_gates(client, place, &closed);
    } else {
        look_around(client, &around, &memory);
        for (size_t i = 0; i < message->plan->statement_count && answer == GATE_GO; i++) {
            const struct plan_statement *statement = &message->plan->statements[i];
            struct executed executed;
            bool writes;

            if (i > 0)
                look_further(client, message, statement - 1, &around, &memory);
            if (statement->tables == 0 && statement->locks)
                answer = place_lock(client, place, &rules, &around, &closed);
            if (statement->kind == STATEMENT_PREPARE ||
                (statement->kind != STATEMENT_EXECUTE && statement->tables == 0 &&
                 statement->tenant_count == 0))
                continue;
            if (!attribute_one(client, message, &statement, &around, &executed, err) ||
                !place_add(place, &rules, statement, &client->attribution, err)) {
                gates_retreat(&client->passes, keep, clock_ms());
                return REFUSED;
            }
            writes = statement->class == CLASS_WRITE || statement->locks;
            if (client->attribution.tenancy == TENANCY_UNKNOWN)
                stats_add(client->loop->stats, STAT_UNATTRIBUTED, 1);
            if (writes && client->attribution.tenancy != TENANCY_NONE)
                answer = ask_gates(client, place, &closed);
        }
    }
    if (answer == GATE_GO)
        return ARRIVED;
    gates_retreat(&client->passes, keep, clock_ms());
    if (answer == GATE_HOLD)
        return hold(client, closed);
    error_no_memory(err);
    return REFUSED;
}

struct server *statement_current(struct client *client)
{
    int index = client->txn.branch >= 0 ? client->txn.branch : client->last_store;
    struct server *server;

    if (index < 0)
        index = (int)stores_default(client->loop->shared->stores)->index;
    server = client->servers[index];
    return server != NULL && server->state == SERVER_READY ? server : NULL;
}

/* The transaction has failed on its branch (as far as the client knows everything that was answered). */
static bool has_failed(const struct client *client)
{
    return client->txn.open && client->txn.branch >= 0 && client->tx_status == 'E' &&
           client->sync_sent == client->sync_seen;
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

enum arrival statement_arrive(struct client *client, const struct message *message, struct server **server,
                              struct error *err)
{
    const struct stores *stores = client->loop->shared->stores;
    struct txn *txn = &client->txn;
    const struct gate_pass *keep = client->passes;
    struct place place;
    enum arrival arrival;
    int index;

    *server = NULL;
    if (client->refused) {
        client->refused = false;
        *err = client->refused_why;
        return REFUSED;
    }
    if (txn->lost) {
        txn->lost = false;
        error_set(err, "08006", "the transaction was lost: its store closed the connection");
        error_hint(err, "Begin it again; nothing of it has been committed.");
        return REFUSED;
    }
    place_init(&place);
    if (client->servers[txn->branch < 0 ? 0 : txn->branch] != NULL && has_failed(client)) {
        index = txn->branch; /* PostgreSQL's own 25P02, and ROLLBACK */
    } else {
        arrival = client->routed ? find_place(client, message, &place, err) : ARRIVED;
        if (arrival != ARRIVED)
            return arrival;
        if (place.store != NULL)
            index = (int)place.store->index;
        else
            index = txn->branch >= 0 ? txn->branch : client->last_store;
        if (index < 0 || !client->routed)
            index = (int)stores_default(stores)->index;
        if (txn->branch >= 0 && index != txn->branch) {
            arrival = join_leave_branch(client, &place, &index, err);
            if (arrival == WAITING) {
                gates_retreat(&client->passes, keep, clock_ms());
                return wait_for(client, EV_SWITCH, (unsigned)txn->branch);
            }
            if (arrival == REFUSED)
                return REFUSED;
        }
    }
    if (owes_elsewhere(client, index)) {
        gates_retreat(&client->passes, keep, clock_ms());
        return wait_for(client, EV_SWITCH, (unsigned)client->answering);
    }
    arrival = join_server(client, &stores->at[index], server, err);
    if (arrival == WAITING) { /* asked again when it goes on: a login must not hold up a drain */
        gates_retreat(&client->passes, keep, clock_ms());
        wait_for(client, EV_JOIN, (unsigned)index);
    }
    return arrival;
}

/* ---- what is remembered ---- */

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
    ok = (local && !client->txn.open) ||
         session_set(&client->session, name, *text, said, local, (unsigned)client->txn.savepoint_count,
                     client->sync_sent + 1);
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
        ok = session_reset(session, name, text, (unsigned)txn->savepoint_count, client->sync_sent + 1);
    if (txn->open && text.at != NULL)
        ok = txn_note(txn, text) && ok;
    if (!ok || text.at == NULL)
        txn->overflow = session->overflow = true;
    buf_done(&words);
}

static void book_end(struct client *client, const struct plan_statement *statement)
{
    int branch = client->txn.branch;

    if (statement->and_chain) {
        txn_chain(&client->txn);
        return;
    }
    txn_reset(&client->txn);
    client->txn.branch =
        branch; /* until the Sync: what follows in the pipeline is an implicit transaction there */
}

static void book_savepoint(struct client *client, const struct plan_statement *statement, struct slice text)
{
    struct txn *txn = &client->txn;
    const char *name = statement->name == NULL ? "" : statement->name;

    if (statement->kind == STATEMENT_SAVEPOINT) {
        if (!txn_savepoint(txn, text, name))
            txn->overflow = true;
    } else if (statement->kind == STATEMENT_RELEASE) {
        if (txn_release(txn, name))
            session_release(&client->session, (unsigned)txn->savepoint_count);
    } else if (txn_rollback_to(txn, name)) {
        session_rollback_to(&client->session, (unsigned)txn->savepoint_count - 1);
    }
}

static void book_discard(struct client *client, struct server *server, const struct plan_statement *statement)
{
    if (statement->kind == STATEMENT_DISCARD_ALL ||
        (statement->kind == STATEMENT_DEALLOCATE && statement->name == NULL)) {
        session_forget_all(&client->session);
        server_note_all_gone(server);
    } else {
        session_forget(&client->session, slice_of(statement->name));
        server_note_gone(server, slice_of(statement->name));
    }
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
    if (!statement_plan(client, text, &plan))
        return; /* unknown at EXECUTE */
    prepared =
        session_prepare(&client->session, slice_of(statement->name), text, NULL, 0, plan, &client->shape);
    if (prepared == NULL) {
        plan_give(plan);
        return;
    }
    prepared->sql = true;
    server_note_made(server, prepared->name, prepared->serial);
}

/* The server has what an EXECUTE in the message names. */
void statement_make_executed(struct client *client, const struct message *message, struct server *server)
{
    if (message->plan == NULL || !message->plan->parsed)
        return;
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement = &message->plan->statements[i];
        const struct prepared *prepared;

        if (statement->kind != STATEMENT_EXECUTE || statement->name == NULL)
            continue;
        prepared = session_find(&client->session, slice_of(statement->name));
        if (prepared == NULL || prepared->doubt || server_has(server, prepared))
            continue;
        server_say_prepare(server, prepared);
    }
}

static void begin(struct client *client, struct slice text, char isolation)
{
    struct txn *txn = &client->txn;

    if (!txn->open)
        txn->first_sync = client->sync_sent + 1;
    if (text.at == NULL || !txn_begin(txn, text, isolation))
        txn->open = txn->overflow = true; /* cannot be told to another server */
}

static void book_one(struct client *client, const struct message *message, size_t index,
                     struct server *server)
{
    const struct plan_statement *statement = &message->plan->statements[index];
    struct slice text = piece(message, index);
    struct txn *txn = &client->txn;

    switch (statement->kind) {
    case STATEMENT_BEGIN:
        begin(client, text, statement->isolation);
        break;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
    case STATEMENT_PREPARE_TRANSACTION:
        book_end(client, statement);
        break;
    case STATEMENT_SAVEPOINT:
    case STATEMENT_RELEASE:
    case STATEMENT_ROLLBACK_TO:
        book_savepoint(client, statement, text);
        break;
    case STATEMENT_SET_TRANSACTION:
        if (statement->isolation != 0)
            txn->isolation = statement->isolation;
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
        book_discard(client, server, statement);
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

/* The transaction's tenant, and whether the statement reads anything that would not move with it. */
static void book_tenant(struct client *client, const struct message *message,
                        const struct plan_statement *statement)
{
    struct txn *txn = &client->txn;
    struct surroundings around;
    struct around memory;
    struct error err;
    bool of_tenant = false;

    if (statement->tables & (TABLES_EVENT | TABLES_COMPANION)) {
        look_around(client, &around, &memory);
        around.strict = false;
        if (attribute(statement, message->text, message->shape, message->params, &around,
                      &client->attribution, &err) &&
            client->attribution.tenancy == TENANCY_KNOWN && client->attribution.tenant_count == 1 &&
            !client->attribution.null_tenant) {
            if (txn->tenant[0] == '\0')
                memcpy(txn->tenant, client->attribution.tenants[0], sizeof txn->tenant);
            of_tenant = strcmp(txn->tenant, client->attribution.tenants[0]) == 0;
        }
    }
    if (statement->tables & TABLES_DEFAULT)
        of_tenant = false;
    txn_used(txn, statement, of_tenant || statement->tables == 0);
}

static void report_ddl(struct client *client)
{
    struct stale_letter *letter = stale_letter_new(STALE_CATALOGUE, "");

    if (letter != NULL)
        letter_send(client->loop->shared->switchboard->control, &letter->letter);
}

/* Some setting has changed, and which one cannot be read. */
static void book_unknown(struct client *client)
{
    session_set(&client->session, (struct slice){ 0 }, slice_of(""), (struct slice){ 0 }, false,
                (unsigned)client->txn.savepoint_count, client->sync_sent + 1);
    client->session.overflow = true; /* and cannot be made again elsewhere */
}

static bool ends_and_goes_on(const struct plan *plan)
{
    for (size_t i = 0; i + 1 < plan->statement_count; i++)
        if (plan->statements[i].kind == STATEMENT_COMMIT || plan->statements[i].kind == STATEMENT_ROLLBACK)
            return true;
    return false;
}

void statement_book(struct client *client, const struct message *message, struct server *server)
{
    struct txn *txn = &client->txn;
    bool failed = has_failed(client);

    client->last_store = (int)server->store->index;
    txn->branch = client->last_store;
    if (message->plan == NULL || !message->plan->parsed) {
        txn->wrote = txn->read = txn->read_other = true;
        return;
    }
    client->session.mixed = ends_and_goes_on(message->plan);
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement = &message->plan->statements[i];

        if (failed && statement->kind != STATEMENT_COMMIT && statement->kind != STATEMENT_ROLLBACK &&
            statement->kind != STATEMENT_ROLLBACK_TO)
            continue; /* PostgreSQL answers 25P02 */
        if (client->routed && (statement->class != CLASS_NEUTRAL || statement->tables != 0))
            book_tenant(client, message, statement);
        else
            txn_used(txn, statement, true);
        book_one(client, message, i, server);
        if (statement->sets && statement->kind == STATEMENT_PREPARE)
            client->session.prepared_sets = true;
        else if (statement->sets || (statement->kind == STATEMENT_EXECUTE && client->session.prepared_sets))
            book_unknown(client);
        if (statement->shadows)
            client->session.temp_shadows = true;
        if (statement->ddl && (statement->tables & (TABLES_EVENT | TABLES_COMPANION)))
            report_ddl(client);
    }
}

/* Real news: a BEGIN that failed, a procedure that committed, a COMMIT that did not happen. */
void statement_reconcile(struct client *client, struct server *server, char tx_status)
{
    struct txn *txn = &client->txn;
    int index = (int)server->store->index;

    if (tx_status == 'I' && txn->open && txn->branch == index) {
        txn_reset(txn);
    } else if (tx_status != 'I' && !txn->open) {
        txn_reset(txn);
        txn->open = txn->overflow =
            true; /* begun in a way we did not see: cannot be told to another server */
        txn->wrote = true;
        txn->branch = index;
    }
}

/* ---- forwarding ---- */

void statement_forward(struct client *client, struct server *server, const struct msg *header, char owed,
                       uint64_t serial)
{
    size_t held = buf_bytes(&client->stream.in);
    size_t count = held < header->total_bytes ? held : header->total_bytes;

    if (owed != 0) {
        if (!server_owe(server, owed, false, serial)) {
            struct error err;

            error_no_memory(&err);
            server_break(server, &err);
            return;
        }
        client->answering = (int)server->store->index;
    }
    if (owed == 'Q' || owed == 'S' || owed == 'F')
        client->sync_sent++;
    stream_send(&server->stream, buf_at(&client->stream.in), count);
    buf_consume(&client->stream.in, count);
    client->passing_bytes = header->total_bytes - count;
    client->passing_to = (int)server->store->index;
}

/* Throws the message away, also what of it has not come yet. */
static void swallow(struct client *client, const struct msg *header)
{
    size_t held = buf_bytes(&client->stream.in);
    size_t count = held < header->total_bytes ? held : header->total_bytes;

    buf_consume(&client->stream.in, count);
    client->passing_bytes = header->total_bytes - count;
    client->passing_to = -1;
}

/* ---- answers without a server ---- */

char statement_status(const struct client *client)
{
    return client->txn.failed ? 'E' : client->txn.open ? 'T' : 'I';
}

/* Says `answer` and a ReadyForQuery of our own behind it. */
void statement_local_ready(struct client *client, struct buf *answer, bool failed)
{
    char status = statement_status(client);

    write_ready(answer, status);
    client->sync_sent++;
    client_say(client, answer, status, failed);
}

bool statement_is_local(const struct client *client, const struct plan *plan)
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
    case STATEMENT_COMMIT:
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

/* Does what a local statement asks for, and appends its CommandComplete. False: it ended a transaction badly.
 */
bool statement_local(struct client *client, const struct plan_statement *statement, struct slice text,
                     struct buf *answer)
{
    struct txn *txn = &client->txn;
    bool failed = txn->failed;

    switch (statement->kind) {
    case STATEMENT_BEGIN:
        begin(client, text, statement->isolation);
        write_command_complete(answer, begin_tag(text));
        break;
    case STATEMENT_COMMIT:
    case STATEMENT_ROLLBACK:
        failed = failed || statement->kind == STATEMENT_ROLLBACK;
        write_command_complete(answer, failed ? "ROLLBACK" : "COMMIT");
        book_end(client, statement);
        return !failed;
    case STATEMENT_SAVEPOINT:
        book_savepoint(client, statement, text);
        write_command_complete(answer, "SAVEPOINT");
        break;
    case STATEMENT_RELEASE:
        book_savepoint(client, statement, text);
        write_command_complete(answer, "RELEASE");
        break;
    default:
        book_savepoint(client, statement, text);
        txn->failed = false;
        write_command_complete(answer, "ROLLBACK");
    }
    return true;
}

void statement_drop_local(struct client *client)
{
    free(client->local_portal);
    plan_give(client->local_plan);
    free((char *)client->local_text.at);
    client->local_portal = NULL;
    client->local_plan = NULL;
    client->local_text = (struct slice){ 0 };
}

/* ---- refusals ---- */

void statement_refuse(struct client *client, const struct msg *header, bool simple, const struct error *err)
{
    struct server *server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];
    struct buf answer;

    stats_add(client->loop->stats, STAT_REFUSED, 1);
    log_error(client->loop->shared->log, LOG_INFO, "proxy", err, "refused a statement of user \"%s\"",
              client->user);
    swallow(client, header);
    buf_init(&answer);
    write_error(&answer, "ERROR", err);
    if (server != NULL && server->state != SERVER_READY)
        server = NULL;
    if (server == NULL && client->txn.open)
        client->txn.failed = true;
    if (server == NULL && simple) {
        statement_local_ready(client, &answer, true);
        return;
    }
    client_say(client, &answer, 0, true);
    if (server != NULL)
        server_say_fail(server, err->message);
    if (simple) { /* the branch's own ReadyForQuery says how things stand now */
        server_say_sync(server, false);
        client->sync_sent++;
        client->answering = (int)server->store->index;
        if (!client->txn.open)
            txn_reset(&client->txn);
    } else {
        client->skip_to_sync = true;
    }
}

/* A transaction that failed before it had a branch: PostgreSQL's words, ours to say. */
static bool refuse_failed(struct client *client, const struct msg *header, const struct plan *plan,
                          bool simple)
{
    struct error err;

    if (!client->txn.failed || statement_is_local(client, plan))
        return false;
    error_set(&err, "25P02",
              "current transaction is aborted, commands ignored until end of transaction block");
    statement_refuse(client, header, simple, &err);
    return true;
}

/* ---- simple protocol ---- */

static void answer_local_query(struct client *client, const struct msg *header, const struct plan *plan,
                               struct slice text)
{
    struct buf answer;
    bool done;

    buf_init(&answer);
    done = statement_local(client, &plan->statements[0], text, &answer);
    swallow(client, header);
    statement_local_ready(client, &answer, !done);
    if (!client->txn.open)
        txn_reset(&client->txn);
}

static void forward_query(struct client *client, const struct msg *header, const struct message *message,
                          struct server *server)
{
    statement_make_executed(client, message, server);
    statement_book(client, message, server);
    session_forget(&client->session, slice_of("")); /* a simple Query drops the unnamed statement */
    server->unnamed_serial = 0;
    server->pipeline = false;
    statement_forward(client, server, header, 'Q', 0);
    if (!client->txn.open)
        txn_reset(&client->txn);
}

static bool run_query(struct client *client, const struct msg *header, const struct message *message)
{
    struct server *server;
    struct error err;

    if (statement_is_local(client, message->plan)) {
        answer_local_query(client, header, message->plan, message->text);
        return true;
    }
    if (refuse_failed(client, header, message->plan, true))
        return true;
    switch (statement_arrive(client, message, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        statement_refuse(client, header, true, &err);
        return true;
    case ARRIVED:
        break;
    }
    forward_query(client, header, message, server);
    return true;
}

static bool on_query(struct client *client, const struct msg *header)
{
    struct message message = { .shape = &client->shape, .simple = true };
    struct msg msg = *header;
    struct error err;
    bool done;

    if (header->total_bytes <= ATTRIBUTE_BYTES_MAX) {
        if (msg_next(&client->stream.in, &msg, &err) != WIRE_MSG)
            return false;
        if (msg.body_bytes == 0 || memchr(msg.body, '\0', msg.body_bytes) != msg.body + msg.body_bytes - 1) {
            error_set(&err, "08P01", "invalid string in message");
            client_fail(client, &err);
            return false;
        }
        message.text = (struct slice){ msg.body, msg.body_bytes - 1 };
        if (!statement_plan(client, message.text, &message.plan)) {
            error_no_memory(&err);
            statement_refuse(client, header, true, &err);
            return true;
        }
    }
    done = run_query(client, &msg, &message);
    plan_give(message.plan);
    return done;
}

/* ---- the rest ---- */

/* Copy data and function calls go where the statement went; without a server they have lost their meaning. */
static bool on_data(struct client *client, const struct msg *header)
{
    struct server *server = client->last_store < 0 ? NULL : client->servers[client->last_store];

    if (server == NULL || server->state != SERVER_READY) {
        swallow(client, header);
        return true;
    }
    if (header->type != FE_COPY_DATA) {
        server->copy_in = false;
        if (!server_is_quiet(server))
            server_owe(server, REQUEST_MARK, true, 0);
    }
    statement_forward(client, server, header, 0, 0);
    return true;
}

static bool on_function_call(struct client *client, const struct msg *header)
{
    struct message message = { 0 };
    struct server *server;
    struct error err;

    message.simple = true;
    switch (statement_arrive(client, &message, &server, &err)) {
    case WAITING:
        return false;
    case REFUSED:
        statement_refuse(client, header, true, &err);
        return true;
    case ARRIVED:
        break;
    }
    statement_book(client, &message, server);
    statement_forward(client, server, header, 'F', 0);
    if (!client->txn.open)
        txn_reset(&client->txn);
    return true;
}

/* After an error in extended protocol everything until Sync is ignored: by the server, so it need not be sent
 * and must not be remembered; or by us, who refused. */
static bool is_skipping(const struct client *client)
{
    const struct server *server = client->txn.branch < 0 ? NULL : client->servers[client->txn.branch];

    return client->skip_to_sync || (server != NULL && server->skipping);
}

bool statement_message(struct client *client, const struct msg *header)
{
    if (header->type != FE_SYNC && header->type != FE_TERMINATE && is_skipping(client)) {
        client->refused = false;
        swallow(client, header);
        return true;
    }
    switch (header->type) {
    case FE_QUERY:
        return on_query(client, header);
    case FE_COPY_DATA:
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
        return on_data(client, header);
    case FE_FUNCTION_CALL:
        return on_function_call(client, header);
    case FE_TERMINATE:
        client_close(client);
        return false;
    case FE_PASSWORD: {
        struct error err;

        error_set(&err, "08P01", "invalid frontend message type 112");
        client_fail(client, &err);
        return false;
    }
    default:
        return bind_message(client, header);
    }
}
