/* verifier.h - a second, later read of both sides, independent of what the copier believed (DESIGN §4.5).
 *
 *   count  per stream: how many events, and the highest version
 *   hash   per stream: a digest of every copied column over a canonical text form, made inside the servers
 *   full   row by row: every copied column of every event, as text
 *
 * It runs while the tenant writes, so the first look only finds suspects: streams. What is a violation is
 * decided by a second look between two passes of the mirror, row by row and whatever the level: a row that is
 * not captured must be the same on both sides. Runner's thread. */
#ifndef PGSHUNT_MIGRATE_VERIFIER_H
#define PGSHUNT_MIGRATE_VERIFIER_H

#include "base/buf.h"
#include "migrate/mirror.h"

enum verifier_level { VERIFIER_COUNT, VERIFIER_HASH, VERIFIER_FULL };
const char *verifier_level_name(enum verifier_level level);
bool verifier_level_parse(const char *name, enum verifier_level *level);

enum {
    VERIFIER_LISTED_MAX = 100, /* violations that a report names */
    VERIFIER_STREAM_COLUMNS_MAX = 9,
};

enum verifier_kind {
    VERIFIER_MISSING,
    VERIFIER_EXTRA,
    VERIFIER_DIFFERENT,
    VERIFIER_REORDERED,
    VERIFIER_KINDS
};

struct verifier_report {
    enum verifier_level level;
    double percent;          /* of the streams */
    int64_t events_total;    /* the tenant's, as counted at the beginning */
    int64_t streams, events; /* compared */
    int64_t suspects;        /* streams that differed at first sight and were looked at again */
    int64_t violations;      /* events; by kind: */
    int64_t kinds[VERIFIER_KINDS];
    bool more;         /* there were too many suspects: the rest was not looked at */
    int64_t captured;  /* keys that were given to the mirror (repair) */
    char first[256];   /* "stream Order/3f…: version 7 (key) is missing in the target" */
    struct buf listed; /* the first VERIFIER_LISTED_MAX as JSON objects, with commas between */
    int64_t listed_count;
    unsigned char digest[2][32]; /* hash: the sum of the streams' digests, of source and target */
    uint64_t duration_ms;
};
void verifier_report_done(struct verifier_report *report);

struct verifier_order {
    enum verifier_level level;
    double percent; /* more than 0, at most 100: chosen by a hash of the stream, the same ones every time */
    bool repair; /* every key that differs is put among what is captured, so that the mirror brings its row */
    bool switched;       /* the tenant lives in the target now: what only the target has is no violation, and
                            nothing is       captured any more */
    int64_t from, to;    /* only events at these positions at first sight; 0: no bound */
    size_t stream_count; /* only this stream; 0: all */
    const char *stream[VERIFIER_STREAM_COLUMNS_MAX];
    /* Told every now and then, also while servers work; NULL: nobody. */
    void (*tell)(void *who, const struct verifier_report *so_far);
    void *who;
};

/* `mirror` goes on meanwhile; NULL: it stands still (paused, or switched). `report` was emptied. false: could
 * not be run, or was interrupted (57014); violations are in the report, not an error. */
bool verifier_run(struct migration *m, struct mirror *mirror, const struct verifier_order *order,
                  struct verifier_report *report, struct error *err);
/* As many as the stream's columns; 22023 if not. */
bool verifier_check_stream(const struct migration *m, size_t count, struct error *err);

#endif
