/* cancel.c - see cancel.h. */
#include "proxy/cancel.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/loop.h"
#include "wire/write.h"

/* One short connection to a store. The server it speaks of may go away meanwhile: found again by client pid.
 */
struct cancel {
    struct stream stream;
    struct dial dial;
    struct loop *loop;
    uint32_t client_pid;
    unsigned store_index;
    int32_t server_pid;
    unsigned char key[CANCEL_KEY_BYTES_MAX];
    size_t key_bytes;
    uint64_t sync_seen; /* of its client when it was asked: once that has risen, it is too late */
    struct cancel_asker asker;
    bool last; /* its client goes: never late */
};

/* Another process's client, which perhaps still lives. Nobody waits for what comes of it. */
static void pass_on(struct loop *loop, uint32_t pid, struct slice key)
{
    struct cancel_letter *letter = cancel_letter_new(pid, key.at, key.bytes);

    if (letter != NULL)
        letter_send(loop->shared->switchboard->app, &letter->letter);
}

bool cancel_request(struct client *client, uint32_t pid, struct slice key)
{
    struct loop *loop = client->loop;
    unsigned index = loop_of_pid(pid);
    struct loop_letter *letter;

    if (key.bytes <= CANCEL_KEY_BYTES_LONG && loop_tag_of_pid(pid) != loop->shared->tag)
        pass_on(loop, pid, key);
    if (key.bytes > CANCEL_KEY_BYTES_LONG || loop_tag_of_pid(pid) != loop->shared->tag ||
        index >= loop->shared->switchboard->loop_count)
        return false;
    letter = loop_letter_new(LOOP_CANCEL);
    if (letter == NULL)
        return false;
    client->cancelling = true;
    letter->asker = (struct cancel_asker){ loop->index, client->cancel_pid };
    letter->pid = pid;
    letter->key_bytes = key.bytes;
    memcpy(letter->key, key.at, key.bytes);
    letter_send(loop->shared->switchboard->loops[index], &letter->letter);
    return true;
}

void cancel_answer(struct loop *loop, struct cancel_asker asker)
{
    struct loop_letter *letter = loop_letter_new(LOOP_CANCELLED);

    if (letter == NULL)
        return; /* it is closed when its login has taken too long */
    letter->pid = asker.pid;
    letter_send(loop->shared->switchboard->loops[asker.loop], &letter->letter);
}

static void cancel_over(struct cancel *cancel)
{
    struct client *client = loop_find_client(cancel->loop, cancel->client_pid);
    struct server *server = client == NULL ? NULL : client->servers[cancel->store_index];

    if (server == NULL || server->pid != cancel->server_pid || server->cancels == 0)
        return;
    if (--server->cancels == 0)
        client_retry(client);
}

static void on_came(struct stream *stream, size_t bytes)
{
    buf_consume(&stream->in, bytes); /* a server says nothing to a CancelRequest */
}

static void on_ended(struct stream *stream, int status)
{
    (void)status; /* closed: the signal has been sent */
    stream_close(stream);
}

static void on_eased(struct stream *stream)
{
    (void)stream;
}

static void on_gone(struct stream *stream)
{
    struct cancel *cancel = (struct cancel *)stream;

    cancel_over(cancel);
    cancel_answer(cancel->loop, cancel->asker);
    if (!dial_abandon(&cancel->dial))
        free(cancel);
}

static const struct stream_hooks hooks = { on_came, on_ended, on_eased, on_gone };

static struct cancel *of_dial(struct dial *dial)
{
    return (struct cancel *)((char *)dial - offsetof(struct cancel, dial));
}

/* Meanwhile the statement has been answered, or its server is gone. */
static bool is_late(const struct cancel *cancel)
{
    const struct client *client = loop_find_client(cancel->loop, cancel->client_pid);
    const struct server *server = client == NULL ? NULL : client->servers[cancel->store_index];

    if (cancel->last)
        return false;
    return server == NULL || server->pid != cancel->server_pid || server->visible == 0 ||
           client->sync_seen != cancel->sync_seen;
}

static void on_dialled(struct dial *dial, int status)
{
    struct cancel *cancel = of_dial(dial);

    if (status != 0 || is_late(cancel)) {
        stream_close(&cancel->stream);
        return;
    }
    write_cancel(stream_out(&cancel->stream), (uint32_t)cancel->server_pid, cancel->key, cancel->key_bytes);
    stream_start(&cancel->stream);
    stream_flush(&cancel->stream);
}

static void on_dial_freed(struct dial *dial)
{
    free(of_dial(dial));
}

static void send_cancel(struct server *server, struct cancel_asker asker, bool last)
{
    struct cancel *cancel = server->cancels > 0 ? NULL : calloc(1, sizeof *cancel);

    if (cancel ==
        NULL) { /* one is under way; or no memory: the statement goes on, the client may ask again */
        cancel_answer(server->client->loop, asker);
        return;
    }
    cancel->asker = asker;
    cancel->last = last;
    cancel->sync_seen = server->client->sync_seen;
    stream_init(&cancel->stream, &hooks);
    cancel->loop = server->client->loop;
    cancel->client_pid = server->client->cancel_pid;
    cancel->store_index = server->store->index;
    cancel->server_pid = server->pid;
    cancel->key_bytes = server->key_bytes;
    memcpy(cancel->key, server->key, server->key_bytes);
    cancel->dial.done = on_dialled;
    cancel->dial.freed = on_dial_freed;
    server->cancels++;
    stream_close_by(&cancel->stream, &cancel->loop->lingering, clock_ms() + SERVER_LOGIN_TIMEOUT_MS);
    dial_begin(&cancel->dial, &cancel->loop->uv, &cancel->stream, server->store, cancel->loop->settings->tls);
}

void cancel_send(struct server *server, struct cancel_asker asker)
{
    send_cancel(server, asker, false);
}

void cancel_send_last(struct server *server)
{
    send_cancel(server, (struct cancel_asker){ .loop = server->client->loop->index },
                true); /* nobody has asked */
}
