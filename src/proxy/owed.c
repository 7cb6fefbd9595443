/* owed.c - see owed.h. */
#include "proxy/owed.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/client.h"
#include "proxy/loop.h"

struct request *owed_at(const struct server *server, size_t index)
{
    return &server->line[(server->line_at + index) % server->line_capacity];
}

static bool grow(struct server *server)
{
    size_t capacity = server->line_capacity == 0 ? 16 : server->line_capacity * 2;
    struct request *line = calloc(capacity, sizeof *line);

    if (line == NULL)
        return false;
    for (size_t i = 0; i < server->line_count; i++)
        line[i] = *owed_at(server, i);
    free(server->line);
    server->line = line;
    server->line_at = 0;
    server->line_capacity = capacity;
    return true;
}

static struct request *add(struct server *server)
{
    struct request *request;

    if (server->line_count == server->line_capacity && !grow(server))
        return NULL;
    request = owed_at(server, server->line_count++);
    memset(request, 0, sizeof *request);
    return request;
}

static uint64_t said_by(const struct server *server)
{
    return server->client == NULL ? 0 : server->client->session.journal.said;
}

bool owed_add(struct server *server, char kind, bool silent, uint64_t serial)
{
    struct request *request;

    if (server->skipping && kind != 'S') /* the server ignores it: no answer will come */
        return true;
    request = add(server);
    if (request == NULL)
        return false;
    request->kind = kind;
    request->silent = silent;
    request->serial = serial;
    request->ordinal = said_by(server);
    if (!silent) {
        server->visible++;
        server->request_ms = uv_now(&server->loop->uv);
        tally_asked(&server->clock, clock_us());
    }
    if (kind == 'S')
        server->skipping = false;
    return true;
}

bool owed_add_local(struct server *server, struct buf *local, char ready, bool failed)
{
    struct request *request = add(server);

    if (request == NULL)
        return false;
    request->kind = REQUEST_LOCAL;
    request->local = *local;
    request->ready = ready;
    request->failed = failed;
    request->ordinal = said_by(server);
    buf_init(local);
    server->visible++;
    return true;
}

struct request *owed_head(const struct server *server)
{
    return server->line_count == 0 ? NULL : owed_at(server, 0);
}

bool owed_has(const struct server *server, const char *kinds)
{
    for (size_t i = 0; i < server->line_count; i++)
        if (!owed_at(server, i)->silent && strchr(kinds, owed_at(server, i)->kind) != NULL)
            return true;
    return false;
}

struct request *owed_last(const struct server *server)
{
    return server->line_count == 0 ? NULL : owed_at(server, server->line_count - 1);
}

bool owed_ends(const struct server *server, bool to_ready)
{
    for (size_t i = 0; i < server->line_count; i++) {
        const struct request *request = owed_at(server, i);

        if (request->ends)
            return true;
        if (to_ready && !request->silent && strchr("QSF", request->kind) != NULL)
            return false;
    }
    return false;
}

void owed_pop(struct server *server)
{
    struct request *head = owed_at(server, 0);

    if (!head->silent)
        server->visible--;
    buf_done(&head->local);
    server->line_at = (server->line_at + 1) % server->line_capacity;
    server->line_count--;
}

void owed_drop(struct server *server, size_t index)
{
    if (!owed_at(server, index)->silent)
        server->visible--;
    buf_done(&owed_at(server, index)->local);
    for (; index + 1 < server->line_count; index++)
        *owed_at(server, index) = *owed_at(server, index + 1);
    server->line_count--;
}

void owed_done(struct server *server)
{
    while (server->line_count > 0)
        owed_pop(server);
    free(server->line);
}
