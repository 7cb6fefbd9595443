/* aftermath.c - is a tenant where its migration has left it, and is everything there as it should be?
 * Owns: its connections, the rows of the answer. Leaves: trying a row to tap_try.c, the guard to guard.c.
 * Thread: the runner's. Start at: aftermath_answer(), then after_switch().
 *
 * It goes the way that the loops go: the store is the one that the routing table names, whatever the
 * migration's row says. A tenant that was moved on since is looked at where it lives now. */
#include "migrate/aftermath.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/finding.h"
#include "migrate/guard.h"
#include "migrate/settings.h"
#include "migrate/sqltext.h"
#include "migrate/tap.h"
#include "migrate/tap_text.h"
#include "sql_embedded.h"

enum { CONNECT_MS = 5000, LEDGER_MS = 5000 };

/* Columns of aftermath_row.sql. */
enum {
    TENANT,
    SOURCE,
    TARGET,
    STATE,
    SETTLED,
    COPIED,
    SOURCE_POSITION,
    VERIFIED,
    VIOLATIONS,
    CONFIG,
    ROUTE_STORE,
    ROUTE_STATE,
    GENERATION,
    LATER,
};

struct aftermath {
    struct runner *r;
    struct findings *list;
    PGresult *row;
    struct migration home, old; /* each with its store as "source", so that one code looks at either */
};

static const char *value(const struct aftermath *a, int column)
{
    return PQgetvalue(a->row, 0, column);
}

static bool note(struct aftermath *a, const char *check, bool fine, const struct error *err)
{
    if (!fine && !a->r->interrupted)
        finding_error(a->list, check, FINDING_BLOCKER, err);
    return fine;
}

/* --- the control database --- */

static bool read_row(struct aftermath *a, const char *id, struct error *err)
{
    struct runner *r = a->r;

    if (!ledger_open(r->setup->ledger, "pgshunt runner", &r->m.wake, LEDGER_MS, &r->ledger, err))
        return false;
    a->row = pg_query(ledger_pg(r->ledger), sql_aftermath_row, 1, &id, err);
    if (a->row == NULL)
        return false;
    if (PQntuples(a->row) != 1)
        return error_set(err, "42704", "migration \"%s\" is gone", id);
    snprintf(r->m.tenant, sizeof r->m.tenant, "%s", value(a, TENANT));
    settings_init(&r->m.settings, r->setup->config);
    return settings_read(&r->m.settings, value(a, CONFIG), err);
}

static const char *home_name(const struct aftermath *a)
{
    return PQgetisnull(a->row, 0, ROUTE_STORE) ? a->r->m.default_store->name : value(a, ROUTE_STORE);
}

static void look_at_route(struct aftermath *a)
{
    bool moved = strcmp(value(a, STATE), "migrated") == 0;
    const char *expected = moved ? value(a, TARGET) : value(a, SOURCE);
    bool normal = PQgetisnull(a->row, 0, ROUTE_STATE) || strcmp(value(a, ROUTE_STATE), "normal") == 0;

    if (!PQgetisnull(a->row, 0, LATER))
        finding_warning(a->list, "route", "CHECK MIGRATION of the later one says more.",
                        "the tenant lives in store \"%s\"; migration %s has come since", home_name(a),
                        value(a, LATER));
    else if (strcmp(home_name(a), expected) != 0)
        finding_blocker(a->list, "route", "55000", "SHOW AUDIT tells who has changed the route.",
                        "the route leads to store \"%s\", the migration has left the tenant in \"%s\"",
                        home_name(a), expected);
    else if (moved && !normal)
        finding_blocker(a->list, "route", "55000", "SHOW AUDIT tells who has changed the route.",
                        "the route is %s, not normal", value(a, ROUTE_STATE));
    else
        finding_ok(a->list, "route", "the route is %s and leads to store \"%s\", generation %s",
                   PQgetisnull(a->row, 0, ROUTE_STATE) ? "normal" : value(a, ROUTE_STATE), home_name(a),
                   value(a, GENERATION));
}

