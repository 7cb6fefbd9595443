/* statement.h - what one message of an application asks for: plan, attribute, place, gate, join, forward,
 * remember. Every handler may be called again for the same message (it stays whole in the client's buffer)
 * until it has been forwarded or refused: nothing is remembered before that. Start at statement_message(). */
#ifndef PGSHUNT_PROXY_STATEMENT_H
#define PGSHUNT_PROXY_STATEMENT_H

#include "proxy/arrive.h"
#include "wire/msg.h"

/* Handles the message at the front of the client's buffer. true: it has been consumed (or is streaming on);
 * false: it waits (the state says for what), or the client is closing. */
bool statement_message(struct client *client, const struct msg *header);

/* Shared with the extended protocol, and COPY. */
/* Throws the message away, also what of it has not come yet. */
void statement_swallow(struct client *client, const struct msg *header);
/* The refusal alone: its message has been thrown away. */
void statement_say_refusal(struct client *client, bool simple, const struct error *err);
/* A Query of which only the text is left; it has arrived. */
void statement_say_query(struct client *client, const struct message *message, struct server *server);
void statement_refuse(struct client *client, const struct msg *header, bool simple, const struct error *err);
/* The same with another name in the place of `old` (within the message). */
void statement_forward_as(struct client *client, struct server *server, const struct msg *header, char owed,
                          uint64_t serial, struct slice old, const char *name);
void statement_forward(struct client *client, struct server *server, const struct msg *header, char owed,
                       uint64_t serial);
/* What has been forwarded last ends a transaction: an answer that is lost leaves its outcome unknown. */
void statement_note_end(struct server *server);
/* … is locking read number `look` (txn.h); 0: is none. */
void statement_note_look(struct server *server, uint64_t look);

#endif
