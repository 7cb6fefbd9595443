/* test_prove.c - what a store is answered, with what there is of a user, and what is said where nothing fits.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/prove.h"
#include "wire/md5.h"
#include "wire/read.h"
#include "wire/write.h"

#define MD5 "md5a6343a68d964ca596d9752250d54bb8a"

struct store {
    struct prove prove;
    struct prove_who who;
    struct credentials credentials;
    struct buf out;
    struct error err;
};

static void begin(struct store *store)
{
    memset(store, 0, sizeof *store);
    store->who = (struct prove_who){ .credentials = &store->credentials, .user = "app", .store = "shared" };
    buf_init(&store->out);
}

static void end(struct store *store)
{
    prove_done(&store->prove);
    buf_done(&store->out);
}

/* The store asks; what pgshunt answers is left in `out`. */
static bool ask(struct store *store, uint32_t code, const void *data, size_t bytes)
{
    struct buf message;
    struct msg msg;
    size_t mark;
    bool ok;

    buf_init(&message);
    mark = write_begin(&message, BE_AUTHENTICATION);
    write_u32(&message, code);
    buf_append(&message, data, bytes);
    write_end(&message, mark);
    assert_int_equal(msg_next(&message, &msg, &store->err), WIRE_MSG);
    buf_clear(&store->out);
    ok = prove_answer(&store->prove, &store->who, &msg, &store->out, &store->err);
    buf_done(&message);
    return ok;
}

static struct slice answered(struct store *store)
{
    struct msg msg;

    assert_int_equal(msg_next(&store->out, &msg, &store->err), WIRE_MSG);
    assert_int_equal(msg.type, FE_PASSWORD);
    return (struct slice){ msg.body, msg.body_bytes };
}

static const char scram_offer[] = "SCRAM-SHA-256\0";
static const char bound_offer[] = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";

/* A whole SCRAM exchange with a store that has `verifier`; false: `err` says at which end it failed. */
static bool exchange(struct store *store, const struct scram_verifier *verifier)
{
    struct scram_server *server = scram_server_new(verifier);
    struct scram_keys learnt;
    struct read body;
    struct buf said;
    bool ok;

    buf_init(&said);
    assert_true(ask(store, 10, scram_offer, sizeof scram_offer));
    body = read_bytes_of(answered(store).at, answered(store).bytes);
    assert_true(slice_is(read_text(&body), "SCRAM-SHA-256"));
    read_u32(&body);
    assert_true(scram_server_first(server, read_slice(&body, read_left(&body)), &said, &store->err));
    ok = ask(store, 11, buf_at(&said), buf_bytes(&said));
    if (ok) {
        buf_clear(&said);
        ok = scram_server_final(server, answered(store), &said, &learnt, &store->err);
    }
    if (ok)
        ok = ask(store, 12, buf_at(&said), buf_bytes(&said)) && ask(store, 0, NULL, 0);
    buf_done(&said);
    scram_server_free(server);
    return ok;
}

static struct slice mechanism_chosen(struct store *store)
{
    struct read body = read_bytes_of(answered(store).at, answered(store).bytes);

    return read_text(&body);
}

/* To bind or not to bind: what the store offers, what TLS there is, what the connection string asks for. */
static void binds_where_both_can(void **state)
{
    const struct scram_binding certificate = { .bytes = 32 }, none = { 0 };
    char password[] = "pencil";
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.password = password;
    store.who.encrypted = true;
    store.who.binding = &certificate;
    assert_true(ask(&store, 10, bound_offer, sizeof bound_offer));
    assert_true(slice_is(mechanism_chosen(&store), "SCRAM-SHA-256-PLUS"));
    assert_true(ask(&store, 10, scram_offer, sizeof scram_offer)); /* its TLS may end before it */
    assert_true(slice_is(mechanism_chosen(&store), "SCRAM-SHA-256"));
    store.who.binding = &none; /* a certificate without a hash */
    assert_true(ask(&store, 10, bound_offer, sizeof bound_offer));
    assert_true(slice_is(mechanism_chosen(&store), "SCRAM-SHA-256"));
    store.who.must_bind = true;
    assert_false(ask(&store, 10, bound_offer, sizeof bound_offer));
    assert_string_equal(store.err.sqlstate, "28000");
    store.who.binding = &certificate;
    store.who.may_send_plain = true;
    assert_false(ask(&store, 10, scram_offer, sizeof scram_offer));
    assert_false(ask(&store, 0, NULL, 0)); /* trust, md5 and a plain password bind nothing */
    assert_false(ask(&store, 3, NULL, 0));
    assert_false(ask(&store, 5, "salt", 4));
    end(&store);
}

static void binding_offered_without_tls_comes_from_somebody_in_between(void **state)
{
    char password[] = "pencil";
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.password = password;
    assert_false(ask(&store, 10, bound_offer, sizeof bound_offer));
    assert_string_equal(store.err.sqlstate, "08P01");
    end(&store);
}

