/* follower.h - this instance's part in migrations that other instances run (DESIGN §5): what it has applied,
 * and that its writers of a paused tenant are gone, it says in the control database, and the one who runs the
 * migration waits for that.
 *
 *   noted ──published──► posted ──every loop has applied it──► applied ──written──► told
 *                                   └─ cutover_paused: CLOSE and ASK to every gate; told again when they have
 * drained
 *
 * The gates themselves follow the routes (route/gate.h); the CLOSE here only asks when they have drained.
 * What is written is bound to this process's own row in proxy_instances: one that was replaced says nothing
 * any more. Control's thread.   Start at: follower_note(). */
#ifndef PGSHUNT_MIGRATE_FOLLOWER_H
#define PGSHUNT_MIGRATE_FOLLOWER_H

#include "migrate/ledger.h"
#include "migrate/publisher.h"
#include "route/letters.h"

struct follower;

/* Borrows both; answers of gates come to `mailbox`. NULL: no memory. */
struct follower *follower_new(const struct switchboard *switchboard, struct mailbox *mailbox);
void follower_free(struct follower *follower);

/* A route that is news to this process, before it is published. false: no memory. */
bool follower_note(struct follower *follower, const struct route *route, struct error *err);
/* Everything noted until now is in that publication. */
void follower_posted(struct follower *follower, uint64_t sequence);
/* Loops have answered publications: asks gates that have to drain. */
void follower_applied(struct follower *follower, const struct publisher *publisher);
void follower_answered(struct follower *follower, struct gate_letter *letter); /* takes the letter */

/* A transaction at this instance has written the tenant: the one that runs the migration is told, so that its
 * mirror does not have to find out by itself, and does not take this instance's backends for hidden writers.
 */
void follower_rung(struct follower *follower, struct doorbell_letter *letter); /* takes the letter */
uint64_t follower_ring_ms(
    const struct follower *follower); /* when follower_ring() is due; UINT64_MAX: never */
bool follower_ring(struct follower *follower, struct ledger *ledger, const char *channel, struct error *err);

/* Tells what is to be told. `shared`: another process of this instance has clients, too, and nobody knows
 * whether they have ended: that a paused tenant's writers are gone is not said. */
bool follower_tell(struct follower *follower, struct ledger *ledger, const char *instance,
                   const char *started_at, bool shared, struct error *err);

#endif
