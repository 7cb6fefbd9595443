/* test_auth.c - a client's login against auth_file, with wire/scram as the client: who gets in, and what the
 * others are told. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/auth.h"
#include "proxy/auth_file.h"
#include "wire/md5.h"
#include "wire/read.h"
#include "wire/write.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* What PostgreSQL 15 stored for CREATE ROLE … PASSWORD 'pencil'. */
#define VERIFIER                                                                                             \
    "SCRAM-SHA-256$4096:lncK6g8saE1HOygsjxOQog==$otruLIFwrkMK9cAql1OGo7cSROIhA/AImqs/G0HHg+Q="               \
    ":mkg5pkIJz2+D3kffx6hmO7OJ9GEoapliDNH/QqIUTdc="
#define MD5 "md5b15721e6326bc6e9a7c72a38963ec03d"

static const unsigned char mock_key[32] = "thirty-two bytes of the process";
static struct auth_file *users;

static int read_users(void **state)
{
    char path[] = "/tmp/pgshunt_test_auth.XXXXXX";
    int fd = mkstemp(path);
    struct error err;
    bool fine;

    (void)state;
    if (fd < 0)
        return 1;
    dprintf(fd, "\"plain\" \"pencil\"\n\"stored\" \"%s\"\n\"old\" \"%s\"\n", VERIFIER, MD5);
    close(fd);
    fine = auth_file_read(path, &users, &err);
    unlink(path);
    return fine ? 0 : 1;
}

static int free_users(void **state)
{
    (void)state;
    auth_file_free(users);
    return 0;
}

/* ---- both ends of a login ---- */

struct login {
    struct auth *auth;
    struct scram_client *client;
    struct credentials credentials;
    struct buf out; /* what the client is sent */
    struct error err;
};

static enum auth_result login_begin(struct login *login, enum auth_type type, const char *user,
                                    const char *password)
{
    memset(login, 0, sizeof *login);
    buf_init(&login->out);
    login->client = scram_client_new(password, NULL);
    return auth_begin(&(struct auth_ask){ .type = type,
                                          .user = user,
                                          .secret = auth_file_secret(users, user),
                                          .mock_key = mock_key,
                                          .binding = &(struct scram_binding){ 0 } },
                      &login->auth, &login->out, &login->credentials, &login->err);
}

static void login_end(struct login *login)
{
    auth_free(login->auth);
    scram_client_free(login->client);
    credentials_done(&login->credentials);
    buf_done(&login->out);
}

/* The one AuthenticationRequest that is in `out`: its code; *data is copied, `out` is empty again. */
static uint32_t next_request(struct login *login, struct buf *data)
{
    struct read body;
    struct error err;
    struct msg msg;
    uint32_t code;

    assert_int_equal(msg_next(&login->out, &msg, &err), WIRE_MSG);
    assert_int_equal(msg.type, BE_AUTHENTICATION);
    assert_int_equal(msg.total_bytes, buf_bytes(&login->out));
    body = read_msg(&msg);
    code = read_u32(&body);
    buf_clear(data);
    buf_append(data, body.at, read_left(&body));
    buf_clear(&login->out);
    return code;
}

/* Hands over what a client has written: a whole password message. */
static enum auth_result answer(struct login *login, struct buf *written)
{
    enum auth_result result;
    struct error err;
    struct msg msg;

    assert_int_equal(msg_next(written, &msg, &err), WIRE_MSG);
    assert_int_equal(msg.type, FE_PASSWORD);
    result = auth_continue(login->auth, &msg, &login->out, &login->credentials, &login->err);
    buf_clear(written);
    return result;
}

enum { ASK_SASL = 10, ASK_CONTINUE = 11, ASK_FINAL = 12 };

