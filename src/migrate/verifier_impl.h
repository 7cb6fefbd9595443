/* verifier_impl.h - what the files of the verifier share: verifier.c (streams), verifier_rows.c (one stream's
 * rows), verifier_report.c (what was found), verifier_sql.c (texts). Nobody else includes it. */
#ifndef PGSHUNT_MIGRATE_VERIFIER_IMPL_H
#define PGSHUNT_MIGRATE_VERIFIER_IMPL_H

#include "migrate/verifier.h"

struct verifier_run {
    struct migration *m;
    const struct moved_table *table; /* the one that is looked at */
    struct mirror *mirror;
    const struct verifier_order *order;
    struct verifier_report *report;
    struct pg *source, *target; /* of the first look, so that the mirror goes on meanwhile */
    struct pg
        *aside; /* at the source, for questions while both of the mirror's are busy; opened when needed */
    struct suspect **suspects;
    size_t suspect_count;
    struct buf last_stream; /* full: the stream of the last suspect */
    struct buf keys;        /* repair: not put among what is captured yet */
    size_t key_count;
    uint64_t tick_ms;
};

bool verifier_open(struct verifier_run *run, const struct store *store, struct pg **pg, struct error *err);
/* The mirror's turn, if it is due; and whoever wants to know how far it is. */
bool verifier_tick(struct verifier_run *run, struct error *err);

struct verifier_side { /* one of two ordered lists */
    struct pg *pg;
    PGresult *row; /* the current one; NULL before the first and after the last */
    bool ended;
};
bool verifier_side_next(struct verifier_side *side, struct error *err);
void verifier_side_done(struct verifier_side *side); /* gives up what was not read */
/* By the first columns, bytewise; the end is last. */
int verifier_compare(const struct verifier_side *a, const struct verifier_side *b, int columns);

struct suspect { /* a stream: free() */
    size_t columns;
    const char *values[VERIFIER_STREAM_COLUMNS_MAX]; /* into text; NULL: SQL NULL */
    char text[];
};
struct suspect *verifier_suspect_new(size_t columns, const char *const *values);
/* Compares a suspect's rows, except those captured; adds violations to the report. */
bool verifier_settle(struct verifier_run *run, const struct suspect *suspect, struct error *err);

struct verifier_found {
    enum verifier_kind kind;
    const char *table; /* NULL: the event table */
    const struct suspect *suspect;
    const char *version, *key;
    const char *columns; /* DIFFERENT, REORDERED: their names, with commas between; NULL: none */
};
void verifier_add(struct verifier_report *report, const struct verifier_found *found);
/* Adds a stream's digest (hex) to one side's sum, which does not depend on an order. */
void verifier_add_digest(struct verifier_report *report, int side, const char *hex);

/* A text of sql/verify_*.sql made concrete. */
struct verifier_scope {
    const struct verifier_order *order;
    const struct moved_table *table;
    bool of_target;
    bool captured; /* of the source, while a tap stands */
    int64_t segment, segments;
};
bool verifier_expand(const struct migration *m, const char *text, const struct verifier_scope *scope,
                     struct buf *out, struct error *err);
/* What tells streams apart: the configured columns; without any, every event is a stream of its own. */
void verifier_stream_columns(const struct moved_table *table, char *const **columns, size_t *count);

#endif
