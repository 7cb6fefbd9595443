/* runner_orders.h - what operators ask and order of a migration: taken in whenever a letter comes, served
 * between two steps, so that a state never changes under a step. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_RUNNER_ORDERS_H
#define PGSHUNT_MIGRATE_RUNNER_ORDERS_H

#include "migrate/runner.h"

/* A request has come, perhaps in the middle of a statement: answered from memory, refused, or kept until it
 * can be served. Takes it. */
void orders_take(struct runner *r, struct control_request *request);
/* Serves what was kept, oldest first; a cutover among it may end the migration. */
void orders_serve(struct runner *r);
/* The migration has ended: everybody who still waits hears `err`. */
void orders_refuse(struct runner *r, const struct error *err);

/* A cutover, or the rehearsal of one, has ended: RESUME WRITES is answered with what it cost. */
void orders_writes_resumed(struct runner *r, double pause_ms, uint32_t held_count, uint64_t held_ms_longest);
/* PAUSE, ordered (r->pause): at the boundary of a batch, or between two passes of the mirror. */
bool orders_pause(struct runner *r, struct error *err);
/* In state paused: gates, connections and slot are given back (once), then RESUME is waited for. */
bool orders_step_paused(struct runner *r, struct error *err);

#endif
