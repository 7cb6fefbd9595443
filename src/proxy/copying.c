/* copying.c - see copying.h. */
#include "proxy/copying.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/copy_open.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "proxy/statement.h"
#include "wire/write.h"

const struct plan_statement *copying_statement(const struct copying *copying)
{
    return &copying->plan->statements[copying->index];
}

/* ---- which ones ---- */

static struct slice client_encoding(const struct client *client)
{
    const char *encoding = report_slot(&client->session.reported, REPORT_CLIENT_ENCODING);

    return encoding == NULL ? (struct slice){ 0 } : slice_of(encoding);
}

bool copying_can_read(const struct client *client, const struct message *message)
{
    struct copy_options options;
    enum copy_encoding encoding;
    bool some = false;

    if (!client->routed || message->plan == NULL || !message->plan->parsed)
        return false;
    for (size_t i = 0; i < message->plan->statement_count; i++) {
        const struct plan_statement *statement = &message->plan->statements[i];

        if (statement->copy == NULL)
            continue;
        if (!copy_read_options(statement, message->text, message->shape, client_encoding(client), &options,
                               &encoding))
            return false;
        some = true;
    }
    return some;
}

bool copying_must_read(const struct client *client)
{
    return route_table_away_count(client->loop->table) > 0 || gates_count(client->loop->gates) > 0;
}

/* ---- its life ---- */

void copying_end(struct client *client)
{
    struct copying *copying = client->copying;

    if (copying == NULL)
        return;
    client->copying = NULL;
    free(copying->portal);
    free((char *)copying->text.at);
    shape_done(&copying->shape);
    plan_give(copying->plan);
    buf_done(&copying->held);
    free(copying);
}

/* The next COPY from `index` on. false: there is none. */
static bool find_copy(struct client *client, size_t index)
{
    struct copying *copying = client->copying;
    const struct plan *plan = copying->plan;
    struct copy_options options;

    while (index < plan->statement_count && plan->statements[index].kind != STATEMENT_COPY_IN)
        index++;
    if (index == plan->statement_count)
        return false;
    copying->index = index;
    if (plan->statements[index].copy == NULL ||
        !copy_read_options(&plan->statements[index], copying->text, &copying->shape, client_encoding(client),
                           &options, &copying->encoding)) {
        copying->state = COPYING_UNREAD;
        return true;
    }
    copy_rows_init(&copying->rows, &options);
    copying->row_waits = false;
    return true;
}

bool copying_begin(struct client *client, const struct message *message, const char *portal)
{
    struct copying *copying = calloc(1, sizeof *copying);

    copying_end(client);
    if (copying == NULL)
        return false;
    client->copying = copying;
    shape_init(&copying->shape);
    buf_init(&copying->held);
    copying->plan = plan_take(message->plan);
    copying->simple = portal == NULL;
    copying->state = COPYING_BOUND;
    copying->store = -1;
    copying->portal = portal == NULL ? NULL : strdup(portal);
    copying->text = (struct slice){ strndup(message->text.at, message->text.bytes), message->text.bytes };
    if (copying->text.at != NULL && (copying->simple || copying->portal != NULL) &&
        shape_read(&copying->shape, copying->text, message->shape->standard_conforming_strings))
        return true;
    copying_end(client);
    return false;
}

void copying_sent(struct client *client, struct server *server)
{
    struct copying *copying = client->copying;
    struct request *last = owed_last(server);

    copying->store = (int)server->store->index;
    if (server->state != SERVER_READY ||
        last == NULL) { /* lost while it was sent, and the client has heard of it */
        copying->state = COPYING_EATING;
        return;
    }
    last->copies = true;
    last->copy_said = copying->lazy;
    copying->state = COPYING_OPEN;
    if (!copying->lazy)
        find_copy(client, 0);
}

bool copying_executes(struct client *client, struct slice portal, bool *copies)
{
    const struct cursor *cursor = cursors_find(&client->cursors, portal);

    *copies = cursor != NULL && cursor->copies;
    return !*copies || (client->copying != NULL && client->copying->state == COPYING_BOUND &&
                        slice_is(portal, client->copying->portal));
}

bool copying_is_deferred(const struct client *client)
{
    return client->copying != NULL && client->copying->state == COPYING_DEFERRED;
}

bool copying_has_more(const struct client *client)
{
    return client->copying != NULL && client->copying->left > 0;
}

static struct server *server_of(const struct client *client)
{
    struct server *server = client->copying->store < 0 ? NULL : client->servers[client->copying->store];

    return server != NULL && server->state == SERVER_READY ? server : NULL;
}

/* ---- stopping it ---- */

void copying_failed(struct client *client, const struct server *server)
{
    struct copying *copying = client->copying;

    if (copying != NULL && (copying->state == COPYING_OPEN || copying->state == COPYING_UNREAD) &&
        copying->store == (int)server->store->index) {
        copying->state = COPYING_EATING;
        copying->row_waits = false;
        copying->seen = 0;
    }
}

