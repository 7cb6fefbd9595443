/* tell_plans.h - SHOW PLANS: what one loop's planner has in its cache, as rows. The loop's thread. */
#ifndef PGSHUNT_PROXY_TELL_PLANS_H
#define PGSHUNT_PROXY_TELL_PLANS_H

#include "base/rows.h"
#include "sql/plan.h"

enum { PLANS_TOLD_MAX = 500 }; /* of a loop, those used last: telling them takes some 2 ms of its time */

/* shape, class, tables, tenant, hits, misses, parse_us, used_s. */
void tell_plans(const struct planner *planner, struct rows *rows);

#endif
