/* runner_own.c - what every active state stands on: the row that is ours, connections to both stores, gates
 * and tap. Part of the runner (runner.h); its thread. */
#include "migrate/others.h"
#include "migrate/runner.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/identity.h"
#include "migrate/settings.h"
#include "migrate/tap.h"

enum { LEDGER_TIMEOUT_MS = 5000 };

/* --- owning the migration --- */

static const struct store *known_store(struct runner *r, const char *name, struct error *err)
{
    const struct store *store = stores_get(r->setup->stores, name);

    if (store == NULL) {
        error_set(err, "42704", "store \"%s\" is not configured", name);
        error_hint(err, "SHOW STORES lists them; add it under [stores], then start pgshunt again.");
    }
    return store;
}

static bool take_record(struct runner *r, const struct migration_record *record, struct error *err)
{
    memcpy(r->m.tenant, record->tenant, sizeof r->m.tenant);
    memcpy(r->operator_name, record->operator_name, sizeof r->operator_name);
    r->state = record->state;
    r->paused_from = record->paused_from;
    r->resume_wanted = record->resume_requested;
    r->m.epoch = record->epoch;
    r->total_events = record->total_events;
    if (r->cursor.events == 0)
        r->cursor.events = record->events_copied; /* until the target has been asked */
    r->abort_requested = r->abort_requested || record->abort_requested;
    if (record->dual_write_ms > 0)
        r->dual_write_since_ms = clock_ms() > record->dual_write_ms ? clock_ms() - record->dual_write_ms : 1;
    settings_init(&r->m.settings, r->setup->config);
    r->m.source = known_store(r, record->source, err);
    r->m.target = r->m.source == NULL ? NULL : known_store(r, record->target, err);
    return r->m.target != NULL && settings_read(&r->m.settings, record->config, err);
}

/* The claim itself, with a connection that holds the lock. */
static bool claim(struct runner *r, struct error *err)
{
    struct migration_record record;
    bool found;

    if (!failpoint("runner.before_claim", err) || !ledger_claim(r->ledger, r->id, &record, &found, err))
        return false;
    if (!found) {
        r->over = true;
        if (ledger_look(r->ledger, r->id, &record, &found, err) && found) {
            r->state = record.state;
            if (r->state == MIGRATION_MIGRATED && !take_record(r, &record, err))
                r->m.source = NULL;
        }
        return error_set(err, "55000", "migration %s has come to its end: it is %s", r->id,
                         migration_state_name(r->state));
    }
    /* Whatever was done under the old epoch is refused from now on: everything is claimed again. */
    r->connected = r->abort_written = r->announced = r->guards_checked = r->at_rest = false;
    r->positions_known = false;
    r->resync.looked = r->resync.wanted = false;
    r->gates_claimed = false;
    if (!take_record(r, &record, err))
        return false;
    if (r->state == MIGRATION_FAILED && record.settled && !r->abort_requested)
        r->over = true;
    r->look = true; /* its route may have been changed while nobody was here */
    r->owned = true;
    return failpoint("runner.after_claim", err);
}

bool runner_ledger_open(struct runner *r, struct error *err)
{
    bool got = false;

    if (ledger_is_broken(r->ledger)) {
        ledger_close(r->ledger);
        r->ledger = NULL;
        r->owned = false;
        if (!ledger_open(r->setup->ledger, "pgshunt runner", &r->m.wake, LEDGER_TIMEOUT_MS, &r->ledger, err))
            return false;
    }
    if (r->owned)
        return true;
    if (!ledger_lock(r->ledger, r->id, &got, err))
        return false;
    if (got)
        return true;
    /* A slow owner that wakes up after another has taken over has nothing left to do. */
    if (r->m.epoch > 0 && others_have_it(r, err))
        return false;
    return error_set(err, "55P03", "another owner still holds migration %s", r->id);
}

/* A working ledger that owns the migration; one try. */
bool runner_own(struct runner *r, struct error *err)
{
    if (!ledger_is_broken(r->ledger) && r->owned)
        return true;
    if (!runner_ledger_open(r, err))
        return false;
    r->owned =
        r->settling; /* what is being settled is fenced by its epoch; a claim would hide how it ended */
    return r->owned || claim(r, err);
}

/* --- connections, gates and tap: what every active state stands on --- */

