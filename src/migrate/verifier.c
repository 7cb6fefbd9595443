/* verifier.c - the hash level: one digest per stream, made inside both servers, compared as two ordered
 * lists; what differs is a suspect, and looked at again between two passes of the mirror. Owns:   two
 * connections of its own for the length of a run, so that the mirror goes on meanwhile. Leaves: the keys
 * applied since to mirror_verify_behind(). Thread: the runner's. Start at: verifier_hash(). */
#include "migrate/verifier.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/verifier_impl.h"
#include "sql_embedded.h"

enum {
    CONNECT_MS = 5000,
    SEGMENT_EVENTS = 1000000, /* of one statement: a snapshot of a few seconds */
    SEGMENTS_MAX = 65536,     /* two bytes of a stream's hash */
    TICK_MS = 100,            /* between two turns of the mirror while digests are made */
    TICK_PASSES = 8,          /* of one turn: writers may be faster than the mirror, and this must end */
    SUSPECTS_MAX = 10000,     /* more is no coincidence of timing: the rest need not be looked at */
};

struct run {
    struct migration *m;
    struct mirror *mirror;
    struct verifier_report *report;
    struct pg *source, *target;
    struct suspect **suspects;
    size_t suspect_count;
    uint64_t tick_ms;
};

/* --- two ordered lists -------------------------------------------------------------------------------- */

bool verifier_side_next(struct verifier_side *side, struct error *err)
{
    bool end = false;

    PQclear(side->row);
    side->row = pg_rows_next(side->pg, &end, err);
    side->ended = end;
    return side->row != NULL || end;
}

void verifier_side_done(struct verifier_side *side)
{
    PQclear(side->row);
    side->row = NULL;
    if (!side->ended)
        pg_abandon(side->pg);
}

int verifier_compare(const struct verifier_side *a, const struct verifier_side *b)
{
    if (a->row == NULL || b->row == NULL)
        return a->row == NULL ? (b->row == NULL ? 0 : 1) : -1;
    return strcmp(PQgetvalue(a->row, 0, 0), PQgetvalue(b->row, 0, 0));
}

/* --- the first look ----------------------------------------------------------------------------------- */

static bool tick(struct run *run, struct error *err)
{
    struct mirror_pass pass = { .more = true };

    if (clock_ms() - run->tick_ms < TICK_MS)
        return true;
    for (int passes = 0; pass.more && passes < TICK_PASSES; passes++) {
        if (!mirror_run(run->mirror, &pass, err))
            return false;
    }
    run->tick_ms = clock_ms();
    return true;
}

static bool add_suspect(struct run *run, const PGresult *row, struct error *err)
{
    struct suspect *suspect = verifier_suspect_new(row, 3);
    struct suspect **more;

    if (suspect == NULL)
        return error_no_memory(err);
    more = realloc(run->suspects, (run->suspect_count + 1) * sizeof(struct suspect *));
    if (more == NULL) {
        free(suspect);
        return error_no_memory(err);
    }
    run->suspects = more;
    run->suspects[run->suspect_count++] = suspect;
    return true;
}

static bool merge(struct run *run, struct verifier_side *source, struct verifier_side *target,
                  struct error *err)
{
    if (!verifier_side_next(source, err) || !verifier_side_next(target, err))
        return false;
    while ((source->row != NULL || target->row != NULL) && run->suspect_count < SUSPECTS_MAX) {
        int order = verifier_compare(source, target);
        bool same = order == 0 && strcmp(PQgetvalue(source->row, 0, 2), PQgetvalue(target->row, 0, 2)) == 0;

        run->report->streams++;
        if (source->row != NULL && order <= 0)
            run->report->events += strtoll(PQgetvalue(source->row, 0, 1), NULL, 10);
        if (!same && !add_suspect(run, order <= 0 ? source->row : target->row, err))
            return false;
        if ((order <= 0 && !verifier_side_next(source, err)) ||
            (order >= 0 && !verifier_side_next(target, err)) || !tick(run, err))
            return false;
    }
    return true;
}

