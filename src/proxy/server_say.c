/* server_say.c - see server_say.h. */
#include "proxy/server_say.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/loop.h"
#include "proxy/owed.h"
#include "wire/write.h"

static void broken_for_memory(struct server *server)
{
    struct error err;

    error_set(&err, "53200", "store_unavailable: store \"%s\": out of memory", server->store->name);
    server_break(server, &err);
}

void server_say(struct server *server, struct slice query)
{
    write_query(stream_out(&server->stream), query);
    server->made.unnamed_serial = 0; /* a simple Query drops the unnamed statement */
    if (!owed_add(server, 'Q', true, 0))
        broken_for_memory(server);
    else
        owed_last(server)->swallow_error = true;
}

void server_say_quietly(struct server *server, struct slice query)
{
    server_say(server, query);
    if (server->state == SERVER_READY)
        owed_last(server)->quietly = true;
}

void server_say_asking(struct server *server, struct slice query)
{
    server->asking = true;
    server->captured[0] = '\0';
    server_say(server, query);
    if (server->state == SERVER_READY)
        owed_last(server)->capture = true;
}

void server_say_close(struct server *server, struct slice name)
{
    write_close(stream_out(&server->stream), 'S', name);
    server->pipeline = true;
    made_gone(&server->made, name);
    if (!owed_add(server, 'C', true, 0))
        broken_for_memory(server);
}

void server_say_room(struct server *server, const char *name)
{
    size_t most = (size_t)config_number(server->loop->settings->config, CONFIG_MAX_PREPARED_STATEMENTS);
    const char *oldest;

    server_say_close(server, slice_of(name)); /* whatever stands there; Close of nothing is no error */
    while (server->state == SERVER_READY && server->made.shared_count >= most &&
           (oldest = made_oldest_shared(&server->made)) != NULL)
        server_say_close(server, slice_of(oldest));
}

static void say_parse(struct server *server, const struct prepared *prepared, const char *name,
                      bool swallow_error)
{
    bool shared = name != prepared->name;

    if (shared)
        server_say_room(server, name);
    else if (name[0] != '\0')
        server_say_close(server, slice_of(name));
    write_parse(stream_out(&server->stream), slice_of(name), prepared->text, prepared->types,
                prepared->type_count);
    server->pipeline = true;
    made_note(&server->made, name, prepared->serial, shared);
    if (!owed_add(server, 'P', true, prepared->serial))
        broken_for_memory(server);
    else if (!server->skipping)
        owed_last(server)->swallow_error = swallow_error;
}

void server_say_parse(struct server *server, struct prepared *prepared, bool swallow_error)
{
    say_parse(server, prepared, server_name_of(server, prepared), swallow_error);
}

void server_say_own(struct server *server, struct prepared *prepared)
{
    if (prepared->sql)
        server_say_prepare(server, prepared);
    else
        say_parse(server, prepared, prepared->name, false);
}

void server_say_dummy(struct server *server, struct slice name)
{
    char *copy = strndup(name.at, name.bytes);

    if (copy == NULL) {
        broken_for_memory(server);
        return;
    }
    server_say_close(server, name);
    write_parse(stream_out(&server->stream), name, slice_of(""), NULL, 0);
    made_note(&server->made, copy, 0, false);
    free(copy);
    if (!owed_add(server, 'P', true, 0))
        broken_for_memory(server);
}

void server_say_deallocate(struct server *server, struct slice name)
{
    struct buf text;

    if (!made_knows(&server->made, name))
        return;
    buf_init(&text);
    buf_append_text(&text, "DEALLOCATE \"");
    for (size_t i = 0; i < name.bytes; i++)
        buf_append(&text, name.at[i] == '"' ? "\"\"" : &name.at[i], name.at[i] == '"' ? 2 : 1);
    buf_append_text(&text, "\"");
    server_say(server, buf_slice(&text));
    buf_done(&text);
    made_gone(&server->made, name);
}

/* A statement as extended messages: a simple Query would end the implicit transaction of the pipeline. */
static void say_in_pipeline(struct server *server, struct slice text, uint64_t serial)
{
    static const char kinds[] = "PBE";
    struct slice name = slice_of("pgshunt_says");
    struct buf *out = stream_out(&server->stream);

    write_parse(out, name, text, NULL, 0);
    write_bind_plain(out, name, name); /* a portal of that name, too */
    write_execute(out, name);
    for (size_t i = 0; kinds[i] != '\0' && server->state == SERVER_READY; i++)
        if (!owed_add(server, kinds[i], true, serial))
            broken_for_memory(server);
    if (server->state == SERVER_READY)
        server_say_close(server, name);
}

void server_say_in_pipeline(struct server *server, struct slice statement)
{
    say_in_pipeline(server, statement, 0);
    write_flush(stream_out(&server->stream));
}

void server_say_prepare(struct server *server, struct prepared *prepared)
{
    if (!prepared->sql) {
        server_say_parse(server, prepared, false);
        return;
    }
    if (server->pipeline) {
        server_say_close(server, slice_of(prepared->name));
        say_in_pipeline(server, prepared->text, prepared->serial);
        made_note(&server->made, prepared->name, prepared->serial, false);
        return;
    }
    server_say_deallocate(server, slice_of(prepared->name));
    server_say(server, prepared->text);
    made_note(&server->made, prepared->name, prepared->serial, false);
}

void server_say_sync(struct server *server, bool silent)
{
    write_sync(stream_out(&server->stream));
    server->pipeline = false;
    if (!owed_add(server, 'S', silent, 0))
        broken_for_memory(server);
    else
        owed_last(server)->swallow_error = silent; /* an implicit COMMIT's */
}

void server_say_fail(struct server *server, const char *reason)
{
    struct buf text;

    buf_init(&text);
    buf_append_format(&text, "pgshunt refused a statement of this transaction: %s", reason);
    write_parse(stream_out(&server->stream), slice_of("pgshunt_refused"), buf_slice(&text), NULL, 0);
    buf_done(&text);
    server->pipeline = true;
    if (server->skipping) /* it has failed already */
        return;
    if (!owed_add(server, 'P', true, 0))
        broken_for_memory(server);
    else
        owed_last(server)->expect_error = true;
}