/* The client's first message, and the server's answer to it in `data`. */
static void say_first(struct login *login, struct buf *data)
{
    struct buf first, written;

    buf_init(&first);
    buf_init(&written);
    assert_int_equal(next_request(login, data), ASK_SASL);
    assert_memory_equal(buf_at(data), "SCRAM-SHA-256\0", 15);
    assert_int_equal(buf_bytes(data), 15);
    scram_client_first(login->client, &first);
    write_sasl_initial(&written, "SCRAM-SHA-256", buf_slice(&first));
    assert_int_equal(answer(login, &written), AUTH_MORE);
    assert_int_equal(next_request(login, data), ASK_CONTINUE);
    buf_done(&first);
    buf_done(&written);
}

/* The whole exchange. */
static enum auth_result log_in(struct login *login)
{
    struct buf data, final, written;
    enum auth_result result;

    buf_init(&data);
    buf_init(&final);
    buf_init(&written);
    say_first(login, &data);
    assert_true(scram_client_final(login->client, buf_slice(&data), &final, &login->err));
    write_sasl_response(&written, buf_slice(&final));
    result = answer(login, &written);
    if (result == AUTH_OK) { /* and the client knows that it speaks to one who knows the verifier */
        assert_int_equal(next_request(login, &data), ASK_FINAL);
        assert_true(scram_client_check(login->client, buf_slice(&data), &login->err));
    }
    assert_int_equal(buf_bytes(&login->out), 0); /* AuthenticationOk is the caller's */
    buf_done(&data);
    buf_done(&final);
    buf_done(&written);
    return result;
}

static const struct login_case {
    const char *user, *password;
    bool good;
    const char *secret; /* the plain password for the stores, where auth_file has it */
} login_cases[] = {
    { "plain", "pencil", true, "pencil" }, { "stored", "pencil", true, NULL },
    { "plain", "Pencil", false, NULL },    { "stored", "pencil ", false, NULL },
    { "plain", VERIFIER, false, NULL },    { "stored", VERIFIER, false, NULL }, /* not a password */
    { "nobody", "pencil", false, NULL },   { "Plain", "pencil", false, NULL },
    { "", "pencil", false, NULL },         { "old", MD5, false, NULL },
};

static void only_who_knows_the_password_gets_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(login_cases); i++) {
        const struct login_case *row = &login_cases[i];
        struct login login;
        char message[128];

        assert_int_equal(login_begin(&login, AUTH_SCRAM, row->user, row->password), AUTH_MORE);
        assert_int_equal(log_in(&login), row->good ? AUTH_OK : AUTH_FAILED);
        assert_int_equal(login.credentials.keys.known, row->good);
        if (row->good && row->secret != NULL)
            assert_string_equal(login.credentials.password, row->secret);
        if (row->good && row->secret == NULL)
            assert_null(login.credentials.password);
        if (!row->good) { /* the same words for an unknown user as for a wrong password */
            snprintf(message, sizeof message, "password authentication failed for user \"%s\"", row->user);
            assert_string_equal(login.err.sqlstate, "28P01");
            assert_string_equal(login.err.message, message);
        }
        login_end(&login);
    }
}

/* What a verifier in auth_file leaves to log in to the stores with. */
static void the_keys_that_are_learned_fit_the_same_verifier(void **state)
{
    struct login first, second;

    (void)state;
    assert_int_equal(login_begin(&first, AUTH_SCRAM, "stored", "pencil"), AUTH_MORE);
    assert_int_equal(log_in(&first), AUTH_OK);
    assert_int_equal(login_begin(&second, AUTH_SCRAM, "stored", ""), AUTH_MORE);
    scram_client_free(second.client);
    second.client = scram_client_new(NULL, &first.credentials.keys);
    assert_int_equal(log_in(&second), AUTH_OK);
    login_end(&first);
    login_end(&second);
}

static const struct trust_case {
    const char *user, *password, *md5;
} trust_cases[] = {
    { "plain", "pencil", NULL }, { "stored", NULL, NULL }, { "old", NULL, MD5 },
    { "nobody", NULL, NULL },    { "", NULL, NULL },
};

