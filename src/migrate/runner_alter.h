/* runner_alter.h - ALTER MIGRATION: settings of a migration under way, which goes on by them at once. Part of
 * the runner; its thread, between two statements. */
#ifndef PGSHUNT_MIGRATE_RUNNER_ALTER_H
#define PGSHUNT_MIGRATE_RUNNER_ALTER_H

#include "migrate/runner.h"

/* All of the request's options or none; row and audit first. Takes the request. */
void alter_run(struct runner *r, struct control_request *request);
/* Those among the requests that wait: what the copier's hook can serve in the middle of a copy. */
void alter_run_waiting(struct runner *r);

#endif
