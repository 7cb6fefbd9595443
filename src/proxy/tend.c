/* tend.c - see tend.h. */
#include "proxy/tend.h"

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

static const char *text_of(const struct server *server, enum config_key key)
{
    return config_text(server->loop->settings->config, key);
}

static bool is_everything(const char *query)
{
    size_t bytes = strlen(query);

    while (bytes > 0 && strchr("; \t", query[bytes - 1]) != NULL)
        bytes--;
    return bytes == sizeof EVERYTHING - 1 && strncasecmp(query, EVERYTHING, bytes) == 0;
}

bool tend_can_reset(const struct server *server)
{
    return text_of(server, CONFIG_SERVER_RESET_QUERY)[0] != '\0' && !server->spoilt;
}

/* Without memory it is closed already. */
static void say(struct server *server, const char *query)
{
    if (server->state == SERVER_READY)
        server_say(server, slice_of(query));
}

static void begin(struct server *server)
{
    if (server->state != SERVER_READY)
        return;
    stream_start(&server->stream); /* its client may have been slow */
    stream_flush(&server->stream);
}

void tend_reset(struct server *server)
{
    const char *query = text_of(server, CONFIG_SERVER_RESET_QUERY);

    server->tended = TENDED_RESET;
    server->tended_ms = clock_ms();
    if (!is_everything(query))
        say(server, query);
    say(server, EVERYTHING);
    begin(server);
}

void tend_check(struct server *server)
{
    server->tended = TENDED_CHECK;
    server->tended_ms = clock_ms();
    say(server, text_of(server, CONFIG_SERVER_CHECK_QUERY));
    begin(server);
}

/* As after its login. */
static void forget(struct server *server)
{
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
             "%s: a connection of user \"%s\" to store \"%s\" is closed: %s%.*s",
             server->tended == TENDED_RESET ? "server_reset_query" : "server_check_query",
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

void tend_came(struct server *server)
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
    if (server->tended == TENDED_RESET)
        forget(server);
    server->tended = TENDED_NOT;
    lend_return(server, server->seat.last_client);
}

void tend_expired(struct server *server)
{
    if (clock_ms() - server->tended_ms >= SERVER_TEND_TIMEOUT_MS)
        give_up(server, "it does not answer", slice_of(""));
}
