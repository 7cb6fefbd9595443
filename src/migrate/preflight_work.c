/* preflight_work.c - before a migration: what it will have to do, and who will be in its way. What is tried
 * is rolled back. Part of preflight.h; runner's thread. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/copier.h"
#include "migrate/preflight.h"
#include "migrate/sqltext.h"
#include "migrate/tap.h"
#include "sql_embedded.h"

enum { OLD_TRANSACTION_MS = 5000, BLOCKERS_MAX = 5 };

/* --- rows that are there --- */

static PGresult *ask_expanded(struct preflight *p, const char *check, const struct preflight_side *side,
                              const char *text, int count, const char *const *values)
{
    struct buf tenant, sql;
    PGresult *result = NULL;

    buf_init(&tenant);
    buf_init(&sql);
    relation_append_identifier(&tenant, p->r->m.names->tenant);
    sqltext_expand(&sql, text, p->r->m.control_schema,
                   (const struct sqltext_value[]){ { "table", side->rel->qualified },
                                                   { "tenant_column", buf_text(&tenant) } },
                   2);
    if (!buf_failed(&sql))
        result = preflight_ask(p, check, FINDING_WARNING, *side->pg, buf_text(&sql), count, values);
    buf_done(&tenant);
    buf_done(&sql);
    return result;
}

void preflight_rows(struct preflight *p)
{
    const char *values[] = { p->r->m.tenant };
    struct cursor none = { .high = -1 };
    struct error err;
    PGresult *result =
        ask_expanded(p, "rows", &p->source,
                     "SELECT EXISTS (SELECT FROM {table} e WHERE e.{tenant_column} = $1)", 1, values);
    bool any = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';

    PQclear(result);
    if (result != NULL && !any && !p->r->m.settings.allow_empty)
        finding_blocker(p->list, "rows", "55000", "Check its spelling, or START … WITH (allow_empty = on).",
                        "tenant \"%s\" has no rows in store \"%s\"", p->r->m.tenant, p->source.store->name);
    if (preflight_note(p, "rows", FINDING_BLOCKER, copier_check_target(&p->r->m, &none, &err), &err))
        finding_ok(p->list, "rows", "store \"%s\" has no rows of tenant \"%s\"", p->target.store->name,
                   p->r->m.tenant);
}

/* --- how much there is to copy --- */

static void look_at_space(struct preflight *p)
{
    char oid[16];
    PGresult *result;
    int64_t table_bytes, rows, inserts;

    snprintf(oid, sizeof oid, "%u", p->source.rel->oid);
    result = preflight_ask(p, "space", FINDING_WARNING, *p->source.pg, sql_check_space, 1,
                           (const char *[]){ oid });
    if (result == NULL)
        return;
    table_bytes = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    rows = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
    inserts = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
    PQclear(result);
    if (p->events >= 0 && rows > 0)
        finding_ok(p->list, "space",
                   "about %" PRId64
                   " MB will be needed in the target, with indexes and WAL to come; how much is "
                   "free there cannot be known by SQL",
                   (int64_t)((double)table_bytes / (double)rows * (double)p->events / 1e6) + 1);
    else
        finding_ok(p->list, "space",
                   "the source's table has %" PRId64 " MB; how much is free in the target "
                   "cannot be known by SQL",
                   table_bytes / 1000000);
    finding_ok(p->list, "lag",
               "the table takes %" PRId64
               " rows a second on average, of all tenants; so many the mirror has to "
               "follow at most",
               inserts);
}

static void look_at_duration(struct preflight *p)
{
    int64_t rate = p->r->m.settings.max_bulk_copy_rate;
    PGresult *pauses =
        preflight_ask(p, "duration", FINDING_WARNING, ledger_pg(p->r->ledger), sql_check_pauses, 0, NULL);
    char pause[160];

    if (pauses == NULL)
        return;
    if (strtol(PQgetvalue(pauses, 0, 0), NULL, 10) > 0)
        snprintf(pause, sizeof pause, "earlier cutovers held writes for %.1f ms (median), %.1f at most",
                 strtod(PQgetvalue(pauses, 0, 1), NULL), strtod(PQgetvalue(pauses, 0, 2), NULL));
    else
        snprintf(pause, sizeof pause, "no cutover was done here yet; it is rolled back after %" PRId64 " ms",
                 p->r->m.settings.cutover_timeout_ms);
    PQclear(pauses);
    if (p->events >= 0 && rate > 0)
        finding_ok(p->list, "duration",
                   "the copy takes %" PRId64 " s at least (max_bulk_copy_rate = %" PRId64
                   " events a second); %s",
                   (p->events + rate - 1) / rate, rate, pause);
    else
        finding_ok(p->list, "duration", "%s", pause);
}

void preflight_size(struct preflight *p)
{
    struct error err;

    if (copier_estimate(&p->r->m, &p->events, &p->bytes, &err))
        finding_ok(p->list, "size", "%" PRId64 " events, about %" PRId64 " bytes, to copy", p->events,
                   p->bytes);
    else if (error_is(&err, "57014") && !p->r->interrupted)
        finding_ok(p->list, "size", "too many events to be counted within ten seconds");
    else
        preflight_note(p, "size", FINDING_WARNING, false, &err);
    look_at_space(p);
    look_at_duration(p);
}

/* --- who is in the way --- */

