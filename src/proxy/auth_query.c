/* auth_query.c - see auth_query.h.
 *
 *   no connection ──ask──► CONNECTING ──► LOGIN ──► READY ◄──answer── BUSY
 *                               └───────────┴──lost───┴──────ask──────►┘
 *
 * The first question in line is the one that BUSY works on. A connection that is lost fails all that stand in
 * line; one that had been idle may only have been closed by the server, and its question is asked once more.
 */
#include "proxy/auth_query.h"

#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/loop.h"
#include "proxy/prove.h"
#include "proxy/secrets.h"
#include "wire/read.h"
#include "wire/write.h"

enum conn_state { CONN_CONNECTING, CONN_LOGIN, CONN_READY, CONN_BUSY };

struct conn {
    struct stream stream;     /* first: a stream's hooks get from it to its connection by a cast */
    struct auth_query *owner; /* NULL: given up, only waits to be freed */
    struct dial dial;
    enum conn_state state;
    uint64_t since_ms;
    struct prove prove;
    struct credentials credentials;
    bool used;     /* has answered before */
    char *asked;   /* BUSY: about whom; who asked may have gone */
    unsigned rows; /* of the answer at hand */
    char *secret;  /* … and what it brought */
    bool failed;   /* … or that it is none */
    struct error why;
};

struct auth_query {
    struct loop *loop;
    struct conn *conn; /* NULL: none */
    struct auth_lookup *line;
    unsigned line_count;
    struct secrets *secrets;
    bool pumping, stopped;
};

static void pump(struct auth_query *query);

/* ---- the line ---- */

static void take_out(struct auth_query *query, struct auth_lookup *lookup)
{
    DL_DELETE(query->line, lookup);
    query->line_count--;
    free(lookup->user);
    lookup->user = NULL;
    lookup->retried = false;
}

static void answer(struct auth_query *query, struct auth_lookup *lookup, const char *secret,
                   const struct error *err)
{
    take_out(query, lookup);
    lookup->done(lookup, secret, err); /* may ask again, or close its client */
}

/* Only those that stand there now: an answer may bring a new question. */
static void answer_all(struct auth_query *query, const struct error *err)
{
    for (unsigned count = query->line_count; count > 0 && query->line != NULL; count--)
        answer(query, query->line, NULL, err);
}

/* ---- the connection ---- */

static void free_secret(char **secret)
{
    if (*secret != NULL)
        OPENSSL_cleanse(*secret, strlen(*secret));
    free(*secret);
    *secret = NULL;
}

static void conn_free(struct conn *conn)
{
    free_secret(&conn->secret);
    free(conn->asked);
    credentials_done(&conn->credentials);
    prove_done(&conn->prove);
    free(conn);
}

static void on_gone(struct stream *stream)
{
    struct conn *conn = (struct conn *)stream;

    if (!dial_abandon(&conn->dial))
        conn_free(conn);
}

static void conn_give_up(struct conn *conn)
{
    struct auth_query *query = conn->owner;

    if (query == NULL)
        return;
    conn->owner = NULL;
    query->conn = NULL;
    if (conn->state >= CONN_READY)
        write_terminate(stream_out(&conn->stream));
    stream_flush(&conn->stream);
    stream_close(&conn->stream);
}

/* What the client reads says nothing of ours; the log says all. */
static void broken(struct conn *conn, const struct error *why)
{
    struct auth_query *query = conn->owner;
    struct auth_lookup *first;
    bool again;
    struct error told;

    if (query == NULL)
        return;
    first = query->line;
    again = first != NULL && conn->state == CONN_BUSY && conn->used && !first->retried;
    log_error(query->loop->shared->log, again || first == NULL ? LOG_INFO : LOG_WARN, "proxy", why,
              "auth_query: connection lost");
    conn_give_up(conn);
    if (again) {
        first->retried = true;
        pump(query);
        return;
    }
    error_set(&told, "08001", "store_unavailable: the user's password cannot be looked up");
    error_hint(&told,
               "pgshunt's log says why; auth_query, auth_user and auth_dbname in [auth] say how it is done.");
    answer_all(query, &told);
}

static void break_with(struct conn *conn, const char *sqlstate, const char *what)
{
    struct error err;

    error_set(&err, sqlstate, "%s", what);
    broken(conn, &err);
}

