/* tls_cert.h - what a certificate says: whose it is, whether it is this host's, what SCRAM binds to. Pure;
 * any thread. */
#ifndef PGSHUNT_PROXY_TLS_CERT_H
#define PGSHUNT_PROXY_TLS_CERT_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "wire/scram.h"

/* The subject's common name, to be freed; NULL: it has none. false: no memory, or one with a NUL byte in it,
 * which would read differently here and elsewhere (28000). */
bool tls_cert_name(const X509 *cert, char **name, struct error *err);
/* The subject for a person to read; "" if it cannot be told. */
void tls_cert_subject(const X509 *cert, char *text, size_t room);
/* As libpq for verify-full: alternative names, else the common name; `*.` stands for one label. */
bool tls_cert_is_for(X509 *cert, const char *host);
/* tls-server-end-point (RFC 5929): the certificate's hash by its signature's algorithm, SHA-256 where that is
 * MD5 or SHA-1. bytes 0: the signature has no hash of its own (Ed25519). */
void tls_cert_binding(const X509 *cert, struct scram_binding *binding);

#endif
