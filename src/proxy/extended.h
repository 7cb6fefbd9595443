/* extended.h - the extended protocol: which message is whose, and what their handlers share. The messages
 * themselves: parse, bind, portal, sync. */
#ifndef PGSHUNT_PROXY_EXTENDED_H
#define PGSHUNT_PROXY_EXTENDED_H

#include "proxy/arrive.h"
#include "proxy/share.h"
#include "wire/msg.h"

/* As statement_message(). */
bool extended_message(struct client *client, const struct msg *header);

/* ---- answers of our own; what they return is the handler's result ---- */

bool extended_malformed(struct client *client, const char *what); /* ends the connection */
bool extended_no_memory(struct client *client, const struct msg *header);
bool extended_refuse(struct client *client, const struct msg *header, const struct error *err);
bool extended_say(struct client *client, const struct msg *header, void (*write)(struct buf *));
/* The message has not arrived: it waits, or is refused. */
bool extended_stays(struct client *client, const struct msg *header, enum arrival arrival,
                    const struct error *err);
/* The transaction has failed before it had a server: refuses (true), `plan` says in which words. */
bool extended_refuse_failed(struct client *client, const struct msg *msg, const struct plan *plan);

/* ---- where to ---- */

/* A server for a message that has no place of its own: the transaction's, else the last one's, else the
 * default store's. */
enum arrival extended_arrive_anywhere(struct client *client, struct server **server, struct error *err);
/* Where the portal was opened; most are where the last statement went, and nothing is in the way there. */
enum arrival extended_arrive_at_portal(struct client *client, struct slice name, struct server **server,
                                       struct error *err);

/* ---- forwarding ---- */

/* The whole message is there. false: wait for the rest. */
bool extended_whole(struct client *client, struct msg *msg);
/* The server gets an extended message: a Sync is due there. */
void extended_begin(struct client *client, struct server *server);
/* The statement is made where it lacks; `there`: what it is called there, "" if as the client calls it. */
void extended_make_sure(struct server *server, struct prepared *prepared, char there[SHARE_NAME_BYTES]);
/* To the server where the statement has another name than the client knows, or the same. */
void extended_forward_named(struct client *client, struct server *server, const struct msg *msg, char owed,
                            struct slice name, const char *there);

#endif
