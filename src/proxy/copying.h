/* copying.h - a client's COPY … FROM STDIN into tables whose rows have tenants: its rows are read as they
 * stream by, and a row that does not belong where the COPY goes stops it before the server has all of it.
 * Owns:   what is remembered of the COPY, from its statement (or Bind) until its CopyDone.
 * Leaves: rows to wire/copy_rows, what a row may to copy_row, which store to copy_open and arrive.
 * Thread: the client's loop.   Start at: enum copying_state, then copying_message().
 *
 *   statement ──► OPEN ──CopyDone──► (the next COPY of the message) or none
 *      │ Bind      ▲ │ a row must not pass, the server's error, the server is lost
 *      ├► BOUND ───┤ └───► EATING ──CopyDone, or another message──► none
 *      └► DEFERRED ┘ first row, or the end
 *
 * Once a tenant lives away, a COPY that nothing around it places is DEFERRED: the proxy answers
 * CopyInResponse itself, and opens the COPY where its first row belongs.
 *
 * Invariant: what completes a row has not been sent to the server before the row was admitted. */
#ifndef PGSHUNT_PROXY_COPYING_H
#define PGSHUNT_PROXY_COPYING_H

#include "proxy/arrive.h"
#include "proxy/copy_row.h"
#include "wire/msg.h"

enum copying_state {
    COPYING_BOUND,    /* a portal with a COPY, not executed yet */
    COPYING_DEFERRED, /* no server knows of it; what has come is in `held` */
    COPYING_OPEN,     /* the server at `store` has it */
    COPYING_UNREAD,   /* the same, and it is a COPY into another table, in one message with others */
    COPYING_EATING,   /* it has failed: what the client still sends is thrown away */
};

enum {
    COPYING_HELD_BYTES_MAX =
        16 * 1024 * 1024,   /* before the first row's tenant is known; as ATTRIBUTE_BYTES_MAX */
    COPYING_KNOWN_MAX = 32, /* tenants remembered as admitted */
    COPYING_KNOWN_BYTES = 64,
};

struct copying {
    enum copying_state state;
    bool simple;
    bool lazy;    /* was DEFERRED: opened by us */
    char *portal; /* of the extended protocol; NULL: simple */
    /* the statement */
    struct slice text; /* owned */
    struct shape shape;
    struct plan *plan;
    size_t index;        /* the COPY in it */
    int store;           /* OPEN, UNREAD */
    struct gate_ask ask; /* as whom its rows ask the gates */
    /* its rows */
    enum copy_encoding encoding;
    struct copy_rows rows;
    size_t left;    /* of the CopyData at hand, whose header has been taken off */
    size_t seen;    /* bytes at the front of the client's buffer that have been read, and not been passed */
    bool row_waits; /* `row` has been found, and not been admitted yet */
    struct copy_row row;
    struct buf held; /* DEFERRED: CopyData messages */
    /* Raw values that have been admitted under `known_table`: most rows are of the same few tenants. */
    const struct route_table *known_table;
    size_t known_gates, known_at;
    struct known_value {
        unsigned char bytes;
        bool used;
        char value[COPYING_KNOWN_BYTES];
    } known[COPYING_KNOWN_MAX];
};

const struct plan_statement *copying_statement(const struct copying *copying);

/* The message has COPYs whose rows can be read. */
bool copying_can_read(const struct client *client, const struct message *message);
/* And they must be: a tenant migrates or lives elsewhere. */
bool copying_must_read(const struct client *client);
/* Remembers the message for its rows, before it is sent; it is `client->copying` then. `portal` NULL: a
 * Query. false: no memory. */
bool copying_begin(struct client *client, const struct message *message, const char *portal);
/* The message has just been sent to `server`, and is owed its answer. */
void copying_sent(struct client *client, struct server *server);
/* BOUND: the portal is about to be executed. false: it is a COPY that is not remembered. */
bool copying_executes(struct client *client, struct slice portal, bool *copies);
void copying_end(struct client *client); /* nothing is remembered any more; fine if nothing was */

/* CopyData, CopyDone, CopyFail, and what comes between them. true: *result is what statement_message()
 * answers. */
bool copying_message(struct client *client, const struct msg *header, bool *result);
/* The rest of a CopyData whose beginning has been read. As idle_step(). */
bool copying_more(struct client *client);
bool copying_has_more(const struct client *client);
bool copying_is_deferred(const struct client *client);

/* The server has refused it, skips it, or is lost. */
void copying_failed(struct client *client, const struct server *server);

#endif
