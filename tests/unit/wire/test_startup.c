/* test_startup.c - the packets before the first typed message, and libpq's options. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "wire/startup.h"
#include "wire/write.h"

#define BYTES(text) text, sizeof text - 1
#define V3          "\0\3\0\0"

/* `body` is what follows the length, which the test puts in front. */
static const struct good_case {
    const char *body;
    size_t count;
    enum startup_kind kind;
    unsigned minor;
    size_t parameter_count, option_count;
    const char *user, *database; /* NULL: absent */
} good_cases[] = {
    { BYTES(V3 "user\0u\0\0"), STARTUP_SESSION, 0, 1, 0, "u", NULL },
    { BYTES(V3 "user\0u\0database\0d\0\0"), STARTUP_SESSION, 0, 2, 0, "u", "d" },
    { BYTES(V3 "user\0u\0database\0\0\0"), STARTUP_SESSION, 0, 2, 0, "u", "" },
    { BYTES(V3 "user\0a\0user\0b\0\0"), STARTUP_SESSION, 0, 2, 0, "b", NULL },
    { BYTES("\0\3\0\2user\0u\0_pq_.x\0y\0_pq_.\0\0\0"), STARTUP_SESSION, 2, 1, 2, "u", NULL },
    { BYTES("\0\3\x27\x0Fuser\0u\0\0"), STARTUP_SESSION, 9999, 1, 0, "u", NULL },
    { BYTES("\4\xD2\x16\x2F"), STARTUP_SSL, 0, 0, 0, NULL, NULL },
    { BYTES("\4\xD2\x16\x30"), STARTUP_GSSENC, 0, 0, 0, NULL, NULL },
    { BYTES("\4\xD2\x16\x2E\1\2\3\4\xAA\xBB\xCC\xDD"), STARTUP_CANCEL, 0, 0, 0, NULL, NULL },
};

static const struct bad_case {
    const char *body;
    size_t count;
    const char *sqlstate, *message;
} bad_cases[] = {
    { BYTES("\0\2\0\0user\0u\0\0"), "0A000",
      "unsupported frontend protocol 2.0: server supports 3.0 to 3.2" },
    { BYTES("\0\4\0\1user\0u\0\0"), "0A000",
      "unsupported frontend protocol 4.1: server supports 3.0 to 3.2" },
    { BYTES("\4\xD2\x16\x99"), "0A000",
      "unsupported frontend protocol 1234.5785: server supports 3.0 to 3.2" },
    { BYTES(V3 "\0"), "28000", "no PostgreSQL user name specified in startup packet" },
    { BYTES(V3 "database\0d\0\0"), "28000", "no PostgreSQL user name specified in startup packet" },
    { BYTES(V3 "user\0\0\0"), "28000", "no PostgreSQL user name specified in startup packet" },
    { BYTES(V3), "08P01", "invalid startup packet layout: expected terminator as last byte" },
    { BYTES(V3 "user\0u\0"), "08P01", "invalid startup packet layout: expected terminator as last byte" },
    { BYTES(V3 "user\0u"), "08P01", "invalid startup packet layout: expected terminator as last byte" },
    { BYTES(V3 "user"), "08P01", "invalid startup packet layout: expected terminator as last byte" },
    { BYTES(V3 "user\0u\0\0x"), "08P01", "invalid startup packet layout: expected terminator as last byte" },
    { BYTES("\4\xD2\x16\x2Fx"), "08P01", "invalid length of startup packet" },
    { BYTES("\4\xD2\x16\x2E\1\2\3\4\xAA\xBB\xCC"), "08P01", "invalid length of startup packet" },
    { BYTES("\0\0\0"), "08P01", "invalid length of startup packet" },
    { BYTES(""), "08P01", "invalid length of startup packet" },
};

static enum wire_result parse(struct buf *in, const char *body, size_t count, struct startup *startup,
                              struct error *err)
{
    buf_clear(in);
    write_u32(in, (uint32_t)count + 4);
    buf_append(in, body, count);
    return startup_next(in, startup, err);
}

