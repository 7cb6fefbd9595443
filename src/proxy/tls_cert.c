/* tls_cert.c - see tls_cert.h. */
#include "proxy/tls_cert.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

bool tls_cert_name(const X509 *cert, char **name, struct error *err)
{
    const X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *found = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    unsigned char *text = NULL;
    int bytes = found == NULL ? -1 : ASN1_STRING_to_UTF8(&text, found);

    *name = NULL;
    if (bytes <= 0) {
        OPENSSL_free(text);
        return true;
    }
    if (memchr(text, '\0', (size_t)bytes) != NULL) {
        OPENSSL_free(text);
        return error_set(err, "28000", "the client certificate's common name contains an embedded null");
    }
    *name = strndup((const char *)text, (size_t)bytes);
    OPENSSL_free(text);
    return *name != NULL || error_no_memory(err);
}

void tls_cert_subject(const X509 *cert, char *text, size_t room)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at = NULL;
    long bytes = 0;

    text[0] = '\0';
    if (bio == NULL)
        return;
    /* RFC 2253, control characters and what is beyond ASCII escaped: it goes into the log. */
    if (X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0)
        bytes = BIO_get_mem_data(bio, &at);
    if (bytes > 0) {
        size_t count = (size_t)bytes < room ? (size_t)bytes : room - 1;

        memcpy(text, at, count);
        text[count] = '\0';
    }
    BIO_free(bio);
}

bool tls_cert_is_for(X509 *cert, const char *host)
{
    /* The second one is false for whatever is no address; the first takes an address in a common name, as
     * libpq. */
    return X509_check_host(cert, host, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1 ||
           X509_check_ip_asc(cert, host, 0) == 1;
}

void tls_cert_binding(const X509 *cert, struct scram_binding *binding)
{
    const EVP_MD *digest;
    unsigned bytes = 0;
    int nid = NID_undef;

    binding->bytes = 0;
    if (X509_get_signature_info((X509 *)cert, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef)
        return;
    digest = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
    if (digest == NULL || EVP_MD_get_size(digest) > SCRAM_BINDING_BYTES_MAX ||
        X509_digest(cert, digest, binding->hash, &bytes) != 1)
        return;
    binding->bytes = bytes;
}
