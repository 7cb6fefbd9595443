/* runner_verify.h - verification as a migration goes through it: a chapter of the runner (runner.h). */
#ifndef PGSHUNT_MIGRATE_RUNNER_VERIFY_H
#define PGSHUNT_MIGRATE_RUNNER_VERIFY_H

#include "migrate/runner.h"

/* verify_consistency = off, and nothing has happened since that asks for one all the same. */
bool runner_verify_is_off(const struct runner *r);
bool runner_verify_all(struct runner *r,
                       struct error *err); /* before a cutover, and again after a violation */
bool runner_verify_behind(struct runner *r, struct error *err); /* what the mirror has applied */

/* VERIFY, REPAIR and RESYNC: true if that is not for this state; then the request is answered and gone. */
bool runner_verify_refuse(struct runner *r, struct control_request *request);
void runner_verify_answer(struct runner *r,
                          struct control_request *request); /* VERIFY, REPAIR; takes the request */
/* Its asker does not want it any more. true: it is under way, and shall be abandoned. */
bool runner_verify_cancel(struct runner *r, uint64_t tag);
void runner_verify_after(struct runner *r); /* what was asked of a migration that is migrated */

void runner_verify_progress(void *runner, const struct verifier_report *so_far); /* a verifier_order's tell */

/* The fields of a report, without braces; positions of both sides, with a comma before. */
void runner_report_append(const struct verifier_report *report, struct buf *json);
void runner_report_positions(struct runner *r, struct buf *json);

#endif
