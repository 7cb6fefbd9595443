/* breaker.h - target failures: closed, open (wait), half open (a few trial calls). Logic without clock:
 * `now_ms` comes in. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_BREAKER_H
#define PGSHUNT_MIGRATE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    unsigned failures, trials_left;
    unsigned failures_max, trials; /* 5, 3 */
    uint64_t open_ms;              /* 30000 */
    uint64_t open_until_ms;
};

void breaker_init(struct breaker *breaker, unsigned failures_max, uint64_t open_ms, unsigned trials);
/* Other numbers from now on; an open one keeps its time. */
void breaker_set(struct breaker *breaker, unsigned failures_max, uint64_t open_ms, unsigned trials);
bool breaker_allows(struct breaker *breaker, uint64_t now_ms);
void breaker_success(struct breaker *breaker);
void breaker_failure(struct breaker *breaker, uint64_t now_ms);

#endif
