/* health.h - a snapshot as a judgement: JSON for load balancers and for people. Pure. */
#ifndef PGSHUNT_STATUS_HEALTH_H
#define PGSHUNT_STATUS_HEALTH_H

#include "base/buf.h"
#include "status/snapshot.h"

struct health_limits {
    double stuck_after_seconds; /* no progress for so long */
    double lag_events_max;      /* beyond it a lag is high */
};

/* Each appends a JSON object and returns the HTTP status: 200, or 503 for what is unhealthy. */
unsigned health_process(const struct snapshot *snapshot, struct buf *json); /* /health: the process */
unsigned health_ready(const struct snapshot *snapshot, struct buf *json);   /* /ready: clients are served */
unsigned health_migration(const struct snapshot *snapshot, const struct health_limits *limits,
                          struct buf *json);

#endif
