/* failpoint.h - named places where a test makes the program crash, fail or sleep.
 * Compiled in with -Dfailpoints=true; PGSHUNT_FAILPOINT=name=crash|error|sleep:ms[,name=…] arms them at
 * start. Two kinds: places, whose names stand in one table (failpoint_names.h; `pgshunt --list-failpoints`
 * prints it); and every statement that a migration sends, before and after it, as sql.before.NAME and
 * sql.after.NAME, where `partition` cuts its connection. A statement's failpoint fires once in a process, so
 * that a test sees what is done about it. PGSHUNT_FAILPOINT_TRACE=file appends the name of every statement's
 * failpoint that is passed. */
#ifndef PGSHUNT_BASE_FAILPOINT_H
#define PGSHUNT_BASE_FAILPOINT_H

#include <stdbool.h>

#include "base/error.h"

#ifdef PGSHUNT_FAILPOINTS
/* true: go on. false: `err` is set ("failpoint \"name\" says error", XX000), behave as if the next step
 * failed. A crash is SIGKILL to ourselves: nothing is flushed, as when the machine goes away. Thread-safe. A
 * name not in the table aborts: it is our own mistake. */
bool failpoint(const char *name, struct error *err);
enum failpoint_moment { FAILPOINT_BEFORE, FAILPOINT_AFTER };
enum failpoint_verdict { FAILPOINT_GO, FAILPOINT_ERROR, FAILPOINT_CUT };
/* For the module that sends statements: it does what the verdict says. Thread-safe. */
enum failpoint_verdict failpoint_statement(enum failpoint_moment moment, const char *statement);
#else
static inline bool failpoint(const char *name, struct error *err)
{
    (void)name;
    (void)err;
    return true;
}
#endif

/* Reads PGSHUNT_FAILPOINT; false: it names an unknown point or action. Always true when compiled out and
 * unset. */
bool failpoint_init(struct error *err);
/* Writes the names, one a line. */
void failpoint_list(int fd);

#endif
