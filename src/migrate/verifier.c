/* verifier.c - the first look: both sides as two ordered lists, a stream (or, at level full, an event) each;
 * what differs makes its stream a suspect, which is looked at again between two passes of the mirror. Owns:
 * two connections of its own for the length of a run, so that the mirror goes on meanwhile. Leaves: the
 * second look to verifier_rows.c; the keys applied since to mirror_verify_behind(). Thread: the runner's.
 * Start at: verifier_run(). */
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
    SUSPECTS_MAX = 10000,     /* more is no coincidence of timing: the rest need not be looked at … */
    SUSPECTS_REPAIR = 1000,   /* … but a repair looks at all of them, so many at a time */
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

int verifier_compare(const struct verifier_side *a, const struct verifier_side *b, int columns)
{
    int order = 0;

    if (a->row == NULL || b->row == NULL)
        return a->row == NULL ? (b->row == NULL ? 0 : 1) : -1;
    for (int i = 0; i < columns && order == 0; i++)
        order = strcmp(PQgetvalue(a->row, 0, i), PQgetvalue(b->row, 0, i));
    return order;
}

/* --- meanwhile ---------------------------------------------------------------------------------------- */

bool verifier_tick(struct verifier_run *run, struct error *err)
{
    struct mirror_pass pass = { .more = true };

    if (clock_ms() - run->tick_ms < TICK_MS)
        return true;
    for (int passes = 0; run->mirror != NULL && pass.more && passes < TICK_PASSES; passes++) {
        if (!mirror_run(run->mirror, &pass, err))
            return false;
    }
    if (run->order->tell != NULL)
        run->order->tell(run->order->who, run->report);
    if (!pg_nap(&run->m->wake, 0))
        return error_set(err, "57014", "the verification was interrupted");
    run->tick_ms = clock_ms();
    return true;
}

/* The servers work at the same time; the mirror goes on until they have something to say. */
static bool await_first(struct verifier_run *run, bool source_ready, bool target_ready, struct error *err)
{
    while (!source_ready || !target_ready) {
        if (!verifier_tick(run, err) || !pg_rows_wait(source_ready ? run->target : run->source, TICK_MS / 2,
                                                      source_ready ? &target_ready : &source_ready, err))
            return false;
        if (!pg_nap(&run->m->wake, 0))
            return error_set(err, "57014", "the verification was interrupted");
    }
    return true;
}

/* --- suspects ----------------------------------------------------------------------------------------- */

static bool settle_suspects(struct verifier_run *run, struct error *err)
{
    bool good = true;

    for (size_t i = 0; i < run->suspect_count; i++) {
        good = good && verifier_tick(run, err) && verifier_settle(run, run->suspects[i], err);
        free(run->suspects[i]);
    }
    run->suspect_count = 0;
    return good;
}

static bool keep_suspect(struct verifier_run *run, struct suspect *suspect, struct error *err)
{
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
    run->report->suspects++;
    return !run->order->repair || run->suspect_count < SUSPECTS_REPAIR || settle_suspects(run, err);
}

static bool too_many(struct verifier_run *run)
{
    if (run->suspect_count < SUSPECTS_MAX)
        return false;
    run->report->more = true;
    return true;
}

/* The stream's columns are the last ones of its row. A stream is suspected once. */
static bool suspect_stream(struct verifier_run *run, const PGresult *row, struct error *err)
{
    const char *values[VERIFIER_STREAM_COLUMNS_MAX], *stream = PQgetvalue(row, 0, 0);
    char *const *columns;
    size_t count;
    int first;

    if (buf_bytes(&run->last_stream) == strlen(stream) + 1 &&
        memcmp(buf_at(&run->last_stream), stream, strlen(stream) + 1) == 0)
        return true;
    buf_clear(&run->last_stream);
    buf_append(&run->last_stream, stream, strlen(stream) + 1);
    verifier_stream_columns(run->table, &columns, &count);
    if (count > VERIFIER_STREAM_COLUMNS_MAX)
        count = VERIFIER_STREAM_COLUMNS_MAX;
    first = PQnfields(row) - (int)count;
    for (size_t i = 0; i < count; i++)
        values[i] = PQgetisnull(row, 0, first + (int)i) ? NULL : PQgetvalue(row, 0, first + (int)i);
    return !buf_failed(&run->last_stream) ? keep_suspect(run, verifier_suspect_new(count, values), err)
                                          : error_no_memory(err);
}

