/* login.c - see login.h. */
#include "proxy/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/config.h"
#include "proxy/arrive.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/lend.h"
#include "proxy/loop.h"
#include "proxy/secure.h"
#include "wire/startup.h"
#include "wire/write.h"

static void fail_with(struct client *client, const char *sqlstate, const char *text)
{
    struct error err;

    error_set(&err, sqlstate, "%s", text);
    client_fail(client, &err);
}

/* ---- startup packets ---- */

static char *copy_text(struct slice slice)
{
    return strndup(slice.at, slice.bytes);
}

/* What it begins with of the settings that attribution goes by. */
static bool read_startup_settings(struct client *client, const struct startup *startup)
{
    struct buf value;
    enum startup_value found;

    buf_init(&value);
    found = startup_setting(startup, client->loop->shared->tenant_setting, &value);
    if (found == STARTUP_FOUND && buf_bytes(&value) < TENANT_BYTES_MAX)
        snprintf(client->startup_tenant, TENANT_BYTES_MAX, "%s", buf_text(&value));
    else
        client->startup_tenant_unknown = found != STARTUP_ABSENT;
    found = startup_setting(startup, "search_path", &value);
    client->startup_path_unknown = found == STARTUP_UNKNOWN;
    if (found == STARTUP_FOUND)
        client->startup_path = strdup(buf_text(&value));
    buf_done(&value);
    return found != STARTUP_FOUND || client->startup_path != NULL;
}

static bool keep_parameters(struct client *client, const struct startup *startup)
{
    struct slice user = startup_get(startup, "user"), database = startup_get(startup, "database");

    client->user = copy_text(user);
    client->database = copy_text(database.at == NULL || database.bytes == 0 ? user : database);
    client->startup = calloc(startup->parameter_count + 1, sizeof *client->startup);
    if (client->user == NULL || client->database == NULL || client->startup == NULL)
        return false;
    for (size_t i = 0; i < startup->parameter_count; i++) {
        struct parameter_pair *pair = &client->startup[client->startup_count];

        if (slice_is(startup->parameters[i].name, "user") ||
            slice_is(startup->parameters[i].name, "database"))
            continue;
        pair->name = copy_text(startup->parameters[i].name);
        pair->value = copy_text(startup->parameters[i].value);
        client->startup_count++;
        if (pair->name == NULL || pair->value == NULL)
            return false;
    }
    return read_startup_settings(client, startup);
}

/* A walsender's language is not SQL: it goes to the default store as it is. ParseBool of PostgreSQL, which
 * also takes any beginning of these words: what is false in it is no replication, all else may be. */
static bool asks_replication(const struct startup *startup)
{
    static const char *const no[] = { "f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0" };
    struct slice value = startup_get(startup, "replication");

    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (value.bytes == strlen(no[i]) && strncasecmp(value.at, no[i], value.bytes) == 0)
            return false;
    return value.at != NULL;
}

void login_home(struct client *client)
{
    const struct store *home = arrive_home(client);

    client_enter(client, EV_KNOWN);
    client->waiting_store = client->home_store = (int)home->index;
    if (client->shares)
        lend_login(client);
    else if (server_open(client, home) == NULL && client->state != CLIENT_CLOSING)
        fail_with(client, "53200", "out of memory");
}

static bool may_begin(struct client *client, struct error *err)
{
    const struct loop *loop = client->loop;

    if (loop->stopping)
        return error_set(err, "57P01", "the proxy is shutting down");
    if (!loop->ready) {
        error_set(err, "57P03", "starting: the routing table has not been read yet");
        return error_hint(err, "The control database cannot be reached; SHOW STORES on the admin socket.");
    }
    if (atomic_load(loop->shared->client_count) > loop->settings->max_clients)
        return error_set(err, "53300", "sorry, too many clients already (max_client_conn)");
    return true;
}

/* 3.0 to 3.2 are spoken; of more than that, and of options that nobody knows, the client is told what there
 * is instead (a client says 3.9999 just to see whether we do). */