/* Every instance that is alive goes by this generation. */
static void look_at_instances(struct aftermath *a)
{
    PGresult *behind;
    struct error err;

    if (strcmp(value(a, GENERATION), "0") == 0)
        return;
    behind = pg_query(
        ledger_pg(a->r->ledger), sql_instances_behind, 4,
        (const char *[]){ a->r->setup->ledger->instance, a->r->m.tenant, value(a, GENERATION), "f" }, &err);
    if (!note(a, "instances", behind != NULL, &err))
        return;
    if (PQntuples(behind) == 0)
        finding_ok(a->list, "instances", "every other pgshunt goes by it, or there is none");
    else
        finding_blocker(
            a->list, "instances", "55000", "SHOW INSTANCES names them; one that is gone is not waited for.",
            "instance %s has not applied generation %s", PQgetvalue(behind, 0, 0), value(a, GENERATION));
    PQclear(behind);
}

static void look_at_verification(struct aftermath *a)
{
    if (PQgetisnull(a->row, 0, VERIFIED))
        finding_warning(a->list, "verification", "It was switched with FORCE, or verify_consistency = off.",
                        "no verification is recorded");
    else if (strcmp(value(a, VIOLATIONS), "0") != 0)
        finding_blocker(a->list, "verification", "XX001", "SHOW REPORT names the streams.",
                        "%s streams differed", value(a, VIOLATIONS));
    else
        finding_ok(a->list, "verification", "%s events were compared before the switch, none differed",
                   value(a, VERIFIED));
}

/* --- one store --- */

static bool open_store(struct aftermath *a, struct migration *at, const char *name)
{
    struct error err;
    char what[STORE_NAME_BYTES_MAX + 16];

    *at = a->r->m;
    at->source_pg = at->target_pg = NULL;
    memset(&at->tables[0].source, 0, sizeof at->tables[0].source);
    memset(&at->tables[0].target, 0, sizeof at->tables[0].target);
    at->source = at->target = stores_get(a->r->setup->stores, name);
    if (at->source == NULL) {
        finding_blocker(a->list, "connection", "42704", "Add it under [stores], then start pgshunt again.",
                        "store \"%s\" is not configured", name);
        return false;
    }
    snprintf(what, sizeof what, "store \"%s\"", name);
    if (!note(a, "connection",
              pg_open(at->source->conninfo, what, "pgshunt check", &at->wake, CONNECT_MS, &at->source_pg,
                      &err) &&
                  pg_run(at->source_pg,
                         "SET statement_timeout = '10s'; SET lock_timeout = '100ms';"
                         " SET idle_in_transaction_session_timeout = '10s'",
                         0, NULL, &err) &&
                  relation_read(at->source_pg, what, at->names, &at->tables[0].source, &err),
              &err))
        return false;
    finding_ok(a->list, "connection", "store \"%s\" answers", name);
    return true;
}

static void close_store(struct migration *at)
{
    pg_close(at->source_pg);
    relation_done(&at->tables[0].source);
}

static PGresult *ask(struct aftermath *a, const char *check, struct migration *at, const char *text)
{
    struct buf tenant, position, sequence, sql;
    const char *values[] = { at->tenant };
    PGresult *result = NULL;
    struct error err;

    buf_init(&tenant);
    buf_init(&position);
    buf_init(&sequence);
    buf_init(&sql);
    sqltext_literal(&sequence, at->tables[0].source.sequence == NULL ? "" : at->tables[0].source.sequence);
    relation_append_identifier(&tenant, at->names->tenant);
    relation_append_identifier(&position, at->names->position);
    sqltext_expand(&sql, text, at->control_schema,
                   (const struct sqltext_value[]){ { "table", at->tables[0].source.qualified },
                                                   { "tenant_column", buf_text(&tenant) },
                                                   { "position_column", buf_text(&position) },
                                                   { "sequence", buf_text(&sequence) } },
                   4);
    if (buf_failed(&sql))
        error_no_memory(&err);
    else
        result = pg_query(at->source_pg, buf_text(&sql), 1, values, &err);
    note(a, check, result != NULL, &err);
    buf_done(&tenant);
    buf_done(&position);
    buf_done(&sequence);
    buf_done(&sql);
    return result;
}

/* What has come since is more; what is less has been deleted since, or was never there. */
static void look_at_rows(struct aftermath *a)
{
    int64_t recorded = strtoll(value(a, PQgetisnull(a->row, 0, VERIFIED) ? COPIED : VERIFIED), NULL, 10);
    int64_t position = strtoll(value(a, SOURCE_POSITION), NULL, 10), there, highest;
    PGresult *rows = ask(a, "read", &a->home, sql_aftermath_rows);

    if (rows == NULL)
        return;
    there = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    highest = strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
    PQclear(rows);
    if (there < recorded)
        finding_warning(a->list, "read", "Were they deleted since? The audit of the application must tell.",
                        "%" PRId64 " events of the tenant are in store \"%s\", %" PRId64 " were recorded",
                        there, a->home.source->name, recorded);
    else if (highest < position)
        finding_warning(a->list, "read", "Were they deleted since? The audit of the application must tell.",
                        "the highest position in store \"%s\" is %" PRId64 ", and was %" PRId64
                        " at the source",
                        a->home.source->name, highest, position);
    else
        finding_ok(a->list, "read",
                   "read in store \"%s\": %" PRId64 " events up to position %" PRId64 " (%" PRId64
                   " up to %" PRId64 " were recorded)",
                   a->home.source->name, there, highest, recorded, position);
}

