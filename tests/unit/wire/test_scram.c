/* test_scram.c - the example of RFC 7677, whole exchanges, and exchanges that somebody has tampered with. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include <stdio.h>
#include <stdlib.h>

#include "wire/scram.h"
#include "wire/scram_core.h"

/* RFC 7677 §3: user "user", password "pencil". */
#define RFC_CLIENT_FIRST "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_NONCE        "rOprNGfwEbeRWgbNEkqO" RFC_SERVER_NONCE
#define RFC_SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define RFC_SERVER_FIRST "r=" RFC_NONCE ",s=" RFC_SALT ",i=4096"
#define RFC_PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_CLIENT_FINAL "c=biws,r=" RFC_NONCE ",p=" RFC_PROOF
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram_verifier rfc_verifier(void)
{
    struct scram_verifier verifier = { .iterations = 4096 };
    unsigned char client_key[SCRAM_KEY_BYTES];

    assert_true(
        scram_base64_decode(slice_of(RFC_SALT), verifier.salt, sizeof verifier.salt, &verifier.salt_bytes));
    assert_true(
        scram_derive("pencil", verifier.salt, verifier.salt_bytes, 4096, client_key, verifier.server_key));
    assert_true(scram_stored_key(client_key, verifier.stored_key));
    return verifier;
}

/* Our server's half of the RFC's exchange, with other messages where a row has them. */
static const struct server_case {
    const char *client_first, *server_first, *client_final, *server_final; /* NULL: refused */
    const char *sqlstate, *detail;
} server_cases[] = {
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, RFC_CLIENT_FINAL, RFC_SERVER_FINAL, NULL, NULL },
    /* the first message */
    { "", NULL, NULL, NULL, "08P01", "The message is empty." },
    { "x,,n=user,r=abc", NULL, NULL, NULL, "08P01", "Expected a channel-binding flag and a comma." },
    { "n", NULL, NULL, NULL, "08P01", "Expected a channel-binding flag and a comma." },
    { "n,", NULL, NULL, NULL, "08P01", "Expected a channel-binding flag and a comma." },
    { "nn,n=user,r=abc", NULL, NULL, NULL, "08P01", "Expected a channel-binding flag and a comma." },
    { "n,x,n=user,r=abc", NULL, NULL, NULL, "08P01", "Expected a comma after the channel-binding flag." },
    { "p=tls-server-end-point,,n=user,r=abc", NULL, NULL, NULL, "08P01",
      "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel "
      "binding "
      "data." },
    { "n,a=other,n=user,r=abc", NULL, NULL, NULL, "0A000", "" },
    { "n,,m=x,n=user,r=abc", NULL, NULL, NULL, "0A000", "" },
    { "n,,r=abc,n=user", NULL, NULL, NULL, "08P01", "Expected attribute \"n\"." },
    { "n,,", NULL, NULL, NULL, "08P01", "Expected attribute \"n\"." },
    { "n,,n=user", NULL, NULL, NULL, "08P01", "Expected attribute \"r\"." },
    { "n,,n=user,", NULL, NULL, NULL, "08P01", "Expected attribute \"n\"." },
    { "n,,n=user,r=", NULL, NULL, NULL, "08P01", "The nonce is empty or not printable." },
    { "n,,n=user,r=a b", NULL, NULL, NULL, "08P01", "The nonce is empty or not printable." },
    { "n,,n=user,r=a\xC3\xA9", NULL, NULL, NULL, "08P01", "The nonce is empty or not printable." },
    { "n,,n=user,r=abc,junk", NULL, NULL, NULL, "08P01", "An extension is not an attribute." },
    { "n,,n=user,r=abc,x=y", "r=abc" RFC_SERVER_NONCE ",s=" RFC_SALT ",i=4096", "", NULL, "08P01",
      "The message is empty or has a NUL byte." },
    /* the last one */
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST,
      "c=biws,r=" RFC_NONCE ",p=AAAAZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", NULL, "28P01", "" },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=eSws,r=" RFC_NONCE ",p=" RFC_PROOF, NULL, "08P01", "" },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=" RFC_PROOF, NULL, "08P01",
      "Nonce does not match." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE "x,p=" RFC_PROOF, NULL, "08P01",
      "Nonce does not match." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "r=" RFC_NONCE ",c=biws,p=" RFC_PROOF, NULL, "08P01",
      "Expected attribute \"c\"." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,p=" RFC_PROOF, NULL, "08P01", "Expected attribute \"r\"." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE, NULL, "08P01", "Expected attribute \"p\"." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE ",x=y", NULL, "08P01",
      "Expected attribute \"p\"." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE ",p=", NULL, "08P01",
      "Malformed proof in client-final-message." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE ",p=dHzbZapW", NULL, "08P01",
      "Malformed proof in client-final-message." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, RFC_CLIENT_FINAL "=", NULL, "08P01",
      "Malformed proof in client-final-message." },
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, RFC_CLIENT_FINAL ",x=y", NULL, "08P01",
      "Garbage found at the end of client-final-message." },
    /* an extension is part of what is signed: the proof does not fit */
    { RFC_CLIENT_FIRST, RFC_SERVER_FIRST, "c=biws,r=" RFC_NONCE ",x=y,p=" RFC_PROOF, NULL, "28P01", "" },
    { "y,,n=user,r=rOprNGfwEbeRWgbNEkqO", RFC_SERVER_FIRST, RFC_CLIENT_FINAL, NULL, "08P01", "" },
    { "y,,n=user,r=rOprNGfwEbeRWgbNEkqO", RFC_SERVER_FIRST, "c=eSws,r=" RFC_NONCE ",p=" RFC_PROOF, NULL,
      "28P01", "" },
};