static void drop_broken(struct pg **pg)
{
    if (*pg != NULL && pg_is_broken(*pg)) {
        pg_close(*pg);
        *pg = NULL;
    }
}

void runner_drop_broken(struct runner *r)
{
    drop_broken(&r->m.source_pg);
    drop_broken(&r->m.target_pg);
    if (r->m.source_pg == NULL || r->m.target_pg == NULL)
        r->connected = false;
}

bool runner_connect_source(struct runner *r, struct error *err)
{
    char what[STORE_NAME_BYTES_MAX + 16];

    runner_drop_broken(r);
    if (r->m.source_pg != NULL && r->m.tables[0].source.oid != 0)
        return true;
    snprintf(what, sizeof what, "store \"%s\"", r->m.source->name);
    if (r->m.source_pg == NULL && !pg_open(r->m.source->conninfo, what, "pgshunt runner", &r->m.wake,
                                           LEDGER_TIMEOUT_MS, &r->m.source_pg, err))
        return false;
    relation_done(&r->m.tables[0].source);
    memset(&r->m.tables[0].source, 0, sizeof r->m.tables[0].source);
    return relation_read(r->m.source_pg, what, r->m.names, &r->m.tables[0].source, err);
}

/* A server that has been started anew may have crashed: what was verified before is verified again. */
static void note_starts(struct runner *r)
{
    char starts[sizeof r->starts];

    snprintf(starts, sizeof starts, "%.40s/%.40s", r->m.tables[0].source.started_at,
             r->m.tables[0].target.started_at);
    if (r->starts[0] != '\0' && strcmp(r->starts, starts) != 0 && r->verified) {
        log_line(r->setup->log, LOG_WARN, "runner",
                 "migration %s: a store was restarted: it is verified again", r->id);
        r->verified = false;
    }
    memcpy(r->starts, starts, sizeof starts);
}

static bool connect_stores(struct runner *r, struct error *err)
{
    runner_drop_broken(r);
    if (r->connected)
        return true;
    if (!migration_connect(&r->m, err) || !cursor_claim(&r->m, &r->cursor, err) ||
        !identity_check_target(&r->m, &r->cursor, err))
        return false;
    note_starts(r);
    if (r->mirror == NULL)
        r->mirror = mirror_new(&r->m);
    else
        mirror_reset(r->mirror);
    if (r->mirror == NULL)
        return error_no_memory(err);
    r->connected = true;
    return true;
}

bool runner_make_gates(struct runner *r, struct error *err)
{
    if (r->gates_made && r->gates_claimed)
        return true;
    r->gates_ordered = true;
    if (!runner_order_gates(r, GATE_MAKE, clock_ms() + LETTER_TIMEOUT_MS, err))
        return false;
    if (!gatekeeper_all_obeyed(&r->gates, GATE_MAKE))
        return error_set(err, "53200", "a loop could not make the tenant's gate");
    r->gates_made = r->gates_claimed = true;
    return true;
}

/* A tap that is gone, or was disabled, after rows have been copied: what changed meanwhile is not known. */
static bool check_tap(struct runner *r, struct error *err)
{
    bool sound;

    if (r->tap_checked)
        return true;
    if (!tap_is_sound(&r->m, &sound, err))
        return false;
    if (!sound &&
        ((r->state != MIGRATION_PENDING && r->state != MIGRATION_BULK_COPY) || r->cursor.high >= 0)) {
        error_set(err, "55000", "the tap on tenant \"%s\" was removed or disabled", r->m.tenant);
        error_detail(err, "Changes that were made meanwhile are not known.");
        return error_hint(err,
                          r->cursor.done ? "RESYNC MIGRATION '%.8s' compares both sides and mends the target."
                                         : "ABORT MIGRATION '%.8s' PURGE TARGET, then START again.",
                          r->id);
    }
    if (!sound && (!failpoint("runner.before_tap", err) || !tap_install(&r->m, err) ||
                   !failpoint("runner.after_tap", err)))
        return false;
    r->tap_checked = true;
    return true;
}

/* A gate stands on every loop before the tap does (DESIGN §2). */
bool runner_prepare(struct runner *r, struct error *err)
{
    return runner_make_gates(r, err) && connect_stores(r, err) && runner_check_guards(r, err) &&
           check_tap(r, err);
}