/* The server is told to fail; what it answers is told in our words. */
static void stop_at_server(struct client *client, struct server *server, const struct error *why)
{
    struct request *request = NULL;

    for (size_t i = 0; i < server->line_count; i++)
        if (owed_at(server, i)->copies)
            request = owed_at(server, i);
    if (request == NULL) /* it has been answered already */
        return;
    write_error(&request->local, "ERROR", why);
    write_copy_fail(stream_out(&server->stream), why->message);
    server->copy_in = false;
    owed_add(server, REQUEST_MARK, true, 0);
    client->unflushed = true;
}

/* DEFERRED or OPEN: the client gets `why`, and nothing of the transaction can be committed any more. */
static void stop(struct client *client, const struct error *why)
{
    struct copying *copying = client->copying;
    struct server *server = server_of(client);
    bool open = copying->state == COPYING_OPEN;

    copying->state = COPYING_EATING;
    copying->row_waits = false;
    copying->seen = 0;
    buf_done(&copying->held);
    if (!open) {
        statement_say_refusal(client, copying->simple, why);
        return;
    }
    stats_add(client->loop->stats, STAT_REFUSED, 1);
    log_error(client->loop->shared->log, LOG_INFO, "proxy", why, "stopped a COPY of user \"%s\"",
              client->user);
    if (server != NULL)
        stop_at_server(client, server, why);
}

/* ---- rows ---- */

static bool is_same(const struct known_value *known, struct slice value)
{
    return known->used && known->bytes == value.bytes && memcmp(known->value, value.at, value.bytes) == 0;
}

/* Such a row has been admitted, and nothing has changed since. */
static bool is_known(struct client *client)
{
    struct copying *copying = client->copying;
    struct slice value = copying->rows.value;

    if (copying->known_table != client->loop->table ||
        copying->known_gates != gates_count(client->loop->gates)) {
        memset(copying->known, 0, sizeof copying->known);
        copying->known_table = client->loop->table;
        copying->known_gates = gates_count(client->loop->gates);
        return false;
    }
    if (value.at == NULL || value.bytes > COPYING_KNOWN_BYTES || copying->state != COPYING_OPEN)
        return false;
    for (size_t i = 0; i < COPYING_KNOWN_MAX; i++)
        if (is_same(&copying->known[(copying->known_at + COPYING_KNOWN_MAX - i) % COPYING_KNOWN_MAX], value))
            return true;
    return false;
}

static void note_known(struct copying *copying)
{
    struct slice value = copying->rows.value;
    struct known_value *known;

    if (copying->row.why != NULL || value.at == NULL || value.bytes > COPYING_KNOWN_BYTES)
        return;
    copying->known_at = (copying->known_at + 1) % COPYING_KNOWN_MAX;
    known = &copying->known[copying->known_at];
    known->used = true;
    known->bytes = (unsigned char)value.bytes;
    memcpy(known->value, value.at, value.bytes);
}

/* The row at hand, or (NULL) the end of a COPY without one. false: it waits, or was refused (EATING). */
static bool admit(struct client *client, const struct copy_row *row)
{
    struct copying *copying = client->copying;
    struct error err;
    enum arrival arrival = copying->state == COPYING_DEFERRED ? copy_open(client, row, &err)
                           : row != NULL                      ? copy_row_admit(client, row, &err)
                                                              : ARRIVED;

    if (arrival == REFUSED) {
        stop(client, &err);
        return false;
    }
    copying->row_waits = arrival == WAITING && row != NULL;
    if (arrival != ARRIVED || copying->state == COPYING_EATING)
        return false;
    if (row != NULL)
        note_known(copying);
    return true;
}

/* What the parser said. false: as admit(). */
static bool on_row(struct client *client, enum copy_event event)
{
    struct copying *copying = client->copying;

    if (event == COPY_VALUE && is_known(client))
        return true;
    copy_row_read(copying, event, &copying->row);
    copying->row_waits = true;
    return admit(client, &copying->row);
}

/* Reads on, up to `count` bytes of the client's buffer. false: not all of them may pass yet, or ever. */
static bool read_rows(struct client *client, size_t count)
{
    struct copying *copying = client->copying;

    if (copying->row_waits && !admit(client, &copying->row))
        return false;
    while (copying->seen < count) {
        size_t used;
        enum copy_event event = copy_rows_read(&copying->rows, buf_at(&client->stream.in) + copying->seen,
                                               count - copying->seen, &used);

        copying->seen += used;
        if (event != COPY_MORE && !on_row(client, event))
            return false;
    }
    return true;
}

/* ---- messages ---- */

static void append_data(struct buf *out, const char *bytes, size_t count)
{
    size_t mark = write_begin(out, FE_COPY_DATA);

    buf_append(out, bytes, count);
    write_end(out, mark);
}

/* It was cancelled, or held for too long. */
static bool is_refused(struct client *client)
{
    if (!client->refused || client->copying->state == COPYING_EATING)
        return false;
    client->refused = false;
    stop(client, &client->refused_why);
    return true;
}

