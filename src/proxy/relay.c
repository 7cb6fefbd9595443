/* relay.c - see relay.h. Start at relay_run(), then on_message(). */
#include "proxy/relay.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/copying.h"
#include "proxy/hear.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/outcome.h"
#include "proxy/owed.h"
#include "wire/read.h"
#include "wire/write.h"

enum { WHOLE_BYTES_MAX = 64 * 1024 }; /* a larger message that we need not read streams through */

static void send_to_client(struct server *server, const char *bytes, size_t count)
{
    if (server->client->ear == NULL) /* nobody reads there */
        stream_send(&server->client->stream, bytes, count);
}

static bool head_is_silent(struct server *server)
{
    const struct request *head = owed_head(server);

    return head != NULL && head->silent;
}

static void pass(struct server *server, const struct msg *msg)
{
    if (!head_is_silent(server))
        send_to_client(server, msg->body - MSG_HEADER_BYTES, msg->total_bytes);
}

void relay_locals(struct server *server)
{
    struct request *head;

    while ((head = owed_head(server)) != NULL &&
           (head->kind == REQUEST_LOCAL || head->kind == REQUEST_MARK)) {
        uint64_t until = head->ordinal;
        char ready = head->ready;
        bool failed = head->failed;

        if (head->kind == REQUEST_LOCAL)
            send_to_client(server, buf_at(&head->local), buf_bytes(&head->local));
        owed_pop(server);
        client_said(server->client, ready, failed, until);
        if (server->client == NULL)
            return;
    }
}

static void pop(struct server *server)
{
    owed_pop(server);
    relay_locals(server);
}

/* Pops the head if it is a request of that kind. */
static void answered(struct server *server, const char *kinds)
{
    const struct request *head = owed_head(server);

    if (head != NULL && strchr(kinds, head->kind) != NULL)
        pop(server);
}

/* The server skips to the next Sync: whatever was asked for before it gets no answer. */
static void skip_to_sync(struct server *server)
{
    struct request *head;

    while ((head = owed_head(server)) != NULL && head->kind != 'S') {
        if (head->kind == 'P' && head->serial != 0 && !head->silent)
            session_forget_serial(&server->client->session, head->serial);
        if (strchr("PBE", head->kind) != NULL && head->serial != 0) /* B, E: of a PREPARE said again */
            made_gone_serial(&server->made, head->serial);
        if (!head->silent && (head->kind == 'Q' || head->kind == 'F'))
            server->client->sync_sent--; /* ignored, too: no ReadyForQuery will come for it */
        if (head->copies)
            copying_failed(server->client, server);
        owed_pop(server);
    }
    server->skipping = head == NULL;
}

/* The tap or a guard refused a row: the routes we know are older than the move. */
static void report_stale(struct server *server, const struct msg *msg)
{
    struct slice text = read_error_field(msg, 'M');
    struct stale_letter *letter;

    if (text.bytes < 7 ||
        (strncmp(text.at, "tenant_moved", 12) != 0 && strncmp(text.at, "tenant_lives", 12) != 0))
        return;
    letter = stale_letter_new(STALE_ROUTE, server->client->txn.tenant);
    if (letter != NULL)
        letter_send(server->client->loop->shared->switchboard->control, &letter->letter);
}

static void note_silent_error(struct server *server, const struct msg *msg)
{
    struct slice code = read_error_field(msg, 'C'), text = read_error_field(msg, 'M');
    struct slice detail = read_error_field(msg, 'D'), hint = read_error_field(msg, 'H');
    char sqlstate[6] = "XX000";

    if (code.bytes == 5)
        memcpy(sqlstate, code.at, 5);
    server->silent_failed = true;
    error_set(&server->silent_why, sqlstate, "%.*s", (int)text.bytes, text.at);
    if (detail.bytes > 0)
        error_detail(&server->silent_why, "%.*s", (int)detail.bytes, detail.at);
    else
        error_detail(&server->silent_why,
                     "store \"%s\" said so while its session was made like the client's.",
                     server->store->name);
    if (hint.bytes > 0)
        error_hint(&server->silent_why, "%.*s", (int)hint.bytes, hint.at);
}

