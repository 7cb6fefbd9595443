/* test_tls.c - TLS over buffers, our two ends with each other and our server with OpenSSL's own client: in
 * pieces, in bulk, bent, and to the end. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "made_cert.h"
#include "proxy/tls.h"

enum { A_LOT_BYTES = 3 * 1024 * 1024, SEALED_BYTES_AT_MOST = 300 * 1024 };

struct pair {
    struct tls_set *set;
    struct tls *client, *server;
    EVP_PKEY *key;
    X509 *cert;
};

static void begin(struct pair *pair)
{
    struct tls_set *set = calloc(1, sizeof *set);

    memset(pair, 0, sizeof *pair);
    pair->set = set;
    pair->cert = made_cert("store.test", -1, NULL, EVP_sha256(), &pair->key);
    atomic_init(&set->references, 1);
    set->bufs = tls_make_bufs();
    set->clients.mode = TLS_REQUIRE;
    set->clients.context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(set->clients.context, pair->cert);
    SSL_CTX_use_PrivateKey(set->clients.context, pair->key);
    set->stores[0].mode = TLS_VERIFY_FULL;
    set->stores[0].host = strdup("store.test");
    set->stores[0].context = SSL_CTX_new(TLS_client_method());
    X509_STORE_add_cert(SSL_CTX_get_cert_store(set->stores[0].context), pair->cert);
    SSL_CTX_set_verify(set->stores[0].context, SSL_VERIFY_PEER, tls_on_verify);
    pair->server = tls_new_server(set, &set->clients);
    pair->client = tls_new_client(set, &set->stores[0]);
}

static void end(struct pair *pair)
{
    tls_free(pair->client);
    tls_free(pair->server);
    tls_set_give(pair->set);
    X509_free(pair->cert);
    EVP_PKEY_free(pair->key);
}

/* Carries at most `count` bytes of the wire. */
static size_t carry(struct tls *from, struct tls *to, size_t count)
{
    size_t held = buf_bytes(tls_sealed(from));

    count = held < count ? held : count;
    buf_append(tls_raw(to), buf_at(tls_sealed(from)), count);
    buf_consume(tls_sealed(from), count);
    return count;
}

static void shake_hands(struct pair *pair, size_t piece)
{
    for (int i = 0; i < 20000 && !(tls_is_up(pair->client) && tls_is_up(pair->server)); i++) {
        if (!tls_is_up(pair->client))
            assert_int_not_equal(tls_shake(pair->client), TLS_FAILED);
        carry(pair->client, pair->server, piece);
        if (!tls_is_up(pair->server))
            assert_int_not_equal(tls_shake(pair->server), TLS_FAILED);
        carry(pair->server, pair->client, piece);
    }
    assert_true(tls_is_up(pair->client) && tls_is_up(pair->server));
}

static void the_handshake_may_come_byte_by_byte(void **state)
{
    struct pair pair;

    (void)state;
    begin(&pair);
    shake_hands(&pair, 1);
    assert_int_equal(tls_binding(pair.client)->bytes, 32);
    assert_null(tls_peer_name(pair.server)); /* nobody has asked for a certificate */
    assert_false(tls_peer_is_verified(pair.server));
    end(&pair);
}

/* However much there is to say, only so much of it is ciphertext at a time, and nothing is lost or doubled.
 */
static void bulk_is_sealed_as_the_wire_takes_it(void **state)
{
    struct buf plain, opened;
    struct pair pair;
    size_t count;

    (void)state;
    begin(&pair);
    shake_hands(&pair, SIZE_MAX);
    buf_init(&plain);
    buf_init(&opened);
    for (uint32_t i = 0; i < A_LOT_BYTES / 4; i++)
        buf_append(&plain, &i, sizeof i);
    while (buf_bytes(&opened) < A_LOT_BYTES) {
        assert_true(tls_seal(pair.server, &plain));
        assert_in_range(buf_bytes(tls_sealed(pair.server)), 1, SEALED_BYTES_AT_MOST);
        carry(pair.server, pair.client, 10007);
        assert_int_equal(tls_open(pair.client, &opened, &count), TLS_MORE);
    }
    assert_int_equal(buf_bytes(&opened), A_LOT_BYTES);
    assert_int_equal(buf_bytes(&plain), 0);
    for (uint32_t i = 0; i < A_LOT_BYTES / 4; i++)
        assert_memory_equal(buf_at(&opened) + 4 * i, &i, sizeof i);
    buf_done(&plain);
    buf_done(&opened);
    end(&pair);
}