/* ---- its login ---- */

static const struct store *the_store(const struct auth_query *query)
{
    return stores_default(query->loop->shared->stores);
}

/* auth_user's secret: auth_file's, or the store's own where that is the same user. */
static bool find_credentials(struct auth_query *query, struct credentials *credentials)
{
    const struct auth_rules *rules = query->loop->settings->rules;
    const struct store *store = the_store(query);
    const char *secret = auth_file_secret(rules->users, rules->query_user);

    if (secret == NULL && strcmp(rules->query_user, store->user) == 0 && store->password[0] != '\0')
        secret = store->password;
    return credentials_take(credentials, secret);
}

static void send_startup(struct conn *conn)
{
    const struct auth_rules *rules = conn->owner->loop->settings->rules;
    const char *pairs[] = { "user",
                            rules->query_user,
                            "database",
                            rules->query_dbname[0] != '\0' ? rules->query_dbname
                                                           : the_store(conn->owner)->dbname,
                            "application_name",
                            "pgshunt auth_query" };

    write_startup(stream_out(&conn->stream), 0, pairs, sizeof pairs / sizeof pairs[0] / 2);
    conn->state = CONN_LOGIN;
    stream_start(&conn->stream);
    stream_flush(&conn->stream);
}

static void on_authentication(struct conn *conn, const struct msg *msg)
{
    struct loop *loop = conn->owner->loop;
    const struct store *store = the_store(conn->owner);
    const struct prove_who who = { .credentials = &conn->credentials,
                                   .user = loop->settings->rules->query_user,
                                   .store = store->name,
                                   .may_send_plain = loop->settings->plain_to_stores ||
                                                     store->host[0] == '/' ||
                                                     stream_is_encrypted(&conn->stream),
                                   .encrypted = stream_is_encrypted(&conn->stream),
                                   .must_bind = store->tls.must_bind,
                                   .binding = stream_binding(&conn->stream),
                                   .derive = loop->derive };
    struct error err;

    if (!prove_answer(&conn->prove, &who, msg, stream_out(&conn->stream), &err))
        broken(conn, &err);
}

/* ---- a question and its answer ---- */

static bool send_question(struct conn *conn, const char *user)
{
    struct buf *out = stream_out(&conn->stream);
    size_t mark;

    free(conn->asked);
    conn->asked = strdup(user);
    if (conn->asked == NULL)
        return false;
    write_parse(out, slice_of(""), slice_of(conn->owner->loop->settings->rules->query), NULL, 0);
    mark = write_begin(out, FE_BIND); /* the name is a parameter: whatever it is, it is not SQL */
    write_text(out, "");
    write_text(out, "");
    write_u16(out, 0);
    write_u16(out, 1);
    write_u32(out, (uint32_t)strlen(user));
    buf_append_text(out, user);
    write_u16(out, 0);
    write_end(out, mark);
    mark = write_begin(out, FE_EXECUTE);
    write_text(out, "");
    write_u32(out, 2); /* more than one is too many */
    write_end(out, mark);
    write_sync(out);
    conn->rows = 0;
    conn->failed = false;
    conn->state = CONN_BUSY;
    conn->since_ms = clock_ms();
    stream_flush(&conn->stream);
    return true;
}

static void no_answer(struct conn *conn, const char *sqlstate, const char *what)
{
    if (!conn->failed)
        error_set(&conn->why, sqlstate, "%s", what);
    conn->failed = true;
}

/* usename, passwd */
static void on_row(struct conn *conn, const struct msg *msg)
{
    struct read body = read_msg(msg);
    unsigned columns = read_u16(&body);
    int32_t name_bytes = read_i32(&body), secret_bytes;
    struct slice name = read_slice(&body, name_bytes < 0 ? 0 : (size_t)name_bytes), secret;

    secret_bytes = read_i32(&body);
    secret = read_slice(&body, secret_bytes < 0 ? 0 : (size_t)secret_bytes);
    if (++conn->rows > 1)
        no_answer(conn, "21000", "auth_query returned more than one row");
    else if (columns != 2 || !read_done(&body))
        no_answer(conn, "42804", "auth_query must return two columns, user and password");
    else if (!slice_is(name, conn->asked))
        no_answer(conn, "42804", "auth_query returned another user than it was asked for");
    else if (secret_bytes >= 0 && memchr(secret.at, '\0', secret.bytes) == NULL) {
        free_secret(&conn->secret);
        conn->secret = strndup(secret.at, secret.bytes);
        if (conn->secret == NULL)
            no_answer(conn, "53200", "out of memory");
        else if (conn->secret[0] == '\0') /* an empty password is none */
            free_secret(&conn->secret);
    }
}

