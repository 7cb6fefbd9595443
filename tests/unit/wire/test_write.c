/* test_write.c - every message that we say, byte by byte as the documentation has it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "wire/msg.h"
#include "wire/write.h"

static const char *const mechanisms[] = { "SCRAM-SHA-256", "X" };
static const char *const startup[] = { "user", "u", "database", "d" };
static const char *const values[] = { "a", NULL, "" };
static const struct slice options[] = { { "_pq_.x", 6 } };
static const struct write_column columns[] = { { "n", 25 }, { "u", 2950 } };
static const uint32_t types[] = { 23, 0 };

static struct error error_of(const char *detail, const char *hint)
{
    struct error err;

    error_set(&err, "42704", "no such store");
    error_detail(&err, "%s", detail);
    error_hint(&err, "%s", hint);
    return err;
}

/* clang-format off */
#define SAYS(name, call) static void name(struct buf *out) { call; }
SAYS(auth_ok, write_auth_ok(out))
SAYS(auth_sasl, write_auth_sasl(out, mechanisms, 2))
SAYS(auth_continue, write_auth_sasl_continue(out, slice_of("r=x")))
SAYS(auth_final, write_auth_sasl_final(out, slice_of("v=x")))
SAYS(key_data, write_backend_key_data(out, 0x01020304, "\xAA\xBB\xCC\xDD", 4))
SAYS(parameter, write_parameter_status(out, slice_of("a"), slice_of("b")))
SAYS(negotiate, write_negotiate_version(out, 0, options, 1))
SAYS(ready, write_ready(out, 'T'))
SAYS(complete, write_command_complete(out, "SET"))
SAYS(empty, write_empty_query(out))
SAYS(parsed, write_parse_complete(out))
SAYS(bound, write_bind_complete(out))
SAYS(closed, write_close_complete(out))
SAYS(no_data, write_no_data(out))
SAYS(no_parameters, write_parameter_description_empty(out))
SAYS(full_error, struct error err = error_of("d", "h"); write_error(out, "ERROR", &err))
SAYS(bare_error, struct error err = error_of("", ""); write_error(out, "FATAL", &err))
SAYS(notice, write_notice(out, "NOTICE", "00000", "hi"))
SAYS(description, write_row_description(out, columns, 2))
SAYS(row, write_data_row(out, values, 3))
SAYS(start, write_startup(out, 0, startup, 2))
SAYS(cancel, write_cancel(out, 7, "\xAA\xBB\xCC\xDD", 4))
SAYS(query, write_query(out, (struct slice){ "select 1;x", 8 }))
SAYS(parse, write_parse(out, slice_of("s"), slice_of("select $1"), types, 2))
SAYS(close_statement, write_close(out, 'S', slice_of("s")))
SAYS(sync, write_sync(out))
SAYS(flush, write_flush(out))
SAYS(terminate, write_terminate(out))
SAYS(password, write_password(out, slice_of("pw")))
SAYS(sasl_initial, write_sasl_initial(out, "SCRAM-SHA-256", slice_of("n,,")))
SAYS(sasl_response, write_sasl_response(out, slice_of("c=")))
SAYS(copy_fail, write_copy_fail(out, "why"))