/* No row has been seen in all that is held. */
static void give_up_looking(struct client *client)
{
    struct copying *copying = client->copying;

    copying->row = (struct copy_row){ .line = copying->rows.line,
                                      .why = "nothing says its tenant within the first 16 MB" };
    copying->row_waits = true;
    admit(client, &copying->row);
}

/* What has been read of the message at hand goes on, in a message of its own: the rest of it has to be read
 * first. */
static void pass_data(struct client *client, size_t count)
{
    struct copying *copying = client->copying;
    struct server *server = server_of(client);

    if (copying->state == COPYING_DEFERRED)
        append_data(&copying->held, buf_at(&client->stream.in), count);
    else if (copying->state == COPYING_OPEN && server != NULL)
        append_data(stream_out(&server->stream), buf_at(&client->stream.in), count);
}

bool copying_more(struct client *client)
{
    struct copying *copying = client->copying;
    size_t here = buf_bytes(&client->stream.in);
    size_t count = here < copying->left ? here : copying->left;
    struct error err;

    is_refused(client);
    if (copying->state != COPYING_EATING && !read_rows(client, count) && copying->state != COPYING_EATING)
        return false;
    if (client->state != CLIENT_IDLE)
        return false;
    if (copying->state == COPYING_DEFERRED && buf_bytes(&copying->held) + count > COPYING_HELD_BYTES_MAX) {
        give_up_looking(client);
        if (copying->state == COPYING_DEFERRED)
            return false;
    }
    pass_data(client, count);
    if (buf_failed(&copying->held)) {
        error_no_memory(&err);
        stop(client, &err);
    }
    buf_consume(&client->stream.in, count);
    copying->left -= count;
    copying->seen = 0;
    return copying->left == 0;
}

/* The last row may have no line end. false: it waits. */
static bool end_rows(struct client *client, bool fails)
{
    struct copying *copying = client->copying;
    enum copy_event event;

    is_refused(client);
    if (copying->row_waits && !admit(client, &copying->row))
        return copying->state == COPYING_EATING;
    while (!fails && copying->state != COPYING_EATING && (event = copy_rows_end(&copying->rows)) != COPY_MORE)
        if (!on_row(client, event))
            return copying->state == COPYING_EATING;
    if (copying->state == COPYING_DEFERRED && !admit(client, NULL)) /* no row: any store will do */
        return copying->state == COPYING_EATING;
    return true;
}

/* CopyDone, CopyFail. */
static bool on_end(struct client *client, const struct msg *header)
{
    struct copying *copying = client->copying;
    bool fails = header->type == FE_COPY_FAIL;
    struct server *server;

    if (copying->state != COPYING_UNREAD && !end_rows(client, fails))
        return false;
    server = copying->state == COPYING_EATING ? NULL : server_of(client);
    if (server == NULL) {
        statement_swallow(client, header);
        copying_end(client);
        return true;
    }
    server->copy_in = false;
    if (!server_is_quiet(server))
        owed_add(server, REQUEST_MARK, true, 0);
    statement_forward(client, server, header, 0, 0);
    if (copying->lazy && !copying->simple)
        copy_open_done(server);
    if (!copying->simple || fails) {
        copying_end(client);
        return true;
    }
    copying->state = COPYING_OPEN;
    if (!find_copy(client, copying->index + 1))
        copying_end(client);
    return true;
}

static bool on_data(struct client *client, const struct msg *header)
{
    struct copying *copying = client->copying;
    struct server *server = server_of(client);

    if (copying->state == COPYING_UNREAD && server != NULL) {
        statement_forward(client, server, header, 0, 0);
        return true;
    }
    buf_consume(&client->stream.in, MSG_HEADER_BYTES);
    copying->left = header->total_bytes - MSG_HEADER_BYTES;
    return copying->left == 0 || (buf_bytes(&client->stream.in) > 0 && copying_more(client));
}

/* As PostgreSQL, which cannot tell any more what is data. */
static bool lose_step(struct client *client, const struct msg *header)
{
    struct error err;

    error_set(&err, "08P01", "unexpected message type 0x%02X during COPY from stdin",
              (unsigned char)header->type);
    error_detail(&err, "The connection is terminated because protocol synchronization was lost.");
    client_fail(client, &err);
    return false;
}

bool copying_message(struct client *client, const struct msg *header, bool *result)
{
    struct copying *copying = client->copying;

    if (copying == NULL || copying->state == COPYING_BOUND)
        return false;
    switch (header->type) {
    case FE_COPY_DATA:
        *result = on_data(client, header);
        return true;
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
        *result = on_end(client, header);
        return true;
    case FE_FLUSH:
    case FE_SYNC:
        if (copying->state != COPYING_DEFERRED)
            break;
        statement_swallow(client, header); /* PostgreSQL ignores them while it copies */
        *result = true;
        return true;
    case FE_TERMINATE:
        break;
    default:
        if (copying->state == COPYING_DEFERRED) {
            *result = lose_step(client, header);
            return true;
        }
    }
    if (copying->state == COPYING_EATING) /* the client has heard that it failed */
        copying_end(client);
    return false;
}
