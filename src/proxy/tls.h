/* tls.h - one TLS connection over buffers: bytes of the wire in, plain bytes out, and the way back. No
 * socket. Owns: OpenSSL's connection, `raw` and `sealed`, a reference to its set. Leaves: reading and writing
 * to stream, when to begin to secure and dial. Thread: its stream's.
 *
 *        wire ──► raw ──tls_open()──► stream.in      stream.out ──tls_seal()──► sealed ──► wire
 *
 * OpenSSL writes into `sealed`, which takes everything: SSL_write never stops half-way for want of room. Back
 * pressure is tls_seal()'s: it makes no more than TLS_SEALED_BYTES of ciphertext at a time, the rest stays
 * plain in stream.out, where stream_is_full() counts it. */
#ifndef PGSHUNT_PROXY_TLS_H
#define PGSHUNT_PROXY_TLS_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/tls_set.h"

struct tls;

/* TLS_MORE: needs more of the wire. TLS_UP: the handshake is done. TLS_ENDED: the peer said close_notify,
 * nothing more will come. TLS_FAILED: tls_why(); an alert for the peer may stand in `sealed`. */
enum tls_result { TLS_MORE, TLS_UP, TLS_ENDED, TLS_FAILED };

/* `end`: one of the set's, with a context. NULL: no memory. */
struct tls *tls_new_server(struct tls_set *set, const struct tls_end *end);
struct tls *tls_new_client(struct tls_set *set, const struct tls_end *end);
void tls_free(struct tls *tls); /* NULL is fine */

struct buf *tls_raw(struct tls *tls);    /* append what came */
struct buf *tls_sealed(struct tls *tls); /* send and consume */

/* A step of the handshake. As a client also checks whose certificate it is. */
enum tls_result tls_shake(struct tls *tls);
bool tls_is_up(const struct tls *tls);
/* Opens all that can be opened into `plain`; *opened counts. MORE, ENDED or FAILED, also after some were
 * opened. */
enum tls_result tls_open(struct tls *tls, struct buf *plain, size_t *opened);
/* Seals from the front of `plain`. false: failed. */
bool tls_seal(struct tls *tls, struct buf *plain);
/* Says close_notify, once. true: it stands in `sealed` now. */
bool tls_shut(struct tls *tls);

const struct error *tls_why(const struct tls *tls);
/* After TLS_UP. */
bool tls_peer_is_verified(const struct tls *tls); /* the client has sent a certificate, a good one */
const char *tls_peer_name(const struct tls *tls); /* its common name; NULL: none */
const struct scram_binding *tls_binding(const struct tls *tls); /* to the server's certificate */
bool tls_has_alpn(const struct tls *tls);
const char *tls_version(const struct tls *tls); /* "TLSv1.3" */
const char *tls_cipher(const struct tls *tls);

/* For tls_set: the buffers as OpenSSL sees them, and what it asks of each certificate in a chain. */
BIO_METHOD *tls_make_bufs(void);
int tls_on_verify(int good, X509_STORE_CTX *chain);

#endif
