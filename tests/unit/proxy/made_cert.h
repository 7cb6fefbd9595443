/* made_cert.h - certificates made in memory, for tests of TLS. */
#ifndef PGSHUNT_TEST_MADE_CERT_H
#define PGSHUNT_TEST_MADE_CERT_H

#include <openssl/evp.h>
#include <openssl/x509v3.h>

/* Signs itself. `common_name` of `name_bytes` may be NULL; `names`: a subjectAltName as in openssl.cnf, or
 * NULL; `digest` NULL: Ed25519, which has none. */
static inline X509 *made_cert(const char *common_name, int name_bytes, const char *names,
                              const EVP_MD *digest, EVP_PKEY **key)
{
    X509 *cert = X509_new();

    *key = digest == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, *key);
    if (common_name != NULL)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)common_name, name_bytes, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    if (names != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

        X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509_sign(cert, *key, digest);
    return cert;
}

#endif
