/* tally.c - see tally.h. Pure. */
#include "proxy/tally.h"

#include <string.h>

const uint64_t tally_bounds_us[TALLY_BOUNDS] = { 100,   250,   500,    1000,   2500,    5000,
                                                 10000, 25000, 100000, 500000, 1000000, 5000000 };

static void note(struct tally *tally, enum tally_spread spread, uint64_t us)
{
    size_t class = 0;

    while (class < TALLY_BOUNDS && us > tally_bounds_us[class])
        class ++;
    tally->spread[spread][class]++;
}

void tally_waited(struct tally *tally, uint64_t us)
{
    tally->total[TALLY_WAIT_US] += us;
    note(tally, SPREAD_WAIT, us);
}

void tally_end_period(struct tally *tally)
{
    for (int what = 0; what < TALLY_COUNT; what++)
        tally->last_period[what] = tally->total[what] - tally->before[what];
    memcpy(tally->before, tally->total, sizeof tally->before);
}

void tally_asked(struct tally_clock *clock, uint64_t now_us)
{
    if (clock->query_us == 0)
        clock->query_us = now_us;
    if (clock->xact_us == 0)
        clock->xact_us = now_us;
}

void tally_ready(struct tally *tally, struct tally_clock *clock, bool idle, bool more, uint64_t now_us)
{
    if (clock->query_us != 0) {
        tally->total[TALLY_QUERIES]++;
        tally->total[TALLY_QUERY_US] += now_us - clock->query_us;
        note(tally, SPREAD_QUERY, now_us - clock->query_us);
    }
    clock->query_us = more ? now_us : 0;
    if (!idle)
        return;
    if (clock->xact_us != 0) {
        tally->total[TALLY_XACTS]++;
        tally->total[TALLY_XACT_US] += now_us - clock->xact_us;
    }
    clock->xact_us = more ? now_us : 0;
}
