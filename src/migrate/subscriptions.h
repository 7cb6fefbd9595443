/* subscriptions.h - checkpoints of a moved tenant's subscriptions, translated to positions of the target
 * (DESIGN §4.7): PLAN SUBSCRIPTIONS shows, MIGRATE SUBSCRIPTIONS and the end of a migration do it.
 *
 * What is true: nothing is ever skipped. A checkpoint is touched once, and only while it certainly is a
 * source position (below everything that the target has given) and has not changed since it was looked at;
 * one that is left alone reads again what it has read, because no event has a lower position than it had. */
#ifndef PGSHUNT_MIGRATE_SUBSCRIPTIONS_H
#define PGSHUNT_MIGRATE_SUBSCRIPTIONS_H

#include "migrate/runner.h"

/* An errand: PLAN and MIGRATE SUBSCRIPTIONS. Takes the request. */
void subscriptions_answer(struct runner *r, struct control_request *request);
/* After the switch, by itself, when migrate_subscriptions is on and all pairs are in the control database.
 * May be done again. */
bool subscriptions_after(struct runner *r, struct error *err);

#endif