/* --- the first look ----------------------------------------------------------------------------------- */

struct pair { /* both lists of one segment */
    struct verifier_side source, target;
    struct buf stream; /* full: whose events these are, to count the streams */
};

static bool same_row(const PGresult *a, const PGresult *b, int from)
{
    for (int i = from; i < PQnfields(a); i++) {
        if (PQgetisnull(a, 0, i) != PQgetisnull(b, 0, i) ||
            strcmp(PQgetvalue(a, 0, i), PQgetvalue(b, 0, i)) != 0)
            return false;
    }
    return true;
}

static void count_row(struct verifier_run *run, struct pair *pair, const PGresult *row, bool of_source)
{
    const char *stream = PQgetvalue(row, 0, 0);

    if (run->order->level != VERIFIER_FULL) {
        run->report->streams++;
        run->report->events += of_source ? strtoll(PQgetvalue(row, 0, 1), NULL, 10) : 0;
        return;
    }
    run->report->events += of_source;
    if (buf_bytes(&pair->stream) == strlen(stream) + 1 &&
        memcmp(buf_at(&pair->stream), stream, strlen(stream) + 1) == 0)
        return;
    run->report->streams++;
    buf_clear(&pair->stream);
    buf_append(&pair->stream, stream, strlen(stream) + 1);
}

static void count_digests(struct verifier_run *run, struct pair *pair, int order)
{
    if (run->order->level != VERIFIER_HASH)
        return;
    if (order <= 0)
        verifier_add_digest(run->report, 0, PQgetvalue(pair->source.row, 0, 2));
    if (order >= 0)
        verifier_add_digest(run->report, 1, PQgetvalue(pair->target.row, 0, 2));
}

static bool merge(struct verifier_run *run, struct pair *pair, struct error *err)
{
    struct verifier_side *source = &pair->source, *target = &pair->target;
    int key_columns = run->order->level == VERIFIER_FULL ? 2 : 1;

    if (!verifier_side_next(source, err) || !verifier_side_next(target, err))
        return false;
    while ((source->row != NULL || target->row != NULL) && !too_many(run)) {
        int order = verifier_compare(source, target, key_columns);
        const PGresult *row = order <= 0 ? source->row : target->row;
        bool same = order == 0 && same_row(source->row, target->row, key_columns);

        count_row(run, pair, row, order <= 0);
        count_digests(run, pair, order);
        if ((!same && !suspect_stream(run, row, err)) || (order <= 0 && !verifier_side_next(source, err)) ||
            (order >= 0 && !verifier_side_next(target, err)) || !verifier_tick(run, err))
            return false;
    }
    return true;
}

static const char *first_text(enum verifier_level level)
{
    return level == VERIFIER_COUNT  ? sql_verify_counts
           : level == VERIFIER_HASH ? sql_verify_streams
                                    : sql_verify_events;
}

static bool send(struct verifier_run *run, const char *text, struct verifier_scope scope, struct error *err)
{
    struct pg *pg = scope.of_target ? run->target : run->source;
    struct buf sql;
    bool good;

    buf_init(&sql);
    good = verifier_expand(run->m, text, &scope, &sql, err) &&
           pg_rows_send(pg, buf_text(&sql), 1, (const char *[]){ run->m->tenant }, err);
    buf_done(&sql);
    return good;
}

static bool compare_segment(struct verifier_run *run, int64_t segment, int64_t segments, struct error *err)
{
    struct pair pair = { .source = { .pg = run->source }, .target = { .pg = run->target } };
    struct verifier_scope source = {
        .order = run->order, .table = run->table, .segment = segment, .segments = segments
    };
    struct verifier_scope target = source;
    const char *text = first_text(run->order->level);
    bool good;

    buf_init(&pair.stream);
    buf_clear(&run->last_stream);
    target.of_target = true;
    good = send(run, text, source, err) && send(run, text, target, err) &&
           await_first(run, false, false, err) && merge(run, &pair, err);
    verifier_side_done(&pair.source);
    verifier_side_done(&pair.target);
    buf_done(&pair.stream);
    return good;
}