static void run_server_case(const struct server_case *row, const struct scram_verifier *verifier)
{
    struct scram_server *server = scram_server_new_with_nonce(verifier, RFC_SERVER_NONCE);
    struct scram_keys keys = { .known = true };
    struct error err;
    struct buf out;
    bool good;

    buf_init(&out);
    good = scram_server_first(server, slice_of(row->client_first), &out, &err);
    assert_int_equal(good, row->server_first != NULL);
    if (good) {
        assert_string_equal(buf_text(&out), row->server_first);
        buf_clear(&out);
        good = scram_server_final(server, slice_of(row->client_final), &out, &keys, &err);
        assert_int_equal(good, row->server_final != NULL);
        assert_int_equal(keys.known, good);
        assert_string_equal(buf_text(&out), good ? row->server_final : "");
    }
    if (!good) {
        assert_string_equal(err.sqlstate, row->sqlstate);
        assert_string_equal(err.detail, row->detail);
    }
    buf_done(&out);
    scram_server_free(server);
}

static void the_server_answers_as_the_rfc_and_refuses_the_rest(void **state)
{
    const struct scram_verifier verifier = rfc_verifier();

    (void)state;
    for (size_t i = 0; i < sizeof server_cases / sizeof server_cases[0]; i++)
        run_server_case(&server_cases[i], &verifier);
}

static void the_formulas_are_those_of_the_rfc(void **state)
{
    const struct scram_verifier verifier = rfc_verifier();
    const struct slice auth_message =
        slice_of("n=user,r=rOprNGfwEbeRWgbNEkqO," RFC_SERVER_FIRST ",c=biws,r=" RFC_NONCE);
    unsigned char client_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES], bytes[SCRAM_KEY_BYTES];
    struct buf text;

    (void)state;
    buf_init(&text);
    assert_true(scram_derive("pencil", verifier.salt, verifier.salt_bytes, 4096, client_key, server_key));
    assert_true(scram_proof(client_key, auth_message, bytes));
    scram_append_base64(&text, bytes, sizeof bytes);
    assert_string_equal(buf_text(&text), RFC_PROOF);
    buf_clear(&text);
    assert_true(scram_hmac(server_key, sizeof server_key, auth_message, bytes));
    buf_append_text(&text, "v=");
    scram_append_base64(&text, bytes, sizeof bytes);
    assert_string_equal(buf_text(&text), RFC_SERVER_FINAL);
    buf_done(&text);
}

/* One exchange of our client with our server. `tamper` may change any of the last three messages on their
 * way. */
enum message { SERVER_FIRST, CLIENT_FINAL, SERVER_FINAL };

struct exchange {
    const char *password;
    const struct scram_keys *keys;
    struct scram_verifier verifier;
    void (*tamper)(enum message which, struct buf *message);
    struct scram_keys learned;
    struct error err;
};

