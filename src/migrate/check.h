/* check.h - CHECK CUTOVER and SHOW LAG: what a migration knows of its readiness. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CHECK_H
#define PGSHUNT_MIGRATE_CHECK_H

#include "migrate/runner.h"

enum check_status { CHECK_OK, CHECK_WARNING, CHECK_BLOCKER };

enum { CHECKS_MAX = 40 };

struct check {
    const char *name;
    enum check_status status;
    bool force_skips; /* CUTOVER … FORCE goes on in spite of it */
    char found[400];
    char hint[256];
};

/* Asks the source and the gates. false: could not be asked. */
bool check_cutover(struct runner *r, struct check *checks, size_t *count, struct error *err);
/* Answers from memory where nothing can be asked now (not in dual_write, or in the middle of a verification):
 * true, and the request is gone. Asks nobody, so that it may be called while a statement is under way. */
bool check_answer_quickly(struct runner *r, struct control_request *request);
/* CHECK CUTOVER and SHOW LAG in dual_write. Takes the request. */
void check_answer(struct runner *r, struct control_request *request);

#endif
