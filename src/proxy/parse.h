/* parse.h - Parse: a statement is remembered with its plan, and made where it will run. */
#ifndef PGSHUNT_PROXY_PARSE_H
#define PGSHUNT_PROXY_PARSE_H

#include "proxy/client.h"
#include "wire/msg.h"

/* As statement_message(). */
bool parse_message(struct client *client, const struct msg *header);

#endif
