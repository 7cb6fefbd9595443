/* exposition.h - Prometheus' text format 0.0.4, and OpenMetrics 1.0. Pure.
 * https://prometheus.io/docs/instrumenting/exposition_formats/,
 * https://prometheus.io/docs/specs/om/open_metrics_spec/ */
#ifndef PGSHUNT_STATUS_EXPOSITION_H
#define PGSHUNT_STATUS_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

struct exposition {
    struct buf *out; /* borrowed */
    bool open_metrics;
    const char *family; /* the one under way; borrowed */
};

struct exposition_label {
    const char *name, *value; /* NULL name ends a list; a NULL value is "" */
};

/* Every sample of a family follows its head. A counter's name ends in _total in either format. */
void exposition_family(struct exposition *to, const char *name, enum exposition_type type, const char *help);
void exposition_sample(struct exposition *to, const struct exposition_label *labels, double value);
/* Of a histogram: how many values are in each class, one class more than there are bounds; the bounds ascend.
 */
void exposition_histogram(struct exposition *to, const struct exposition_label *labels, const double *bounds,
                          size_t bound_count, const double *counts, double sum);
void exposition_end(struct exposition *to);
const char *exposition_content_type(bool open_metrics);

#endif