static void what_the_file_knows_is_kept_for_the_stores(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(trust_cases); i++) {
        struct credentials credentials = { 0 };

        assert_true(credentials_take(&credentials, auth_file_secret(users, trust_cases[i].user)));
        assert_int_equal(credentials.password == NULL, trust_cases[i].password == NULL);
        if (trust_cases[i].password != NULL)
            assert_string_equal(credentials.password, trust_cases[i].password);
        assert_int_equal(credentials.md5 == NULL, trust_cases[i].md5 == NULL);
        if (trust_cases[i].md5 != NULL)
            assert_string_equal(credentials.md5, trust_cases[i].md5);
        assert_false(credentials.keys.known);
        credentials_done(&credentials);
    }
}

/* ---- md5, and the password as it is ---- */

enum { ASK_PASSWORD = 3, ASK_MD5 = 5 };

/* Asks by `type`, answers with the password (as md5 where that is asked for) and its NUL. */
static enum auth_result say_password(struct login *login, enum auth_type type, const char *user,
                                     const char *password)
{
    enum auth_result result;
    struct buf data, written;
    char hash[MD5_ANSWER_BYTES];
    uint32_t asked;

    buf_init(&data);
    buf_init(&written);
    assert_int_equal(login_begin(login, type, user, "x"), AUTH_MORE);
    assert_string_equal(auth_expects(login->auth), "password");
    asked = next_request(login, &data);
    assert_int_equal(asked, type == AUTH_MD5 ? ASK_MD5 : ASK_PASSWORD);
    assert_int_equal(buf_bytes(&data), type == AUTH_MD5 ? 4 : 0);
    if (type == AUTH_MD5)
        assert_true(md5_answer(password, user, (const unsigned char *)buf_at(&data), hash));
    write_password(&written, slice_of(type == AUTH_MD5 ? hash : password));
    result = answer(login, &written);
    buf_done(&data);
    buf_done(&written);
    return result;
}

/* MD5 is PostgreSQL's hash of "pencil" for user "old". */
static const struct password_case {
    enum auth_type type;
    const char *user, *password;
    bool good;
    const char *plain, *md5; /* for the stores */
} password_cases[] = {
    { AUTH_MD5, "plain", "pencil", true, "pencil", NULL },
    { AUTH_MD5, "old", "pencil", true, NULL, MD5 },
    { AUTH_MD5, "plain", "Pencil", false, NULL, NULL },
    { AUTH_MD5, "old", "pencil ", false, NULL, NULL },
    { AUTH_MD5, "nobody", "pencil", false, NULL, NULL },
    { AUTH_PASSWORD, "plain", "pencil", true, "pencil", NULL },
    { AUTH_PASSWORD, "old", "pencil", true, "pencil", MD5 },
    { AUTH_PASSWORD, "stored", "pencil", true, "pencil", NULL },
    { AUTH_PASSWORD, "plain", "penci", false, NULL, NULL },
    { AUTH_PASSWORD, "old", "x", false, NULL, NULL },
    { AUTH_PASSWORD, "old", MD5, false, NULL, NULL }, /* the hash is not the password */
    { AUTH_PASSWORD, "stored", VERIFIER, false, NULL, NULL },
    { AUTH_PASSWORD, "nobody", "pencil", false, NULL, NULL },
    { AUTH_PASSWORD, "plain", "", false, NULL, NULL },
};

static void a_password_by_the_old_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(password_cases); i++) {
        const struct password_case *row = &password_cases[i];
        struct login login;

        if ((say_password(&login, row->type, row->user, row->password) == AUTH_OK) != row->good)
            fail_msg("row %zu", i);
        if (!row->good)
            assert_string_equal(login.err.sqlstate, "28P01");
        if (row->plain != NULL)
            assert_string_equal(login.credentials.password, row->plain);
        if (row->md5 != NULL)
            assert_string_equal(login.credentials.md5, row->md5);
        login_end(&login);
    }
}

static void md5_asks_for_scram_where_the_secret_is_a_verifier(void **state)
{
    struct login login;

    (void)state;
    assert_int_equal(login_begin(&login, AUTH_MD5, "stored", "pencil"), AUTH_MORE);
    assert_string_equal(auth_expects(login.auth), "SASL");
    assert_int_equal(log_in(&login), AUTH_OK);
    assert_true(login.credentials.keys.known);
    login_end(&login);
}