static void agree_on_version(struct client *client, const struct startup *startup)
{
    unsigned minor = startup->minor > STARTUP_MINOR_MAX ? STARTUP_MINOR_MAX : startup->minor;

    if (startup->minor > minor || startup->option_count > 0)
        write_negotiate_version(stream_out(&client->stream), minor, startup->options, startup->option_count);
    client->protocol_minor = minor;
    if (minor >= 2)
        client->cancel_key_bytes = CANCEL_KEY_BYTES_LONG;
}

/* The tenant that login name or database stand for. */
static bool map_tenant(struct client *client, struct error *err)
{
    const struct config *config = client->settings->config;
    const char *user = config_user_tenant(config, client->user);
    const char *database = config_database_tenant(config, client->database);

    if (user != NULL && database != NULL && strcmp(user, database) != 0) {
        error_set(err, "0A000",
                  "conflicting_evidence: user \"%s\" is tenant \"%s\", database \"%s\" is \"%s\"",
                  client->user, user, client->database, database);
        return error_hint(err, "Let user and database under [routing] name the same tenant.");
    }
    client->mapped_database = database != NULL;
    client->user_tenant = database != NULL ? database : user != NULL ? user : "";
    return true;
}

static void begin_session(struct client *client, const struct startup *startup)
{
    const struct proxy_shared *shared = client->loop->shared;
    struct error err;

    agree_on_version(client, startup);
    if (!may_begin(client, &err) || !secure_is_enough(client, &err)) {
        client_fail(client, &err);
        return;
    }
    client_enter(client, EV_STARTUP);
    client->settings = proxy_settings_take(client->loop->settings);
    if (!keep_parameters(client, startup)) {
        fail_with(client, "53200", "out of memory");
        return;
    }
    if (!map_tenant(client, &err)) {
        client_fail(client, &err);
        return;
    }
    client->replication = asks_replication(startup);
    client->shares = shared->shares && !client->replication;
    client->routed =
        !client->replication &&
        (client->mapped_database || strcmp(client->database, stores_default(shared->stores)->dbname) == 0);
    admit_begin(client);
}

bool login_startup_step(struct client *client)
{
    struct startup *startup;
    struct error err;
    enum wire_result result;
    size_t bytes;

    if (client->cancelling) /* all that it had to say has been said */
        return false;
    if (secure_is_direct(client)) {
        secure_begin_direct(client);
        return false; /* what TLS brings comes by the stream */
    }
    startup = malloc(sizeof *startup);
    if (startup == NULL) {
        fail_with(client, "53200", "out of memory");
        return false;
    }
    result = startup_next(&client->stream.in, startup, &err);
    bytes = result == WIRE_MSG ? startup->total_bytes : 0;
    if (result == WIRE_BAD && startup->total_bytes == 0) { /* whoever it is, he does not speak our protocol */
        log_line(client->loop->shared->log, LOG_INFO, "proxy", "closed a connection: %s", err.message);
        client_close(client);
    } else if (result == WIRE_BAD) {
        client->old_protocol = startup->major == 1 || startup->major == 2;
        client_fail(client, &err);
    } else if (result == WIRE_MSG && startup->kind == STARTUP_CANCEL) {
        if (!cancel_request(client, startup->cancel_pid, startup->cancel_key))
            client_close(client);
    } else if (result == WIRE_MSG && startup->kind == STARTUP_SESSION) {
        begin_session(client, startup);
    } else if (result == WIRE_MSG) {
        secure_asked(client, startup);
        bytes = 0; /* consumed */
    }
    free(startup);
    if (client->state == CLIENT_CLOSING)
        return false;
    buf_consume(&client->stream.in, bytes);
    return bytes > 0;
}

void login_welcome(struct client *client)
{
    struct buf *out = stream_out(&client->stream);
    write_auth_ok(out);
    for (size_t i = 0; i < client->session.reported.count; i++)
        write_parameter_status(out, slice_of(client->session.reported.pairs[i].name),
                               slice_of(client->session.reported.pairs[i].value));
    write_backend_key_data(out, client->cancel_pid, client->cancel_key, client->cancel_key_bytes);
    write_ready(out, 'I');
    client->welcomed_ms = clock_ms();
    client_enter(client, EV_SERVER);
    client->idle_since_ms = uv_now(&client->loop->uv);
}
