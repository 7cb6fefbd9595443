/* lease.h - until when this instance may believe the routes it knows (DESIGN §5).
 * The one thing that threads share without a letter: a single atomic number. Control writes it before … after
 * each heartbeat that the control database has answered; loops read it when they wake and hold the writes of
 * every tenant with a gate once it has passed. Time is clock_boot_ms(). */
#ifndef PGSHUNT_ROUTE_LEASE_H
#define PGSHUNT_ROUTE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lease {
    _Atomic uint64_t until_boot_ms; /* 0: never had one */
    _Atomic bool shared;            /* an earlier process still serves clients by the routes it knew … */
};

/* … and until it has ended no cutover may begin: its writers are not ours to hold. Main says so, control asks. */
static inline void lease_share(struct lease *lease, bool shared)
{
    atomic_store_explicit(&lease->shared, shared, memory_order_release);
}
static inline bool lease_is_shared(const struct lease *lease)
{
    return atomic_load_explicit(&lease->shared, memory_order_acquire);
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