static bool exchange(struct exchange *run)
{
    struct scram_client *client = scram_client_new(run->password, run->keys);
    struct scram_server *server = scram_server_new(&run->verifier);
    struct buf messages[4];
    bool good;

    for (int i = 0; i < 4; i++)
        buf_init(&messages[i]);
    scram_client_first(client, &messages[0]);
    good = scram_server_first(server, buf_slice(&messages[0]), &messages[1], &run->err);
    if (good && run->tamper != NULL)
        run->tamper(SERVER_FIRST, &messages[1]);
    good = good && scram_client_final(client, buf_slice(&messages[1]), &messages[2], &run->err);
    if (good && run->tamper != NULL)
        run->tamper(CLIENT_FINAL, &messages[2]);
    good =
        good && scram_server_final(server, buf_slice(&messages[2]), &messages[3], &run->learned, &run->err);
    if (good && run->tamper != NULL)
        run->tamper(SERVER_FINAL, &messages[3]);
    good = good && scram_client_check(client, buf_slice(&messages[3]), &run->err);
    for (int i = 0; i < 4; i++)
        buf_done(&messages[i]);
    scram_client_free(client);
    scram_server_free(server);
    return good;
}

static void password_verifier_and_learned_keys_fit_together(void **state)
{
    static const char *const passwords[] = { "pencil", "", "caf\xC3\xA9", "with,comma=and space",
                                             "\xFF\xFE not UTF-8" };

    (void)state;
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++) {
        struct exchange run = { .password = passwords[i] }, again, other;

        assert_true(scram_verifier_make(passwords[i], &run.verifier));
        assert_true(exchange(&run));
        assert_true(run.learned.known);

        again = (struct exchange){ .keys = &run.learned, .verifier = run.verifier };
        assert_true(exchange(&again));
        assert_memory_equal(again.learned.client_key, run.learned.client_key, SCRAM_KEY_BYTES);

        /* The same password with another salt is another verifier: the keys do not fit. */
        other = (struct exchange){ .keys = &run.learned };
        assert_true(scram_verifier_make(passwords[i], &other.verifier));
        assert_false(exchange(&other));
        assert_string_equal(other.err.sqlstate, "28P01");
    }
}

static void a_wrong_password_is_told(void **state)
{
    struct exchange run = { .password = "pencil2" };

    (void)state;
    assert_true(scram_verifier_make("pencil", &run.verifier));
    assert_false(exchange(&run));
    assert_string_equal(run.err.sqlstate, "28P01");
    assert_false(run.learned.known);
}

static void replace(struct buf *message, const char *text)
{
    buf_clear(message);
    buf_append_text(message, text);
}

static void another_nonce(enum message which, struct buf *message)
{
    if (which == SERVER_FIRST)
        replace(message, "r=somebodyelsesnonce,s=" RFC_SALT ",i=4096");
}

static void another_signature(enum message which, struct buf *message)
{
    if (which == SERVER_FINAL)
        replace(message, RFC_SERVER_FINAL);
}

static void a_server_error(enum message which, struct buf *message)
{
    if (which == SERVER_FINAL)
        replace(message, "e=other-error");
}

static void no_signature(enum message which, struct buf *message)
{
    if (which == SERVER_FINAL)
        replace(message, "");
}

static void a_signature_and_more(enum message which, struct buf *message)
{
    if (which == SERVER_FINAL)
        buf_append_text(message, ",x=y");
}

static void a_flipped_proof(enum message which, struct buf *message)
{
    if (which == CLIENT_FINAL) {
        char *digit = message->data + message->tail - 10;

        *digit = *digit == 'A' ? 'B' : 'A';
    }
}

/* Keeps our nonce, which the client has checked, and puts `rest` behind it. */
static void with_rest(enum message which, struct buf *message, const char *rest)
{
    struct buf changed;
    const char *comma;

    if (which != SERVER_FIRST)
        return;
    comma = memchr(buf_at(message), ',', buf_bytes(message));
    buf_init(&changed);
    buf_append(&changed, buf_at(message), (size_t)(comma - buf_at(message)));
    buf_append_text(&changed, rest);
    replace(message, buf_text(&changed));
    buf_done(&changed);
}

static void only_our_nonce(enum message which, struct buf *message)
{
    if (which == SERVER_FIRST) {
        buf_consume(message, 0);
        message->tail = message->head + 2 + SCRAM_NONCE_TEXT_BYTES - 1; /* without the server's half */
        buf_append_text(message, ",s=" RFC_SALT ",i=4096");
    }
}

