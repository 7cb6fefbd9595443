/* runner_resync.h - RESYNC: after changes that nobody saw (a tap disabled, a partition attached, a store
 * promoted or restored), both sides are compared by key, and what differs is given to the mirror. A chapter
 * of the runner. */
#ifndef PGSHUNT_MIGRATE_RUNNER_RESYNC_H
#define PGSHUNT_MIGRATE_RUNNER_RESYNC_H

#include "migrate/runner.h"

/* Writes the wish down and pauses; the rest is resync_step()'s. Takes the request, which is answered when the
 * migration goes on. */
void resync_begin(struct runner *r, struct control_request *request);
/* In dual_write, after a claim: a wish that was written down by a process that died before it could pause. */
bool resync_take_up(struct runner *r, struct error *err);
/* In state paused: does what was wished for, also by an operator of an earlier process; then
 * r->resume_wanted. */
bool resync_step(struct runner *r, struct error *err);
/* It goes on, or waits for its turn: whoever asked hears what was found. */
void resync_answer(struct runner *r);

#endif
