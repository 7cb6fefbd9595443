/* session.c - what an operator's psql or driver says, and what we answer.
 *
 *   STARTING ──startup packet──► IDLE ──command──► BUSY ──its end──► IDLE … ──Terminate, FATAL──► OVER
 *
 *   STARTING: nothing is known of it.   IDLE: messages are read, and a script of several commands goes on.
 *   BUSY: `job` waits for control or a timer; messages stay unread in `in`.   OVER: only `out` is left to
 * send.
 *
 * Owns:   its buffers, statements, portals, and the job that runs.
 * Leaves: sockets and who may come in to console.c, commands to job.c.
 * Thread: the console's.   Start at: session_run(), then handlers[]. */
#include "admin/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/answer.h"
#include "admin/job.h"
#include "admin/portal.h"
#include "admin/show.h"
#include "wire/msg.h"
#include "wire/read.h"
#include "wire/startup.h"
#include "wire/write.h"

enum session_state { SESSION_STARTING, SESSION_IDLE, SESSION_BUSY, SESSION_OVER };

enum { MESSAGE_BYTES_LIMIT = COMMAND_BYTES_MAX + 1024 /* names, formats */ };

struct session {
    enum session_state state;
    const struct view *view;
    const struct session_hooks *hooks;
    char operator_name[64];
    uint32_t pid;
    unsigned char key[CANCEL_KEY_BYTES];
    struct error refusal;
    struct buf in, out;
    size_t skip_bytes; /* of a message that was too long to keep */
    bool skip_to_sync; /* after an error in the extended protocol */
    char tx_status;    /* 'I' or 'T': drivers want to see their BEGIN; nothing depends on it */
    /* the commands of one Query */
    bool in_script;
    struct buf script;
    size_t script_at;
    struct command command;
    /* of the extended protocol */
    struct portals portals;
    struct portal *running; /* the portal that `job` runs; NULL: the script's command */
    uint32_t row_limit;     /* of its Execute; 0: none */
    /* the command under way */
    struct job job;
    struct job_hooks job_hooks;
};

/* --- hooks of the job --- */

static bool on_ask(void *who, struct control_request *request)
{
    struct session *session = who;

    return session->hooks->ask(session->hooks->who, request);
}

static unsigned on_ask_loops(void *who, enum show_what what, uint64_t tag)
{
    struct session *session = who;

    return session->hooks->ask_loops(session->hooks->who, what, tag);
}

static void on_wake_in(void *who, uint64_t ms)
{
    struct session *session = who;

    session->hooks->wake_in(session->hooks->who, ms);
}

static void on_notice(void *who, const char *message)
{
    struct session *session = who;

    /* Somebody who does not read misses notices; he does not make us keep them. */
    if (buf_bytes(&session->out) < STREAM_HIGH_BYTES)
        write_notice(&session->out, "NOTICE", "00000", message);
}

/* --- life --- */

struct session *session_new(const struct session_setup *setup)
{
    struct session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    session->view = setup->view;
    session->hooks = setup->hooks;
    session->pid = setup->pid;
    session->tx_status = 'I';
    snprintf(session->operator_name, sizeof session->operator_name, "%s", setup->operator_name);
    memcpy(session->key, setup->key, sizeof session->key);
    if (setup->refusal != NULL)
        session->refusal = *setup->refusal;
    session->job_hooks = (struct job_hooks){ on_ask, on_ask_loops, on_wake_in, on_notice, session };
    session->job.owner = setup->pid;
    buf_init(&session->in);
    buf_init(&session->out);
    buf_init(&session->script);
    return session;
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    job_done(&session->job);
    command_done(&session->command);
    portals_done(&session->portals);
    buf_done(&session->in);
    buf_done(&session->out);
    buf_done(&session->script);
    free(session);
}

struct buf *session_in(struct session *session)
{
    return &session->in;
}

struct buf *session_out(struct session *session)
{
    return &session->out;
}

bool session_wants_input(const struct session *session)
{
    return session->state != SESSION_OVER && buf_bytes(&session->in) < MESSAGE_BYTES_LIMIT;
}

bool session_is_over(const struct session *session)
{
    return session->state == SESSION_OVER;
}

bool session_is_starting(const struct session *session)
{
    return session->state == SESSION_STARTING;
}

