/* cutover.h - DESIGN §4.6 steps 1 to 7, and their way back. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CUTOVER_H
#define PGSHUNT_MIGRATE_CUTOVER_H

#include "migrate/runner.h"

/* The order of an operator, from dual_write: afterwards the migration is migrated (r->over), or in dual_write
 * again, or (control database or source away) on its way back, which prepare() goes on with. Takes the
 * request. */
void cutover_run(struct runner *r, struct control_request *request);

/* REHEARSE CUTOVER, from dual_write, and back. Takes the request. */
enum { CUTOVER_REHEARSALS_MAX = 100 };
void cutover_rehearse(struct runner *r, struct control_request *request);

/* Every loop goes by how it ended, or the runner ends: a successor may have control (lease.h). */
void cutover_end_move(struct runner *r);

/* For a migration in cutover_paused whose cutover is not under way: settles, and reopens or finishes. The
 * gates have been made. */
bool cutover_recover(struct runner *r, struct error *err);
/* Decides in the control database whether it was switched: then r->state is migrated. If not, nobody can
 * switch it any more, and r->tap_to_open says that cutover_reopen() is due. */
bool cutover_settle(struct runner *r, struct error *err);
/* Opens a tap that may be shut, under the epoch of now; fine if there is none. */
bool cutover_open_tap(struct runner *r, struct error *err);
/* The same; then the state is dual_write; and then the gates
 * open. */
bool cutover_reopen(struct runner *r, struct error *err);

#endif
