/* stats.c - one thread's counters.
 * Owns: the set, on cache lines of its own so that two threads' sets never share one.
 * Thread: stats_add() its owner's, stats_read() any. */
#include "base/stats.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

enum { CACHE_LINE_BYTES = 64 };

struct stats {
    _Alignas(CACHE_LINE_BYTES) atomic_uint_fast64_t counts[STAT_COUNT];
};

static const char *const names[STAT_COUNT] = {
    [STAT_CLIENTS_ACCEPTED] = "clients_accepted",
    [STAT_CLIENTS_CLOSED] = "clients_closed",
    [STAT_LOGINS_FAILED] = "logins_failed",
    [STAT_SERVERS_OPENED] = "servers_opened",
    [STAT_SERVERS_CLOSED] = "servers_closed",
    [STAT_CLIENT_BYTES] = "client_bytes",
    [STAT_SERVER_BYTES] = "server_bytes",
    [STAT_STATEMENTS] = "statements",
    [STAT_TRANSACTIONS] = "transactions",
    [STAT_PLAN_HITS] = "plan_hits",
    [STAT_PLAN_MISSES] = "plan_misses",
    [STAT_UNATTRIBUTED] = "unattributed",
    [STAT_REFUSED] = "refused",
    [STAT_HELD] = "held",
    [STAT_HELD_MS_SUM] = "held_ms_sum",
    [STAT_CANCELS] = "cancels",
    [STAT_DIRECTORY_HITS] = "directory_hits",
    [STAT_DIRECTORY_MISSES] = "directory_misses",
};

struct stats *stats_new(void)
{
    struct stats *stats = aligned_alloc(CACHE_LINE_BYTES, sizeof *stats);

    if (stats == NULL)
        return NULL;
    for (size_t i = 0; i < STAT_COUNT; i++)
        atomic_init(&stats->counts[i], 0);
    return stats;
}

void stats_free(struct stats *stats)
{
    free(stats);
}

void stats_add(struct stats *stats, enum stats_counter stat, uint64_t count)
{
    uint64_t now;

    assert(stat < STAT_COUNT);
    /* Only the owner writes, so a load and a store do: no locked instruction per message. */
    now = atomic_load_explicit(&stats->counts[stat], memory_order_relaxed);
    atomic_store_explicit(&stats->counts[stat], now + count, memory_order_relaxed);
}

uint64_t stats_read(const struct stats *stats, enum stats_counter stat)
{
    assert(stat < STAT_COUNT);
    return atomic_load_explicit(&stats->counts[stat], memory_order_relaxed);
}

const char *stats_name(enum stats_counter stat)
{
    assert(stat < STAT_COUNT);
    return names[stat];
}