static bool is_fatal(const struct msg *msg)
{
    struct slice severity = read_error_field(msg, 'V');

    if (severity.bytes == 0)
        severity = read_error_field(msg, 'S');
    return slice_is(severity, "FATAL") || slice_is(severity, "PANIC");
}

/* What the server says of the CopyFail by which we have stopped a COPY. Its own error may have come first. */
static bool is_our_copy_fail(const struct request *head, const struct msg *msg)
{
    return head != NULL && head->copies && buf_bytes(&head->local) > 0 &&
           slice_is(read_error_field(msg, 'C'), "57014");
}

/* Behind an error: the number of the first statement that the server does not skip. */
static uint64_t skipped_until(const struct server *server)
{
    const struct request *head = owed_head(server);

    return head == NULL ? server->client->session.journal.said : head->ordinal + head->statements;
}

static void on_error(struct server *server, const struct msg *msg)
{
    const struct request *head = owed_head(server);
    bool extended = head != NULL && strchr("PBDEC", head->kind) != NULL;
    bool undone = false;
    uint64_t from = head == NULL ? 0 : head->ordinal + head->done;

    if (is_fatal(msg)) { /* the connection closes next; the client's session does not: lost_server() */
        struct slice code = read_error_field(msg, 'C'), text = read_error_field(msg, 'M');
        char sqlstate[6] = "57P01";

        if (code.bytes == 5)
            memcpy(sqlstate, code.at, 5);
        error_set(&server->why, sqlstate, "%.*s", (int)text.bytes, text.at);
        error_detail(&server->why, "store \"%s\" ended the connection.", server->store->name);
        server->why_from_server = true;
        return;
    }
    server->copy_in = false;
    if (slice_is(read_error_field(msg, 'C'), "0A000") &&
        slice_is(read_error_field(msg, 'R'), "RevalidateCachedQuery"))
        server->made_stale = true; /* a client of its own would make the statement again */
    if (head != NULL && head->quietly) {
        ;
    } else if (head != NULL && head->swallow_error) {
        note_silent_error(server, msg);
    } else if (head != NULL && head->expect_error) {
        server->client->outcome_failed = true;
        undone = true;
    } else if (head == NULL || !head->silent || extended) {
        /* a statement made again in front of the client's own messages: those are skipped, so the error is
         * theirs */
        if (is_our_copy_fail(head, msg))
            send_to_client(server, buf_at(&head->local), buf_bytes(&head->local));
        else
            send_to_client(server, msg->body - MSG_HEADER_BYTES, msg->total_bytes);
        server->client->outcome_failed = server->client->error_seen = true;
        undone = head != NULL;
        report_stale(server, msg);
    }
    if (head != NULL && head->copies)
        copying_failed(server->client, server);
    if (head != NULL && head->kind == 'Q' && head->serial != 0 &&
        session_prepare_failed(&server->client->session, head->serial))
        made_gone_serial(&server->made, head->serial);
    if (extended)
        skip_to_sync(server);
    if (undone)
        journal_failed(&server->client->session.journal, from, skipped_until(server));
}

/* Syncs that reached the server while it expects CopyData are ignored by it (PostgreSQL documentation, "COPY
 * Operations"): libpq sends one with the COPY statement. */
static void on_copy_in(struct server *server)
{
    const struct request *head = owed_head(server);

    server->copy_in = true;
    if (head == NULL)
        return;
    for (size_t i = 1; i < server->line_count; i++) {
        const struct request *later = owed_at(server, i);

        if (later->kind == REQUEST_MARK) { /* the client has ended it already */
            server->copy_in = false;
            return;
        }
        if (later->kind != 'S' || head->kind != 'E')
            continue;
        if (!later->silent)
            server->client->sync_sent--;
        owed_drop(server, i--);
    }
}

static void count(struct server *server)
{
    tally_ready(&server->loop->tallies[server->store->index], &server->clock, server->tx_status == 'I',
                server->visible > 0, clock_us());
    server_count_bytes(server);
}

static void on_ready(struct server *server, const struct msg *msg)
{
    const struct request *head = owed_head(server);
    bool silent = head != NULL && head->silent;
    uint64_t until = head == NULL ? 0 : head->ordinal + head->statements;

    if (head == NULL || strchr("QSF", head->kind) == NULL || msg->body_bytes != 1)
        return; /* nobody asked: a server that talks nonsense is passed over */
    server->tx_status = msg->body[0];
    server->copy_in = false;
    if (!silent && server->tx_status == 'I')
        hear_flush(server->client);
    pass(server, msg);
    owed_pop(server);
    if (!silent)
        count(server);
    if (!silent)
        outcome_ready(server->client, server, server->tx_status, until);
    relay_locals(server);
}