static void look_at_sequence(struct aftermath *a)
{
    const struct relation *rel = &a->home.tables[0].source;
    PGresult *result;

    if (rel->sequence == NULL)
        return;
    result = ask(a, "sequence", &a->home, sql_aftermath_sequence);
    if (result == NULL)
        return;
    if (strtoll(PQgetvalue(result, 0, 1), NULL, 10) >= strtoll(PQgetvalue(result, 0, 0), NULL, 10))
        finding_ok(a->list, "sequence", "the next position comes after the highest there is (%s)",
                   PQgetvalue(result, 0, 0));
    else
        finding_blocker(a->list, "sequence", "55000", "SELECT setval(…) to at least that, at once.",
                        "the sequence in store \"%s\" stands at %s, below the highest position %s",
                        a->home.source->name, PQgetvalue(result, 0, 1), PQgetvalue(result, 0, 0));
    PQclear(result);
}

static void look_at_write(struct aftermath *a)
{
    struct error err;
    bool tried;

    if (!tap_try_write(&a->home, &tried, &err))
        note(a, "write", false, &err);
    else if (tried)
        finding_ok(a->list, "write", "store \"%s\" has taken a row of the tenant (and it was rolled back)",
                   a->home.source->name);
    else
        finding_ok(a->list, "write",
                   "not tried in store \"%s\": there is no row to copy, or triggers would fire",
                   a->home.source->name);
}

/* Without a guard it is the tap, shut for good. */
static void look_at_refusal(struct aftermath *a)
{
    struct error err;
    bool tried, refused = !tap_try_write(&a->old, &tried, &err);

    if (refused && (error_is(&err, "0A000") || error_is(&err, "40001")))
        finding_ok(a->list, "refusal", "store \"%s\" refuses a row of the tenant: %s", a->old.source->name,
                   err.message);
    else if (refused)
        note(a, "refusal", false, &err);
    else if (tried)
        finding_blocker(
            a->list, "refusal", "55000",
            "Whoever writes there past pgshunt is not seen by the tenant. START … WITH (guard = on) puts "
            "a guard in.",
            "store \"%s\" has taken a row of the tenant, who does not live there", a->old.source->name);
    else
        finding_ok(a->list, "refusal",
                   "not tried in store \"%s\": no row of the tenant is left to copy, or "
                   "triggers would fire",
                   a->old.source->name);
}

static void look_at_guard(struct aftermath *a, struct migration *at, bool here)
{
    struct guard_end end = guard_source(at);
    PGresult *entry;
    struct error err;
    bool sound, says;

    if (!a->r->m.settings.guard) {
        finding_ok(a->list, "guard", "store \"%s\": none was asked for (guard = off)", at->source->name);
        return;
    }
    if (!note(a, "guard", guard_is_sound(at, &end, &sound, &err), &err))
        return;
    entry = ask(a, "guard", at, sql_aftermath_tenancy);
    if (entry == NULL)
        return;
    says = PQntuples(entry) == 1 ? PQgetvalue(entry, 0, 0)[0] == 't' : end.is_default;
    PQclear(entry);
    if (!sound)
        finding_blocker(a->list, "guard", "55000", "The next START to or from that store puts it in.",
                        "store \"%s\" has no guard, or it is disabled", at->source->name);
    else if (says != here)
        finding_blocker(a->list, "guard", "55000",
                        "Look into pgshunt.tenancy there; docs/admin.md, \"The guard\".",
                        "the guard of store \"%s\" believes that the tenant %s there", at->source->name,
                        says ? "lives" : "does not live");
    else
        finding_ok(a->list, "guard", "store \"%s\" has its guard, which knows that the tenant %s there",
                   at->source->name, here ? "lives" : "does not live");
}

