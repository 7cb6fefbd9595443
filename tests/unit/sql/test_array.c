/* test_array.c - elements of arrays, as array_in() and array_recv() read them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "sql/array.h"

/* Elements as they come, each behind a |; NULL as ~, malformed as ! */
static void describe(struct array_reader *array, char *out, size_t out_bytes)
{
    char element[32];
    enum array_step step;
    size_t bytes;
    size_t at = 0;

    out[0] = '\0';
    while ((step = array_next(array, element, sizeof element, &bytes)) != ARRAY_END) {
        const char *text = step == ARRAY_NULL ? "~" : step == ARRAY_BAD ? "!" : element;

        at += (size_t)snprintf(out + at, out_bytes - at, "|%s", text);
        if (step == ARRAY_BAD)
            return;
    }
}

static const struct {
    const char *text, *elements;
} texts[] = {
    { "{}", "" },
    { " { } ", "" },
    { "{a}", "|a" },
    { "{a,b,c}", "|a|b|c" },
    { "{ a b , c }", "|a b|c" },
    { "{{a,b},{c,d}}", "|a|b|c|d" },
    { "{NULL,null,Null,\"NULL\",\\NULL,nullx}", "|~|~|~|NULL|NULL|nullx" },
    { "{\"a,b\",\"c}\",\"d\\\"e\",\"f\\\\\"}", "|a,b|c}|d\"e|f\\" },
    { "{\"\"}", "|" },
    { "{a\\,b}", "|a,b" },
    { "{a\\ }", "|a " },
    { "{'a'}", "|'a'" },
    { "", "|!" },
    { "a", "|!" },
    { "{", "|!" },
    { "{a", "|!" },
    { "{a}x", "|a|!" },
    { "{a}{b}", "|a|!" },
    { "{a,}", "|a|!" },
    { "{,a}", "|!" },
    { "{a,,b}", "|a|!" },
    { "{\"a\"b}", "|a|!" },
    { "{a\"b\"}", "|!" },
    { "{\"a}", "|!" },
    { "{a\\", "|!" },
    { "[1:2]={a,b}", "|!" },
    { "{{{{{{{a}}}}}}}", "|!" },
    { "{{a},}", "|a|!" },
    { "{a{b}}", "|!" },
};

static void reads_the_text_form(void **state)
{
    char out[256];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct array_reader array;

        array_open_text(&array, slice_of(texts[i].text));
        describe(&array, out, sizeof out);
        if (strcmp(out, texts[i].elements) != 0)
            fail_msg("%s: %s, expected %s", texts[i].text, out, texts[i].elements);
    }
}

#define BYTES(text)                                                                                          \
    {                                                                                                        \
        text, sizeof text - 1                                                                                \
    }
#define HEAD(dimensions) "\0\0\0" dimensions "\0\0\0\0\0\0\0\x19"

static const struct {
    struct slice bytes;
    const char *elements; /* NULL: does not open */
} binaries[] = {
    { BYTES(HEAD("\0")), "" },
    { BYTES(HEAD("\1") "\0\0\0\2\0\0\0\1\0\0\0\1a\xff\xff\xff\xff"), "|a|~" },
    { BYTES(HEAD("\2") "\0\0\0\1\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\1a\0\0\0\0"), "|a|" },
    { BYTES(HEAD("\1") "\0\0\0\1\0\0\0\1\0\0\0\1ab"), "|a|!" },
    { BYTES(HEAD("\1") "\0\0\0\1\0\0\0\1\0\0\0\2a"), "|!" },
    { BYTES(HEAD("\1") "\0\0\0\2\0\0\0\1\0\0\0\1a"), "|a|!" },
    { BYTES(HEAD("\1") "\0\0\0\1\0\0\0\1\xff\xff\xff\xfe"), "|!" },
    { BYTES(HEAD("\7")), NULL },
    { BYTES(HEAD("\1") "\0\0\0\1"), NULL },
    { BYTES(HEAD("\1") "\xff\xff\xff\xff\0\0\0\1"), NULL },
    { BYTES(HEAD("\2") "\xff\xff\xff\xff\0\0\0\1\xff\xff\xff\xff\0\0\0\1"), NULL },
    { BYTES("\0\0\0"), NULL },
    { { NULL, 0 }, NULL },
};

static void reads_the_binary_form(void **state)
{
    char out[256];

    (void)state;
    for (size_t i = 0; i < sizeof binaries / sizeof binaries[0]; i++) {
        struct array_reader array;
        bool opens = array_open_binary(&array, binaries[i].bytes);

        if (opens != (binaries[i].elements != NULL))
            fail_msg("row %zu opens: %d", i, opens);
        if (!opens)
            continue;
        assert_int_equal(array.element_oid, 25);
        describe(&array, out, sizeof out);
        if (strcmp(out, binaries[i].elements) != 0)
            fail_msg("row %zu: %s, expected %s", i, out, binaries[i].elements);
    }
}

static void tells_the_length_of_what_does_not_fit(void **state)
{
    struct array_reader array;
    char element[4];
    size_t bytes;

    (void)state;
    array_open_text(&array, slice_of("{abcdefgh,abc}"));
    assert_int_equal(array_next(&array, element, sizeof element, &bytes), ARRAY_ELEMENT);
    assert_int_equal(bytes, 8);
    assert_int_equal(array_next(&array, element, sizeof element, &bytes), ARRAY_ELEMENT);
    assert_string_equal(element, "abc");
    assert_int_equal(array_next(&array, NULL, 0, &bytes), ARRAY_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_text_form),
        cmocka_unit_test(reads_the_binary_form),
        cmocka_unit_test(tells_the_length_of_what_does_not_fit),
    };

    return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
