/* admit.c - see admit.h. Words and SQLSTATEs as in PostgreSQL's auth.c. */
#include "proxy/admit.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/client.h"
#include "proxy/guess.h"
#include "proxy/login.h"
#include "proxy/loop.h"

/* ---- refusing ---- */

static struct client *of_admit(struct admit *admit)
{
    return (struct client *)((char *)admit - offsetof(struct client, admit));
}

/* Counted, logged; a wrong password is answered late, and never sooner or later for what it cost to find out.
 */
static void refuse(struct client *client, const struct error *why, uint64_t since_ms)
{
    struct admit *admit = &client->admit;
    struct loop *loop = client->loop;
    uint32_t delay_ms = 0;

    stats_add(loop->stats, STAT_LOGINS_FAILED, 1);
    log_line(loop->shared->log, LOG_WARN, "proxy",
             "login of user \"%s\" to database \"%s\" from %s failed: %s", client->user, client->database,
             admit->peer.text, why->message);
    if (admit->looked_up && error_is(why, "28P01"))
        auth_query_doubt(loop->auth_query, client->user);
    if (error_is(why, "28P01") && admit->rules->delay_ms > 0 && loop->refused_count < REFUSED_WAITING_MAX)
        delay_ms = guess_failed(loop->guess, (const struct sockaddr *)&admit->peer.address,
                                admit->rules->delay_ms, since_ms);
    if (delay_ms == 0) {
        client_fail(client, why);
        return;
    }
    admit->why = *why;
    admit->refuse_at_ms = since_ms + delay_ms;
    DL_APPEND(loop->refused, admit);
    loop->refused_count++;
}

static void unrefuse(struct client *client)
{
    DL_DELETE(client->loop->refused, &client->admit);
    client->loop->refused_count--;
    client->admit.refuse_at_ms = 0;
}

void admit_tick(struct loop *loop, uint64_t now_ms)
{
    struct admit *admit, *next;

    DL_FOREACH_SAFE(loop->refused, admit, next) {
        struct client *client = of_admit(admit);

        if (now_ms < admit->refuse_at_ms)
            continue;
        unrefuse(client);
        client_fail(client, &admit->why);
    }
}

static void answered(struct client *client, enum auth_result result, const struct error *err,
                     uint64_t since_ms)
{
    if (result == AUTH_FAILED)
        refuse(client, err, since_ms);
    else if (result == AUTH_OK)
        login_home(client);
    if (client->state != CLIENT_CLOSING)
        stream_flush(&client->stream);
}

/* ---- the exchange ---- */

static void begin_exchange(struct client *client, const char *secret)
{
    struct admit *admit = &client->admit;
    const struct auth_ask ask = { .type = admit->type,
                                  .user = client->user,
                                  .secret = secret,
                                  .mock_key = client->loop->shared->mock_key,
                                  .binding = stream_binding(&client->stream),
                                  .derive = client->loop->derive,
                                  .unknown_by_scram = admit->rules->query_user[0] != '\0' ||
                                                      auth_file_is_mostly_scram(admit->rules->users) };
    struct error err;

    answered(client, auth_begin(&ask, &admit->auth, stream_out(&client->stream), &client->credentials, &err),
             &err, clock_ms());
}

static void on_looked_up(struct auth_lookup *lookup, const char *secret, const struct error *err)
{
    struct client *client = of_admit((struct admit *)((char *)lookup - offsetof(struct admit, lookup)));

    client->admit.looked_up = true;
    if (err != NULL)
        refuse(client, err, clock_ms());
    else
        begin_exchange(client, secret);
    if (client->state != CLIENT_CLOSING)
        client_run(client); /* it may have sent its answer already */
}

/* By password: auth_file first, then auth_query. */
static void begin_password(struct client *client)
{
    struct admit *admit = &client->admit;
    const char *secret = auth_file_secret(admit->rules->users, client->user);
    struct error err;

    if (secret != NULL || admit->rules->query_user[0] == '\0') {
        begin_exchange(client, secret);
        return;
    }
    admit->lookup.done = on_looked_up;
    if (!auth_query_ask(client->loop->auth_query, &admit->lookup, client->user, &err))
        refuse(client, &err, clock_ms());
}

/* ---- without a password ---- */

/* What auth_file has of the user still opens stores that ask for it. */
static void let_in(struct client *client)
{
    struct error err;
    bool ok =
        credentials_take(&client->credentials, auth_file_secret(client->admit.rules->users, client->user));

    error_no_memory(&err);
    answered(client, ok ? AUTH_OK : AUTH_FAILED, &err, clock_ms());
}

static void refuse_with(struct client *client, const char *message, const char *detail)
{
    struct error err;

    error_set(&err, "28000", message, client->user);
    if (detail != NULL)
        log_line(client->loop->shared->log, LOG_INFO, "proxy", "user \"%s\": %s", client->user, detail);
    refuse(client, &err, clock_ms());
}

static void begin_peer(struct client *client, const char *map)
{
    static const char message[] = "Peer authentication failed for user \"%s\"";
    char name[PEER_USER_BYTES], detail[2 * PEER_USER_BYTES];
    uid_t uid;

    if (!stream_peer_user(&client->stream, &uid)) {
        refuse_with(client, message, "peer authentication needs a Unix-domain socket");
    } else if (!peer_user_name(uid, name)) {
        refuse_with(client, message, "the system user at the other end of the socket has no name");
    } else if (!ident_allows(client->admit.rules->ident, map, name, client->user)) {
        snprintf(detail, sizeof detail, "system user \"%s\" is not allowed to be it (map \"%s\")", name,
                 map == NULL ? "" : map);
        refuse_with(client, message, detail);
    } else {
        let_in(client);
    }
}

