/* test_tls_cert.c - whose a certificate is, which host it is for, what SCRAM binds to. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "made_cert.h"
#include "proxy/tls_cert.h"

static const struct host_case {
    const char *common_name, *names, *host;
    bool fits;
} host_cases[] = {
    { "db.test", NULL, "db.test", true },
    { "db.test", NULL, "DB.Test", true },
    { "db.test", NULL, "other.test", false },
    { "db.test", NULL, "db.test.evil.test", false },
    { "db.test", "DNS:other.test", "other.test", true },
    { "db.test", "DNS:other.test", "db.test", false }, /* alternative names: the common name counts no more */
    { "*.db.test", NULL, "one.db.test", true },
    { "*.db.test", NULL, "one.two.db.test", false },
    { "*.db.test", NULL, "db.test", false },
    { "d*.test", NULL, "db.test", false },
    { "x", "DNS:*.db.test", "one.db.test", true },
    { "x", "IP:127.0.0.1", "127.0.0.1", true },
    { "x", "IP:127.0.0.1", "127.0.0.2", false },
    { "x", "IP:::1", "::1", true },
    { "x", "DNS:localhost", "127.0.0.1", false },
    { "127.0.0.1", NULL, "127.0.0.1", true }, /* as libpq */
    { "*", NULL, "127.0.0.1", false },
};

static void fits_hosts_as_libpq_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof host_cases / sizeof host_cases[0]; i++) {
        const struct host_case *row = &host_cases[i];
        EVP_PKEY *key;
        X509 *cert = made_cert(row->common_name, -1, row->names, EVP_sha256(), &key);

        if (tls_cert_is_for(cert, row->host) != row->fits)
            fail_msg("%s, %s: %s", row->common_name, row->names == NULL ? "" : row->names, row->host);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
}

static const struct name_case {
    const char *common_name;
    int bytes;
    bool good;
    const char *name;
} name_cases[] = {
    { "app", -1, true, "app" },
    { "Zo\xC3\xAB", -1, true, "Zo\xC3\xAB" },
    { NULL, 0, true, NULL },
    { "app\0.evil.test", 14, false, NULL }, /* reads as app where strings end with NUL */
};

static void reads_the_common_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof name_cases / sizeof name_cases[0]; i++) {
        const struct name_case *row = &name_cases[i];
        struct error err;
        EVP_PKEY *key;
        X509 *cert = made_cert(row->common_name, row->bytes, NULL, EVP_sha256(), &key);
        char *name, subject[8];

        assert_int_equal(tls_cert_name(cert, &name, &err), row->good);
        if (row->name == NULL)
            assert_null(name);
        else
            assert_string_equal(name, row->name);
        tls_cert_subject(cert, subject, sizeof subject); /* cut, ended */
        assert_true(strlen(subject) < sizeof subject);
        free(name);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
}

static void binds_to_the_hash_that_rfc_5929_names(void **state)
{
    const struct {
        const EVP_MD *signature, *hash; /* NULL: none */
    } rows[] = { { EVP_sha1(), EVP_sha256() },
                 { EVP_sha256(), EVP_sha256() },
                 { EVP_sha384(), EVP_sha384() },
                 { EVP_sha512(), EVP_sha512() },
                 { NULL, NULL } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scram_binding binding = { .bytes = 99 };
        unsigned char expected[EVP_MAX_MD_SIZE];
        unsigned bytes = 0;
        EVP_PKEY *key;
        X509 *cert = made_cert("x", -1, NULL, rows[i].signature, &key);

        tls_cert_binding(cert, &binding);
        if (rows[i].hash != NULL)
            X509_digest(cert, rows[i].hash, expected, &bytes);
        assert_int_equal(binding.bytes, bytes);
        if (bytes > 0)
            assert_memory_equal(binding.hash, expected, bytes);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_hosts_as_libpq_does),
        cmocka_unit_test(reads_the_common_name),
        cmocka_unit_test(binds_to_the_hash_that_rfc_5929_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
