/* admit.h - who is let in: which method (auth_type, hba_file), whose secret (auth_file, auth_query), the
 * exchange, and the answer to who failed, which is held back a while. Part of a client from its
 * StartupMessage until it is known; then admit_done().   Thread: the client's loop. Start at: admit_begin().
 */
#ifndef PGSHUNT_PROXY_ADMIT_H
#define PGSHUNT_PROXY_ADMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proxy/auth.h"
#include "proxy/auth_query.h"
#include "proxy/auth_rules.h"
#include "proxy/peer.h"

struct client;
struct loop;

/* In struct client; all zeros at first. At most one of these holds: the exchange runs (auth), a secret is
 * being looked up (lookup.user), a refusal waits (refuse_at_ms). */
struct admit {
    const struct auth_rules *rules; /* of client->settings; NULL: not begun, or done */
    enum auth_type type;            /* the method that hba_file or auth_type says */
    struct peer peer;
    struct auth *auth;
    struct auth_lookup lookup;
    bool looked_up;        /* its secret is from auth_query */
    uint64_t refuse_at_ms; /* in the loop's line of refusals; 0: it is not */
    struct error why;
    struct admit *prev, *next;
};

/* User and database are known: asks for what the rules want, or lets in at once, or refuses. */
void admit_begin(struct client *client);
/* One message of the client's. false: there is no more for now (the client may then be CLOSING). */
bool admit_step(struct client *client);
/* It does not matter now what else the client sends. */
bool admit_is_waiting(const struct client *client);
void admit_done(struct client *client);              /* fine to call twice */
void admit_tick(struct loop *loop, uint64_t now_ms); /* says the refusals that are due */

#endif