static void a_password_message_that_is_none_is_refused(void **state)
{
    static const struct slice bodies[] = {
        { "", 0 }, { "pencil", 6 }, { "pencil\0x", 8 }, { "pencil\0\0", 8 }
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const struct msg msg = { FE_PASSWORD, bodies[i].at, bodies[i].bytes,
                                 bodies[i].bytes + MSG_HEADER_BYTES };
        struct login login;

        assert_int_equal(login_begin(&login, AUTH_PASSWORD, "plain", "x"), AUTH_MORE);
        assert_int_equal(auth_continue(login.auth, &msg, &login.out, &login.credentials, &login.err),
                         AUTH_FAILED);
        assert_string_equal(login.err.sqlstate, "08P01");
        login_end(&login);
    }
}

/* ---- what no client says ---- */

#define BODY(text)                                                                                           \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

/* The first message's body. */
static const struct first_case {
    struct slice body;
    const char *sqlstate;
} first_cases[] = {
    { BODY(""), "08P01" },
    { BODY("SCRAM-SHA-256"), "08P01" },                   /* no end */
    { BODY("SCRAM-SHA-256\0"), "08P01" },                 /* no length */
    { BODY("SCRAM-SHA-256\0\xFF\xFF\xFF\xFF"), "08P01" }, /* no data */
    { BODY("SCRAM-SHA-256\0\0\0\0\x05n,,n="), "08P01" },  /* data and more */
    { BODY("SCRAM-SHA-256\0\0\0\0\x07n,,n="), "08P01" },  /* less data than said */
    { BODY("SCRAM-SHA-256\0\x7F\xFF\xFF\xFFn,,n="), "08P01" },
    { BODY("SCRAM-SHA-256\0\0\0\0\0"), "08P01" },
    { BODY("SCRAM-SHA-256\0\0\0\0\x0An,,n=,r= b"), "08P01" },
    { BODY("SCRAM-SHA-1\0\0\0\0\x0Bn,,n=,r=abc"), "08P01" },
    { BODY("scram-sha-256\0\0\0\0\x0Bn,,n=,r=abc"), "08P01" },
    { BODY("SCRAM-SHA-256-PLUS\0\0\0\0\x0Bn,,n=,r=abc"), "08P01" },
    { BODY("pencil\0"), "08P01" }, /* a plain password */
    { BODY("SCRAM-SHA-256\0\0\0\0\x12n,a=other,n=,r=abc"), "0A000" },
    { BODY("c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), "08P01" }, /* the last one first */
};

static struct msg password_message(struct slice body)
{
    return (struct msg){ .type = FE_PASSWORD,
                         .body = body.at,
                         .body_bytes = body.bytes,
                         .total_bytes = body.bytes + MSG_HEADER_BYTES };
}

static void a_first_message_that_is_none_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(first_cases); i++) {
        const struct msg msg = password_message(first_cases[i].body);
        struct login login;

        assert_int_equal(login_begin(&login, AUTH_SCRAM, "plain", "pencil"), AUTH_MORE);
        buf_clear(&login.out);
        if (auth_continue(login.auth, &msg, &login.out, &login.credentials, &login.err) != AUTH_FAILED)
            fail_msg("row %zu goes on", i);
        if (strcmp(login.err.sqlstate, first_cases[i].sqlstate) != 0)
            fail_msg("row %zu: %s %s", i, login.err.sqlstate, login.err.message);
        assert_int_equal(buf_bytes(&login.out), 0);
        assert_false(login.credentials.keys.known);
        login_end(&login);
    }
}

/* The second message's body. */
static const struct slice second_bodies[] = {
    BODY(""),
    BODY("c=biws"),
    BODY("c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="), /* another nonce */
    BODY("SCRAM-SHA-256\0\0\0\0\x0Bn,,n=,r=abc"),                        /* the first once more */
    BODY("pencil\0"),
};