void session_end(struct session *session, const struct error *err)
{
    if (session->state == SESSION_OVER)
        return;
    write_error(&session->out, "FATAL", err);
    session->state = SESSION_OVER;
}

static void ready(struct session *session)
{
    if (session->tx_status == 'I')
        portals_close_all_bound(&session->portals);
    write_ready(&session->out, session->tx_status);
}

/* --- startup --- */

static void welcome(struct session *session, const struct startup *startup)
{
    if (startup->minor > 0 || startup->option_count > 0)
        write_negotiate_version(&session->out, 0, startup->options, startup->option_count);
    write_auth_ok(&session->out);
    for (const struct show_parameter *parameter = show_parameters(); parameter->name != NULL; parameter++)
        write_parameter_status(&session->out, slice_of(parameter->name), slice_of(parameter->value));
    write_backend_key_data(&session->out, session->pid, session->key, sizeof session->key);
    session->state = SESSION_IDLE;
    ready(session);
}

/* false: nothing to do until more bytes come. */
static bool step_startup(struct session *session)
{
    struct startup startup;
    struct error err;

    switch (startup_next(&session->in, &startup, &err)) {
    case WIRE_MORE:
        return false;
    case WIRE_BAD:
        session_end(session, &err);
        return false;
    case WIRE_MSG:
        break;
    }
    switch (startup.kind) {
    case STARTUP_SSL:
    case STARTUP_GSSENC:
        write_u8(&session->out, 'N'); /* a Unix-domain socket: nobody listens in */
        break;
    case STARTUP_CANCEL:
        if (!error_is_set(&session->refusal))
            session->hooks->cancel(session->hooks->who, startup.cancel_pid, startup.cancel_key);
        session->state = SESSION_OVER;
        return false;
    case STARTUP_SESSION:
        if (error_is_set(&session->refusal))
            session_end(session, &session->refusal);
        else
            welcome(session, &startup);
        break;
    }
    buf_consume(&session->in, startup.total_bytes);
    return session->state != SESSION_OVER;
}

/* --- answers --- */

/* An error ends the script, or everything up to the next Sync. */
static void fail(struct session *session, const struct error *err)
{
    write_error(&session->out, "ERROR", err);
    if (session->in_script) {
        session->in_script = false;
        ready(session);
    } else {
        session->skip_to_sync = true;
    }
}

static void complete(struct session *session, const struct command_info *info)
{
    if (info->verb == COMMAND_BEGIN)
        session->tx_status = 'T';
    else if (info->verb == COMMAND_END_TRANSACTION)
        session->tx_status = 'I';
    if (info->verb == COMMAND_EMPTY)
        write_empty_query(&session->out);
    else
        write_command_complete(&session->out, info->tag);
}

static void answer_script(struct session *session, struct rows *rows)
{
    struct error err;

    if (rows != NULL)
        answer_describe_rows(&session->out, rows, NULL);
    for (size_t row = 0; rows != NULL && row < rows_count(rows); row++) {
        if (!answer_row(&session->out, rows, row, NULL, &err)) {
            fail(session, &err);
            return;
        }
    }
    complete(session, session->command.info);
}

/* The rows that this Execute wants; the rest stays for the next. */
static void answer_portal(struct session *session, struct portal *portal)
{
    size_t count = portal->rows == NULL ? 0 : rows_count(portal->rows);
    size_t until = count;
    struct error err;

    if (session->row_limit > 0 && count - portal->row_at > session->row_limit)
        until = portal->row_at + session->row_limit;
    for (; portal->row_at < until; portal->row_at++) {
        if (!answer_row(&session->out, portal->rows, portal->row_at, &portal->formats, &err)) {
            fail(session, &err);
            return;
        }
    }
    if (until < count)
        write_end(&session->out, write_begin(&session->out, BE_PORTAL_SUSPENDED));
    else
        complete(session, portal->command.info);
}

static void keep_rows(struct session *session, struct portal *portal, struct rows *rows, struct error *err)
{
    const struct command_info *info = portal->command.info;

    portal->rows = rows;
    if (rows == NULL)
        return;
    if (info->columns == NULL) { /* Describe has said NoData */
        rows_free(rows);
        portal->rows = NULL;
        return;
    }
    if (!answer_fits(rows, info->columns))
        log_line(session->view->log, LOG_WARN, "console",
                 "the columns of %s are not those that Describe names", info->usage);
    portal->rows = answer_fit(rows, info->columns);
    if (portal->rows == NULL)
        error_no_memory(err);
}