void preflight_writers(struct preflight *p)
{
    char oid[16];
    PGresult *result;
    int told = 0;

    snprintf(oid, sizeof oid, "%u", p->source.rel->oid);
    result = preflight_ask(p, "open_transactions", FINDING_WARNING, *p->source.pg, sql_tap_blockers, 1,
                           (const char *[]){ oid });
    if (result == NULL)
        return;
    for (int row = 0; row < PQntuples(result) && told < BLOCKERS_MAX; row++) {
        int64_t age_ms = strtoll(PQgetvalue(result, row, 3), NULL, 10);

        if (PQgetisnull(result, row, 0))
            finding_warning(p->list, "open_transactions",
                            "COMMIT PREPARED or ROLLBACK PREPARED it; see pg_prepared_xacts.",
                            "a prepared transaction has written %s: the tap waits for it",
                            p->source.rel->qualified);
        else if (PQgetvalue(result, row, 5)[0] == 't')
            finding_warning(p->list, "open_transactions", "Wait until that VACUUM has ended.",
                            "pid %s vacuums %s to prevent wraparound: the tap waits for it",
                            PQgetvalue(result, row, 0), p->source.rel->qualified);
        else if (age_ms > OLD_TRANSACTION_MS && PQgetvalue(result, row, 4)[0] != 't')
            finding_warning(p->list, "open_transactions",
                            "The tap is put in when it has ended; START tries for a minute.",
                            "pid %s (%s, %s) has written %s and is open for %" PRId64 " ms",
                            PQgetvalue(result, row, 0), PQgetvalue(result, row, 1),
                            PQgetvalue(result, row, 2), p->source.rel->qualified, age_ms);
        else
            continue;
        told++;
    }
    if (told == 0)
        finding_ok(p->list, "open_transactions", "none that the tap's triggers would wait for, for long");
    PQclear(result);
}

/* --- the tap --- */

/* Nothing of it stays, and nobody waits for it longer than lock_timeout. */
static bool try_trigger(struct preflight *p, struct error *err)
{
    struct buf sql;
    bool fine;

    buf_init(&sql);
    buf_append_text(&sql, "BEGIN; SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '2s';"
                          " CREATE FUNCTION pg_temp.pgshunt_try() RETURNS trigger LANGUAGE plpgsql AS"
                          " 'BEGIN RETURN NULL; END';"
                          " CREATE TRIGGER pgshunt_try AFTER INSERT ON ");
    buf_append_format(&sql,
                      "%s FOR EACH ROW EXECUTE FUNCTION pg_temp.pgshunt_try();"
                      " ALTER TABLE %s ENABLE ALWAYS TRIGGER pgshunt_try; ROLLBACK",
                      p->source.rel->qualified, p->source.rel->qualified);
    fine = buf_failed(&sql) ? error_no_memory(err) : pg_run(*p->source.pg, buf_text(&sql), 0, NULL, err);
    buf_done(&sql);
    if (!fine)
        pg_rollback(*p->source.pg);
    return fine;
}

void preflight_tap(struct preflight *p)
{
    char owner[UUID_TEXT_BYTES];
    struct error err;

    if (!preflight_note(p, "tap", FINDING_BLOCKER, tap_find(&p->r->m, owner, &err), &err))
        return;
    if (owner[0] != '\0')
        finding_warning(p->list, "tap", "Nothing: START replaces it.",
                        "a tap of migration %s still stands in store \"%s\"", owner, p->source.store->name);
    if (try_trigger(p, &err))
        finding_ok(p->list, "tap", "its triggers can be put on %s (tried, and rolled back)",
                   p->source.rel->qualified);
    else if (error_is(&err, "55P03") || error_is(&err, "57014"))
        finding_warning(p->list, "tap", "START tries for a minute, a tenth of a second at a time.",
                        "somebody has a lock on %s at this moment", p->source.rel->qualified);
    else
        preflight_note(p, "tap", FINDING_BLOCKER, false, &err);
}

/* --- the guard --- */

static bool who_lives_there(struct preflight *p, struct buf *tenants)
{
    PGresult *result =
        preflight_ask(p, "guard", FINDING_WARNING, ledger_pg(p->r->ledger),
                      "SELECT tenant_id FROM tenant_routing WHERE store_id = $1 OR target_store_id = $1", 1,
                      (const char *[]){ p->target.store->name });

    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++)
        sqltext_array_add(tenants, PQgetvalue(result, row, 0));
    sqltext_array_add(tenants, p->r->m.tenant);
    sqltext_array_end(tenants);
    PQclear(result);
    return !buf_failed(tenants);
}

/* Where nobody lives but by a route, the guard refuses everybody else; and says so to their own writers. */
void preflight_guard(struct preflight *p)
{
    struct buf tenants;
    PGresult *result = NULL;

    if (!p->r->m.settings.guard) {
        finding_ok(p->list, "guard",
                   "none (guard = off): writes past pgshunt would go to the wrong store unseen");
        return;
    }
    if (p->target.store == p->r->m.default_store) {
        finding_ok(p->list, "guard", "store \"%s\" is the default store", p->target.store->name);
        return;
    }
    buf_init(&tenants);
    if (who_lives_there(p, &tenants))
        result = ask_expanded(p, "guard", &p->target, sql_check_other_tenants, 1,
                              (const char *[]){ buf_text(&tenants) });
    if (result != NULL && PQntuples(result) > 0)
        finding_warning(
            p->list, "guard", "Move them by pgshunt, or START … WITH (guard = off).",
            "store \"%s\" has rows of tenant \"%s\", who does not live there by the routing table: "
            "its writers would be refused",
            p->target.store->name, PQgetisnull(result, 0, 0) ? "NULL" : PQgetvalue(result, 0, 0));
    else if (result != NULL)
        finding_ok(p->list, "guard", "nobody lives in store \"%s\" whom its guard would refuse",
                   p->target.store->name);
    PQclear(result);
    buf_done(&tenants);
}
