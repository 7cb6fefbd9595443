/* secure.h - a client's encryption: what SSLRequest, GSSENCRequest and direct TLS are answered, and whether
 * what has been agreed on is enough for a session. Thread: the client's loop. Protocol: PostgreSQL
 * documentation, 55.2.10 "SSL Session Encryption". */
#ifndef PGSHUNT_PROXY_SECURE_H
#define PGSHUNT_PROXY_SECURE_H

#include <stdbool.h>

#include "base/error.h"
#include "wire/startup.h"

struct client;

/* The first byte of a TLS handshake, where the first byte of a connection is due. */
bool secure_is_direct(const struct client *client);
void secure_begin_direct(struct client *client);
/* SSLRequest or GSSENCRequest; consumes it. The client may be CLOSING afterwards. */
void secure_asked(struct client *client, const struct startup *request);
void secure_done(struct client *client);   /* the handshake is over */
void secure_failed(struct client *client); /* … or something of TLS went wrong: says why in the log */
/* A session wants to begin. false: client_tls_sslmode asks for more (28000). */
bool secure_is_enough(const struct client *client, struct error *err);

#endif