/* The one end of every command, at once or later. */
static void job_ended(struct session *session, enum job_result result, struct rows *rows, struct error *err)
{
    struct portal *portal = session->running;

    if (result == JOB_WAITS) {
        session->state = SESSION_BUSY;
        return;
    }
    session->state = SESSION_IDLE;
    session->running = NULL;
    job_done(&session->job);
    if (result == JOB_FAILED) {
        if (portal != NULL) /* a second Execute must not find it done */
            portals_close_bound(&session->portals, slice_of(portal->name));
        fail(session, err);
    } else if (portal != NULL) {
        error_clear(err);
        keep_rows(session, portal, rows, err);
        if (error_is_set(err))
            fail(session, err);
        else
            answer_portal(session, portal);
    } else {
        answer_script(session, rows);
        rows_free(rows);
    }
}

static void run_job(struct session *session, const struct command *command, const struct parameters *params)
{
    struct rows *rows = NULL;
    struct error err;
    uint32_t asked = session->job.asked; /* goes on: an answer to an earlier job never fits a later one */
    enum job_result result;

    session->job = (struct job){
        .view = session->view,
        .hooks = &session->job_hooks,
        .operator_name = session->operator_name,
        .command = command,
        .params = params,
        .owner = session->pid,
        .asked = asked,
    };
    result = job_start(&session->job, &rows, &err);
    job_ended(session, result, rows, &err);
}

/* --- simple query --- */

static const struct command_values no_values = { 0, NULL };

/* All of it is read before any of it is done. */
static bool check_script(struct session *session, struct error *err)
{
    struct slice text = buf_slice(&session->script);
    struct command command;
    size_t at = 0;
    bool good = true;

    while (good && !command_is_blank(text, at)) {
        good = command_parse(text, at, &no_values, &command, err);
        at = command.end;
        command_done(&command);
    }
    return good;
}

static bool on_query(struct session *session, struct read *read, struct error *err)
{
    struct slice text = read_text(read);

    if (!read_done(read))
        return error_set(err, "08P01", "invalid Query message");
    buf_clear(&session->script);
    buf_append_slice(&session->script, text);
    buf_text(&session->script); /* memory, also for an empty one */
    if (buf_failed(&session->script)) {
        buf_clear(&session->script);
        return error_no_memory(err);
    }
    session->in_script = true;
    session->script_at = 0;
    if (!check_script(session, err))
        return false;
    if (command_is_blank(buf_slice(&session->script), 0))
        write_empty_query(&session->out);
    return true;
}

/* The next command of the script, or its end. */
static void step_script(struct session *session)
{
    struct slice text = buf_slice(&session->script);
    struct error err;

    if (command_is_blank(text, session->script_at)) {
        session->in_script = false;
        buf_clear(&session->script);
        buf_shrink(&session->script);
        ready(session);
        return;
    }
    command_done(&session->command);
    if (!command_parse(text, session->script_at, &no_values, &session->command, &err)) {
        fail(session, &err);
        return;
    }
    session->script_at = session->command.end;
    if (session->command.info->verb != COMMAND_EMPTY)
        run_job(session, &session->command, NULL);
}

/* --- extended query --- */

static bool on_parse(struct session *session, const struct msg *msg, struct error *err)
{
    if (!portals_prepare(&session->portals, msg, err))
        return false;
    write_parse_complete(&session->out);
    return true;
}

static bool on_bind(struct session *session, const struct msg *msg, struct error *err)
{
    if (!portals_bind(&session->portals, msg, err))
        return false;
    write_bind_complete(&session->out);
    return true;
}

static void describe_columns(struct session *session, const struct command_info *info,
                             const struct answer_formats *formats)
{
    if (info->columns == NULL)
        write_no_data(&session->out);
    else
        answer_describe(&session->out, info->columns, formats);
}

static void describe_parameters(struct session *session, const struct prepared *prepared)
{
    size_t mark = write_begin(&session->out, BE_PARAMETER_DESCRIPTION);

    write_u16(&session->out, (uint16_t)prepared->parameter_count);
    for (size_t i = 0; i < prepared->parameter_count; i++)
        write_u32(&session->out, prepared->types[i] == 0 ? (uint32_t)ROWS_TEXT : prepared->types[i]);
    write_end(&session->out, mark);
}

