/* test_scram_bind.c - SCRAM-SHA-256-PLUS: the exchange of RFC 7677 bound to a certificate's hash (there is no
 * example of it in an RFC; the expected signatures were computed with Python's hmac), and every downgrade. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "wire/scram.h"
#include "wire/scram_bind.h"
#include "wire/scram_core.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define NONCE        CLIENT_NONCE SERVER_NONCE
#define SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define BARE         "n=user,r=" CLIENT_NONCE
#define SERVER_FIRST "r=" NONCE ",s=" SALT ",i=4096"
/* base64 of "p=tls-server-end-point,," and the bytes 0 to 31 */
#define BOUND      "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define OTHER      "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define PROOF      "nY1Wus9a+gM2DrbQ1msXFgyhW6KM5ktOxWiU+/P/EGY="
#define SIGNATURE  "RwppMGddhz/J0lFYaRReBjXcQeNUFP5Qc76Lo5Exrig="
#define PLAINPROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static struct scram_binding binding(void)
{
    struct scram_binding binding = { .bytes = 32 };

    for (unsigned i = 0; i < 32; i++)
        binding.hash[i] = (unsigned char)i;
    return binding;
}

static struct scram_verifier verifier(void)
{
    struct scram_verifier verifier = { .iterations = 4096 };
    unsigned char client_key[SCRAM_KEY_BYTES];

    assert_true(
        scram_base64_decode(slice_of(SALT), verifier.salt, sizeof verifier.salt, &verifier.salt_bytes));
    assert_true(
        scram_derive("pencil", verifier.salt, verifier.salt_bytes, 4096, client_key, verifier.server_key));
    assert_true(scram_stored_key(client_key, verifier.stored_key));
    return verifier;
}

static const struct bind_case {
    bool offered, chosen;
    const char *header;       /* in front of the client's first message */
    const char *client_final; /* NULL: the first message is refused */
    const char *server_final; /* NULL: refused */
    const char *sqlstate, *message;
} cases[] = {
    { true, true, "p=tls-server-end-point,,", "c=" BOUND ",r=" NONCE ",p=" PROOF, "v=" SIGNATURE, NULL,
      NULL },
    /* another certificate: whoever sits in between has one of his own */
    { true, true, "p=tls-server-end-point,,", "c=" OTHER ",r=" NONCE ",p=" PROOF, NULL, "28000",
      "SCRAM channel binding check failed" },
    { true, true, "p=tls-server-end-point,,", "c=biws,r=" NONCE ",p=" PLAINPROOF, NULL, "28000",
      "SCRAM channel binding check failed" },
    /* the flag does not fit the mechanism */
    { true, true, "n,,", NULL, NULL, "08P01", "malformed SCRAM message" },
    { true, true, "y,,", NULL, NULL, "08P01", "malformed SCRAM message" },
    { true, false, "p=tls-server-end-point,,", NULL, NULL, "08P01", "malformed SCRAM message" },
    { false, false, "p=tls-server-end-point,,", NULL, NULL, "08P01", "malformed SCRAM message" },
    /* PLUS was offered, and somebody has taken it out */
    { true, false, "y,,", NULL, NULL, "28000", "SCRAM channel binding negotiation error" },
    /* it was not offered: the client says so truly */
    { false, false, "y,,", "c=eSws,r=" NONCE ",p=AAAA", NULL, "08P01", "malformed SCRAM message" },
    /* it was offered, and the client cannot */
    { true, false, "n,,", "c=biws,r=" NONCE ",p=" PLAINPROOF,
      "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", NULL, NULL },
    { true, false, "n,,", "c=" BOUND ",r=" NONCE ",p=" PROOF, NULL, "08P01",
      "unexpected SCRAM channel-binding attribute in client-final-message" },
    /* other types, and none */
    { true, true, "p=tls-unique,,", NULL, NULL, "08P01",
      "unsupported SCRAM channel-binding type \"tls-unique\"" },
    { true, true, "p=tls-exporter,,", NULL, NULL, "08P01",
      "unsupported SCRAM channel-binding type \"tls-exporter\"" },
    { true, true, "p=,,", NULL, NULL, "08P01", "unsupported SCRAM channel-binding type \"\"" },
    { true, true, "p,,", NULL, NULL, "08P01", "malformed SCRAM message" },
    { true, true, "p=tls-server-end-point", NULL, NULL, "08P01",
      "unsupported SCRAM channel-binding type \"tls-server-end-pointn=user\"" },
    { true, true, "p=tls-server-end-point,a=x,", NULL, NULL, "0A000",
      "client uses authorization identity, but it is not supported" },
};

