/* reset.c - see reset.h. */
#include "proxy/reset.h"

#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/owed.h"
#include "proxy/server_say.h"
#include "wire/read.h"

static const char EVERYTHING[] = "DISCARD ALL";

static const char *query_of(const struct server *server)
{
    return config_text(server->loop->settings->config, CONFIG_SERVER_RESET_QUERY);
}

static bool is_everything(const char *query)
{
    size_t bytes = strlen(query);

    while (bytes > 0 && strchr("; \t", query[bytes - 1]) != NULL)
        bytes--;
    return bytes == sizeof EVERYTHING - 1 && strncasecmp(query, EVERYTHING, bytes) == 0;
}

bool reset_is_possible(const struct server *server)
{
    return query_of(server)[0] != '\0' && !server->spoilt;
}

void reset_begin(struct server *server)
{
    const char *query = query_of(server);

    server->resetting_ms = clock_ms();
    if (!is_everything(query))
        server_say(server, slice_of(query));
    if (server->state == SERVER_READY) /* else there was no memory, and it is closed */
        server_say(server, slice_of(EVERYTHING));
    if (server->state != SERVER_READY)
        return;
    stream_start(&server->stream); /* its client may have been slow */
    stream_flush(&server->stream);
}

/* As after its login. */
static void forget(struct server *server)
{
    server->resetting_ms = 0;
    server->pinned = NULL;
    made_done(&server->made);
    server->made_stale = false;
    wear_give(server->wear);
    server->wear = NULL;
    server->wear_unknown = false;
    server->silent_failed = server->asking = server->doubtful = server->copy_in = false;
    server->told_client = 0; /* no client has this number */
}

static void give_up(struct server *server, const char *what, struct slice text)
{
    log_line(server->loop->shared->log, LOG_WARN, "proxy",
             "server_reset_query: a connection of user \"%s\" to store \"%s\" is closed: %s%.*s",
             server->identity->user, server->store->name, what, (int)text.bytes, text.at);
    server_close(server);
}

/* The server's answer to one of the queries has ended. False: it is closed. */
static bool answered(struct server *server, char tx_status)
{
    owed_pop(server);
    server->tx_status = tx_status;
    if (tx_status == 'I')
        return true;
    give_up(server, "a transaction is open behind it", slice_of(""));
    return false;
}

/* False: it is closed, or broken. */
static bool on_message(struct server *server, const struct msg *msg)
{
    struct read body = read_msg(msg);
    struct slice name;

    if (msg->type == BE_PARAMETER_STATUS) {
        name = read_text(&body);
        report_note(&server->reported, name, read_text(&body));
    } else if (msg->type == BE_ERROR) {
        give_up(server, "", read_error_field(msg, 'M'));
        return false;
    } else if (msg->type == BE_READY && msg->body_bytes == 1 && server->line_count > 0) {
        return answered(server, msg->body[0]);
    }
    return true; /* rows, notices, what it has listened to until now: for nobody */
}

void reset_came(struct server *server)
{
    struct msg msg;
    struct error err;
    enum wire_result result = WIRE_MORE;

    while (server->line_count > 0 && (result = msg_next(&server->stream.in, &msg, &err)) == WIRE_MSG) {
        if (!on_message(server, &msg))
            return;
        buf_consume(&server->stream.in, msg.total_bytes);
    }
    if (server->line_count > 0) {
        if (result == WIRE_BAD)
            server_break(server, &err);
        return;
    }
    forget(server);
    lend_return(server, 0);
}

void reset_expired(struct server *server)
{
    if (server->resetting_ms != 0 && clock_ms() - server->resetting_ms >= SERVER_RESET_TIMEOUT_MS)
        give_up(server, "it does not answer", slice_of(""));
}