static void a_plain_password_answers_everything(void **state)
{
    char expected[MD5_ANSWER_BYTES], password[] = "pencil";
    struct scram_verifier verifier;
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.password = password;
    assert_true(ask(&store, 0, NULL, 0)); /* trust */
    assert_int_equal(buf_bytes(&store.out), 0);
    assert_true(ask(&store, 5, "salt", 4));
    assert_true(md5_answer("pencil", "app", (const unsigned char *)"salt", expected));
    assert_string_equal(answered(&store).at, expected);
    assert_true(scram_verifier_make("pencil", &verifier));
    assert_true(exchange(&store, &verifier));
    store.who.may_send_plain = true;
    assert_true(ask(&store, 3, NULL, 0));
    assert_string_equal(answered(&store).at, "pencil");
    end(&store);
}

static void a_plain_password_is_not_sent_as_it_is_where_others_listen(void **state)
{
    char password[] = "pencil";
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.password = password;
    assert_false(ask(&store, 3, NULL, 0));
    assert_int_equal(buf_bytes(&store.out), 0);
    assert_string_equal(store.err.sqlstate, "28000");
    assert_non_null(strstr(store.err.hint, "server_plain_password"));
    end(&store);
}

static void an_md5_hash_answers_md5_alone(void **state)
{
    char expected[MD5_ANSWER_BYTES], hash[] = MD5;
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.md5 = hash;
    assert_true(ask(&store, 5, "salt", 4));
    assert_true(md5_answer(MD5, "app", (const unsigned char *)"salt", expected));
    assert_string_equal(answered(&store).at, expected);
    assert_false(ask(&store, 10, scram_offer, sizeof scram_offer));
    assert_non_null(strstr(store.err.message, "SCRAM-SHA-256"));
    assert_false(ask(&store, 3, NULL, 0));
    end(&store);
}

static void keys_open_stores_with_the_same_verifier(void **state)
{
    struct scram_verifier same, other;
    struct store store;

    (void)state;
    begin(&store);
    assert_true(scram_verifier_make("pencil", &same));
    assert_true(scram_verifier_make("pencil", &other)); /* the same password, another salt */
    assert_true(scram_keys_derive(NULL, "pencil", same.salt, same.salt_bytes, same.iterations,
                                  &store.credentials.keys));
    assert_true(exchange(&store, &same));
    prove_done(&store.prove);
    assert_false(exchange(&store, &other));
    assert_string_equal(store.err.sqlstate, "28P01");
    assert_non_null(strstr(store.err.message, "another SCRAM verifier for user \"app\""));
    assert_int_equal(buf_bytes(&store.out), 0); /* not even tried */
    end(&store);
}

static void a_store_must_prove_itself(void **state)
{
    char password[] = "pencil";
    struct store store;

    (void)state;
    begin(&store);
    store.credentials.password = password;
    assert_true(ask(&store, 10, scram_offer, sizeof scram_offer));
    assert_false(ask(&store, 0, NULL, 0));
    assert_string_equal(store.err.sqlstate, "28000");
    end(&store);
}

static void what_cannot_be_answered_is_named(void **state)
{
    static const struct {
        uint32_t code;
        const char *data;
        size_t bytes;
        const char *sqlstate, *words;
    } cases[] = {
        { 2, "", 0, "28000", "Kerberos" },
        { 7, "", 0, "28000", "GSSAPI" },
        { 9, "", 0, "28000", "SSPI" },
        { 13, "", 0, "28000", "method 13" },
        { 3, "", 0, "28000", "plain password" },
        { 5, "salt", 4, "28000", "md5" },
        { 5, "sal", 3, "08P01", "malformed" },
        { 10, "SCRAM-SHA-256\0", 15, "28000", "keys" },
        { 10, "SCRAM-SHA-512\0", 15, "28000", "without SCRAM-SHA-256" },
        { 10, "", 0, "28000", "without SCRAM-SHA-256" },
        { 11, "r=x", 3, "08P01", "without having begun" },
        { 12, "v=x", 3, "08P01", "without having begun" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct store store;

        begin(&store);
        assert_false(ask(&store, cases[i].code, cases[i].data, cases[i].bytes));
        assert_string_equal(store.err.sqlstate, cases[i].sqlstate);
        assert_non_null(strstr(store.err.message, cases[i].words));
        assert_int_equal(buf_bytes(&store.out), 0);
        end(&store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_where_both_can),
        cmocka_unit_test(binding_offered_without_tls_comes_from_somebody_in_between),
        cmocka_unit_test(a_plain_password_answers_everything),
        cmocka_unit_test(a_plain_password_is_not_sent_as_it_is_where_others_listen),
        cmocka_unit_test(an_md5_hash_answers_md5_alone),
        cmocka_unit_test(keys_open_stores_with_the_same_verifier),
        cmocka_unit_test(a_store_must_prove_itself),
        cmocka_unit_test(what_cannot_be_answered_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
