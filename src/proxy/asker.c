/* asker.c - see asker.h.
 *
 *   no connection ──ask──► CONNECTING ──► LOGIN ──► READY
 *          ▲                    └───────────┴──lost───┘
 *
 * Each question is Bind, Execute and Sync, so that one that fails leaves the others alone; answers come in
 * the order of the line. A connection that is lost, or a question that fails on one, may be older than what
 * has happened to its store (a restart, DDL): such a question is asked once more, on a new one. */
#include "proxy/asker.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "proxy/loop.h"
#include "proxy/prove.h"
#include "wire/read.h"
#include "wire/write.h"

enum conn_state { CONN_CONNECTING, CONN_LOGIN, CONN_READY };

struct conn {
    struct stream stream; /* first: a stream's hooks get from it to its connection by a cast */
    struct asker *owner;  /* NULL: given up, only waits to be freed */
    struct dial dial;
    enum conn_state state;
    uint64_t since_ms;
    struct prove prove;
    struct credentials credentials;
    unsigned preparing; /* answers to our own Parses that are due: one ReadyForQuery for all of them */
    bool stale;         /* not for new questions */
    /* the answer at hand */
    unsigned rows;
    enum stream_answer answer;
    char tenant[TENANT_BYTES_MAX];
    bool failed;
    struct error why;
};

struct asked {
    struct asked *prev, *next;
    struct slice key;
    void *who;
    uint64_t since_ms;
    bool sent, again; /* again: this is its second try */
};

struct asker {
    struct loop *loop;
    const struct store *store;
    asker_answered *answered;
    struct conn *conn; /* NULL: none */
    struct asked *line;
    bool stopped;
};

static void send_all(struct asker *asker);

/* ---- the line ---- */

static void answer_first(struct asker *asker, enum stream_answer answer, const char *tenant,
                         const struct error *why)
{
    struct asked *first = asker->line;
    void *who = first->who;

    DL_DELETE(asker->line, first);
    free(first);
    asker->answered(who, answer, tenant, why);
}

/* Only those that stand there now: an answer may bring a new question. */
static void fail_all(struct asker *asker, const struct error *why)
{
    struct asked *failed = asker->line;

    asker->line = NULL;
    while (failed != NULL) {
        struct asked *first = failed;
        void *who = first->who;

        DL_DELETE(failed, first);
        free(first);
        asker->answered(who, STREAM_FAILED, "", why);
    }
}

/* ---- the connection ---- */