static void run(const struct bind_case *row)
{
    const struct scram_verifier known = verifier();
    const struct scram_binding bound = binding(), none = { 0 };
    struct scram_server *server = scram_server_new_with_nonce(&known, SERVER_NONCE);
    struct scram_keys keys;
    struct error err;
    struct buf first, out;
    bool good;

    buf_init(&first);
    buf_init(&out);
    buf_append_text(&first, row->header);
    buf_append_text(&first, BARE);
    scram_server_bind(server, row->offered ? &bound : &none, row->chosen);
    good = scram_server_first(server, buf_slice(&first), &out, &err);
    assert_int_equal(good, row->client_final != NULL);
    if (good) {
        assert_string_equal(buf_text(&out), SERVER_FIRST);
        buf_clear(&out);
        good = scram_server_final(server, slice_of(row->client_final), &out, &keys, &err);
        assert_int_equal(good, row->server_final != NULL);
        assert_int_equal(keys.known, good);
    }
    if (good)
        assert_string_equal(buf_text(&out), row->server_final);
    if (!good) {
        assert_string_equal(err.sqlstate, row->sqlstate);
        assert_string_equal(err.message, row->message);
    }
    scram_server_free(server);
    buf_done(&first);
    buf_done(&out);
}

static void the_server_binds_and_refuses_every_downgrade(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        run(&cases[i]);
}

/* Our client with our server. `begins`: the flag that the client must say. */
static bool exchange(const struct scram_binding *client_sees, const struct scram_binding *server_has,
                     bool offered, const char *begins, struct error *err)
{
    const struct scram_verifier known = verifier();
    struct scram_client *client = scram_client_new("pencil", NULL);
    struct scram_server *server = scram_server_new(&known);
    struct scram_keys keys;
    struct buf messages[4];
    bool good;

    for (int i = 0; i < 4; i++)
        buf_init(&messages[i]);
    scram_client_bind(client, client_sees, offered);
    scram_client_first(client, &messages[0]);
    assert_memory_equal(buf_text(&messages[0]), begins, strlen(begins));
    scram_server_bind(server, offered ? server_has : &(struct scram_binding){ 0 }, begins[0] == 'p');
    good = scram_server_first(server, buf_slice(&messages[0]), &messages[1], err) &&
           scram_client_final(client, buf_slice(&messages[1]), &messages[2], err) &&
           scram_server_final(server, buf_slice(&messages[2]), &messages[3], &keys, err) &&
           scram_client_check(client, buf_slice(&messages[3]), err);
    for (int i = 0; i < 4; i++)
        buf_done(&messages[i]);
    scram_client_free(client);
    scram_server_free(server);
    return good;
}

static void our_client_and_our_server_agree(void **state)
{
    const struct scram_binding one = binding(), none = { 0 };
    struct scram_binding other = binding();
    struct error err;

    (void)state;
    other.hash[31] ^= 1;
    assert_true(exchange(&one, &one, true, "p=tls-server-end-point,,", &err));
    assert_true(exchange(&one, &one, false, "y,,", &err));
    assert_true(exchange(&none, &one, true, "n,,", &err));
    assert_false(exchange(&one, &other, true, "p=tls-server-end-point,,", &err));
    assert_string_equal(err.sqlstate, "28000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_binds_and_refuses_every_downgrade),
        cmocka_unit_test(our_client_and_our_server_agree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
