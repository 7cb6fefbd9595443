/* verifier_impl.h - what verifier.c (streams) shares with verifier_rows.c (one stream's rows, and the SQL of
 * both). */
#ifndef PGSHUNT_MIGRATE_VERIFIER_IMPL_H
#define PGSHUNT_MIGRATE_VERIFIER_IMPL_H

#include "migrate/verifier.h"

struct verifier_side { /* one of two ordered lists */
    struct pg *pg;
    PGresult *row; /* the current one; NULL before the first and after the last */
    bool ended;
};
bool verifier_side_next(struct verifier_side *side, struct error *err);
void verifier_side_done(struct verifier_side *side); /* gives up what was not read */
int verifier_compare(const struct verifier_side *a,
                     const struct verifier_side *b); /* by first column; the end is last */

struct suspect; /* a stream: free() */
struct suspect *verifier_suspect_new(const PGresult *row,
                                     int first_column); /* its columns stand from there on */
/* Compares a suspect's rows, except those captured; adds violations to the report. */
bool verifier_settle(struct migration *m, const struct suspect *suspect, struct verifier_report *report,
                     struct error *err);

bool verifier_expand(const struct migration *m, const struct relation *rel, const char *text, int64_t segment,
                     int64_t segments, struct buf *out, struct error *err);

#endif
