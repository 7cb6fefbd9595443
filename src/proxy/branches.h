/* branches.h - the branches of a client's transaction: which of them a message goes to, how they end
 * together. Owns: nothing; the branches are txn's, the servers the client's.   Thread: the client's loop.
 *
 * At most one branch writes. Its answer to COMMIT is the client's, and the reading ones are ended when it has
 * come (server->ends_sync). Where theirs may fail (SERIALIZABLE), or nothing may follow (PREPARE
 * TRANSACTION), they are ended first. What is said to the others is silent: the client sees one answer and
 * one ReadyForQuery. Only one server owes the client answers at a time: a message for another waits
 * (arrive.c). */
#ifndef PGSHUNT_PROXY_BRANCHES_H
#define PGSHUNT_PROXY_BRANCHES_H

#include "proxy/arrive.h"

/* The store that the message goes to. REFUSED: a second store would write, or may not join (0A000). WAITING:
 * for *waiting, whose answer says whether the transaction has written there. */
enum arrival branches_choose(struct client *client, const struct place *place, int *index, int *waiting,
                             struct error *err);
/* Before the message goes to `index`, and no other server owes visible answers: a branch that has nothing to
 * keep is left; reading ones that must be ended first are. WAITING: for *waiting. REFUSED: one could not
 * commit, and the whole has been rolled back. */
enum arrival branches_make_room(struct client *client, const struct place *place, int index, int *waiting,
                                struct error *err);
/* The transaction's end has been sent to `store` (-1: answered here): the others follow with the next
 * ReadyForQuery. Call before the branches are forgotten. */
void branches_end_later(struct client *client, int store);
/* The client's ReadyForQuery number sync_seen has come, with it the end of a transaction. */
void branches_ended(struct client *client);
/* The same for one server that is needed before that ReadyForQuery; what ended the transaction has been
 * answered. */
void branches_end_now(struct client *client, struct server *server);
/* Rolls back all but `except`, and forgets them. */
void branches_abandon(struct client *client, int except);
/* Says `verb` SAVEPOINT `name` to every branch but `except` that has made it. */
void branches_tell(struct client *client, const char *verb, const char *name, int except);
/* A Sync whose ReadyForQuery comes from `store`: the others that have got extended messages. An implicit
 * transaction ends with it: `failed`: badly. As branches_make_room(). */
enum arrival branches_sync(struct client *client, int store, bool failed, int *waiting, struct error *err);
/* At the end of an implicit transaction: servers that must be made like the session anew. */
void branches_note_settings(struct client *client);
/* The same where nobody can be told how it went. */
void branches_sync_quietly(struct client *client, int store);
/* Whose ReadyForQuery answers a Sync. -1: nobody's. */
int branches_sync_at(const struct client *client, bool failed);

#endif