static bool on_describe(struct session *session, const struct msg *msg, struct error *err)
{
    struct read read = read_msg(msg);
    char what = (char)read_u8(&read);
    struct slice name = read_text(&read);
    const struct prepared *prepared;
    struct portal *portal;

    if (!read_done(&read) || (what != 'S' && what != 'P'))
        return error_set(err, "08P01", "invalid Describe message");
    if (what == 'P') {
        if (!portals_find_bound(&session->portals, name, &portal, err))
            return false;
        describe_columns(session, portal->command.info, &portal->formats);
        return true;
    }
    if (!portals_find_prepared(&session->portals, name, &prepared, err))
        return false;
    describe_parameters(session, prepared);
    describe_columns(session, prepared->info, NULL);
    return true;
}

static bool on_execute(struct session *session, const struct msg *msg, struct error *err)
{
    struct read read = read_msg(msg);
    struct slice name = read_text(&read);
    uint32_t limit = read_u32(&read);
    struct portal *portal;

    if (!read_done(&read))
        return error_set(err, "08P01", "invalid Execute message");
    if (!portals_find_bound(&session->portals, name, &portal, err))
        return false;
    session->row_limit = limit > INT32_MAX ? 0 : limit; /* zero or less: all */
    if (portal->started) {
        answer_portal(session, portal);
        return true;
    }
    portal->started = true;
    session->running = portal;
    run_job(session, &portal->command, &portal->params);
    return true;
}

static bool on_close(struct session *session, const struct msg *msg, struct error *err)
{
    struct read read = read_msg(msg);
    char what = (char)read_u8(&read);
    struct slice name = read_text(&read);

    if (!read_done(&read) || (what != 'S' && what != 'P'))
        return error_set(err, "08P01", "invalid Close message");
    if (what == 'S')
        portals_close_prepared(&session->portals, name);
    else
        portals_close_bound(&session->portals, name);
    write_close_complete(&session->out);
    return true;
}

static bool on_flush(struct session *session, const struct msg *msg, struct error *err)
{
    (void)session; /* what is in `out` is sent anyway */
    (void)msg;
    (void)err;
    return true;
}

static bool (*const handlers[256])(struct session *session, const struct msg *msg, struct error *err) = {
    [FE_PARSE] = on_parse,     [FE_BIND] = on_bind,   [FE_DESCRIBE] = on_describe,
    [FE_EXECUTE] = on_execute, [FE_CLOSE] = on_close, [FE_FLUSH] = on_flush,
};

/* --- messages --- */

static void unexpected(struct session *session, char type)
{
    struct error err;

    error_set(&err, "08P01", "invalid frontend message type %d", (unsigned char)type);
    session_end(session, &err);
}

static void handle_query(struct session *session, const struct msg *msg)
{
    struct read read = read_msg(msg);
    struct error err;

    if (on_query(session, &read, &err))
        return;
    session->in_script = true; /* so that fail() ends with ReadyForQuery */
    fail(session, &err);
}

static void handle(struct session *session, const struct msg *msg)
{
    struct error err;

    switch (msg->type) {
    case FE_TERMINATE:
        session->state = SESSION_OVER;
        return;
    case FE_SYNC:
        session->skip_to_sync = false;
        ready(session);
        return;
    case FE_QUERY:
        if (!session->skip_to_sync)
            handle_query(session, msg);
        return;
    case FE_FUNCTION_CALL:
        error_set(&err, "0A000", "the console has no functions to call");
        write_error(&session->out, "ERROR", &err);
        ready(session);
        return;
    case FE_COPY_DATA:
    case FE_COPY_DONE:
    case FE_COPY_FAIL:
        return; /* as PostgreSQL: left over from a COPY that has failed */
    default:
        if (handlers[(unsigned char)msg->type] == NULL)
            unexpected(session, msg->type);
        else if (!session->skip_to_sync && !handlers[(unsigned char)msg->type](session, msg, &err))
            fail(session, &err);
        return;
    }
}

/* Answers what it would have been, and lets its bytes pass. */
static void too_long(struct session *session, const struct msg *msg)
{
    struct error err;

    if (!msg_is_frontend(msg->type)) {
        unexpected(session, msg->type);
        return;
    }
    session->skip_bytes = msg->total_bytes;
    if (session->skip_to_sync)
        return;
    error_set(&err, "42601", "a command has at most %d bytes", COMMAND_BYTES_MAX);
    session->in_script = msg->type == FE_QUERY;
    fail(session, &err);
}

