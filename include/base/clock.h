/* clock.h - monotonic time. Only logs and SQL know the wall clock. Any thread. */
#ifndef PGSHUNT_BASE_CLOCK_H
#define PGSHUNT_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_ms(void);      /* CLOCK_MONOTONIC */
uint64_t clock_us(void);      /* CLOCK_MONOTONIC */
uint64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: goes on while the machine sleeps; leases run on it */
void clock_sleep_ms(uint64_t ms);

#endif
