/* tls_set.h - what TLS connections are made from: keys, certificates and rules of [tls], once for clients,
 * once for every store. Immutable and reference counted: RELOAD makes a new one, and connections keep the one
 * that they began with. Any thread. */
#ifndef PGSHUNT_PROXY_TLS_SET_H
#define PGSHUNT_PROXY_TLS_SET_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "base/limits.h"
#include "route/store.h"
#include "wire/scram.h"

/* As PgBouncer and libpq name them; in this order. */
enum tls_mode { TLS_DISABLE, TLS_ALLOW, TLS_PREFER, TLS_REQUIRE, TLS_VERIFY_CA, TLS_VERIFY_FULL };

/* One end: of all clients, or of one store. */
struct tls_end {
    enum tls_mode mode;
    SSL_CTX *context;             /* NULL: TLS_DISABLE */
    struct scram_binding binding; /* clients: to our own certificate */
    char *host;                   /* stores, verify-full: the name that its certificate must have. Owned */
};

struct tls_set {
    atomic_uint references;
    BIO_METHOD *bufs; /* tls.c's */
    struct tls_end clients;
    struct tls_end stores[STORES_MAX];
};

/* Reads every file that [tls] and [stores] name. false: `err` names key and file (F0000). */
bool tls_set_read(const struct config *config, const struct stores *stores, struct tls_set **set,
                  struct error *err);
struct tls_set *tls_set_take(struct tls_set *set);
void tls_set_give(struct tls_set *set); /* NULL is fine */

/* What ALPN says of us: a length and "postgresql". */
extern const unsigned char tls_alpn[11];

#endif
