/* clang-format off */
/* state.h - the states of a migration and the table of allowed moves (DESIGN §4.1).
 *
 *   pending ──► bulk_copy ──► dual_write ◄──► cutover_paused ──► migrated
 *                   ▲  │         ▲  │
 *                   │  ▼         │  ▼
 *                   └─ paused ───┘
 *   every active state ──► failed, rolled_back;   failed ──► rolled_back
 *
 * PENDING         waits for its turn; then gates are made on every loop (the route says bulk_copy), then the tap
 * BULK_COPY       the tap stands; rows move behind the cursor; writes go to the source
 * DUAL_WRITE      the scan is done; what is captured is mirrored; writes go to the source
 * CUTOVER_PAUSED  gates close and open; the tap may be shut; the source is authoritative until the switch commits
 * MIGRATED        the route points to the target; the source's guard takes over from the shut tap
 * FAILED          the route is at the source; needs an operator
 * ROLLED_BACK     the route is at the source; no gate, no tap; the target's rows stay
 * PAUSED          the mirror stands still, the tap goes on capturing; the route is normal
 *
 * Pure; any thread. The one function that changes a state is migration_enter(), in ledger.h. */
/* clang-format on */
#ifndef PGSHUNT_MIGRATE_STATE_H
#define PGSHUNT_MIGRATE_STATE_H

#include <stdbool.h>

#include "route/table.h"

/* The numbers are those of the metric migration_state. */
enum migration_state {
    MIGRATION_PENDING = 0,
    MIGRATION_BULK_COPY = 1,
    MIGRATION_DUAL_WRITE = 2,
    MIGRATION_CUTOVER_PAUSED = 3,
    MIGRATION_MIGRATED = 4,
    MIGRATION_FAILED = 5,
    MIGRATION_ROLLED_BACK = 6,
    MIGRATION_PAUSED = 7,
    MIGRATION_STATES
};

const char *migration_state_name(enum migration_state state); /* as in the tables */
bool migration_state_parse(const char *name, enum migration_state *state);
bool migration_may_move(enum migration_state from, enum migration_state to);
bool migration_is_active(enum migration_state state); /* counts for "one active migration per tenant" */
/* What a tenant's route says while its migration is in `state`; paused and failed leave it normal. */
enum routing_state migration_routing(enum migration_state state);

#endif