static void conn_free(struct conn *conn)
{
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

static void give_up(struct conn *conn)
{
    struct asker *asker = conn->owner;

    if (asker == NULL)
        return;
    conn->owner = NULL;
    asker->conn = NULL;
    if (conn->state == CONN_READY)
        write_terminate(stream_out(&conn->stream));
    stream_flush(&conn->stream);
    stream_close(&conn->stream);
}

static void unavailable(const struct asker *asker, const struct error *why, struct error *told)
{
    error_set(told, "08001", "store_unavailable: store \"%s\" cannot be asked whose stream it is",
              asker->store->name);
    error_detail(told, "%s: %s", why->sqlstate, why->message);
    error_hint(
        told, "SHOW STORES on the admin socket tells which stores can be reached. A statement that names its "
              "tenant need not be looked up.");
}

/* Those that have been sent get a second try, on a connection that is made for it. */
static void broken(struct conn *conn, const struct error *why)
{
    struct asker *asker = conn->owner;
    bool again = conn->state == CONN_READY;
    struct asked *asked;
    struct error told;

    if (asker == NULL)
        return;
    DL_FOREACH(asker->line, asked) {
        again = again && !(asked->sent && asked->again);
        asked->again = asked->again || asked->sent;
        asked->sent = false;
    }
    log_error(asker->loop->shared->log, again || asker->line == NULL ? LOG_INFO : LOG_WARN, "proxy", why,
              "stream directory: connection to store \"%s\" lost", asker->store->name);
    unavailable(asker, why, &told);
    give_up(conn);
    if (asker->line == NULL)
        return;
    if (again)
        send_all(asker);
    else
        fail_all(asker, &told);
}

static void break_with(struct conn *conn, const char *sqlstate, const char *what)
{
    struct error err;

    error_set(&err, sqlstate, "%s", what);
    broken(conn, &err);
}

static const struct schema *schema_of(const struct asker *asker)
{
    return asker->loop->catalogue->schemas[asker->store->index];
}

/* Row security would hide rows; a lock or a slow store must not leave a backend behind for each question. */
static void send_startup(struct conn *conn)
{
    const struct asker *asker = conn->owner;
    char options[160];
    const char *pairs[] = { "user",
                            asker->store->user,
                            "database",
                            asker->store->dbname,
                            "options",
                            options,
                            "application_name",
                            "pgshunt stream directory" };

    snprintf(
        options, sizeof options,
        "-c row_security=off -c search_path= -c default_transaction_read_only=on -c client_encoding=UTF8 "
        "-c statement_timeout=%u",
        asker->loop->settings->directory_timeout_ms);
    write_startup(stream_out(&conn->stream), 0, pairs, sizeof pairs / sizeof pairs[0] / 2);
    conn->state = CONN_LOGIN;
    stream_start(&conn->stream);
    stream_flush(&conn->stream);
}

static void on_authentication(struct conn *conn, const struct msg *msg)
{
    struct loop *loop = conn->owner->loop;
    const struct store *store = conn->owner->store;
    const struct prove_who who = { .credentials = &conn->credentials,
                                   .user = store->user,
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

/* ---- questions ---- */

static const char *name_of(enum schema_key_kind kind)
{
    return kind == KEY_STREAM ? "stream" : "event";
}

/* One Parse for each kind of key; a kind that cannot be asked is left out, and nobody asks for it. */
static void prepare(struct conn *conn)
{
    const struct schema *schema = schema_of(conn->owner);
    struct buf *out = stream_out(&conn->stream);

    for (unsigned kind = 0; kind < KEY_KINDS; kind++)
        if (schema->keys[kind].question != NULL && schema->keys[kind].why_not == NULL)
            write_parse(out, slice_of(name_of(kind)), slice_of(schema->keys[kind].question), NULL, 0);
    write_sync(out);
    conn->preparing = 1;
}

static void send_one(struct conn *conn, struct asked *asked)
{
    struct buf *out = stream_out(&conn->stream);
    enum schema_key_kind kind = (enum schema_key_kind)asked->key.at[0];
    const char *at = asked->key.at + 1, *end = asked->key.at + asked->key.bytes;
    uint16_t count = 0;
    size_t mark;

    for (const char *c = at; c < end; c++)
        count = (uint16_t)(count + (*c == '\0'));
    mark = write_begin(out, FE_BIND);
    write_text(out, "");
    write_text(out, name_of(kind));
    write_u16(out, 0);
    write_u16(out, count);
    for (; at < end; at += strlen(at) + 1) {
        write_u32(out, (uint32_t)strlen(at));
        buf_append_text(out, at);
    }
    write_u16(out, 0);
    write_end(out, mark);
    mark = write_begin(out, FE_EXECUTE);
    write_text(out, "");
    write_u32(out, 0);
    write_end(out, mark);
    write_sync(out);
    asked->sent = true;
}

static bool connect_it(struct asker *asker);

static void send_all(struct asker *asker)
{
    struct asked *asked;

    if (asker->conn == NULL && !connect_it(asker))
        return; /* its clock finds those that wait */
    if (asker->conn->state != CONN_READY || asker->conn->stale)
        return;
    DL_FOREACH(asker->line, asked)
        if (!asked->sent)
            send_one(asker->conn, asked);
}

/* ---- answers ---- */

static void start_answer(struct conn *conn)
{
    conn->rows = 0;
    conn->answer = STREAM_NOBODY;
    conn->tenant[0] = '\0';
    conn->failed = false;
}

static void no_answer(struct conn *conn, const char *sqlstate, const char *what)
{
    if (!conn->failed)
        error_set(&conn->why, sqlstate, "%s", what);
    conn->failed = true;
}

static void on_row(struct conn *conn, const struct msg *msg)
{
    struct read body = read_msg(msg);
    unsigned columns = read_u16(&body);
    int32_t bytes = read_i32(&body);
    struct slice tenant = read_slice(&body, bytes < 0 ? 0 : (size_t)bytes);
    uint32_t type = schema_tenant_type(schema_of(conn->owner));

    if (columns != 1 || !read_done(&body)) {
        no_answer(conn, "08P01", "it answers with other columns than it was asked for");
    } else if (++conn->rows > 1) {
        conn->answer = STREAM_MIXED;
    } else if (bytes < 0) {
        conn->answer = STREAM_NULL;
    } else {
        conn->answer = STREAM_TENANT;
        if (!tenant_canonical(type, tenant, conn->tenant))
            no_answer(conn, "22000", "its tenant is not one that pgshunt understands");
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

static void on_answered(struct conn *conn)
{
    struct asker *asker = conn->owner;
    enum stream_answer answer = conn->answer;
    char tenant[TENANT_BYTES_MAX];

    if (asker->line == NULL || !asker->line->sent) {
        break_with(conn, "08P01", "it answers what it was not asked");
        return;
    }
    if (conn->failed) { /* perhaps only for what has changed since it was prepared */
        struct error why = conn->why, told;

        if (!asker->line->again) {
            broken(conn, &why);
            return;
        }
        unavailable(asker, &why, &told);
        start_answer(conn);
        answer_first(asker, STREAM_FAILED, "", &told);
        return;
    }
    memcpy(tenant, conn->tenant, sizeof tenant);
    start_answer(conn);
    answer_first(asker, answer, tenant, NULL);
}

static void on_ready(struct conn *conn)
{
    struct asker *asker = conn->owner;

    if (conn->state == CONN_LOGIN) {
        conn->state = CONN_READY;
        start_answer(conn);
        prepare(conn);
        send_all(asker);
    } else if (conn->preparing > 0) {
        conn->preparing = 0;
        if (conn->failed) {
            struct error why = conn->why;

            conn->state = CONN_LOGIN; /* it never was good for anything: no second try */
            broken(conn, &why);
        }
    } else {
        on_answered(conn);
    }
    if (asker->conn == conn && conn->stale && (asker->line == NULL || !asker->line->sent)) {
        give_up(conn);
        if (asker->line != NULL)
            send_all(asker);
    }
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
        if (conn->state != CONN_READY)
            broken(conn, &conn->why);
        break;
    case BE_READY:
        on_ready(conn);
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

static bool connect_it(struct asker *asker)
{
    struct conn *conn = calloc(1, sizeof *conn);
    const char *password = asker->store->password;

    if (conn == NULL ||
        !credentials_take(&conn->credentials, password == NULL || password[0] == '\0' ? NULL : password)) {
        free(conn);
        return false;
    }
    stream_init(&conn->stream, &hooks);
    conn->owner = asker;
    conn->since_ms = clock_ms();
    conn->dial.done = on_dialled;
    conn->dial.freed = on_dial_freed;
    asker->conn = conn;
    dial_begin(&conn->dial, &asker->loop->uv, &conn->stream, asker->store, asker->loop->settings->tls);
    return true;
}

/* ---- what finder asks for ---- */

struct asker *asker_new(struct loop *loop, const struct store *store, asker_answered *answered)
{
    struct asker *asker = calloc(1, sizeof *asker);

    if (asker == NULL)
        return NULL;
    asker->loop = loop;
    asker->store = store;
    asker->answered = answered;
    return asker;
}

void asker_free(struct asker *asker)
{
    free(asker);
}

bool asker_ask(struct asker *asker, struct slice key, void *who)
{
    struct asked *asked;

    if (asker->stopped || (asker->conn == NULL && !connect_it(asker)))
        return false;
    asked = calloc(1, sizeof *asked);
    if (asked == NULL)
        return false;
    asked->key = key;
    asked->who = who;
    asked->since_ms = clock_ms();
    DL_APPEND(asker->line, asked);
    if (asker->conn->state == CONN_READY && !asker->conn->stale)
        send_one(asker->conn, asked);
    return true;
}

void asker_open(struct asker *asker)
{
    if (!asker->stopped && asker->conn == NULL)
        connect_it(asker); /* no memory: whoever asks tries again, and says so */
}

void asker_flush(struct asker *asker)
{
    if (asker->conn != NULL && asker->conn->state == CONN_READY)
        stream_flush(&asker->conn->stream);
}

void asker_renew(struct asker *asker)
{
    if (asker->conn == NULL)
        return;
    if (asker->line == NULL)
        give_up(asker->conn);
    else
        asker->conn->stale = true;
}

/* A store that does not answer in time: a new connection for whoever asks next. */
void asker_tick(struct asker *asker, uint64_t now_ms)
{
    uint64_t timeout_ms = asker->loop->settings->directory_timeout_ms;
    struct conn *conn = asker->conn;
    struct error why;

    if (conn != NULL && conn->state == CONN_CONNECTING && conn->dial.failed != 0) {
        break_with(conn, "08001", uv_strerror(conn->dial.failed));
    } else if (asker->line != NULL && now_ms - asker->line->since_ms > timeout_ms) {
        error_set(&why, "08006", "no answer in time");
        if (conn != NULL) {
            conn->state = conn->state == CONN_READY ? CONN_LOGIN : conn->state; /* no second try */
            broken(conn, &why);
        } else {
            fail_all(asker, &why);
        }
    }
}

void asker_stop(struct asker *asker)
{
    struct error why;

    asker->stopped = true;
    if (asker->conn != NULL)
        give_up(asker->conn);
    error_set(&why, "57P01", "terminating connection due to administrator command");
    fail_all(asker, &why);
}