/* The client's RESET has led the server to its own name instead of the client's: what the client would have
 * been told is that one. */
static void report_startup_name(struct client *client)
{
    char *startup = lend_startup_name(client);

    if (startup != NULL && session_report(&client->session, slice_of("application_name"), slice_of(startup)))
        write_parameter_status(stream_out(&client->stream), slice_of("application_name"), slice_of(startup));
    free(startup);
}

static void on_parameter(struct server *server, const struct msg *msg)
{
    struct read body = read_msg(msg);
    struct slice name = read_text(&body), value = read_text(&body);

    report_note(&server->reported, name, value);
    if (head_is_silent(server)) /* it is being made like the session, not the session like it */
        return;
    if (lend_has_reset_name(server, name, value)) {
        report_startup_name(server->client);
        return;
    }
    session_report(&server->client->session, name, value);
    send_to_client(server, msg->body - MSG_HEADER_BYTES, msg->total_bytes);
}

static void on_complete(struct server *server, const struct msg *msg)
{
    struct request *head = owed_head(server);
    struct read body = read_msg(msg);
    struct slice tag = read_text(&body);

    if (head != NULL && !head->silent) {
        if (head->look != 0)
            txn_looked(&server->client->txn, (int)server->store->index, head->look,
                       !slice_is(tag, "SELECT 0"));
        if (slice_is(tag, "COMMIT")) {
            server->client->outcome_failed = false;
            server->client->committed = true;
        } else if (slice_is(tag, "ROLLBACK")) {
            server->client->outcome_failed = true;
            server->client->committed = false;
            journal_answered_rollback(&server->client->session.journal, head->ordinal + head->done);
        }
        head->done += head->done < head->statements;
    }
    pass(server, msg);
    answered(server, "E");
}

/* An Execute has returned as many rows as it was asked for. */
static void on_suspended(struct server *server, const struct msg *msg)
{
    const struct request *head = owed_head(server);

    if (head != NULL && !head->silent && head->look != 0)
        txn_looked(&server->client->txn, (int)server->store->index, head->look, true);
    pass(server, msg);
    answered(server, "E");
}

static void capture(struct server *server, const struct msg *msg)
{
    struct read body = read_msg(msg);
    struct slice value;

    read_u16(&body);
    value = read_slice(&body, read_u32(&body));
    if (!body.bad && value.bytes < sizeof server->captured) {
        memcpy(server->captured, value.at, value.bytes);
        server->captured[value.bytes] = '\0';
    }
}

static bool is_captured(struct server *server, const struct msg *msg)
{
    const struct request *head = owed_head(server);

    return msg->type == BE_DATA_ROW && head != NULL && head->capture;
}

/* A server that is stopped at once says so in a warning, and is gone (quickdie() of PostgreSQL). */
static void on_notice(struct server *server, const struct msg *msg)
{
    struct slice code = read_error_field(msg, 'C'), text = read_error_field(msg, 'M');

    if (code.bytes == 5 && strncmp(code.at, "57P0", 4) == 0) {
        error_set(&server->why, "57P01", "%.*s", (int)text.bytes, text.at);
        memcpy(server->why.sqlstate, code.at, 5);
        server->why_from_server = true;
    }
    pass(server, msg);
}

static void on_notification(struct server *server, const struct msg *msg)
{
    struct client *client = server->client;
    struct read body = read_msg(msg);
    char start[MSG_HEADER_BYTES + sizeof(uint32_t)];
    uint32_t sender;

    if (client->ear != NULL) {
        hear_told(client, server, msg);
        return;
    }
    sender = htonl(hear_sender(client, server->store->index, read_u32(&body)));
    if (!channels_hears_own(&client->session.channels, read_text(&body)))
        return;
    memcpy(start, msg->body - MSG_HEADER_BYTES, MSG_HEADER_BYTES);
    memcpy(start + MSG_HEADER_BYTES, &sender, sizeof sender);
    send_to_client(server, start, sizeof start);
    send_to_client(server, msg->body - MSG_HEADER_BYTES + sizeof start, msg->total_bytes - sizeof start);
}

