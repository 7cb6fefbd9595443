/* tally.c - see tally.h. Pure. */
#include "proxy/tally.h"

#include <string.h>

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
