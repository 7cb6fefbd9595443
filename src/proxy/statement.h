/* statement.h - what one message of an application asks for: plan, attribute, place, gate, join, forward,
 * remember. Every handler may be called again for the same message (it stays whole in the client's buffer)
 * until it has been forwarded or refused: nothing is remembered before that. Start at statement_message(). */
#ifndef PGSHUNT_PROXY_STATEMENT_H
#define PGSHUNT_PROXY_STATEMENT_H

#include "proxy/client.h"
#include "wire/msg.h"

/* Handles the message at the front of the client's buffer. true: it has been consumed (or is streaming on);
 * false: it waits (the state says for what), or the client is closing. */
bool statement_message(struct client *client, const struct msg *header);

/* The store a session begins at: where its tenant lives (user mapping, startup setting), else the default
 * store. */
const struct store *statement_home(struct client *client);
/* No more answers are due: what the server says of the transaction overrules what was concluded from
 * statements. */
void statement_reconcile(struct client *client, struct server *server, char tx_status);
void statement_drop_local(struct client *client);

/* Shared with bind.c: one message on its way. */
struct message {
    struct plan *plan; /* NULL: could not be read */
    struct slice text;
    const struct shape *shape;
    const struct parameters *params; /* NULL: none */
    bool simple;                     /* Query: refusals end with ReadyForQuery */
};

enum arrival { ARRIVED, WAITING, REFUSED };
enum arrival statement_arrive(struct client *client, const struct message *message, struct server **server,
                              struct error *err);
void statement_make_executed(struct client *client, const struct message *message, struct server *server);
void statement_book(struct client *client, const struct message *message, struct server *server);
void statement_refuse(struct client *client, const struct msg *header, bool simple, const struct error *err);
void statement_forward(struct client *client, struct server *server, const struct msg *header, char owed,
                       uint64_t serial);
struct server *statement_current(struct client *client);
bool statement_plan(struct client *client, struct slice text, struct plan **plan);
bool statement_is_local(const struct client *client, const struct plan *plan);
bool statement_local(struct client *client, const struct plan_statement *statement, struct slice text,
                     struct buf *answer);
char statement_status(const struct client *client);
void statement_local_ready(struct client *client, struct buf *answer, bool failed);

#endif
