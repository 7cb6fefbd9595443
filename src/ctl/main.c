/* main.c - pgshuntctl: the console's commands for a shell.
 * Leaves: what the words mean to verb.c, the socket to link.c.   Start at: main(), then carry_out(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "ctl/collect.h"
#include "ctl/exits.h"
#include "ctl/guide.h"
#include "ctl/print.h"
#include "ctl/verb.h"
#include "ctl/watch.h"

struct settings {
    struct link_setup link;
    char host[256], port[16]; /* out of a configuration */
    bool json;
    const struct verb *verb;
    int argc; /* the verb's own words */
    char **argv;
};

static int say(const struct error *err, int code)
{
    fprintf(stderr, "pgshuntctl: %s\n", err->message);
    if (err->detail[0] != '\0')
        fprintf(stderr, "%s\n", err->detail);
    if (err->hint[0] != '\0')
        fprintf(stderr, "%s\n", err->hint);
    return code;
}

static int code_of(const struct verb *verb, const struct error *err)
{
    if (error_is(err, "08006") || error_is(err, "08001"))
        return CTL_UNREACHABLE;
    return strcmp(verb->name, "wait") == 0 && error_is(err, "57014") ? CTL_TIMEOUT : CTL_REFUSED;
}

/* A check's row that is in the way. */
static bool finds_something(const PGresult *result)
{
    for (int row = 0; row < PQntuples(result); row++) {
        if (strcmp(print_value(result, row, "ok"), "f") == 0 ||
            strcmp(print_value(result, row, "status"), "blocker") == 0)
            return true;
    }
    return false;
}

static int run_command(const struct settings *settings, struct link *link, const char *command)
{
    struct error err;
    struct buf out;
    PGresult *result = link_run(link, command, &err);
    int code = CTL_OK;

    if (result == NULL)
        return say(&err, code_of(settings->verb, &err));
    buf_init(&out);
    if (settings->json)
        print_json(result, &out);
    else
        print_table(result, &out);
    if (buf_failed(&out) || fputs(buf_text(&out), stdout) < 0 || fflush(stdout) != 0)
        code = CTL_REFUSED;
    else if (settings->verb->task == VERB_CHECK && finds_something(result))
        code = CTL_NOT_READY;
    buf_done(&out);
    PQclear(result);
    return code;
}

static int carry_out(const struct settings *settings, struct link *link, const char *command)
{
    struct error err;
    int code;

    error_clear(&err);
    switch (settings->verb->task) {
    case VERB_WATCH:
        code = watch_run(link, settings->argc, settings->argv, isatty(STDOUT_FILENO), &err);
        return error_is_set(&err) ? say(&err, code) : code;
    case VERB_COLLECT:
        if (collect_run(link, verb_value(settings->verb, settings->argc, settings->argv, "--output"),
                        verb_value(settings->verb, settings->argc, settings->argv, "--log"), &err))
            return CTL_OK;
        return say(&err, code_of(settings->verb, &err));
    case VERB_RUN:
    case VERB_CHECK:
        break;
    }
    return run_command(settings, link, command);
}

/* --- the command line --- */

static bool usage_error(struct error *err, const char *what, const char *word)
{
    error_set(err, "42601", "%s \"%s\"", what, word);
    return error_hint(err, "pgshuntctl --help says what there is.");
}

/* The admin socket's place out of pgshunt's own configuration. */
static bool take_file(struct settings *settings, const char *file, struct error *err)
{
    struct config *config;

    if (!config_read(file, &config, err))
        return false;
    snprintf(settings->host, sizeof settings->host, "%s", config_text(config, CONFIG_ADMIN_SOCKET_DIR));
    settings->link.host = settings->host;
    snprintf(settings->port, sizeof settings->port, "%lld",
             (long long)config_number(config, CONFIG_ADMIN_PORT));
    settings->link.port = settings->port;
    config_give(config);
    return true;
}

static bool takes_value(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "-p") == 0 || strcmp(word, "-f") == 0;
}

/* Ours come before the verb. Returns the index of the verb, argc if there is none, -1 for an error. */
static int read_options(struct settings *settings, int argc, char **argv, struct error *err)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *word = argv[i];

        if (strcmp(word, "--json") == 0) {
            settings->json = true;
        } else if (strcmp(word, "-q") == 0) {
            settings->link.quiet = true;
        } else if (takes_value(word) && i + 1 == argc) {
            usage_error(err, "a value was expected behind", word);
            return -1;
        } else if (strcmp(word, "-h") == 0) {
            settings->link.host = argv[++i];
        } else if (strcmp(word, "-p") == 0) {
            settings->link.port = argv[++i];
        } else if (strcmp(word, "-f") == 0) {
            if (!take_file(settings, argv[++i], err))
                return -1;
        } else {
            usage_error(err, "there is no option", word);
            return -1;
        }
    }
    return i;
}

/* "--json" may also stand behind the verb, as everybody types it. */
static void take_trailing_json(struct settings *settings)
{
    if (settings->argc > 0 && settings->verb->parts[0].kind != PART_RAW &&
        strcmp(settings->argv[settings->argc - 1], "--json") == 0) {
        settings->json = true;
        settings->argc--;
    }
}

static int run_verb(struct settings *settings)
{
    struct link *link;
    struct buf command;
    struct error err;
    int code;

    buf_init(&command);
    take_trailing_json(settings);
    if (!verb_command(settings->verb, settings->argc, settings->argv, &command, &err)) {
        buf_done(&command);
        return say(&err, CTL_USAGE);
    }
    if (!link_open(&settings->link, &link, &err)) {
        buf_done(&command);
        return say(&err, CTL_UNREACHABLE);
    }
    code = carry_out(settings, link, buf_text(&command));
    link_close(link);
    buf_done(&command);
    return code;
}

static const char *of_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value == NULL || *value == '\0' ? otherwise : value;
}

int main(int argc, char **argv)
{
    struct settings settings = { .link = { of_environment("PGSHUNT_ADMIN_DIR", "/tmp"),
                                           of_environment("PGSHUNT_ADMIN_PORT", "6433"), false } };
    struct error err;
    int at;

    if (argc == 2 && guide_print(argv[1], stdout))
        return CTL_OK;
    at = read_options(&settings, argc, argv, &err);
    if (at < 0)
        return say(&err, CTL_USAGE);
    if (at == argc) {
        guide_print("--help", stderr);
        return CTL_USAGE;
    }
    settings.verb = verb_find(argv[at]);
    if (settings.verb == NULL) {
        usage_error(&err, "there is no command", argv[at]);
        return say(&err, CTL_USAGE);
    }
    settings.argc = argc - at - 1;
    settings.argv = argv + at + 1;
    return run_verb(&settings);
}
