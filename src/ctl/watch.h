/* watch.h - migrations as they go on: bars that are redrawn on a terminal, a line for every change elsewhere.
 */
#ifndef PGSHUNT_CTL_WATCH_H
#define PGSHUNT_CTL_WATCH_H

#include <stdint.h>

#include "base/buf.h"
#include "ctl/link.h"

/* What one look has found of a migration, and what follows from the look before it. */
struct watch_view {
    char id[40], tenant[128], target[64], state[24], error[256];
    double percent;
    int64_t copied, total, lag;
    double rate;        /* events a second since the look before; below 0: not known yet */
    double eta_s;       /* of the copy; below 0: not known */
    int64_t lag_before; /* what it was about five seconds ago; below 0: not known */
    int64_t held;       /* clients that are held; below 0: not asked */
};

/* One line without its line break; `cells`: as wide as the bar may be, 0: no bar. Pure. */
void watch_line(const struct watch_view *view, unsigned cells, struct buf *out);

/* Those that are named by the beginnings of their ids, or all that are under way. Ends with the last of them:
 * the exit code (exits.h). */
int watch_run(struct link *link, int count, char *const *ids, bool terminal, struct error *err);

#endif
