/* copy_open.c - see copy_open.h. What the server says of the statement itself (a column that is not there, a
 * right that is missing) comes behind our CopyInResponse, as an error in the middle of the COPY; a statement
 * that names columns the catalogue does not know is not deferred, so that the server's own answer is the
 * first. */
#include "proxy/copy_open.h"

#include <string.h>

#include "proxy/book.h"
#include "proxy/extended.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "wire/write.h"

static const char statement_name[] = "pgshunt_copy";

bool copy_open_waits(struct client *client, const struct message *message)
{
    const struct plan *plan = message->plan;
    struct surroundings around;
    struct around memory;
    struct error err;

    if (route_table_away_count(client->loop->table) == 0 || plan == NULL || !plan->parsed ||
        plan->statement_count != 1 || plan->statements[0].copy == NULL ||
        plan->statements[0].copy->doubtful || client->txn.failed || arrive_has_failed(client) ||
        !copying_can_read(client, message))
        return false;
    arrive_look_around(client, &around, &memory);
    arrive_look_at_comment(client, message, 0, &around, &memory);
    return attribute_before_rows(&plan->statements[0], &around, &client->attribution, &err) &&
           client->attribution.tenancy == TENANCY_UNKNOWN;
}

bool copy_open_defer(struct client *client, const struct message *message, const char *portal)
{
    struct copying *copying;
    struct copy_options options;
    struct server *server;
    struct buf answer;

    if (!copying_begin(client, message, portal))
        return false;
    copying = client->copying;
    copy_read_options(copying_statement(copying), copying->text, &copying->shape,
                      slice_of(report_slot(&client->session.reported, REPORT_CLIENT_ENCODING)), &options,
                      &copying->encoding);
    copy_rows_init(&copying->rows, &options);
    copying->state = COPYING_DEFERRED;
    copying->lazy = true;
    server = client->answering < 0 ? NULL : client->servers[client->answering];
    if (server != NULL && server->visible > 0 && server->pipeline) /* ours comes behind its answers */
        write_flush(stream_out(&server->stream));
    buf_init(&answer);
    write_copy_in_response(&answer, options.format == COPY_BINARY, options.columns);
    client_say(client, &answer, 0, false);
    return true;
}

/* Without a list the columns are in the table's order, and the client knows that of the default store. */
static bool has_the_order(const struct client *client, const struct plan_copy *copy, unsigned store)
{
    const struct catalogue *catalogue = client->loop->catalogue;
    const struct schema *ours = catalogue->schemas[stores_default(client->loop->shared->stores)->index];
    const struct schema *theirs = catalogue->schemas[store];
    const struct schema_table *a, *b;

    if (copy->listed || ours == theirs)
        return true;
    if (!theirs->known || copy->table >= ours->table_count)
        return false;
    a = &ours->tables[copy->table];
    b = schema_find(theirs, a->schema, a->name);
    if (b == NULL || a->column_count != b->column_count)
        return false;
    for (size_t i = 0; i < a->column_count; i++)
        if (strcmp(a->columns[i].name, b->columns[i].name) != 0 ||
            a->columns[i].generated != b->columns[i].generated)
            return false;
    return true;
}

static bool refuse_order(const struct server *server, struct error *err)
{
    error_set(err, "0A000",
              "cross_store_statement: COPY without a list of columns, and the table's columns are not "
              "known to have the same order in store \"%s\"",
              server->store->name);
    return error_hint(err, "Name the columns: COPY table (column, …) FROM STDIN.");
}

bool copy_open_fits(const struct client *client, const struct plan *plan, const struct server *server,
                    struct error *err)
{
    for (size_t i = 0; i < plan->statement_count; i++)
        if (plan->statements[i].copy != NULL &&
            !has_the_order(client, plan->statements[i].copy, server->store->index))
            return refuse_order(server, err);
    return true;
}

static void break_for_memory(struct server *server)
{
    struct error err;

    error_no_memory(&err);
    server_break(server, &err);
}

/* As the client's own messages would have been: the COPY's answer is the client's, but for the
 * CopyInResponse. */
static void send_extended(struct client *client, const struct message *message, struct server *server)
{
    struct copying *copying = client->copying;
    struct buf *out = stream_out(&server->stream);
    struct slice portal = slice_of(copying->portal);

    extended_begin(client, server);
    book_message(client, message, server);
    cursors_note(&client->cursors, portal,
                 &(struct cursor){ .store = (int)server->store->index, .sync = client_ends_with(client) });
    server_say_close(server, slice_of(statement_name));
    write_parse(out, slice_of(statement_name), copying->text, NULL, 0);
    write_bind_plain(out, portal, slice_of(statement_name));
    write_execute(out, portal);
    if (server->state != SERVER_READY || !owed_add(server, 'P', true, 0) || !owed_add(server, 'B', true, 0) ||
        !owed_add(server, 'E', false, 0))
        break_for_memory(server);
    else
        client->answering = (int)server->store->index;
}

static void send_held(struct client *client, struct server *server)
{
    struct copying *copying = client->copying;

    stream_send(&server->stream, buf_at(&copying->held), buf_bytes(&copying->held));
    buf_done(&copying->held);
}

enum arrival copy_open(struct client *client, const struct copy_row *row, struct error *err)
{
    /* Without a row nothing is written, wherever it goes. */
    static struct plan_statement nothing = { .kind = STATEMENT_COPY_IN, .value_slot = -1 };
    static struct plan empty = { .refs = 1, .parsed = true, .statement_count = 1, .statements = &nothing };
    struct copying *copying = client->copying;
    struct message message = { .plan = row == NULL ? &empty : copying->plan,
                               .text = copying->text,
                               .shape = &copying->shape,
                               .simple = copying->simple,
                               .rows_are_read = true,
                               .row = row };
    struct server *server;
    enum arrival arrival = arrive_at(client, &message, &server, err);

    if (arrival == REFUSED && row != NULL && strncmp(err->sqlstate, "0A000", 5) == 0)
        copy_row_name(row, err);
    if (arrival != ARRIVED)
        return arrival;
    if (!copy_open_fits(client, message.plan, server, err))
        return REFUSED;
    copying->ask = arrive_gate_ask(client, &client->place);
    if (copying->simple)
        statement_say_query(client, &message, server);
    else
        send_extended(client, &message, server);
    copying_sent(client, server);
    if (copying->state == COPYING_OPEN)
        send_held(client, server);
    return ARRIVED;
}

void copy_open_done(struct server *server)
{
    server_say_close(server, slice_of(statement_name));
}
