/* prove.h - how pgshunt proves to a store who the client is: the answers to its AuthenticationRequests, from
 * what the client's own login has brought (struct credentials), in this order: plain password, SCRAM keys,
 * md5 hash. Pure: no socket. Thread: its loop's. */
#ifndef PGSHUNT_PROXY_PROVE_H
#define PGSHUNT_PROXY_PROVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "proxy/auth.h"
#include "proxy/derive.h"
#include "wire/msg.h"
#include "wire/scram.h"

/* One login at one store; all zeros at first. */
struct prove {
    struct scram_client *scram;
    bool checked;   /* the store has proved that it knows the verifier */
    bool asked;     /* something was asked for and answered */
    bool bound;     /* SCRAM-SHA-256-PLUS: to the store's certificate */
    bool with_keys; /* … with the keys of the client's own login, not with a password */
};

/* Who is proved, to whom, and over what. Everything is borrowed during the call. */
struct prove_who {
    const struct credentials *credentials;
    const char *user, *store; /* the store's name, for errors */
    bool may_send_plain; /* a password may be sent as it is: TLS, Unix socket, or the configuration says so */
    bool encrypted;      /* by TLS; then `binding` is to the store's certificate */
    bool must_bind;      /* channel_binding=require in its connection string */
    const struct scram_binding *binding; /* bytes 0: nothing to bind to */
    struct derive *derive;               /* NULL: keys are derived every time */
};

/* One AuthenticationRequest ('R'): appends the answer, if there is one to give. false: this login cannot go
 * on; 28P01 or 28000 where the store asks for what nobody has, 08P01 where it talks nonsense. */
bool prove_answer(struct prove *prove, const struct prove_who *who, const struct msg *msg, struct buf *out,
                  struct error *err);
/* The store has refused the login with `why`: says in detail and hint what pgshunt tried, where that helps.
 */
void prove_explain(const struct prove *prove, const struct prove_who *who, struct error *why);
void prove_done(struct prove *prove);

#endif
