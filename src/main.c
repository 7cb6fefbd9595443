/* main.c - command line in, exit code out. What there is to do stands in app/options.c, how in app/app.c. */
#include <stdio.h>

#include "app/app.h"
#include "app/options.h"
#include "base/failpoint.h"

int main(int argc, char **argv)
{
    struct options options;
    struct error err;

    if (!options_parse(argc, argv, &options, &err)) {
        fprintf(stderr, "pgshunt: %s\n%s\n", err.message, err.hint);
        return EXIT_USAGE;
    }
    switch (options.task) {
    case TASK_HELP:
        options_print(stdout);
        return EXIT_OK;
    case TASK_VERSION:
        puts("pgshunt " PGSHUNT_VERSION);
        return EXIT_OK;
    case TASK_LIST_FAILPOINTS:
        failpoint_list(fileno(stdout));
        return EXIT_OK;
    case TASK_CHECK:
        return app_check(options.file);
    case TASK_INIT_CONTROL:
        return app_init_control(options.file);
    case TASK_RUN:
        return app_run(options.file, false);
    case TASK_TAKEOVER:
        return app_run(options.file, true);
    }
    return EXIT_USAGE;
}