/* clang-format off */
static void no_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT); }
static void zero_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=0"); }
static void endless_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=10000001"); }
static void huge_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=99999999999999999999"); }
static void signed_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=-1"); }
static void empty_salt(enum message which, struct buf *message) { with_rest(which, message, ",s=,i=4096"); }
static void bad_salt(enum message which, struct buf *message) { with_rest(which, message, ",s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096"); }
static void swapped(enum message which, struct buf *message) { with_rest(which, message, ",i=4096,s=" RFC_SALT); }
static void garbage_behind(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=4096,x=y"); }
static void fewer_iterations(enum message which, struct buf *message) { with_rest(which, message, ",s=" RFC_SALT ",i=1"); }
/* clang-format on */

static void a_salt_without_end(enum message which, struct buf *message)
{
    char rest[512] = ",s=";

    memset(rest + 3, 'A', 400); /* 300 bytes */
    strcpy(rest + 403, ",i=4096");
    with_rest(which, message, rest);
}

static const struct tamper_case {
    void (*tamper)(enum message which, struct buf *message);
    const char *sqlstate;
} tamper_cases[] = {
    { another_nonce, "08P01" },     { only_our_nonce, "08P01" },     { no_iterations, "08P01" },
    { zero_iterations, "08P01" },   { endless_iterations, "08P01" }, { huge_iterations, "08P01" },
    { signed_iterations, "08P01" }, { empty_salt, "08P01" },         { bad_salt, "08P01" },
    { swapped, "08P01" },           { garbage_behind, "08P01" },     { a_salt_without_end, "08P01" },
    { fewer_iterations, "28P01" },  { a_flipped_proof, "28P01" },    { another_signature, "28000" },
    { a_server_error, "28000" },    { no_signature, "08P01" },       { a_signature_and_more, "08P01" },
};

static void a_tampered_exchange_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tamper_cases / sizeof tamper_cases[0]; i++) {
        struct exchange run = { .password = "pencil",
                                .verifier = rfc_verifier(),
                                .tamper = tamper_cases[i].tamper };

        assert_false(exchange(&run));
        assert_string_equal(run.err.sqlstate, tamper_cases[i].sqlstate);
    }
}

/* An impostor that knows no verifier can echo nonces, but not sign. */
static void an_impostor_cannot_sign(void **state)
{
    const unsigned char mock_key[32] = { 1 };
    struct exchange run = { .password = "pencil", .verifier = rfc_verifier() };

    (void)state;
    memset(run.verifier.server_key, 7, sizeof run.verifier.server_key);
    assert_false(exchange(&run));
    assert_string_equal(run.err.message, "incorrect server signature");

    scram_verifier_mock("user", mock_key, &run.verifier);
    assert_false(exchange(&run));
    assert_string_equal(run.err.sqlstate, "28P01");
}

static void a_mock_is_the_same_for_the_same_user(void **state)
{
    unsigned char mock_key[32] = { 1 };
    struct scram_verifier first = { 0 }, second = { 0 };

    (void)state;
    scram_verifier_mock("alice", mock_key, &first);
    scram_verifier_mock("alice", mock_key, &second);
    assert_memory_equal(&first, &second, sizeof first);
    scram_verifier_mock("bob", mock_key, &second);
    assert_memory_not_equal(first.salt, second.salt, SCRAM_SALT_BYTES_DEFAULT);
    mock_key[0] = 2;
    scram_verifier_mock("alice", mock_key, &second);
    assert_memory_not_equal(first.salt, second.salt, SCRAM_SALT_BYTES_DEFAULT);
    assert_int_equal(first.iterations, 4096);
    assert_int_equal(first.salt_bytes, 16);
}

#define KEY "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static const struct verifier_case {
    const char *text;
    bool good;
} verifier_cases[] = {
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, true },
    { "SCRAM-SHA-256$1:W22Z$" KEY ":" KEY, true },
    { "SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "scram-sha-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$0:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$-1:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$4096:$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$4096:W22Za*0SNY7soEsUEjb6gQ==$" KEY ":" KEY, false },
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY, false },
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":", false },
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY "=", false },
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY " ", false },
    { "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d:" KEY, false },
    { "md5a6343a68d964ca596d9752250d54bb8a", false },
    { "", false },
};