static void skip(struct session *session)
{
    size_t bytes = buf_bytes(&session->in);

    if (bytes > session->skip_bytes)
        bytes = session->skip_bytes;
    buf_consume(&session->in, bytes);
    session->skip_bytes -= bytes;
}

/* false: nothing to do until more bytes come. */
static bool step_message(struct session *session)
{
    struct error err;
    struct msg msg;

    if (msg_peek(&session->in, &msg, &err) == WIRE_MSG && msg.total_bytes > MESSAGE_BYTES_LIMIT) {
        too_long(session, &msg);
        return true;
    }
    switch (msg_next(&session->in, &msg, &err)) {
    case WIRE_MORE:
        return false;
    case WIRE_BAD:
        session_end(session, &err);
        return false;
    case WIRE_MSG:
        break;
    }
    handle(session, &msg); /* copies what it keeps */
    buf_consume(&session->in, msg.total_bytes);
    return true;
}

void session_run(struct session *session)
{
    bool more = true;

    while (more && buf_bytes(&session->out) < STREAM_HIGH_BYTES) {
        if (session->state != SESSION_STARTING && session->state != SESSION_IDLE)
            break;
        if (session->skip_bytes > 0) {
            skip(session);
            more = session->skip_bytes == 0;
        } else if (session->state == SESSION_STARTING) {
            more = step_startup(session);
        } else if (session->in_script) {
            step_script(session);
        } else {
            more = step_message(session);
        }
    }
    if (buf_failed(&session->out) || buf_failed(&session->in))
        session->state = SESSION_OVER; /* no memory even to say so */
    buf_shrink(&session->in);
}

void session_answer(struct session *session, struct control_request *request)
{
    struct rows *rows = NULL;
    struct error err;
    enum job_result result;

    if (session->state != SESSION_BUSY || !session->job.waits_for_answer ||
        request->tag != job_tag(&session->job)) {
        letter_drop(&request->letter);
        return;
    }
    if (request->more) {
        on_notice(session, request->notice);
        letter_drop(&request->letter);
        return;
    }
    result = job_answer(&session->job, request, &rows, &err);
    job_ended(session, result, rows, &err);
    session_run(session);
}

void session_told(struct session *session, struct show_letter *letter)
{
    struct rows *rows = NULL;
    struct error err;
    enum job_result result;

    if (session->state != SESSION_BUSY || letter->tag != job_tag(&session->job)) {
        letter_drop(&letter->letter);
        return;
    }
    result = job_told(&session->job, letter, &rows, &err);
    job_ended(session, result, rows, &err);
    session_run(session);
}

void session_news(struct session *session, const struct news_letter *news)
{
    if (session->state == SESSION_BUSY && session->job.waits_for_answer &&
        news->tag == job_tag(&session->job))
        job_news(&session->job, news->text);
}

void session_tick(struct session *session)
{
    struct rows *rows = NULL;
    struct error err;
    enum job_result result;

    if (session->state != SESSION_BUSY || session->job.waits_for_answer)
        return;
    result = job_tick(&session->job, &rows, &err);
    job_ended(session, result, rows, &err);
    session_run(session);
}

static bool key_fits(const struct session *session, struct slice key)
{
    unsigned char difference = 0;

    if (key.bytes != sizeof session->key)
        return false;
    for (size_t i = 0; i < sizeof session->key;
         i++) /* all of it: the time must not tell how much was right */
        difference |= session->key[i] ^ (unsigned char)key.at[i];
    return difference == 0;
}

void session_cancel(struct session *session, struct slice key)
{
    enum command_verb verb;
    struct error err;

    if (!key_fits(session, key) || session->state != SESSION_BUSY)
        return;
    verb = session->job.command->info->verb;
    error_set(&err, "57014", "canceling statement due to user request");
    if (verb == COMMAND_START_MIGRATION || verb == COMMAND_CUTOVER_MIGRATION ||
        verb == COMMAND_ABORT_MIGRATION) {
        error_detail(&err, "What was asked for goes on.");
        error_hint(&err, "SHOW MIGRATIONS ALL says how it ended.");
    }
    job_cancel(&session->job);
    session->job.waits_for_answer = false;
    job_ended(session, JOB_FAILED, NULL, &err);
    session_run(session);
}
