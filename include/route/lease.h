/* lease.h - until when this instance may believe the routes it knows (DESIGN §5), and whether it may change
 * one. What threads share without a letter: atomic numbers. Control writes the time before … after each
 * heartbeat that the control database has answered; loops read it when they wake and hold the writes of every
 * tenant with a gate once it has passed. Time is clock_boot_ms(). */
#ifndef PGSHUNT_ROUTE_LEASE_H
#define PGSHUNT_ROUTE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lease {
    _Atomic uint64_t until_boot_ms; /* 0: never had one */
    _Atomic bool shared;    /* another process of this instance serves clients, too, or is about to … */
    _Atomic unsigned moves; /* cutovers from their beginning until every loop goes by how they ended */
};

/* … and as long as it does no cutover may begin: its writers are not ours to hold. Main says so, runners ask.
 * Each first says its own and then looks at the other's (seq_cst): never do both go on. */
static inline void lease_share(struct lease *lease, bool shared)
{
    atomic_store(&lease->shared, shared);
}
static inline bool lease_is_shared(const struct lease *lease)
{
    return atomic_load(&lease->shared);
}
/* A cutover that a process has left behind goes on whoever else is there: it only finishes what was decided.
 */
static inline void lease_resume_move(struct lease *lease)
{
    atomic_fetch_add(&lease->moves, 1);
}
static inline void lease_end_move(struct lease *lease)
{
    atomic_fetch_sub(&lease->moves, 1);
}
static inline bool lease_begin_move(struct lease *lease)
{
    lease_resume_move(lease);
    if (!lease_is_shared(lease))
        return true;
    lease_end_move(lease);
    return false;
}
static inline bool lease_has_moves(const struct lease *lease)
{
    return atomic_load(&lease->moves) > 0;
}

static inline void lease_extend(struct lease *lease, uint64_t until_boot_ms)
{
    atomic_store_explicit(&lease->until_boot_ms, until_boot_ms, memory_order_release);
}
static inline bool lease_is_valid(const struct lease *lease, uint64_t now_boot_ms)
{
    return now_boot_ms < atomic_load_explicit(&lease->until_boot_ms, memory_order_acquire);
}

#endif