static void verifiers_are_parsed_strictly(void **state)
{
    struct scram_verifier verifier;

    (void)state;
    for (size_t i = 0; i < sizeof verifier_cases / sizeof verifier_cases[0]; i++)
        assert_int_equal(scram_verifier_parse(verifier_cases[i].text, &verifier), verifier_cases[i].good);
    assert_true(scram_verifier_parse("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY ":" KEY, &verifier));
    assert_int_equal(verifier.iterations, 4096);
    assert_int_equal(verifier.salt_bytes, 16);
    assert_int_equal(verifier.salt[0], 0x5B);
    assert_int_equal(verifier.stored_key[31], 0xA6);
}

/* What PostgreSQL 15 stored for CREATE ROLE … PASSWORD 'pencil'. */
static void fits_what_postgresql_stores(void **state)
{
    struct exchange run = { .password = "pencil" };

    (void)state;
    assert_true(
        scram_verifier_parse("SCRAM-SHA-256$4096:lncK6g8saE1HOygsjxOQog==$otruLIFwrkMK9cAql1OGo7cSROIhA/"
                             "AImqs/G0HHg+Q=:mkg5pkIJz2+D3kffx6hmO7OJ9GEoapliDNH/QqIUTdc=",
                             &run.verifier));
    assert_true(exchange(&run));
    run.password = "Pencil";
    assert_false(exchange(&run));
}

static const struct base64_case {
    const char *text, *bytes; /* NULL: refused */
} base64_cases[] = {
    { "", "" },
    { "QQ==", "A" },
    { "QUI=", "AB" },
    { "QUJD", "ABC" },
    { "QUJDRA==", "ABCD" },
    { "Q", NULL },
    { "QQ", NULL },
    { "QQ=", NULL },
    { "QUJ", NULL },
    { "====", NULL },
    { "Q===", NULL },
    { "QQ==QQ==", NULL },
    { "QU JD", NULL },
    { "QUJD\n", NULL },
    { "QUJ*", NULL },
    { "=QUJ", NULL },
    { "QUJDREVGR0g=", "ABCDEFGH" },
    { "QUJDREVGR0hJ", NULL /* nine bytes */ },
};

static void base64_is_strict_and_bounded(void **state)
{
    unsigned char bytes[8];
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof base64_cases / sizeof base64_cases[0]; i++) {
        bool good = scram_base64_decode(slice_of(base64_cases[i].text), bytes, sizeof bytes, &count);

        assert_int_equal(good, base64_cases[i].bytes != NULL);
        if (good)
            assert_true(slice_is((struct slice){ (const char *)bytes, count }, base64_cases[i].bytes));
    }
}

static void messages_out_of_order_are_refused(void **state)
{
    const struct scram_verifier verifier = rfc_verifier();
    struct scram_server *server = scram_server_new_with_nonce(&verifier, RFC_SERVER_NONCE);
    struct scram_client *client = scram_client_new("pencil", NULL);
    struct scram_keys keys;
    struct error err;
    struct buf out;

    (void)state;
    buf_init(&out);
    assert_false(scram_server_final(server, slice_of(RFC_CLIENT_FINAL), &out, &keys, &err));
    assert_false(scram_server_first(server, slice_of(RFC_CLIENT_FIRST), &out, &err)); /* it is over */
    scram_server_free(server);
    server = scram_server_new_with_nonce(&verifier, RFC_SERVER_NONCE);
    assert_true(scram_server_first(server, slice_of(RFC_CLIENT_FIRST), &out, &err));
    assert_false(scram_server_first(server, slice_of(RFC_CLIENT_FIRST), &out, &err));
    assert_false(scram_server_final(server, slice_of(RFC_CLIENT_FINAL), &out, &keys, &err));
    assert_false(scram_client_final(client, slice_of(RFC_SERVER_FIRST), &out, &err));
    assert_false(scram_client_check(client, slice_of(RFC_SERVER_FINAL), &err));
    assert_string_equal(err.message, "unexpected SCRAM message");
    assert_null(scram_client_new(NULL, NULL));
    keys.known = false;
    assert_null(scram_client_new(NULL, &keys));
    scram_client_free(NULL);
    scram_server_free(NULL);
    scram_client_free(client);
    scram_server_free(server);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formulas_are_those_of_the_rfc),
        cmocka_unit_test(the_server_answers_as_the_rfc_and_refuses_the_rest),
        cmocka_unit_test(password_verifier_and_learned_keys_fit_together),
        cmocka_unit_test(a_wrong_password_is_told),
        cmocka_unit_test(a_tampered_exchange_fails),
        cmocka_unit_test(an_impostor_cannot_sign),
        cmocka_unit_test(a_mock_is_the_same_for_the_same_user),
        cmocka_unit_test(verifiers_are_parsed_strictly),
        cmocka_unit_test(fits_what_postgresql_stores),
        cmocka_unit_test(base64_is_strict_and_bounded),
        cmocka_unit_test(messages_out_of_order_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
