/* test_msg.c - message boundaries and names. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/limits.h"
#include "wire/msg.h"

#define BYTES(text) text, sizeof text - 1

static const struct msg_case {
    const char *bytes;
    size_t count;
    enum wire_result peek, next;
    char type;
    size_t body_bytes;
} cases[] = {
    { BYTES(""), WIRE_MORE, WIRE_MORE, 0, 0 },
    { BYTES("S\0\0\0"), WIRE_MORE, WIRE_MORE, 0, 0 },
    { BYTES("S\0\0\0\4"), WIRE_MSG, WIRE_MSG, 'S', 0 },
    { BYTES("Q\0\0\0\x9select"), WIRE_MSG, WIRE_MSG, 'Q', 5 }, /* and a byte of the next */
    { BYTES("Q\0\0\0\xAselec"), WIRE_MSG, WIRE_MORE, 'Q', 6 },
    { BYTES("Q\0\0\0\x3"), WIRE_BAD, WIRE_BAD, 0, 0 },
    { BYTES("Q\0\0\0\0"), WIRE_BAD, WIRE_BAD, 0, 0 },
    { BYTES("Q\x3F\xFF\xFF\xFF"), WIRE_MSG, WIRE_MORE, 'Q', MESSAGE_BYTES_MAX - 4 },
    { BYTES("Q\x40\0\0\0"), WIRE_BAD, WIRE_BAD, 0, 0 },
    { BYTES("Q\xFF\xFF\xFF\xFF"), WIRE_BAD, WIRE_BAD, 0, 0 },
    { BYTES("GET / HTTP/1.0\r\n"), WIRE_BAD, WIRE_BAD, 0, 0 },
    { BYTES("\xFF\0\0\0\4"), WIRE_MSG, WIRE_MSG, (char)0xFF, 0 }, /* a bad type is its reader's matter */
};

static void says_message_more_or_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct msg_case *row = &cases[i];
        struct msg msg;
        struct error err;
        struct buf in;

        buf_init(&in);
        buf_append(&in, row->bytes, row->count);
        assert_int_equal(msg_peek(&in, &msg, &err), row->peek);
        if (row->peek == WIRE_MSG) {
            assert_int_equal(msg.type, row->type);
            assert_int_equal(msg.body_bytes, row->body_bytes);
            assert_int_equal(msg.total_bytes, row->body_bytes + 5);
        }
        assert_int_equal(msg_next(&in, &msg, &err), row->next);
        if (row->next == WIRE_MSG)
            assert_ptr_equal(msg.body, buf_at(&in) + 5);
        if (row->next == WIRE_BAD)
            assert_string_equal(err.sqlstate, "08P01");
        assert_int_equal(buf_bytes(&in), row->count); /* nothing consumed */
        buf_done(&in);
    }
}

static void walks_a_stream_whatever_its_pieces(void **state)
{
    static const char stream[] = "P\0\0\0\x8"
                                 "abcd"
                                 "S\0\0\0\4"
                                 "Q\0\0\0\6x\0"
                                 "X\0\0\0\4";
    struct error err;

    (void)state;
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        char types[8] = "";
        size_t found = 0;
        struct buf in;

        buf_init(&in);
        for (size_t at = 0; at < sizeof stream - 1; at += piece) {
            size_t count = sizeof stream - 1 - at < piece ? sizeof stream - 1 - at : piece;
            struct msg msg;

            buf_append(&in, stream + at, count);
            while (msg_next(&in, &msg, &err) == WIRE_MSG) {
                types[found++] = msg.type;
                buf_consume(&in, msg.total_bytes);
            }
        }
        assert_string_equal(types, "PSQX");
        assert_int_equal(buf_bytes(&in), 0);
        buf_done(&in);
    }
}

static const struct name_case {
    char type;
    const char *frontend, *backend;
} name_cases[] = {
    { 'Q', "Query", "unknown" },         { 'B', "Bind", "unknown" },
    { 'E', "Execute", "ErrorResponse" }, { 'C', "Close", "CommandComplete" },
    { 'S', "Sync", "ParameterStatus" },  { 'd', "CopyData", "CopyData" },
    { 'Z', "unknown", "ReadyForQuery" }, { '1', "unknown", "ParseComplete" },
    { '\0', "unknown", "unknown" },      { (char)0xD1, "unknown", "unknown" },
};

static void types_have_names_by_direction(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof name_cases / sizeof name_cases[0]; i++) {
        const struct name_case *row = &name_cases[i];

        assert_string_equal(msg_name(row->type, true), row->frontend);
        assert_string_equal(msg_name(row->type, false), row->backend);
        assert_int_equal(msg_is_frontend(row->type), strcmp(row->frontend, "unknown") != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_message_more_or_bad),
        cmocka_unit_test(walks_a_stream_whatever_its_pieces),
        cmocka_unit_test(types_have_names_by_direction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
