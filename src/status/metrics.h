/* metrics.h - a snapshot as Prometheus reads it. Names, labels and buckets are what dashboards and alerts go
 * by. Pure.
 */
#ifndef PGSHUNT_STATUS_METRICS_H
#define PGSHUNT_STATUS_METRICS_H

#include "status/exposition.h"
#include "status/snapshot.h"

void metrics_write(const struct snapshot *snapshot, struct exposition *to);

#endif