static bool count_events(struct verifier_run *run, int64_t *events, struct error *err)
{
    struct verifier_side side = { .pg = run->source, .ended = true };
    struct verifier_scope scope = { .order = run->order, .table = run->table, .segments = 1 };
    bool good = send(run, sql_verify_total, scope, err);

    side.ended = !good;
    good = good && await_first(run, false, true, err) && verifier_side_next(&side, err) && side.row != NULL;
    if (good) {
        *events = strtoll(PQgetvalue(side.row, 0, 0), NULL, 10);
        run->report->events_total += *events;
        good = verifier_side_next(&side, err);
    }
    verifier_side_done(&side);
    return good;
}

static bool first_look(struct verifier_run *run, struct error *err)
{
    int64_t segments, events = 0;

    if (!count_events(run, &events, err))
        return false;
    segments = events / SEGMENT_EVENTS + 1;
    if (segments > SEGMENTS_MAX)
        segments = SEGMENTS_MAX;
    for (int64_t i = 0; i < segments && !too_many(run); i++) {
        if (!compare_segment(run, i, segments, err))
            return false;
    }
    return true;
}

/* --- a run -------------------------------------------------------------------------------------------- */

bool verifier_open(struct verifier_run *run, const struct store *store, struct pg **pg, struct error *err)
{
    char what[96], application[64];

    pg_close(*pg);
    *pg = NULL;
    snprintf(what, sizeof what, "store \"%s\"", store->name);
    snprintf(application, sizeof application, "pgshunt verifier %.8s", run->m->id);
    return pg_open(store->conninfo, what, application, &run->m->wake, CONNECT_MS, pg, err);
}

static bool look_at_all(struct verifier_run *run, struct error *err)
{
    bool good = verifier_open(run, run->m->source, &run->source, err) &&
                verifier_open(run, run->m->target, &run->target, err);

    for (size_t i = 0; good && i < run->m->table_count; i++) {
        run->table = &run->m->tables[i];
        good = first_look(run, err) && settle_suspects(run, err);
    }
    return good;
}

static bool look_at_one(struct verifier_run *run, struct error *err)
{
    const struct verifier_order *order = run->order;

    run->table = &run->m->tables[0];
    run->report->streams = 1;
    return keep_suspect(run, verifier_suspect_new(order->stream_count, order->stream), err) &&
           settle_suspects(run, err);
}

bool verifier_check_stream(const struct migration *m, size_t count, struct error *err)
{
    char *const *columns;
    char names[200] = "";
    size_t wanted, used = 0;

    verifier_stream_columns(&m->tables[0], &columns, &wanted);
    if (count == wanted)
        return true;
    for (size_t i = 0; i < wanted && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i == 0 ? "" : ", ", columns[i]);
    error_set(err, "22023", "a stream is named by %zu values, not %zu", wanted, count);
    return error_hint(err, "They are the values of: %s.", names);
}

bool verifier_run(struct migration *m, struct mirror *mirror, const struct verifier_order *order,
                  struct verifier_report *report, struct error *err)
{
    struct verifier_run run = { .m = m, .mirror = mirror, .order = order, .report = report };
    uint64_t begin_ms = clock_ms();
    bool good;

    report->level = order->level;
    report->percent = order->percent;
    buf_init(&run.last_stream);
    buf_init(&run.keys);
    good = failpoint("verifier.before_run", err) &&
           (order->stream_count > 0 ? look_at_one(&run, err) : look_at_all(&run, err));
    if (good && buf_failed(&report->listed))
        good = error_no_memory(err);
    pg_close(run.source);
    pg_close(run.target);
    pg_close(run.aside);
    for (size_t i = 0; i < run.suspect_count; i++)
        free(run.suspects[i]);
    free(run.suspects);
    buf_done(&run.last_stream);
    buf_done(&run.keys);
    report->duration_ms = clock_ms() - begin_ms;
    return good;
}
