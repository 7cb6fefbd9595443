/* cutover.h - DESIGN §4.6 steps 1 to 7, and their way back. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_CUTOVER_H
#define PGSHUNT_MIGRATE_CUTOVER_H

#include "migrate/runner.h"

/* The order of an operator, from dual_write: afterwards the migration is migrated (r->over), or in dual_write
 * again, or (control database or source away) on its way back, which prepare() goes on with. Takes the
 * request. */
void cutover_run(struct runner *r, struct control_request *request);

/* For a migration found in cutover_paused: evicts the predecessor's session, settles, and reopens. */
bool cutover_recover(struct runner *r, struct error *err);
/* Decides in the control database whether it was switched: r->state is migrated or dual_write afterwards; in
 * the latter case r->tap_to_open says that the tap and the gates still have to be opened. */
bool cutover_settle(struct runner *r, struct error *err);
/* Opens a tap that may be shut, under the epoch of now, and then the gates. */
bool cutover_reopen(struct runner *r, struct error *err);

#endif
