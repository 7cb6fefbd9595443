/* login.h - from the first byte to the first ReadyForQuery: startup packets, authentication, the home server,
 * what the client is told.
 * Takes one message at a time from the client's `stream.in`; a step returns false when there is no more for
 * now (the client may then be CLOSING). Thread: the client's loop. Protocol: PostgreSQL documentation, 55.2.1
 * "Start-up". */
#ifndef PGSHUNT_PROXY_LOGIN_H
#define PGSHUNT_PROXY_LOGIN_H

#include <stdbool.h>

struct client;

bool login_startup_step(struct client *client); /* one startup packet: STARTUP */
void login_home(struct client *client);         /* it is known: opens its home server. AUTH -> LOGIN */
/* Its home server is ready: AuthenticationOk, parameters, cancel key, ReadyForQuery. LOGIN -> IDLE. */
void login_welcome(struct client *client);

#endif
