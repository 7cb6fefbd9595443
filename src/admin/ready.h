/* ready.h - CUTOVER … WHEN READY: a job that waits until a cutover can begin, says what it waits for, and
 * tries again after one that was taken back, later each time, until the tenant has moved or the operator
 * cancels. It lives as long as its connection: a cutover that nobody waits for any more would be a surprise.
 * One that is under way when the operator goes comes to its own end. Console's thread. */
#ifndef PGSHUNT_ADMIN_READY_H
#define PGSHUNT_ADMIN_READY_H

#include "admin/job.h"

enum job_result ready_start(struct job *job, struct error *err);
/* Control's answer: what the migration's row says, or what became of the cutover. `rows` is taken or
 * replaced. */
enum job_result ready_answer(struct job *job, bool ok, struct rows **rows, struct error *err);

#endif
