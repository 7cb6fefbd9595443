/* verb.h - what is typed after `pgshuntctl`, as a command of the console: one table (verb_table.h).
 * Pure; no connection. */
#ifndef PGSHUNT_CTL_VERB_H
#define PGSHUNT_CTL_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"

enum { VERB_PARTS_MAX = 7 };

enum verb_task {
    VERB_RUN,     /* one command, its rows are printed */
    VERB_CHECK,   /* the same; a row that is not ok makes an exit code of its own */
    VERB_WATCH,   /* watch.h */
    VERB_COLLECT, /* collect.h */
};

enum part_kind {
    PART_END,
    PART_QUOTED,   /* a value: 'quoted' in the command */
    PART_NUMBER,   /* digits, as they are */
    PART_WORD,     /* a keyword of the console: letters and '_' */
    PART_RAW,      /* the rest of the command line, as it is */
    PART_LIST,     /* every further word, each 'quoted' */
    PART_SWITCH,   /* a flag without a value */
    PART_SETTINGS, /* name=value words, or --with name=value again and again: (name = 'value', …) */
};

/* A piece of a command. Pieces come into the command in the table's order, whatever the shell's. */
struct verb_part {
    enum part_kind kind;
    const char *flag; /* "--tenant"; NULL: by position */
    const char *name; /* of its value, for the usage */
    const char *sql;  /* what stands before the value in the command; NULL: nothing */
    bool required;
};

struct verb {
    const char *name, *sql, *help;
    enum verb_task task;
    struct verb_part parts[VERB_PARTS_MAX];
};

const struct verb *verb_at(size_t index); /* NULL: past the end */
const struct verb *verb_find(const char *name);
/* The console's command. false: 42601, the hint is the usage. */
bool verb_command(const struct verb *verb, int argc, char *const *argv, struct buf *command,
                  struct error *err);
/* The value of a flag or, with `flag` NULL, the first word that is none; NULL: not given. */
const char *verb_value(const struct verb *verb, int argc, char *const *argv, const char *flag);
void verb_usage(const struct verb *verb, struct buf *out); /* "start --tenant TENANT …" */

#endif
