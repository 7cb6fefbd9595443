/* identity.c - is the source still the one that the copy speaks of, and does it know durably what was read
 * from it? Thread: the runner's.   Start at: identity_check(). */
#include "migrate/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/tap_text.h"

enum {
    CONNECT_MS = 5000,
    FLUSH_POLL_MS = 1,
    FLUSH_FORCE_MS = 20, /* an idle source with asynchronous commits may leave its WAL unflushed for long */
    FLUSH_PATIENCE_MS = 10000,
};

bool identity_read(struct migration *m, char *text, size_t bytes, struct error *err)
{
    struct tap_names names;
    struct buf tap;
    const struct relation *rel = &m->tables[0].source;
    uint64_t digest;
    bool there;

    tap_names_of(m, &names);
    buf_init(&tap);
    if (!tap_read_fingerprint(m->source_pg, &names, &tap, err)) {
        buf_done(&tap);
        return false;
    }
    digest = fnv_add(fnv_add(UINT64_C(0xcbf29ce484222325), rel->fingerprint), buf_text(&tap));
    snprintf(text, bytes, "%s/%s/%016" PRIx64 "/%s", rel->system_identifier, rel->timeline, digest,
             rel->started_at);
    there = buf_bytes(&tap) > 0;
    buf_done(&tap);
    return there || error_set(err, "55000", "there is no tap on %s", rel->qualified);
}

/* The length of the first `parts` parts. */
static size_t prefix_bytes(const char *identity, int parts)
{
    const char *at = identity;

    while (parts-- > 0) {
        at += strcspn(at, "/");
        if (*at == '/')
            at++;
    }
    return (size_t)(at - identity);
}

static bool same_prefix(const char *before, const char *now, int parts)
{
    size_t bytes = prefix_bytes(before, parts);

    return bytes == prefix_bytes(now, parts) && memcmp(before, now, bytes) == 0;
}

bool identity_check(struct migration *m, const char *before, const char *now, struct error *err)
{
    const char *what = NULL;

    if (!same_prefix(before, now, 1))
        what = "it is another cluster";
    else if (!same_prefix(before, now, 2))
        what = "its timeline has changed: it was promoted or restored";
    else if (!same_prefix(before, now, 3))
        what = "its table or the tap on it was changed while nobody looked";
    if (what == NULL) {
        if (strcmp(before, now) != 0)
            log_line(m->log, LOG_WARN, "copier",
                     "store \"%s\" was restarted since the copy of tenant %s began", m->source->name,
                     m->tenant);
        return true;
    }
    error_set(err, "55000", "store \"%s\" is not what the copy has begun with: %s", m->source->name, what);
    if (!same_prefix(before, now, 1))
        return error_hint(err, "ABORT MIGRATION '%.8s' PURGE TARGET, then START again.", m->id);
    return error_hint(
        err, "Changes may be missing: RESYNC MIGRATION '%.8s' compares both sides and mends the target.",
        m->id);
}

static void target_text(const struct migration *m, char text[64])
{
    const struct relation *rel = &m->tables[0].target;

    snprintf(text, 64, "%s/%s", rel->system_identifier, rel->timeline);
}

bool identity_check_target(struct migration *m, struct cursor *cursor, struct error *err)
{
    char now[sizeof cursor->target_identity];

    target_text(m, now);
    if (strcmp(now, cursor->target_identity) == 0)
        return true;
    if (strstr(now, "/recovery") != NULL)
        return error_set(err, "57P03", "store \"%s\" is a standby: it cannot be written", m->target->name);
    if (cursor->target_identity[0] == '\0' || !cursor->done) {
        memcpy(cursor->target_identity, now, sizeof now);
        return cursor_identify(m, cursor, err);
    }
    error_set(err, "55000", "store \"%s\" is not what was written: %s", m->target->name,
              same_prefix(cursor->target_identity, now, 1)
                  ? "its timeline has changed: it was promoted or restored"
                  : "it is another cluster");
    return error_hint(
        err, "Rows may be missing in it: RESYNC MIGRATION '%.8s' compares both sides and mends the target.",
        m->id);
}

uint64_t identity_parse_lsn(const char *text)
{
    char *end;
    uint64_t high = strtoull(text, &end, 16);

    return *end == '/' ? high << 32 | strtoull(end + 1, NULL, 16) : 0;
}

static bool read_flushed(struct migration *m, uint64_t *lsn, struct error *err)
{
    PGresult *result = pg_query(m->source_pg, "SELECT pg_current_wal_flush_lsn()", 0, NULL, err);

    if (result == NULL)
        return false;
    *lsn = identity_parse_lsn(PQgetvalue(result, 0, 0));
    PQclear(result);
    return true;
}

/* A transaction that writes WAL and commits synchronously flushes all that was written before it. */
static bool force_flush(struct migration *m, bool in_transaction, struct error *err)
{
    static const char force[] = "BEGIN; SET LOCAL synchronous_commit = on;"
                                " SELECT pg_logical_emit_message(true, 'pgshunt', ''); COMMIT";
    struct pg *own = NULL;
    char what[96];
    bool good;

    if (!in_transaction)
        return pg_run(m->source_pg, force, 0, NULL, err);
    snprintf(what, sizeof what, "store \"%s\"", m->source->name);
    good = pg_open(m->source->conninfo, what, "pgshunt flush", &m->wake, CONNECT_MS, &own, err) &&
           pg_run(own, force, 0, NULL, err);
    pg_close(own);
    return good;
}

bool identity_wait_flushed(struct migration *m, uint64_t lsn, bool in_transaction, struct error *err)
{
    uint64_t begin_ms = clock_ms(), flushed = 0;
    bool forced = false;

    while (lsn != 0) {
        if (!read_flushed(m, &flushed, err))
            return false;
        if (flushed >= lsn)
            break;
        if (!forced && clock_ms() - begin_ms >= (in_transaction ? FLUSH_FORCE_MS : 0)) {
            if (!force_flush(m, in_transaction, err))
                return false;
            forced = true;
            continue;
        }
        if (clock_ms() - begin_ms > FLUSH_PATIENCE_MS)
            return error_set(err, "55000", "store \"%s\" does not flush its WAL", m->source->name);
        if (!pg_nap(&m->wake, FLUSH_POLL_MS))
            return error_set(err, "57014", "waiting for the source's WAL was interrupted");
    }
    return true;
}