static void on_message(struct server *server, const struct msg *msg)
{
    switch (msg->type) {
    case BE_DATA_ROW:
        capture(server, msg);
        break;
    case BE_READY:
        on_ready(server, msg);
        break;
    case BE_ERROR:
        on_error(server, msg);
        break;
    case BE_COMMAND_COMPLETE:
        on_complete(server, msg);
        break;
    case BE_PARAMETER_STATUS:
        on_parameter(server, msg);
        break;
    case BE_NOTICE:
        on_notice(server, msg);
        break;
    case BE_NOTIFICATION:
        on_notification(server, msg);
        break;
    case BE_COPY_IN:
        if (owed_head(server) == NULL || !owed_head(server)->copy_said)
            pass(server, msg);
        on_copy_in(server);
        break;
    case BE_PARSE_COMPLETE:
        pass(server, msg);
        answered(server, "P");
        break;
    case BE_BIND_COMPLETE:
        pass(server, msg);
        answered(server, "B");
        break;
    case BE_CLOSE_COMPLETE:
        pass(server, msg);
        answered(server, "C");
        break;
    case BE_ROW_DESCRIPTION:
    case BE_NO_DATA:
        pass(server, msg);
        answered(server, "D");
        break;
    case BE_PORTAL_SUSPENDED:
        on_suspended(server, msg);
        break;
    case BE_EMPTY_QUERY:
        pass(server, msg);
        answered(server, "E");
        break;
    default: /* notices, COPY, function results, parameter descriptions: they end nothing */
        pass(server, msg);
    }
}

/* A message that may be large and says nothing to us: its bytes go on as they come. */
static bool streams(const struct msg *msg)
{
    return msg->type == BE_DATA_ROW || msg->type == BE_COPY_DATA ||
           (msg->total_bytes > WHOLE_BYTES_MAX && strchr("TtVN", msg->type) == NULL &&
            msg->type != BE_ERROR && msg->type != BE_PARAMETER_STATUS);
}

static void pass_rest(struct server *server)
{
    size_t held = buf_bytes(&server->stream.in);
    size_t count = held < server->passing_bytes ? held : server->passing_bytes;

    if (!server->passing_silent)
        send_to_client(server, buf_at(&server->stream.in), count);
    buf_consume(&server->stream.in, count);
    server->passing_bytes -= count;
}

static bool malformed(struct server *server)
{
    struct error err;

    error_set(&err, "08P01", "store_unavailable: store \"%s\" sent a malformed message", server->store->name);
    server_break(server, &err);
    return false;
}

/* One message or a part of one. false: no more for now. */
static bool step(struct server *server)
{
    struct msg msg;
    struct error err;
    enum wire_result result;

    if (server->passing_bytes > 0) {
        pass_rest(server);
        return server->passing_bytes == 0 && buf_bytes(&server->stream.in) > 0;
    }
    result = msg_peek(&server->stream.in, &msg, &err);
    if (result == WIRE_BAD)
        return malformed(server);
    if (result == WIRE_MORE)
        return false;
    if (streams(&msg) && !is_captured(server, &msg)) {
        server->passing_bytes = msg.total_bytes;
        server->passing_silent = head_is_silent(server);
        return true;
    }
    if (msg_next(&server->stream.in, &msg, &err) != WIRE_MSG)
        return false;
    on_message(server, &msg);
    if (server->state == SERVER_READY)
        buf_consume(&server->stream.in, msg.total_bytes);
    return server->state == SERVER_READY;
}

void relay_run(struct server *server)
{
    struct client *client = server->client;

    while (server->state == SERVER_READY && buf_bytes(&server->stream.in) > 0 && step(server))
        ;
    if (server->client == NULL || client->state == CLIENT_CLOSING)
        return;
    if (stream_is_full(&client->stream))
        stream_pause(&server->stream);
    if (client->unflushed)
        client_flush(client);
    else
        stream_flush(&client->stream);
    if (server->client == NULL || server->state != SERVER_READY)
        return;
    if (buf_bytes(&server->stream.in) == 0)
        buf_shrink(&server->stream.in);
    if (server_is_quiet(server))
        client_server_quiet(client, server);
}
