/* server_say.h - what the proxy says to a server for itself: silent requests, sent and owed, whose answers
 * the client does not see. One that cannot be owed (no memory) breaks the server. Thread: the server's loop.
 */
#ifndef PGSHUNT_PROXY_SERVER_SAY_H
#define PGSHUNT_PROXY_SERVER_SAY_H

#include "proxy/server.h"

void server_say(struct server *server, struct slice query);         /* a simple Query */
void server_say_quietly(struct server *server, struct slice query); /* … whose error does not matter */
/* The same for one short value: `captured` has it when the server is quiet again (empty if it failed). */
void server_say_asking(struct server *server, struct slice query);
/* In the implicit transaction of a pipeline; an error is the client's, whose messages behind it are skipped.
 */
void server_say_in_pipeline(struct server *server, struct slice statement);
void server_say_sync(struct server *server, bool silent);
/* Makes its transaction fail, and an implicit one not commit: a Parse that cannot be parsed, silent. `reason`
 * appears in the server's log. */
void server_say_fail(struct server *server, const char *reason);

/* ---- prepared statements ---- */

/* Parse again. An error is the client's unless `swallow_error`: the messages it sent behind are skipped with
 * it. */
void server_say_parse(struct server *server, struct prepared *prepared, bool swallow_error);
/* As the client made it: by Parse, or by SQL's PREPARE. An error is the client's. */
void server_say_prepare(struct server *server, struct prepared *prepared);
/* It is made under the client's own name, whoever shares it otherwise: for SQL's EXECUTE. */
void server_say_own(struct server *server, struct prepared *prepared);
/* A statement that does nothing, under a name of the client's own: what SQL says of that name then is
 * PostgreSQL's. */
void server_say_dummy(struct server *server, struct slice name);
void server_say_close(struct server *server, struct slice name); /* a Sync must follow */
/* An older statement of that name, which the client has closed where it then was: gone here, too. */
void server_say_deallocate(struct server *server, struct slice name);
/* Makes room for one more of those that clients share, and sees to it that nothing stands under its name. */
void server_say_room(struct server *server, const char *name);

#endif