static void check_text(struct slice found, const char *expected)
{
    assert_int_equal(found.at != NULL, expected != NULL);
    if (expected != NULL)
        assert_true(slice_is(found, expected));
}

static void reads_every_kind_of_packet(void **state)
{
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    for (size_t i = 0; i < sizeof good_cases / sizeof good_cases[0]; i++) {
        const struct good_case *row = &good_cases[i];

        assert_int_equal(parse(&in, row->body, row->count, &startup, &err), WIRE_MSG);
        assert_int_equal(startup.kind, row->kind);
        assert_int_equal(startup.total_bytes, row->count + 4);
        assert_int_equal(startup.minor, row->minor);
        assert_int_equal(startup.parameter_count, row->parameter_count);
        assert_int_equal(startup.option_count, row->option_count);
        check_text(startup_get(&startup, "user"), row->user);
        check_text(startup_get(&startup, "database"), row->database);
        if (row->kind == STARTUP_CANCEL) {
            assert_int_equal(startup.cancel_pid, 0x01020304);
            assert_true(slice_is(startup.cancel_key, "\xAA\xBB\xCC\xDD"));
        }
    }
    buf_done(&in);
}

static void refuses_in_postgresqls_words(void **state)
{
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        assert_int_equal(parse(&in, bad_cases[i].body, bad_cases[i].count, &startup, &err), WIRE_BAD);
        assert_string_equal(err.sqlstate, bad_cases[i].sqlstate);
        assert_string_equal(err.message, bad_cases[i].message);
    }
    buf_done(&in);
}

static void waits_for_the_whole_packet(void **state)
{
    static const char packet[] = "\0\0\0\x10" V3 "user\0u\0";
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(startup_next(&in, &startup, &err), WIRE_MORE);
        buf_append(&in, packet + i, 1);
    }
    assert_int_equal(startup_next(&in, &startup, &err), WIRE_MSG);
    buf_done(&in);
}

/* Only the length has come: a bad one is refused before anybody buffers for it. */
static const struct length_case {
    uint32_t length;
    enum wire_result result;
} length_cases[] = {
    { 0, WIRE_BAD },
    { 7, WIRE_BAD },
    { 8, WIRE_MORE },
    { STARTUP_BYTES_MAX + 4, WIRE_MORE },
    { STARTUP_BYTES_MAX + 5, WIRE_BAD },
    { 0x47455420, WIRE_BAD }, /* "GET " */
    { UINT32_MAX, WIRE_BAD },
};

static void judges_a_length_at_once(void **state)
{
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    for (size_t i = 0; i < sizeof length_cases / sizeof length_cases[0]; i++) {
        buf_clear(&in);
        write_u32(&in, length_cases[i].length);
        assert_int_equal(startup_next(&in, &startup, &err), length_cases[i].result);
    }
    buf_done(&in);
}

static void counts_parameters_and_options(void **state)
{
    static const struct {
        const char *name;
        int count;
        enum wire_result result;
    } rows[] = {
        { "p", STARTUP_PARAMETERS_MAX - 1, WIRE_MSG }, /* and the user */
        { "p", STARTUP_PARAMETERS_MAX, WIRE_BAD },
        { "_pq_.p", STARTUP_OPTIONS_MAX, WIRE_MSG },
        { "_pq_.p", STARTUP_OPTIONS_MAX + 1, WIRE_BAD },
    };
    struct startup startup;
    struct error err;
    struct buf in, body;

    (void)state;
    buf_init(&in);
    buf_init(&body);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_clear(&body);
        buf_append(&body, V3 "user\0u\0", 11);
        for (int j = 0; j < rows[i].count; j++) {
            write_text(&body, rows[i].name);
            write_text(&body, "v");
        }
        write_u8(&body, 0);
        assert_int_equal(parse(&in, buf_at(&body), buf_bytes(&body), &startup, &err), rows[i].result);
        if (rows[i].result == WIRE_BAD)
            assert_string_equal(err.message, "invalid startup packet layout: too many parameters");
    }
    buf_done(&in);
    buf_done(&body);
}

