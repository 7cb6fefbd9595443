/* aftermath.h - CHECK MIGRATION 'id': after the switch the proof that the tenant's new home works and its old
 * one refuses it; before it, what is the case. Looks, tries and rolls back; changes nothing. Runner's thread.
 */
#ifndef PGSHUNT_MIGRATE_AFTERMATH_H
#define PGSHUNT_MIGRATE_AFTERMATH_H

#include "migrate/runner.h"

/* request->id is whole. Answers, takes the request. */
void aftermath_answer(struct runner *r, struct control_request *request);

#endif