#define BYTES(text) text, sizeof text - 1
static const struct write_case {
    void (*say)(struct buf *out);
    const char *bytes;
    size_t count;
} cases[] = {
    { auth_ok, BYTES("R\0\0\0\x8\0\0\0\0") },
    { auth_sasl, BYTES("R\0\0\0\x19\0\0\0\xASCRAM-SHA-256\0X\0\0") },
    { auth_continue, BYTES("R\0\0\0\xB\0\0\0\xBr=x") },
    { auth_final, BYTES("R\0\0\0\xB\0\0\0\xCv=x") },
    { key_data, BYTES("K\0\0\0\xC\1\2\3\4\xAA\xBB\xCC\xDD") },
    { parameter, BYTES("S\0\0\0\x8" "a\0b\0") },
    { negotiate, BYTES("v\0\0\0\x13\0\3\0\0\0\0\0\1_pq_.x\0") },
    { ready, BYTES("Z\0\0\0\5T") },
    { complete, BYTES("C\0\0\0\x8SET\0") },
    { empty, BYTES("I\0\0\0\4") },
    { parsed, BYTES("1\0\0\0\4") },
    { bound, BYTES("2\0\0\0\4") },
    { closed, BYTES("3\0\0\0\4") },
    { no_data, BYTES("n\0\0\0\4") },
    { no_parameters, BYTES("t\0\0\0\6\0\0") },
    { full_error, BYTES("E\0\0\0\x2FSERROR\0VERROR\0C42704\0Mno such store\0Dd\0Hh\0\0") },
    { bare_error, BYTES("E\0\0\0\x29SFATAL\0VFATAL\0C42704\0Mno such store\0\0") },
    { notice, BYTES("N\0\0\0\x20SNOTICE\0VNOTICE\0C00000\0Mhi\0\0") },
    { description, BYTES("T\0\0\0\x2E\0\2" "n\0\0\0\0\0\0\0\0\0\0\x19\xFF\xFF\xFF\xFF\xFF\xFF\0\0"
                         "u\0\0\0\0\0\0\0\0\0\xB\x86\0\x10\xFF\xFF\xFF\xFF\0\0") },
    { row, BYTES("D\0\0\0\x13\0\3\0\0\0\1a\xFF\xFF\xFF\xFF\0\0\0\0") },
    { start, BYTES("\0\0\0\x1B\0\3\0\0user\0u\0database\0d\0\0") },
    { cancel, BYTES("\0\0\0\x10\4\xD2\x16\x2E\0\0\0\7\xAA\xBB\xCC\xDD") },
    { query, BYTES("Q\0\0\0\xDselect 1\0") },
    { parse, BYTES("P\0\0\0\x1As\0select $1\0\0\2\0\0\0\x17\0\0\0\0") },
    { close_statement, BYTES("C\0\0\0\7Ss\0") },
    { sync, BYTES("S\0\0\0\4") },
    { flush, BYTES("H\0\0\0\4") },
    { terminate, BYTES("X\0\0\0\4") },
    { password, BYTES("p\0\0\0\7pw\0") },
    { sasl_initial, BYTES("p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\3n,,") },
    { sasl_response, BYTES("p\0\0\0\6c=") },
    { copy_fail, BYTES("f\0\0\0\x8why\0") },
};
/* clang-format on */

static void says_what_the_documentation_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out;

        buf_init(&out);
        buf_append_text(&out, "xx"); /* a message need not be the first in its buf … */
        buf_consume(&out, 1);        /* … nor begin where its memory does */
        cases[i].say(&out);
        assert_int_equal(buf_bytes(&out), cases[i].count + 1);
        assert_memory_equal(buf_at(&out) + 1, cases[i].bytes, cases[i].count);
        buf_done(&out);
    }
}

static void a_length_is_right_after_the_buf_has_moved(void **state)
{
    struct msg msg;
    struct error err;
    struct buf out;
    size_t mark;

    (void)state;
    buf_init(&out);
    for (int i = 0; i < 200; i++)
        write_u8(&out, 'x');
    buf_consume(&out, 199);
    mark = write_begin(&out, 'Q');
    for (int i = 0; i < 1000; i++)
        write_u16(&out, 0x4142); /* makes the buf move to its front, then grow */
    write_end(&out, mark);
    buf_consume(&out, 1);
    assert_int_equal(msg_next(&out, &msg, &err), WIRE_MSG);
    assert_int_equal(msg.body_bytes, 2000);
    assert_memory_equal(msg.body + 1998, "AB", 2);
    buf_done(&out);
}

static void a_failed_buf_stays_failed(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out);
    buf_reserve(&out, SIZE_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        cases[i].say(&out);
    assert_true(buf_failed(&out));
    assert_int_equal(buf_bytes(&out), 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_documentation_says),
        cmocka_unit_test(a_length_is_right_after_the_buf_has_moved),
        cmocka_unit_test(a_failed_buf_stays_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