static void begin_cert(struct client *client, const char *map)
{
    const char *name = stream_peer_name(&client->stream);
    char whose[160];

    snprintf(whose, sizeof whose, "its certificate is that of \"%.100s\"", name == NULL ? "" : name);
    if (name == NULL)
        refuse_with(client, "connection requires a valid client certificate", NULL);
    else if (!ident_allows(client->admit.rules->ident, map, name, client->user))
        refuse_with(client, "certificate authentication failed for user \"%s\"", whose);
    else
        let_in(client);
}

/* ---- which method ---- */

/* Physical replication asks for no database: hba_file has a word of its own for it. */
static bool asks_for_replication(const struct client *client)
{
    bool of_database = false;

    for (size_t i = 0; i < client->startup_count; i++)
        if (strcmp(client->startup[i].name, "replication") == 0)
            of_database = strcmp(client->startup[i].value, "database") == 0;
    return client->replication && !of_database;
}

static void refuse_by_hba(struct client *client, bool rejected, bool replication)
{
    const char *encryption = stream_is_encrypted(&client->stream) ? "SSL encryption" : "no encryption";
    const char *said = rejected ? "pg_hba.conf rejects" : "no pg_hba.conf entry for";
    struct error err;

    if (replication)
        error_set(&err, "28000", "%s replication connection%s host \"%s\", user \"%s\", %s", said,
                  rejected ? " for" : " from", client->admit.peer.text, client->user, encryption);
    else
        error_set(&err, "28000", "%s%s host \"%s\", user \"%s\", database \"%s\", %s", said,
                  rejected ? " connection for" : "", client->admit.peer.text, client->user, client->database,
                  encryption);
    refuse(client, &err, clock_ms());
}

static void begin_method(struct client *client, const char *map)
{
    switch (client->admit.type) {
    case AUTH_SCRAM:
    case AUTH_MD5:
    case AUTH_PASSWORD:
        begin_password(client);
        break;
    case AUTH_PEER:
        begin_peer(client, map);
        break;
    case AUTH_CERT:
        begin_cert(client, map);
        break;
    case AUTH_TRUST:
        let_in(client);
        break;
    case AUTH_REJECT:
    case AUTH_HBA:
        refuse_by_hba(client, client->admit.type == AUTH_REJECT, asks_for_replication(client));
        break;
    }
}

void admit_begin(struct client *client)
{
    struct admit *admit = &client->admit;
    const struct hba_ask ask = { .address = (const struct sockaddr *)&admit->peer.address,
                                 .encrypted = stream_is_encrypted(&client->stream),
                                 .replication = asks_for_replication(client),
                                 .database = client->database,
                                 .user = client->user };
    struct hba_verdict verdict = { .map = NULL };

    admit->rules = client->settings->rules;
    peer_of(&client->stream, &admit->peer);
    admit->type = admit->rules->type; /* AUTH_HBA stays where no line matches */
    if (admit->rules->hba != NULL && hba_match(admit->rules->hba, &ask, &verdict))
        admit->type = verdict.method;
    if (admit->type != AUTH_HBA && admit->rules->hba == NULL && admit->rules->map[0] != '\0')
        verdict.map = admit->rules->map;
    begin_method(client, verdict.map);
}

bool admit_step(struct client *client)
{
    struct admit *admit = &client->admit;
    const uint64_t since_ms = clock_ms();
    struct msg msg;
    struct error err;
    enum wire_result result;

    if (admit_is_waiting(client))
        return false;
    result = msg_peek(&client->stream.in, &msg, &err);
    if (result == WIRE_MORE)
        return false;
    if (result == WIRE_MSG && msg.type != FE_PASSWORD) {
        error_set(&err, "08P01", "expected %s response, got message type %d", auth_expects(admit->auth),
                  (unsigned char)msg.type);
        result = WIRE_BAD;
    } else if (result == WIRE_MSG && msg.total_bytes > AUTH_MESSAGE_BYTES_MAX) {
        error_set(&err, "08P01", "invalid %s response: message is too long", auth_expects(admit->auth));
        result = WIRE_BAD;
    }
    if (result == WIRE_BAD) {
        refuse(client, &err, since_ms);
        return false;
    }
    if (msg_next(&client->stream.in, &msg, &err) == WIRE_MORE)
        return false;
    answered(client,
             auth_continue(admit->auth, &msg, stream_out(&client->stream), &client->credentials, &err), &err,
             since_ms);
    if (client->state == CLIENT_CLOSING)
        return false;
    buf_consume(&client->stream.in, msg.total_bytes);
    return true;
}

bool admit_is_waiting(const struct client *client)
{
    return client->state == CLIENT_AUTH && (client->admit.auth == NULL || client->admit.refuse_at_ms != 0);
}

void admit_done(struct client *client)
{
    struct admit *admit = &client->admit;

    if (admit->rules == NULL)
        return;
    if (admit->refuse_at_ms != 0)
        unrefuse(client);
    auth_query_forget(client->loop->auth_query, &admit->lookup);
    auth_free(admit->auth);
    admit->auth = NULL;
    admit->rules = NULL;
}
