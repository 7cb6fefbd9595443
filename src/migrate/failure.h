/* failure.h - what a failure means: how bad it is, and whether trying again helps, an operator must help, or
 * nobody can (DESIGN §4.4). One table by SQLSTATE. Pure; any thread. */
#ifndef PGSHUNT_MIGRATE_FAILURE_H
#define PGSHUNT_MIGRATE_FAILURE_H

#include <stdbool.h>

#include "base/error.h"

enum failure_kind {
    FAILURE_TRANSIENT,   /* tried again, with back-off and jitter */
    FAILURE_RECOVERABLE, /* the migration pauses, and says what to do */
    FAILURE_FATAL,       /* the migration fails; the route stays at the source */
};

struct failure_class {
    const char *sqlstate; /* or how it begins; the longest that fits counts */
    const char *severity; /* critical, error, warning, info */
    enum failure_kind kind;
    const char *hint; /* what to do, for a failure that does not say so itself; NULL: nothing */
};

const struct failure_class *failure_classify(const struct error *err); /* never NULL */
const char *failure_kind_name(enum failure_kind kind);
bool failure_is_transient(const struct error *err);
/* The class's hint, where the error has none. */
void failure_explain(struct error *err);

#endif
