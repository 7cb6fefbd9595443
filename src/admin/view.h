/* view.h - what the console's thread knows without asking anybody: settings, stores, counters, and the routes
 * and columns that control published last. One per console, on its thread; sessions borrow it. */
#ifndef PGSHUNT_ADMIN_VIEW_H
#define PGSHUNT_ADMIN_VIEW_H

#include <stdbool.h>

#include "base/config.h"
#include "base/log.h"
#include "base/stats.h"
#include "route/letters.h"
#include "route/store.h"
#include "sql/plan.h"

struct view {
    const struct config *config; /* borrowed */
    const struct stores *stores; /* borrowed */
    struct stats **loop_stats;   /* borrowed, loop_count sets */
    unsigned loop_count;
    struct log *log;             /* borrowed */
    struct route_table *table;   /* a reference; NULL until the first publication */
    struct catalogue *catalogue; /* a reference; NULL until the first publication */
    struct planner *planner;     /* owned: the console's own, so that EXPLAIN ROUTE disturbs no loop */
    bool ready;                  /* the routing table has been read */
};

#endif
