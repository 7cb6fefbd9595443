/* options.c - argv -> what to do.   Owns: nothing.   Start at: options_parse(). */
#include "app/options.h"

#include <stddef.h>
#include <string.h>

static const struct option {
    const char *name, *other; /* two spellings; NULL: none */
    enum task task;
    bool takes_file;
    const char *usage, *help;
} table[] = {
    { NULL, NULL, TASK_RUN, true, "pgshunt FILE", "runs with the configuration in FILE" },
    { "-R", "--takeover", TASK_TAKEOVER, true, "pgshunt -R FILE",
      "the same, in place of the process that runs with it: no connection is refused" },
    { "-t", "--check", TASK_CHECK, true, "pgshunt -t FILE", "checks FILE, says ok or what is wrong with it" },
    { "--init-control", NULL, TASK_INIT_CONTROL, true, "pgshunt --init-control FILE",
      "creates or upgrades the control tables" },
    { "--list-failpoints", NULL, TASK_LIST_FAILPOINTS, false, "pgshunt --list-failpoints",
      "the places where PGSHUNT_FAILPOINT can make it fail (test builds)" },
    { "--version", "-V", TASK_VERSION, false, "pgshunt --version", "the version" },
    { "--help", "-h", TASK_HELP, false, "pgshunt --help", "this" },
};
enum { OPTION_COUNT = sizeof table / sizeof table[0] };

static const struct option *find(const char *word)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((table[i].name != NULL && strcmp(table[i].name, word) == 0) ||
            (table[i].other != NULL && strcmp(table[i].other, word) == 0))
            return &table[i];
    return NULL;
}

static bool usage_error(struct error *err, const char *what, const char *word)
{
    error_set(err, "42601", "%s%s%s%s", what, word == NULL ? "" : " \"", word == NULL ? "" : word,
              word == NULL ? "" : "\"");
    return error_hint(err, "pgshunt --help says what there is.");
}

bool options_parse(int argc, char *const *argv, struct options *options, struct error *err)
{
    const struct option *option = NULL;

    *options = (struct options){ TASK_HELP, NULL };
    for (int i = 1; i < argc; i++) {
        const struct option *named = argv[i][0] == '-' ? find(argv[i]) : NULL;

        if (argv[i][0] == '-' && named == NULL)
            return usage_error(err, "there is no option", argv[i]);
        if (named != NULL && option != NULL)
            return usage_error(err, "one option at a time: not also", argv[i]);
        if (named != NULL)
            option = named;
        else if (options->file == NULL)
            options->file = argv[i];
        else
            return usage_error(err, "one file at a time: not also", argv[i]);
    }
    if (option == NULL && options->file == NULL)
        return true; /* nothing asked: help */
    if (option == NULL)
        option = &table[0];
    options->task = option->task;
    if (option->takes_file && options->file == NULL)
        return usage_error(err, "no configuration file for", option->name);
    if (!option->takes_file && options->file != NULL)
        return usage_error(err, "no file is needed for", option->name);
    return true;
}

void options_print(FILE *to)
{
    fprintf(
        to,
        "pgshunt %s: a PostgreSQL proxy that moves one tenant of an event store to another server, live\n\n",
        PGSHUNT_VERSION);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        fprintf(to, "  %-29s %s\n", table[i].usage, table[i].help);
}
