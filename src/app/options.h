/* options.h - the command line, by a table. Pure. */
#ifndef PGSHUNT_APP_OPTIONS_H
#define PGSHUNT_APP_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

enum task {
    TASK_HELP,
    TASK_VERSION,
    TASK_LIST_FAILPOINTS,
    TASK_CHECK,        /* the file */
    TASK_INIT_CONTROL, /* of the file */
    TASK_RUN,          /* with the file */
    TASK_TAKEOVER,     /* with the file, in place of whoever runs */
};

struct options {
    enum task task;
    const char *file; /* borrowed from argv; NULL where the task needs none */
};

/* false: 42601 says what is wrong with the line. */
bool options_parse(int argc, char *const *argv, struct options *options, struct error *err);
void options_print(FILE *to);

#endif