static void a_long_cancel_key_is_read_whole(void **state)
{
    char body[4 + 4 + 257] = "\4\xD2\x16\x2E\0\0\0\1";
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    assert_int_equal(parse(&in, body, sizeof body - 1, &startup, &err), WIRE_MSG);
    assert_int_equal(startup.cancel_key.bytes, 256);
    assert_int_equal(parse(&in, body, sizeof body, &startup, &err), WIRE_BAD);
    buf_done(&in);
}

/* What is written here is read back. */
static void reads_what_a_frontend_of_ours_writes(void **state)
{
    static const char *const pairs[] = { "user", "u", "application_name", "a b" };
    struct startup startup;
    struct error err;
    struct buf in;

    (void)state;
    buf_init(&in);
    write_startup(&in, 0, pairs, 2);
    assert_int_equal(startup_next(&in, &startup, &err), WIRE_MSG);
    assert_true(slice_is(startup_get(&startup, "application_name"), "a b"));
    buf_clear(&in);
    write_cancel(&in, 99, "keys", 4);
    assert_int_equal(startup_next(&in, &startup, &err), WIRE_MSG);
    assert_int_equal(startup.cancel_pid, 99);
    assert_true(slice_is(startup.cancel_key, "keys"));
    buf_done(&in);
}

/* name=value pairs joined by '|', a '!' at the end where the rest is not understood. */
static const struct options_case {
    const char *options, *expected;
} options_cases[] = {
    { "", "" },
    { "   ", "" },
    { "-c a=b", "a=b" },
    { "-ca=b", "a=b" },
    { "--a=b", "a=b" },
    { "  -c  a=b   --c=d ", "a=b|c=d" },
    { "-c app.tenant_id=t1 -c work_mem=4MB", "app.tenant_id=t1|work_mem=4MB" },
    { "--search-path=a,b", "search_path=a,b" },
    { "-c a=one\\ two", "a=one two" },
    { "-c a=back\\\\slash", "a=back\\slash" },
    { "-c a=b=c", "a=b=c" },
    { "-c a=", "a=" },
    { "-c a=x-y", "a=x-y" },
    { "-c\ta=b\n--c=d\v\f\r", "a=b|c=d" },
    { "-c a=b\\", "a=b" },
    { "-c", "!" },
    { "-c a", "!" },
    { "-c =b", "!" },
    { "--", "!" },
    { "--a", "!" },
    { "-e -c a=b", "!" },
    { "-c a=b -S 100", "a=b!" },
    { "a=b", "!" },
    { "\\-c a=b", "a=b" },
};

static void options_are_split_as_postgresql_does(void **state)
{
    struct buf name, value;

    (void)state;
    buf_init(&name);
    buf_init(&value);
    for (size_t i = 0; i < sizeof options_cases / sizeof options_cases[0]; i++) {
        struct slice options = slice_of(options_cases[i].options);
        char found[256] = "";
        size_t at = 0;

        while (startup_options_next(options, &at, &name, &value)) {
            size_t used = strlen(found);

            snprintf(found + used, sizeof found - used, "%s%s=%s", used == 0 ? "" : "|", buf_text(&name),
                     buf_text(&value));
        }
        if (at < options.bytes)
            strcat(found, "!");
        assert_string_equal(found, options_cases[i].expected);
    }
    buf_done(&name);
    buf_done(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_packet),
        cmocka_unit_test(refuses_in_postgresqls_words),
        cmocka_unit_test(waits_for_the_whole_packet),
        cmocka_unit_test(judges_a_length_at_once),
        cmocka_unit_test(counts_parameters_and_options),
        cmocka_unit_test(a_long_cancel_key_is_read_whole),
        cmocka_unit_test(reads_what_a_frontend_of_ours_writes),
        cmocka_unit_test(options_are_split_as_postgresql_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