static void a_second_message_that_is_none_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(second_bodies); i++) {
        const struct msg msg = password_message(second_bodies[i]);
        struct login login;
        struct buf data;

        buf_init(&data);
        assert_int_equal(login_begin(&login, AUTH_SCRAM, "plain", "pencil"), AUTH_MORE);
        say_first(&login, &data);
        assert_int_equal(auth_continue(login.auth, &msg, &login.out, &login.credentials, &login.err),
                         AUTH_FAILED);
        assert_string_equal(login.err.sqlstate, "08P01");
        assert_int_equal(buf_bytes(&login.out), 0);
        assert_false(login.credentials.keys.known);
        buf_done(&data);
        login_end(&login);
    }
}

/* A proof that was right once is worth nothing in another exchange. */
static void a_recorded_proof_does_not_work_again(void **state)
{
    struct buf data, final, written;
    struct login login;

    (void)state;
    buf_init(&data);
    buf_init(&final);
    buf_init(&written);
    assert_int_equal(login_begin(&login, AUTH_SCRAM, "stored", "pencil"), AUTH_MORE);
    say_first(&login, &data);
    assert_true(scram_client_final(login.client, buf_slice(&data), &final, &login.err));
    login_end(&login);
    assert_int_equal(login_begin(&login, AUTH_SCRAM, "stored", "pencil"), AUTH_MORE);
    say_first(&login, &data);
    write_sasl_response(&written, buf_slice(&final));
    assert_int_equal(answer(&login, &written), AUTH_FAILED);
    login_end(&login);
    buf_done(&data);
    buf_done(&final);
    buf_done(&written);
}

/* The salt and iterations of a user, as anybody may ask for them. */
static void read_challenge(const char *user, char out[128])
{
    struct login login;
    struct buf data;
    const char *salt;

    buf_init(&data);
    assert_int_equal(login_begin(&login, AUTH_SCRAM, user, "x"), AUTH_MORE);
    say_first(&login, &data);
    salt = strstr(buf_text(&data), ",s=");
    assert_non_null(salt);
    snprintf(out, 128, "%s", salt);
    buf_done(&data);
    login_end(&login);
}

static void an_unknown_user_has_a_salt_as_steady_as_a_verifiers(void **state)
{
    static const char *const steady[] = { "stored", "nobody", "old", "plain" };
    char first[128], second[128], other[128];

    (void)state;
    for (size_t i = 0; i < COUNT(steady); i++) {
        read_challenge(steady[i], first);
        read_challenge(steady[i], second);
        assert_string_equal(first, second);
        assert_int_equal(strlen(first), strlen(",s=lncK6g8saE1HOygsjxOQog==,i=4096"));
    }
    read_challenge("somebody else", other);
    assert_string_not_equal(first, other);
}

static void a_name_of_any_length_is_cut_and_not_overrun(void **state)
{
    struct login login;
    char user[5000];

    (void)state;
    memset(user, 'u', sizeof user - 1);
    user[sizeof user - 1] = '\0';
    assert_int_equal(login_begin(&login, AUTH_SCRAM, user, "pencil"), AUTH_MORE);
    assert_int_equal(log_in(&login), AUTH_FAILED);
    assert_string_equal(login.err.sqlstate, "28P01");
    login_end(&login);
    auth_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_knows_the_password_gets_in),
        cmocka_unit_test(the_keys_that_are_learned_fit_the_same_verifier),
        cmocka_unit_test(what_the_file_knows_is_kept_for_the_stores),
        cmocka_unit_test(a_password_by_the_old_ways),
        cmocka_unit_test(md5_asks_for_scram_where_the_secret_is_a_verifier),
        cmocka_unit_test(a_password_message_that_is_none_is_refused),
        cmocka_unit_test(a_first_message_that_is_none_is_refused),
        cmocka_unit_test(a_second_message_that_is_none_is_refused),
        cmocka_unit_test(a_recorded_proof_does_not_work_again),
        cmocka_unit_test(an_unknown_user_has_a_salt_as_steady_as_a_verifiers),
        cmocka_unit_test(a_name_of_any_length_is_cut_and_not_overrun),
    };

    return cmocka_run_group_tests(tests, read_users, free_users);
}
