/* test_auth_file.c - PgBouncer's userlist format: what is read, and which line is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/auth_file.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char path[] = "/tmp/pgshunt_test_auth_file.XXXXXX";

static int make_file(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_file(const char *text, size_t bytes)
{
    FILE *stream = fopen(path, "w");

    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, bytes, stream), bytes);
    assert_int_equal(fclose(stream), 0);
}

static struct auth_file *read_text(const char *text)
{
    struct auth_file *file;
    struct error err;

    write_file(text, strlen(text));
    if (!auth_file_read(path, &file, &err))
        fail_msg("%s", err.message);
    return file;
}

#define VERIFIER "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:W"

static const struct good_case {
    const char *text, *user, *secret; /* secret NULL: no such user */
} good_cases[] = {
    { "\"app\" \"secret\"\n", "app", "secret" },
    { "\"app\" \"secret\"", "app", "secret" }, /* the last line need not end */
    { "\"app\" \"secret\"\r\n\"b\" \"c\"\r\n", "b", "c" },
    { "\"app\"\t  \"secret\"\n", "app", "secret" },
    { "  \"app\" \"secret\"\n", "app", "secret" },
    { "\"app\" \"secret\"\n", "App", NULL },
    { "\"app\" \"secret\"\n", "ap", NULL },
    { "\"app\" \"secret\"\n", "", NULL },
    { "", "app", NULL },
    { "\n\n   \n", "app", NULL },
    /* comments */
    { "; \"app\" \"secret\"\n", "app", NULL },
    { "# a word\n;another\n\"app\" \"secret\"\n", "app", "secret" },
    { "\"app\" \"secret\" ; of the application\n", "app", "secret" },
    { "\"app\" \"se;cr#et\"\n", "app", "se;cr#et" },
    /* a quote inside is doubled, nothing else is special */
    { "\"a\"\"b\" \"c\"\"d\"\n", "a\"b", "c\"d" },
    { "\"\"\"\" \"\"\"\"\"\"\n", "\"", "\"\"" },
    { "\"a\\b\" \"c\\\"\n", "a\\b", "c\\" },
    { "\"sp ace\" \" blank \"\n", "sp ace", " blank " },
    { "\"j\xC3\xB6rg\" \"\xE2\x82\xAC\"\n", "j\xC3\xB6rg", "\xE2\x82\xAC" },
    { "\"app\" \"\"\n", "app", "" },
    { "\"app\" \"" VERIFIER "\"\n", "app", VERIFIER },
    { "\"app\" \"md5a6343a68d964ca596d9752250d54bb8a\"\n", "app", "md5a6343a68d964ca596d9752250d54bb8a" },
    /* of two entries of one user the last counts */
    { "\"app\" \"old\"\n\"b\" \"x\"\n\"app\" \"new\"\n", "app", "new" },
    { "\"app\" \"old\"\n\"b\" \"x\"\n\"app\" \"new\"\n", "b", "x" },
};

static void reads_what_pgbouncer_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_cases); i++) {
        struct auth_file *file = read_text(good_cases[i].text);
        const char *secret = auth_file_secret(file, good_cases[i].user);

        if (good_cases[i].secret == NULL)
            assert_null(secret);
        else if (secret == NULL || strcmp(secret, good_cases[i].secret) != 0)
            fail_msg("row %zu: %s", i, secret == NULL ? "no such user" : secret);
        auth_file_free(file);
    }
}

/* A malformed line and its number. */
static const struct bad_case {
    const char *text;
    unsigned line;
} bad_cases[] = {
    { "app secret\n", 1 },
    { "\"app\" secret\n", 1 },
    { "app \"secret\"\n", 1 },
    { "\"app\"\n", 1 },
    { "\"app\n", 1 },
    { "\"app\" \"secret\n", 1 },
    { "\"app\" \"secret\"\"\n", 1 },
    { "\"app\"\n\"secret\"\n", 1 }, /* both stand in one line */
    { "\"app\", \"secret\"\n", 1 },
    { "'app' 'secret'\n", 1 },
    { "\"\n", 1 },
    { "\xEF\xBB\xBF\"app\" \"secret\"\n", 1 },
    { "; fine\n\n\"app\" \"secret\"\n\"b\"\n", 4 },
};

static void names_the_line_that_is_malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_cases); i++) {
        struct auth_file *file = (struct auth_file *)path;
        struct error err;
        char where[128];

        write_file(bad_cases[i].text, strlen(bad_cases[i].text));
        if (auth_file_read(path, &file, &err))
            fail_msg("row %zu is accepted", i);
        snprintf(where, sizeof where, "%s:%u: ", path, bad_cases[i].line);
        assert_string_equal(err.sqlstate, "F0000");
        assert_int_equal(strncmp(err.message, where, strlen(where)), 0);
        assert_null(strstr(err.message, "secret")); /* it may be logged */
        assert_null(file);
        auth_file_free(file);
    }
}

static void a_nul_inside_ends_the_line(void **state)
{
    static const char text[] = "\"app\" \"sec\0ret\"\n";
    struct auth_file *file;
    struct error err;

    (void)state;
    write_file(text, sizeof text - 1);
    assert_false(auth_file_read(path, &file, &err));
    assert_null(file);
}

static void a_file_that_cannot_be_read_is_no_empty_file(void **state)
{
    static const char *const paths[] = { "/nonexistent/userlist.txt", "/" /* opens, and does not read */ };

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct auth_file *file = (struct auth_file *)path;
        struct error err;

        assert_false(auth_file_read(paths[i], &file, &err));
        assert_null(file);
        assert_string_equal(err.sqlstate, "F0000");
        assert_non_null(strstr(err.message, paths[i]));
        assert_int_not_equal(err.hint[0], '\0');
    }
}

static void no_path_is_an_empty_file(void **state)
{
    struct auth_file *file;
    struct error err;

    (void)state;
    assert_true(auth_file_read("", &file, &err));
    assert_null(auth_file_secret(file, "app"));
    auth_file_free(file);
    auth_file_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_pgbouncer_reads),
        cmocka_unit_test(names_the_line_that_is_malformed),
        cmocka_unit_test(a_nul_inside_ends_the_line),
        cmocka_unit_test(a_file_that_cannot_be_read_is_no_empty_file),
        cmocka_unit_test(no_path_is_an_empty_file),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