static void look_at_tap(struct aftermath *a, struct migration *at, bool after)
{
    char whose[UUID_TEXT_BYTES];
    struct error err;
    bool settled = value(a, SETTLED)[0] == 't';

    if (!note(a, "tap", tap_find(at, whose, &err), &err))
        return;
    if (whose[0] == '\0')
        finding_ok(a->list, "tap", "there is no tap in store \"%s\"", at->source->name);
    else if (!after)
        finding_ok(a->list, "tap", "migration %s has its tap in store \"%s\"", whose, at->source->name);
    else if (!settled)
        finding_warning(a->list, "tap",
                        "It goes when nobody has a snapshot from before the switch; the log names who.",
                        "the shut tap still stands in store \"%s\"", at->source->name);
    else if (!a->r->m.settings.guard)
        finding_ok(a->list, "tap", "the shut tap stays in store \"%s\" for good (guard = off)",
                   at->source->name);
    else
        finding_warning(a->list, "tap", "SHOW MIGRATIONS ALL: does another migration use it?",
                        "a tap of migration %s stands in store \"%s\"", whose, at->source->name);
}

static void look_at_leftovers(struct aftermath *a, struct migration *at, const char *what)
{
    PGresult *rows = ask(a, "leftovers", at, sql_aftermath_rows);

    if (rows == NULL)
        return;
    finding_ok(a->list, "leftovers", "store \"%s\" has %s rows of the tenant%s", at->source->name,
               PQgetvalue(rows, 0, 0), strcmp(PQgetvalue(rows, 0, 0), "0") == 0 ? "" : what);
    PQclear(rows);
}

/* --- the story --- */

static void after_switch(struct aftermath *a)
{
    const char *old = strcmp(home_name(a), value(a, SOURCE)) == 0 ? value(a, TARGET) : value(a, SOURCE);

    look_at_verification(a);
    if (open_store(a, &a->home, home_name(a))) {
        look_at_rows(a);
        look_at_write(a);
        look_at_sequence(a);
        look_at_guard(a, &a->home, true);
    }
    close_store(&a->home);
    if (!a->r->interrupted && open_store(a, &a->old, old)) {
        look_at_tap(a, &a->old, true);
        look_at_guard(a, &a->old, false);
        look_at_refusal(a);
        look_at_leftovers(a, &a->old, ", left over from the time before");
    }
    close_store(&a->old);
}

static void before_switch(struct aftermath *a)
{
    bool ended = strcmp(value(a, STATE), "failed") == 0 || strcmp(value(a, STATE), "rolled_back") == 0;

    if (open_store(a, &a->home, home_name(a))) {
        look_at_rows(a);
        look_at_tap(a, &a->home, false);
        look_at_write(a);
    }
    close_store(&a->home);
    if (!a->r->interrupted && open_store(a, &a->old, value(a, TARGET)))
        look_at_leftovers(a, &a->old,
                          ended ? ", left over: they are in the way of another START there"
                                : ", which the migration has brought");
    close_store(&a->old);
}

static void look(struct aftermath *a)
{
    const char *state = value(a, STATE);
    bool after = strcmp(state, "migrated") == 0;

    if (after)
        finding_ok(a->list, "state", "migrated from store \"%s\" to store \"%s\"", value(a, SOURCE),
                   value(a, TARGET));
    else
        finding_warning(a->list, "state",
                        strcmp(state, "dual_write") == 0 ? "CHECK CUTOVER tells what a cutover still needs."
                        : strcmp(state, "failed") == 0 ? "ABORT MIGRATION cleans up; SHOW MIGRATION says why."
                        : strcmp(state, "rolled_back") == 0 ? "START MIGRATION begins another one."
                                                            : "WAIT MIGRATION … FOR dual_write.",
                        "the tenant has not moved: the migration is %s", state);
    look_at_route(a);
    look_at_instances(a);
    if (after)
        after_switch(a);
    else
        before_switch(a);
}

void aftermath_answer(struct runner *r, struct control_request *request)
{
    struct findings list;
    struct aftermath a = { .r = r, .list = &list };
    struct rows *rows = NULL;
    struct error err;
    bool fine;

    findings_init(&list);
    fine = read_row(&a, request->id, &err);
    if (fine)
        look(&a);
    if (fine && r->interrupted)
        fine = error_set(&err, "57014", "the check was interrupted");
    if (fine) {
        rows = findings_rows(&list);
        error_no_memory(&err);
    }
    PQclear(a.row);
    findings_done(&list);
    runner_answer(request, rows, rows == NULL ? &err : NULL);
}
