/* finding.h - what a check has found: a list of rows "ok, warning or blocker, and what to do about it".
 * CHECK MIGRATION shows them all; START refuses on a blocker. Pure; one thread. */
#ifndef PGSHUNT_MIGRATE_FINDING_H
#define PGSHUNT_MIGRATE_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/rows.h"

enum finding_status { FINDING_OK, FINDING_WARNING, FINDING_BLOCKER };

struct finding {
    const char *check; /* a static text */
    enum finding_status status;
    char sqlstate[6];            /* a blocker's, for START's error */
    char *found, *detail, *hint; /* owned; detail and hint may be NULL */
};

struct findings {
    size_t count, capacity;
    struct finding *at;
    bool failed; /* no memory: what is here is not everything */
};

void findings_init(struct findings *list);
void findings_done(struct findings *list);

/* Add one. No memory is remembered in the list. */
void finding_ok(struct findings *list, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void finding_warning(struct findings *list, const char *check, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void finding_blocker(struct findings *list, const char *check, const char *sqlstate, const char *hint,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* What a function of ours has refused, as it said it. */
void finding_error(struct findings *list, const char *check, enum finding_status status,
                   const struct error *err);

size_t findings_count_of(const struct findings *list, enum finding_status status);
/* Columns check, status, found, hint, ok. NULL: no memory. */
struct rows *findings_rows(const struct findings *list);
/* The first blocker as an error, and if there are more, all of them in its detail. true: there is none. */
bool findings_pass(const struct findings *list, struct error *err);
/* A JSON array of {check, found} of the warnings. */
void findings_warnings_json(const struct findings *list, struct buf *json);

#endif
