/* stats.h - counters, one set per thread, summed by the reader.
 * The owner adds with relaxed atomics; any thread may read. A set lives until stats_free(). */
#ifndef PGSHUNT_BASE_STATS_H
#define PGSHUNT_BASE_STATS_H

#include <stdint.h>

enum stats_counter {
    STAT_CLIENTS_ACCEPTED,
    STAT_CLIENTS_CLOSED,
    STAT_LOGINS_FAILED,
    STAT_SERVERS_OPENED,
    STAT_SERVERS_CLOSED,
    STAT_CLIENT_BYTES, /* received from clients */
    STAT_SERVER_BYTES, /* received from servers */
    STAT_STATEMENTS,
    STAT_TRANSACTIONS,
    STAT_PLAN_HITS,
    STAT_PLAN_MISSES,
    STAT_UNATTRIBUTED,
    STAT_REFUSED,      /* statements answered by the proxy's own error */
    STAT_HELD,         /* statements that had to wait at a closed gate */
    STAT_HELD_MS_SUM,
    STAT_CANCELS,
    STAT_DIRECTORY_HITS,   /* streams whose tenant was remembered */
    STAT_DIRECTORY_MISSES, /* streams that the stores were asked for */
    STAT_COUNT
};

struct stats;

struct stats *stats_new(void);
void stats_free(struct stats *stats);
void stats_add(struct stats *stats, enum stats_counter stat, uint64_t count);
uint64_t stats_read(const struct stats *stats, enum stats_counter stat);
const char *stats_name(enum stats_counter stat);

#endif
