/* tally.h - what one loop has done with one store: SHOW STATS. Plain numbers of its loop's thread. */
#ifndef PGSHUNT_PROXY_TALLY_H
#define PGSHUNT_PROXY_TALLY_H

#include <stdbool.h>
#include <stdint.h>

enum { TALLY_PERIOD_MS = 60000 }; /* averages are of the last whole one (stats_period of PgBouncer) */

enum tally_what {
    TALLY_XACTS,
    TALLY_QUERIES,
    TALLY_RECEIVED_BYTES, /* from clients, sent to the store */
    TALLY_SENT_BYTES,     /* from the store, sent to clients */
    TALLY_XACT_US,
    TALLY_QUERY_US,
    TALLY_WAIT_US, /* of clients: for a server, for a gate, for another store's answers */
    TALLY_COUNT
};

/* How many took at most so long: microseconds, ascending; the last class has no bound. */
enum { TALLY_BOUNDS = 12, TALLY_CLASSES = TALLY_BOUNDS + 1 };
extern const uint64_t tally_bounds_us[TALLY_BOUNDS];
enum tally_spread { SPREAD_QUERY, SPREAD_WAIT, SPREADS };

struct tally {
    uint64_t spread[SPREADS][TALLY_CLASSES]; /* each time in one class only */
    uint64_t total[TALLY_COUNT];
    uint64_t before[TALLY_COUNT];      /* total when the period that runs began */
    uint64_t last_period[TALLY_COUNT]; /* what the one before it brought */
};

/* The clock of one server connection: when what it works on began. */
struct tally_clock {
    uint64_t query_us, xact_us; /* 0: none is under way */
};

/* A client has waited. */
void tally_waited(struct tally *tally, uint64_t us);
void tally_end_period(struct tally *tally);
void tally_asked(struct tally_clock *clock, uint64_t now_us);
/* A ReadyForQuery: `idle` if it ends the transaction, `more` if other requests are still out. */
void tally_ready(struct tally *tally, struct tally_clock *clock, bool idle, bool more, uint64_t now_us);

#endif
