/* test_options.c - the command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/options.h"

enum { WORDS_MAX = 4 };

static const struct {
    const char *words[WORDS_MAX]; /* after the program's name */
    enum task task;
    const char *file;
    const char *wrong; /* not NULL: refused, and the message says this */
} lines[] = {
    { { NULL }, TASK_HELP, NULL, NULL },
    { { "pgshunt.conf" }, TASK_RUN, "pgshunt.conf", NULL },
    { { "-t", "pgshunt.conf" }, TASK_CHECK, "pgshunt.conf", NULL },
    { { "--check", "pgshunt.conf" }, TASK_CHECK, "pgshunt.conf", NULL },
    { { "pgshunt.conf", "-t" }, TASK_CHECK, "pgshunt.conf", NULL },
    { { "-R", "pgshunt.conf" }, TASK_TAKEOVER, "pgshunt.conf", NULL },
    { { "--takeover", "pgshunt.conf" }, TASK_TAKEOVER, "pgshunt.conf", NULL },
    { { "--init-control", "pgshunt.conf" }, TASK_INIT_CONTROL, "pgshunt.conf", NULL },
    { { "--version" }, TASK_VERSION, NULL, NULL },
    { { "-V" }, TASK_VERSION, NULL, NULL },
    { { "--help" }, TASK_HELP, NULL, NULL },
    { { "-h" }, TASK_HELP, NULL, NULL },
    { { "--list-failpoints" }, TASK_LIST_FAILPOINTS, NULL, NULL },
    { { "" }, TASK_RUN, "", NULL },
    { { "-t" }, TASK_CHECK, NULL, "no configuration file for \"-t\"" },
    { { "--init-control" }, TASK_INIT_CONTROL, NULL, "no configuration file" },
    { { "--version", "pgshunt.conf" }, TASK_VERSION, NULL, "no file is needed for \"--version\"" },
    { { "--nonsense" }, TASK_HELP, NULL, "no option \"--nonsense\"" },
    { { "-" }, TASK_HELP, NULL, "no option \"-\"" },
    { { "-t", "-h" }, TASK_HELP, NULL, "not also \"-h\"" },
    { { "a.conf", "b.conf" }, TASK_HELP, NULL, "not also \"b.conf\"" },
};

static void reads_every_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char *argv[WORDS_MAX + 2] = { (char *)"pgshunt" };
        struct options options;
        struct error err;
        int argc = 1;
        bool good;

        while (argc <= WORDS_MAX && lines[i].words[argc - 1] != NULL) {
            argv[argc] = (char *)lines[i].words[argc - 1];
            argc++;
        }
        error_clear(&err);
        good = options_parse(argc, argv, &options, &err);
        if (good != (lines[i].wrong == NULL))
            fail_msg("line %zu: %s", i, err.message);
        if (!good) {
            if (strstr(err.message, lines[i].wrong) == NULL || strstr(err.hint, "--help") == NULL)
                fail_msg("line %zu: %s (%s)", i, err.message, err.hint);
            continue;
        }
        assert_int_equal(options.task, lines[i].task);
        if (lines[i].file == NULL)
            assert_null(options.file);
        else
            assert_string_equal(options.file, lines[i].file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_every_line) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
