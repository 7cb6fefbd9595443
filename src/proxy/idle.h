/* idle.h - clients that have been silent, or waited for an answer, for too long: client_idle_timeout,
 * idle_transaction_timeout, query_timeout. (The server's own idle_session_timeout and
 * idle_in_transaction_session_timeout are the server's affair: lost_server().) */
#ifndef PGSHUNT_PROXY_IDLE_H
#define PGSHUNT_PROXY_IDLE_H

#include "proxy/client.h"

void idle_began(struct client *client);    /* a message is being handled */
void idle_answered(struct client *client); /* a ReadyForQuery has been passed on */
/* Every second or so. False: the client has been closed. */
bool idle_check(struct client *client);

#endif
