/* verifier.h - a second, later read of both sides, independent of what the copier believed (DESIGN §4.5): for now the
 * hash level: per stream, a digest of every copied column over a canonical text form, computed inside the servers. */
#ifndef PGSHUNT_MIGRATE_VERIFIER_H
#define PGSHUNT_MIGRATE_VERIFIER_H

#include "migrate/mirror.h"

struct verifier_report {
    int64_t streams, events;     /* compared */
    int64_t suspects;            /* streams that differed at first sight and were looked at again */
    int64_t violations;
    char first[256];             /* "stream Order/3f…: version 7 missing in the target" */
    uint64_t duration_ms;
};

/* Runs while the tenant writes; suspects are settled between two passes of `mirror` (DESIGN §4.5). false: could not
 * be run; violations are in the report, not an error. */
bool verifier_hash(struct migration *m, struct mirror *mirror, struct verifier_report *report, struct error *err);

#endif
