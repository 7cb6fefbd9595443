/* test_error.c - errors as values: what is kept, what is cut and where. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/error.h"

static void sets_state_and_message_and_empties_the_rest(void **state)
{
    struct error err;

    (void)state;
    memset(&err, 'x', sizeof err);
    assert_false(error_set(&err, "42704", "store \"%s\" is not configured", "b"));
    assert_string_equal(err.sqlstate, "42704");
    assert_string_equal(err.message, "store \"b\" is not configured");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.hint, "");
    assert_false(error_detail(&err, "detail %d", 1));
    assert_false(error_hint(&err, "hint %d", 2));
    assert_string_equal(err.detail, "detail 1");
    assert_string_equal(err.hint, "hint 2");
    assert_true(error_is(&err, "42704"));
    assert_false(error_is(&err, "42705"));
    assert_true(error_is_set(&err));
    error_clear(&err);
    assert_false(error_is_set(&err));
}

static void may_quote_its_own_message(void **state)
{
    struct error err;

    (void)state;
    error_set(&err, "XX000", "inner");
    error_detail(&err, "detail");
    error_set(&err, err.sqlstate, "file:1: %s", err.message);
    assert_string_equal(err.message, "file:1: inner");
    assert_string_equal(err.sqlstate, "XX000");
}

static void says_when_memory_is_out(void **state)
{
    struct error err;

    (void)state;
    assert_false(error_no_memory(&err));
    assert_string_equal(err.sqlstate, "53200");
    assert_string_equal(err.message, "out of memory");
}

/* `filler` bytes of 'a', then `tail`: 511 bytes fit into a message. */
static const struct cut_case {
    size_t filler;
    const char *tail;
    size_t kept_bytes;
} cut_cases[] = {
    { 511, "", 511 },
    { 512, "", 511 },
    { 2000, "", 511 },
    { 509, "\xC3\xA9z", 511 },                    /* é ends at the edge */
    { 510, "\xC3\xA9", 510 },                     /* é would be cut in half */
    { 509, "\xE2\x82\xAC", 509 },                 /* € */
    { 510, "\xE2\x82\xAC", 510 },                 /* only its first byte would fit */
    { 508, "\xE2\x82\xACz", 511 },                /* fits */
    { 508, "\xF0\x9F\x9A\x82", 508 },             /* a locomotive */
    { 507, "\xF0\x9F\x9A\x82z", 511 },            /* fits */
    { 505, "\x80\x80\x80\x80\x80\x80\x80", 511 }, /* no UTF-8 at all: cut as bytes */
};

static void cuts_long_text_between_characters(void **state)
{
    char text[4096];
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof cut_cases / sizeof cut_cases[0]; i++) {
        memset(text, 'a', cut_cases[i].filler);
        strcpy(text + cut_cases[i].filler, cut_cases[i].tail);
        error_set(&err, "XX000", "%s", text);
        assert_int_equal(strlen(err.message), cut_cases[i].kept_bytes);
        assert_memory_equal(err.message, text, cut_cases[i].kept_bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_state_and_message_and_empties_the_rest),
        cmocka_unit_test(may_quote_its_own_message),
        cmocka_unit_test(says_when_memory_is_out),
        cmocka_unit_test(cuts_long_text_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
