/* test_md5.c - the answer to an md5 question. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "wire/md5.h"

/* Answers computed with `printf '%s' … | md5sum`, twice. */
static const struct md5_case {
    const char *password, *user;
    unsigned char salt[4];
    const char *answer;
} cases[] = {
    { "secret", "alice", "abcd", "md5c90bcafc0a2b54511742383e34d5dc9d" },
    /* the same, as pg_authid stores it */
    { "md54a0a68b43b6cd5cf266fa02f196e2371", "alice", "abcd", "md5c90bcafc0a2b54511742383e34d5dc9d" },
    { "", "", { 0, 1, 2, 255 }, "md52279993ddf34728459b1ce2dc2d3f398" },
    /* looks stored, but is one digit short: a plain password */
    { "md5short", "bob", "wxyz", "md5a550bef53899c819c5ab1402b9d8f55e" },
};

static void answers_as_an_old_server_expects(void **state)
{
    char answer[MD5_ANSWER_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(md5_answer(cases[i].password, cases[i].user, cases[i].salt, answer));
        assert_string_equal(answer, cases[i].answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(answers_as_an_old_server_expects) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