static void on_error(struct conn *conn, const struct msg *msg)
{
    struct slice code = read_error_field(msg, 'C'), text = read_error_field(msg, 'M');
    char sqlstate[6] = "XX000", words[400];

    if (code.bytes == 5)
        memcpy(sqlstate, code.at, 5);
    snprintf(words, sizeof words, "%.*s", (int)(text.bytes < 300 ? text.bytes : 300), text.at);
    conn->failed = false;
    no_answer(conn, sqlstate, words);
}

/* Who asked may have gone, or others ask for the same user: what was found is kept, and pump() finds it. */
static void on_ready(struct conn *conn)
{
    struct auth_query *query = conn->owner;
    struct auth_lookup *first = query->line;
    char *secret = conn->secret;
    struct error told;

    conn->secret = NULL;
    conn->state = CONN_READY;
    conn->used = true;
    if (first != NULL && strcmp(first->user, conn->asked) != 0)
        first = NULL;
    if (conn->failed) {
        log_error(query->loop->shared->log, LOG_WARN, "proxy", &conn->why, "auth_query failed");
        error_set(&told, "08001", "store_unavailable: the user's password cannot be looked up");
        error_hint(&told, "pgshunt's log says why; auth_query in [auth] is the statement.");
        if (first != NULL)
            answer(query, first, NULL, &told);
    } else {
        secrets_keep(query->secrets, conn->asked, secret,
                     clock_ms() + (secret == NULL ? AUTH_QUERY_NOBODY_MS : AUTH_QUERY_KEPT_MS));
        if (first != NULL)
            answer(query, first, secret, NULL);
    }
    free_secret(&secret);
    pump(query);
}

static void on_message(struct conn *conn, const struct msg *msg)
{
    switch (msg->type) {
    case BE_AUTHENTICATION:
        if (conn->state == CONN_LOGIN)
            on_authentication(conn, msg);
        break;
    case BE_DATA_ROW:
        on_row(conn, msg);
        break;
    case BE_ERROR:
        on_error(conn, msg);
        if (conn->state != CONN_BUSY)
            broken(conn, &conn->why);
        break;
    case BE_READY:
        if (conn->state == CONN_LOGIN) {
            conn->state = CONN_READY;
            pump(conn->owner);
        } else if (conn->state == CONN_BUSY) {
            on_ready(conn);
        }
        break;
    default: /* parameters, notices, ParseComplete … */
        break;
    }
}

/* ---- stream ---- */

static void on_came(struct stream *stream, size_t bytes)
{
    struct conn *conn = (struct conn *)stream;
    struct msg msg;
    struct error err;

    (void)bytes;
    while (conn->owner != NULL) {
        enum wire_result result = msg_next(&stream->in, &msg, &err);

        if (result == WIRE_MORE) {
            if (buf_bytes(&stream->in) <= AUTH_MESSAGE_BYTES_MAX)
                break;
            result = WIRE_BAD;
        }
        if (result == WIRE_BAD) {
            break_with(conn, "08P01", "it does not speak PostgreSQL's protocol");
            return;
        }
        on_message(conn, &msg);
        if (conn->owner != NULL)
            buf_consume(&stream->in, msg.total_bytes);
    }
    if (conn->owner != NULL)
        stream_flush(stream);
}

static void on_ended(struct stream *stream, int status)
{
    struct conn *conn = (struct conn *)stream;

    if (conn->owner == NULL)
        stream_close(stream);
    else
        break_with(conn, "08006",
                   status == UV_EOF ? "the server closed the connection" : uv_strerror(status));
}

static void on_eased(struct stream *stream)
{
    (void)stream;
}

static const struct stream_hooks hooks = { on_came, on_ended, on_eased, on_gone };