/* Both servers work at the same time; the mirror goes on until both have something to say. */
static bool await_first(struct run *run, struct error *err)
{
    bool source = false, target = false;

    while (!source || !target) {
        if (!tick(run, err) ||
            !pg_rows_wait(source ? run->target : run->source, TICK_MS / 2, source ? &target : &source, err))
            return false;
        if (!pg_nap(&run->m->wake, 0))
            return error_set(err, "57014", "the verification was interrupted");
    }
    return true;
}

static bool compare_segment(struct run *run, int64_t segment, int64_t segments, struct error *err)
{
    struct verifier_side source = { .pg = run->source }, target = { .pg = run->target };
    struct buf source_sql, target_sql;
    bool good;

    buf_init(&source_sql);
    buf_init(&target_sql);
    good = verifier_expand(run->m, &run->m->tables[0].source, sql_verify_streams, segment, segments,
                           &source_sql, err) &&
           verifier_expand(run->m, &run->m->tables[0].target, sql_verify_streams, segment, segments,
                           &target_sql, err) &&
           pg_rows_send(run->source, buf_text(&source_sql), 1, (const char *[]){ run->m->tenant }, err) &&
           pg_rows_send(run->target, buf_text(&target_sql), 1, (const char *[]){ run->m->tenant }, err) &&
           await_first(run, err) && merge(run, &source, &target, err);
    verifier_side_done(&source);
    verifier_side_done(&target);
    buf_done(&source_sql);
    buf_done(&target_sql);
    return good;
}

static bool count_events(struct run *run, int64_t *events, struct error *err)
{
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    if (verifier_expand(run->m, &run->m->tables[0].source, sql_copy_count, 0, 1, &sql, err))
        result = pg_query(run->source, buf_text(&sql), 1, (const char *[]){ run->m->tenant }, err);
    buf_done(&sql);
    if (result == NULL)
        return false;
    *events = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return true;
}

static bool first_look(struct run *run, struct error *err)
{
    int64_t events, segments;

    if (!count_events(run, &events, err))
        return false;
    segments = events / SEGMENT_EVENTS + 1;
    if (segments > SEGMENTS_MAX)
        segments = SEGMENTS_MAX;
    for (int64_t i = 0; i < segments && run->suspect_count < SUSPECTS_MAX; i++) {
        if (!compare_segment(run, i, segments, err))
            return false;
    }
    return true;
}

/* --- the second look ---------------------------------------------------------------------------------- */

/* Nothing but this thread writes the target, so that between two passes it is what the entries not captured
 * any more make it: a row that is not captured must be the same on both sides. */
static bool second_look(struct run *run, struct error *err)
{
    run->report->suspects = (int64_t)run->suspect_count;
    for (size_t i = 0; i < run->suspect_count; i++) {
        if (!tick(run, err) || !verifier_settle(run->m, run->suspects[i], run->report, err))
            return false;
    }
    return true;
}

/* --- a run -------------------------------------------------------------------------------------------- */

static bool open_both(struct run *run, struct error *err)
{
    struct migration *m = run->m;
    char source[96], target[96], application[64];

    snprintf(source, sizeof source, "store \"%s\"", m->source->name);
    snprintf(target, sizeof target, "store \"%s\"", m->target->name);
    snprintf(application, sizeof application, "pgshunt verifier %.8s", m->id);
    return pg_open(m->source->conninfo, source, application, &m->wake, CONNECT_MS, &run->source, err) &&
           pg_open(m->target->conninfo, target, application, &m->wake, CONNECT_MS, &run->target, err);
}

bool verifier_hash(struct migration *m, struct mirror *mirror, struct verifier_report *report,
                   struct error *err)
{
    struct run run = { .m = m, .mirror = mirror, .report = report };
    uint64_t begin_ms = clock_ms();
    bool good;

    memset(report, 0, sizeof *report);
    good = failpoint("verifier.before_run", err) && open_both(&run, err) && first_look(&run, err) &&
           second_look(&run, err);
    pg_close(run.source);
    pg_close(run.target);
    for (size_t i = 0; i < run.suspect_count; i++)
        free(run.suspects[i]);
    free(run.suspects);
    report->duration_ms = clock_ms() - begin_ms;
    return good;
}
