/* failpoint.h - named places where a test makes the program crash, fail or sleep.
 * Compiled in with -Dfailpoints=true; PGSHUNT_FAILPOINT=name=crash|error|sleep:ms[,name=…] arms them at start.
 * Every name stands in one table (failpoint.c); `pgshunt --list-failpoints` prints it. */
#ifndef PGSHUNT_BASE_FAILPOINT_H
#define PGSHUNT_BASE_FAILPOINT_H

#include <stdbool.h>

#include "base/error.h"

#ifdef PGSHUNT_FAILPOINTS
/* true: go on. false: `err` is set ("failpoint \"name\" says error", XX000), behave as if the next step failed.
 * A crash is SIGKILL to ourselves: nothing is flushed, as when the machine goes away.
 * Thread-safe. A name not in the table aborts: it is our own mistake. */
bool failpoint(const char *name, struct error *err);
#else
static inline bool failpoint(const char *name, struct error *err)
{
    (void)name;
    (void)err;
    return true;
}
#endif

/* Reads PGSHUNT_FAILPOINT; false: it names an unknown point or action. Always true when compiled out and unset. */
bool failpoint_init(struct error *err);
/* Writes the names, one a line. */
void failpoint_list(int fd);

#endif
