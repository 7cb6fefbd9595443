/* breaker.c - closed until failures_max failures in a row; then open for open_ms; then half open for a few
 * trials. Pure.   Start at: breaker_allows(). */
#include "migrate/breaker.h"

void breaker_init(struct breaker *breaker, unsigned failures_max, uint64_t open_ms, unsigned trials)
{
    *breaker = (struct breaker){ .state = BREAKER_CLOSED,
                                 .failures_max = failures_max,
                                 .trials = trials,
                                 .trials_left = trials,
                                 .open_ms = open_ms };
}

void breaker_set(struct breaker *breaker, unsigned failures_max, uint64_t open_ms, unsigned trials)
{
    breaker->failures_max = failures_max;
    breaker->open_ms = open_ms;
    breaker->trials = trials;
    if (breaker->trials_left > trials)
        breaker->trials_left = trials;
}

bool breaker_allows(struct breaker *breaker, uint64_t now_ms)
{
    if (breaker->state == BREAKER_OPEN && now_ms >= breaker->open_until_ms) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->trials_left = breaker->trials;
    }
    return breaker->state != BREAKER_OPEN;
}

void breaker_success(struct breaker *breaker)
{
    breaker->failures = 0;
    if (breaker->state == BREAKER_CLOSED)
        return;
    /* All trials must succeed: one good answer of a target that comes and goes proves little. */
    if (breaker->trials_left > 0)
        breaker->trials_left--;
    if (breaker->trials_left == 0)
        breaker->state = BREAKER_CLOSED;
}

void breaker_failure(struct breaker *breaker, uint64_t now_ms)
{
    breaker->failures++;
    if (breaker->state == BREAKER_CLOSED && breaker->failures < breaker->failures_max)
        return;
    breaker->state = BREAKER_OPEN;
    breaker->open_until_ms = now_ms + breaker->open_ms;
}