static struct conn *of_dial(struct dial *dial)
{
    return (struct conn *)((char *)dial - offsetof(struct conn, dial));
}

static void on_dialled(struct dial *dial, int status)
{
    struct conn *conn = of_dial(dial);
    struct error err;

    if (conn->owner == NULL)
        return;
    if (status == 0) {
        send_startup(conn);
        return;
    }
    dial_explain(dial, status, &err);
    broken(conn, &err);
}

static void on_dial_freed(struct dial *dial)
{
    conn_free(of_dial(dial));
}

static bool connect_it(struct auth_query *query)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL || !find_credentials(query, &conn->credentials)) {
        free(conn);
        return false;
    }
    stream_init(&conn->stream, &hooks);
    conn->owner = query;
    conn->since_ms = clock_ms();
    conn->dial.done = on_dialled;
    conn->dial.freed = on_dial_freed;
    query->conn = conn;
    dial_begin(&conn->dial, &query->loop->uv, &conn->stream, the_store(query), query->loop->settings->tls);
    return true;
}

/* ---- what the loop asks for ---- */

/* Does what can be done for the first in line: answers it from memory, asks, connects. Not recursive. */
static void pump(struct auth_query *query)
{
    struct error err;
    const char *secret;

    if (query->pumping)
        return;
    query->pumping = true;
    while (query->line != NULL && !query->stopped) {
        struct auth_lookup *first = query->line;

        if (secrets_recall(query->secrets, first->user, clock_ms(), &secret)) {
            char *copy =
                secret == NULL ? NULL : strdup(secret); /* the answer may lead to a change of what is kept */

            error_no_memory(&err);
            answer(query, first, copy, secret != NULL && copy == NULL ? &err : NULL);
            free_secret(&copy);
        } else if (query->conn == NULL) {
            if (connect_it(query))
                break;
            error_no_memory(&err);
            answer(query, first, NULL, &err);
        } else {
            if (query->conn->state != CONN_READY || send_question(query->conn, first->user))
                break;
            error_no_memory(&err);
            answer(query, first, NULL, &err);
        }
    }
    query->pumping = false;
}

struct auth_query *auth_query_new(struct loop *loop)
{
    struct auth_query *query = calloc(1, sizeof *query);

    if (query == NULL)
        return NULL;
    query->loop = loop;
    query->secrets = secrets_new(AUTH_QUERY_KEPT_MAX);
    if (query->secrets == NULL) {
        free(query);
        return NULL;
    }
    return query;
}

void auth_query_free(struct auth_query *query)
{
    if (query == NULL)
        return;
    secrets_free(query->secrets);
    free(query);
}

bool auth_query_ask(struct auth_query *query, struct auth_lookup *lookup, const char *user, struct error *err)
{
    if (query->line_count >= AUTH_QUERY_LINE_MAX) {
        error_set(err, "53300", "too many logins wait for auth_query");
        return error_hint(err, "Try again; a store that answers slowly is a reason, see pgshunt's log.");
    }
    lookup->user = strdup(user);
    if (lookup->user == NULL)
        return error_no_memory(err);
    lookup->retried = false;
    DL_APPEND(query->line, lookup);
    query->line_count++;
    pump(query);
    return true;
}

void auth_query_forget(struct auth_query *query, struct auth_lookup *lookup)
{
    if (lookup->user != NULL)
        take_out(query, lookup);
}

void auth_query_doubt(struct auth_query *query, const char *user)
{
    secrets_forget(query->secrets, user);
}

void auth_query_reset(struct auth_query *query)
{
    secrets_forget_all(query->secrets);
    if (query->conn != NULL)
        conn_give_up(query->conn);
    pump(query);
}

void auth_query_tick(struct auth_query *query, uint64_t now_ms)
{
    struct conn *conn = query->conn;

    if (conn == NULL)
        return;
    if (conn->state == CONN_CONNECTING && conn->dial.failed != 0)
        break_with(conn, "08001", uv_strerror(conn->dial.failed));
    else if (conn->state != CONN_READY && now_ms - conn->since_ms > AUTH_QUERY_TIMEOUT_MS)
        break_with(conn, "08006", "no answer in time");
}

void auth_query_stop(struct auth_query *query)
{
    query->stopped = true;
    if (query->conn != NULL)
        conn_give_up(query->conn);
}