static void last_words_come_before_the_end(void **state)
{
    struct buf plain, opened;
    struct pair pair;
    size_t count;

    (void)state;
    begin(&pair);
    shake_hands(&pair, SIZE_MAX);
    buf_init(&plain);
    buf_init(&opened);
    buf_append_text(&plain, "last words");
    assert_true(tls_seal(pair.server, &plain));
    assert_true(tls_shut(pair.server));
    assert_false(tls_shut(pair.server)); /* once */
    buf_append_text(&plain, "and more");
    assert_true(tls_seal(pair.server, &plain)); /* not any more */
    carry(pair.server, pair.client, SIZE_MAX);
    assert_int_equal(tls_open(pair.client, &opened, &count), TLS_ENDED);
    assert_int_equal(count, 10);
    assert_string_equal(buf_text(&opened), "last words");
    buf_done(&plain);
    buf_done(&opened);
    end(&pair);
}

static void a_bent_record_ends_it(void **state)
{
    struct buf plain, opened;
    struct pair pair;
    size_t count;

    (void)state;
    begin(&pair);
    shake_hands(&pair, SIZE_MAX);
    buf_init(&plain);
    buf_init(&opened);
    buf_append_text(&plain, "SELECT 1");
    assert_true(tls_seal(pair.client, &plain));
    tls_sealed(pair.client)->data[tls_sealed(pair.client)->tail - 1] ^= 1;
    carry(pair.client, pair.server, SIZE_MAX);
    assert_int_equal(tls_open(pair.server, &opened, &count), TLS_FAILED);
    assert_int_equal(count, 0);
    assert_string_not_equal(tls_why(pair.server)->message, "");
    assert_true(buf_bytes(tls_sealed(pair.server)) > 0); /* an alert */
    assert_false(tls_seal(pair.server, &plain) && buf_bytes(&plain) > 0);
    assert_false(tls_shut(pair.server));
    buf_done(&plain);
    buf_done(&opened);
    end(&pair);
}

static void another_hosts_certificate_is_refused(void **state)
{
    struct pair pair;
    enum tls_result result = TLS_MORE;

    (void)state;
    begin(&pair);
    free(pair.set->stores[0].host);
    pair.set->stores[0].host = strdup("other.test");
    for (int i = 0; i < 10 && result == TLS_MORE; i++) {
        result = tls_shake(pair.client);
        carry(pair.client, pair.server, SIZE_MAX);
        tls_shake(pair.server);
        carry(pair.server, pair.client, SIZE_MAX);
    }
    assert_int_equal(result, TLS_FAILED);
    assert_non_null(strstr(tls_why(pair.client)->message, "does not match host name \"other.test\""));
    assert_false(tls_is_up(pair.client));
    end(&pair);
}

/* TLS 1.3: a peer may ask for a new key again and again, and never read the answers. */
static void a_peer_that_makes_us_answer_without_end_is_let_go(void **state)
{
    struct pair pair;
    SSL *peer;
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    enum tls_result result = TLS_MORE;
    struct buf opened;
    char *at;
    long bytes;
    size_t count;

    (void)state;
    begin(&pair);
    buf_init(&opened);
    peer = SSL_new(pair.set->stores[0].context);
    SSL_set_bio(peer, in, out);
    SSL_set_connect_state(peer);
    for (int i = 0; i < 10 && !(tls_is_up(pair.server) && SSL_is_init_finished(peer)); i++) {
        SSL_do_handshake(peer);
        bytes = BIO_get_mem_data(out, &at);
        buf_append(tls_raw(pair.server), at, (size_t)bytes);
        BIO_reset(out);
        if (!tls_is_up(pair.server))
            assert_int_not_equal(tls_shake(pair.server), TLS_FAILED);
        BIO_write(in, buf_at(tls_sealed(pair.server)), (int)buf_bytes(tls_sealed(pair.server)));
        buf_consume(tls_sealed(pair.server), buf_bytes(tls_sealed(pair.server)));
    }
    for (int i = 0; i < 60000 && result == TLS_MORE; i++) {
        assert_int_equal(SSL_key_update(peer, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(peer), 1);
        bytes = BIO_get_mem_data(out, &at);
        buf_append(tls_raw(pair.server), at, (size_t)bytes);
        BIO_reset(out);
        result = tls_open(pair.server, &opened, &count);
        assert_in_range(buf_bytes(tls_sealed(pair.server)), 0, 1024 * 1024 + 100);
    }
    assert_int_equal(result, TLS_FAILED);
    assert_string_equal(tls_why(pair.server)->message, "TLS: the peer makes us answer without end");
    buf_done(&opened);
    SSL_free(peer);
    end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_handshake_may_come_byte_by_byte),
        cmocka_unit_test(bulk_is_sealed_as_the_wire_takes_it),
        cmocka_unit_test(last_words_come_before_the_end),
        cmocka_unit_test(a_bent_record_ends_it),
        cmocka_unit_test(another_hosts_certificate_is_refused),
        cmocka_unit_test(a_peer_that_makes_us_answer_without_end_is_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
