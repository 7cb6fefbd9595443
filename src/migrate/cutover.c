/* cutover.c - the few milliseconds in which a tenant changes its store (DESIGN §4.6), and the way back.
 * Owns:   one cutover from its order to its end: the lock's session, the deadline, what it cost.
 * Leaves: gates to the loops, the tap's rules to tap_lock.c, the conditional commit to ledger.c.
 * Thread: the runner's.   Start at: go(), which is the runbook; revert() is its one way back. */
#include "migrate/cutover.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/copier.h"
#include "migrate/settings.h"
#include "migrate/tap.h"

enum {
    PUBLISH_MS = 5000,
    OPEN_MS = 5000,     /* loops open a gate as soon as they read the letter */
    LOCK_PAUSE_MS = 50, /* gates open between two tries of the lock, longer each time */
    SETTLE_MS = 10000,  /* an operator hears of an outcome that is not known after this; the runner goes on */
    HOLDERS_MAX = 8,
};

enum step {
    STEP_CLOSE,
    STEP_LOCK,
    STEP_MIRROR,
    STEP_VERIFY,
    STEP_TARGET,
    STEP_SHUT,
    STEP_SWITCH,
    STEP_RELEASE,
    STEPS
};

static const char *const step_names[STEPS] = { "close_gates", "lock",     "mirror", "verify",
                                               "target",      "shut_tap", "switch", "release" };

struct cutover {
    struct runner *r;
    const struct control_request *request;
    struct tap_lock *lock;
    uint64_t deadline_ms; /* of everything before the tap is shut; 0: no gate was closed yet */
    uint64_t closed_us,
        opened_us; /* the pause: from the first CLOSE of the last try to the last gate's opening */
    uint64_t step_us[STEPS];
    uint32_t held_count;
    uint64_t held_ms_longest;
    unsigned tries;
    int64_t lag_at_close;
    bool tap_touched; /* from now on only the routing row decides whose the tenant is */
    char blockers[900];
};

static uint64_t now_us(void)
{
    return clock_us();
}

/* --- who is in the way --- */

static void describe_holders(struct cutover *cut, const struct tap_holder *holders, size_t count,
                             size_t *used)
{
    for (size_t i = 0; i < count && *used < sizeof cut->blockers; i++) {
        char who[24] = "prepared transaction";

        if (!holders[i].prepared)
            snprintf(who, sizeof who, "pid %d", (int)holders[i].pid);
        *used +=
            (size_t)snprintf(cut->blockers + *used, sizeof cut->blockers - *used,
                             "%s%s (%s, %s), %" PRIu64 " ms: %s", *used == 0 ? "" : "; ", who,
                             holders[i].user, holders[i].application, holders[i].age_ms, holders[i].query);
    }
}

static bool is_described(const struct tap_holder *holders, size_t count, int32_t pid)
{
    for (size_t i = 0; i < count; i++) {
        if (holders[i].pid == pid)
            return true;
    }
    return false;
}

/* Transactions in flight that only lock rows hold no lock of the tenant's: the loops know them. */
static void describe_in_flight(struct cutover *cut, const struct tap_holder *holders, size_t count,
                               size_t used)
{
    struct gate_summary sum;
    struct error ignored;

    if (!runner_order_gates(cut->r, GATE_ASK, clock_ms() + 200, &ignored))
        return;
    gatekeeper_sum(&cut->r->gates, &sum);
    for (uint32_t i = 0; i < sum.blocker_count && used < sizeof cut->blockers; i++) {
        if (!is_described(holders, count, sum.blocker_pids[i]))
            used += (size_t)snprintf(cut->blockers + used, sizeof cut->blockers - used,
                                     "%spid %d through pgshunt, %" PRIu64 " ms", used == 0 ? "" : "; ",
                                     (int)sum.blocker_pids[i], sum.blocker_ages_ms[i]);
    }
}

/* cutover_timeout, with pid, age and query of everyone in the way. Always false. */
static bool blocked(struct cutover *cut, const char *what, struct error *err)
{
    struct runner *r = cut->r;
    struct tap_holder holders[HOLDERS_MAX];
    struct error ignored;
    size_t count = 0, used = 0;

    cut->blockers[0] = '\0';
    pg_set_deadline(r->m.source_pg, clock_ms() + 500);
    if (!tap_holders(r->m.source_pg, &r->m, holders, HOLDERS_MAX, &count, &ignored))
        count = 0;
    pg_set_deadline(r->m.source_pg, 0);
    describe_holders(cut, holders, count, &used);
    describe_in_flight(cut, holders, count, used);
    error_set(err, "57014", "the cutover was rolled back: %s did not end within %" PRId64 " ms", what,
              r->m.settings.cutover_timeout_ms);
    error_detail(err, "cutover_timeout: blocked by %s",
                 cut->blockers[0] == '\0' ? "nobody who can be named" : cut->blockers);
    return error_hint(
        err, "Wait for them or end them, or CUTOVER MIGRATION '%.8s' WITH (cutover_timeout_ms = …).", r->id);
}

static bool is_late(const struct cutover *cut)
{
    return clock_ms() >= cut->deadline_ms;
}

/* --- 1: preconditions --- */

static bool take_options(struct cutover *cut, struct error *err)
{
    for (size_t i = 0; i < cut->request->option_count; i++) {
        if (!settings_set(&cut->r->m.settings, cut->request->options[i].name, cut->request->options[i].value,
                          err))
            return false;
    }
    settings_settle(&cut->r->m.settings);
    return true;
}

static bool refuse(struct cutover *cut, const struct check *checks, size_t count, struct error *err)
{
    char text[900] = "";
    size_t used = 0;

    for (size_t i = 0; i < count && used < sizeof text; i++) {
        if (checks[i].status == CHECK_BLOCKER && !(cut->request->force && checks[i].force_skips))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s", used == 0 ? "" : "; ",
                                     checks[i].name, checks[i].found);
    }
    if (used == 0)
        return true;
    error_set(err, "55000", "migration %s is not ready for its cutover", cut->r->id);
    error_detail(err, "%s", text);
    return error_hint(err, "CHECK CUTOVER '%s' tells what to do about it.", cut->r->id);
}

/* Everything the mirror can do before anybody has to wait. */
static bool catch_up_before(struct cutover *cut, struct error *err)
{
    bool more = true;

    while (more) {
        if (!runner_mirror(cut->r, &more, err))
            return false;
        runner_letters(cut->r);
    }
    return mirror_unverified(cut->r->mirror) == 0 || mirror_verify_behind(cut->r->mirror, err);
}

static bool cutover_check(struct cutover *cut, struct error *err)
{
    struct check checks[CHECKS_MAX];
    size_t count;

    return failpoint("cutover.before_check", err) && take_options(cut, err) &&
           check_cutover(cut->r, checks, &count, err) && refuse(cut, checks, count, err) &&
           catch_up_before(cut, err) && failpoint("cutover.after_check", err);
}

/* --- 2: the state, and the gates --- */

/* Whoever has held the tenant's lock for longer than the cutover may take will not let go in time. */
static bool look_for_old_holders(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    struct tap_holder holders[HOLDERS_MAX];
    size_t count;

    if (!tap_holders(r->m.source_pg, &r->m, holders, HOLDERS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (holders[i].prepared || holders[i].age_ms > (uint64_t)r->m.settings.cutover_timeout_ms)
            return blocked(cut, "a transaction that has written the tenant", err);
    }
    return true;
}

/* Before anybody waits: the new epoch in the control database, in every loop's route, at the source's lock
 * session. */
static bool cutover_pause(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;

    if (!failpoint("cutover.before_pause", err) ||
        !runner_enter(r, MIGRATION_CUTOVER_PAUSED, r->m.epoch + 1, "cutover initiated",
                      cut->request->operator_name, cut->request->force ? "{\"force\": true}" : NULL, NULL,
                      NULL, NULL, err))
        return false;
    runner_log(r, LOG_INFO, "Cutover initiated", "cutover", 0, r->cursor.events, NULL);
    return failpoint("cutover.after_pause", err) && runner_publish(r, clock_ms() + PUBLISH_MS, err) &&
           tap_lock_open(&r->m, &cut->lock, err) && look_for_old_holders(cut, err) &&
           catch_up_before(cut, err);
}

static bool cutover_close_gates(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    struct gate_summary sum;

    if (!failpoint("cutover.before_close", err))
        return false;
    cut->closed_us = now_us();
    if (cut->deadline_ms == 0)
        cut->deadline_ms = clock_ms() + (uint64_t)r->m.settings.cutover_timeout_ms;
    cut->tries++;
    if (!runner_order_gates(r, GATE_CLOSE, cut->deadline_ms, err))
        return is_late(cut) ? blocked(cut, "a transaction in flight", err) : false;
    if (!gatekeeper_all_obeyed(&r->gates, GATE_CLOSE))
        return error_set(err, "55000", "a loop has no gate for the tenant");
    gatekeeper_sum(&r->gates, &sum);
    if (!sum.drained)
        return blocked(cut, "a transaction in flight", err);
    cut->step_us[STEP_CLOSE] = now_us() - cut->closed_us;
    return failpoint("cutover.after_close", err);
}

static bool open_gates(struct cutover *cut, struct error *err)
{
    struct gate_summary sum;
    bool fine = runner_order_gates(cut->r, GATE_OPEN, clock_ms() + OPEN_MS, err);

    cut->opened_us = now_us();
    gatekeeper_sum(&cut->r->gates, &sum);
    cut->held_count += sum.held_count;
    if (sum.held_ms_longest > cut->held_ms_longest)
        cut->held_ms_longest = sum.held_ms_longest;
    return fine;
}

/* --- 3: the tap's lock: nobody past the proxy is left --- */

static uint64_t lock_wait_ms(const struct cutover *cut)
{
    uint64_t now_ms = clock_ms(), wait_ms = (uint64_t)cut->r->m.settings.cutover_lock_ms;

    if (now_ms >= cut->deadline_ms)
        return 1;
    return cut->deadline_ms - now_ms < wait_ms ? cut->deadline_ms - now_ms : wait_ms;
}

/* A waiting exclusive lock makes innocent direct writers wait: one try is short, and the gates are open
 * between two. */
static bool cutover_drain(struct cutover *cut, struct error *err)
{
    bool got = false;
    uint64_t begun_us;

    for (;;) {
        begun_us = now_us();
        if (!failpoint("cutover.before_lock", err) || !tap_lock_try(cut->lock, lock_wait_ms(cut), &got, err))
            return false;
        if (got)
            break;
        if (is_late(cut))
            return blocked(cut, "a writer that went past pgshunt", err);
        if (!open_gates(cut, err))
            return false;
        pg_nap(&cut->r->m.wake, LOCK_PAUSE_MS * cut->tries);
        if (is_late(cut))
            return blocked(cut, "a writer that went past pgshunt", err);
        if (!cutover_close_gates(cut, err))
            return false;
    }
    cut->step_us[STEP_LOCK] = now_us() - begun_us;
    return failpoint("cutover.after_drain", err);
}

/* --- 4: the last pass --- */

/* Nobody can write the tenant any more. The mirror compares the source's fingerprints in its own snapshot. */
static bool mirror_last(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = now_us();
    bool fine = mirror_drain(cut->r->mirror, err);

    cut->step_us[STEP_MIRROR] = now_us() - begun_us;
    return fine;
}

static bool verify_last(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = now_us();
    bool fine = mirror_unverified(cut->r->mirror) == 0 || mirror_verify_behind(cut->r->mirror, err);

    cut->step_us[STEP_VERIFY] = now_us() - begun_us;
    return fine;
}

/* By the mirror's own connection, which proves that the target is alive and ours. */
static bool finish_target(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us = now_us();
    bool fine = relation_unchanged(r->m.target_pg, &r->m.target_rel, r->m.names, err) &&
                copier_finish(&r->m, r->routed.generation + 1, err);

    cut->step_us[STEP_TARGET] = now_us() - begun_us;
    return fine;
}

static bool cutover_catch_up(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    bool fine;

    pg_set_deadline(r->m.source_pg, cut->deadline_ms);
    pg_set_deadline(r->m.target_pg, cut->deadline_ms);
    fine = failpoint("cutover.before_catch_up", err) && mirror_last(cut, err) && verify_last(cut, err) &&
           finish_target(cut, err) && failpoint("cutover.after_catch_up", err);
    pg_set_deadline(r->m.source_pg, 0);
    pg_set_deadline(r->m.target_pg, 0);
    if (!fine && is_late(cut) && error_is(err, "57014"))
        return blocked(cut, "the last pass of the mirror", err);
    return fine;
}

/* --- 5, 6: the point of return --- */

static bool cutover_shut_tap(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = now_us();
    bool fine;

    if (!failpoint("cutover.before_shut", err))
        return false;
    if (is_late(cut))
        return blocked(cut, "the last pass of the mirror", err);
    cut->tap_touched = true;
    fine = tap_shut(cut->lock, err);
    cut->step_us[STEP_SHUT] = now_us() - begun_us;
    return fine && failpoint("cutover.after_shut", err);
}

static bool cutover_switch(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us = now_us();
    enum ledger_outcome outcome;
    char details[64];

    if (!failpoint("cutover.before_switch", err))
        return false;
    snprintf(details, sizeof details, "{\"lock_tries\": %u}", cut->tries);
    outcome = ledger_switch(r->ledger, r->id, r->m.epoch, r->routed.generation,
                            r->m.target == r->m.default_store && r->setup->ledger->in_default_store,
                            cut->request->operator_name, details, &r->routed, err);
    cut->step_us[STEP_SWITCH] = now_us() - begun_us;
    if (outcome == LEDGER_DONE)
        r->state = MIGRATION_MIGRATED;
    return outcome == LEDGER_DONE && failpoint("cutover.after_switch", err);
}

/* --- 7: held writes go to the new store --- */

/* Beyond the switch nothing can fail any more, only take longer. false: pgshunt is being stopped. */
static bool tell_everybody(struct runner *r)
{
    struct error err;

    while (!runner_publish(r, clock_ms() + PUBLISH_MS, &err)) {
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: publishing the switched route",
                  r->id);
        if (ledger_is_broken(r->ledger) && !runner_ledger_open(r, &err))
            log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s", r->id);
        pg_nap(&r->m.wake, 50);
    }
    return true;
}

static bool drop_gates(struct runner *r)
{
    struct error err;

    while (!runner_order_gates(r, GATE_DROP, clock_ms() + OPEN_MS, &err)) {
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: opening its gates", r->id);
    }
    r->gates_made = false;
    return true;
}

/* A tenant that comes home: the store's entry that it lives elsewhere goes before any held write does. */
static bool let_in(struct runner *r)
{
    struct error err;

    while (!runner_let_in(r, &err)) {
        runner_letters(r);
        if (r->stopping)
            return false;
        log_error(r->setup->log, LOG_ERROR, "runner", &err,
                  "migration %s: store \"%s\" does not let the tenant in yet", r->id, r->m.target->name);
        pg_nap(&r->m.wake, 50);
    }
    return true;
}

static bool cutover_release(struct cutover *cut)
{
    uint64_t begun_us = now_us();
    struct gate_summary sum;
    struct error err;

    if (!failpoint("cutover.before_release", &err))
        log_error(cut->r->setup->log, LOG_WARN, "runner", &err, "migration %s", cut->r->id);
    if (!let_in(cut->r) || !tell_everybody(cut->r) || !drop_gates(cut->r))
        return false;
    cut->opened_us = now_us();
    cut->step_us[STEP_RELEASE] = cut->opened_us - begun_us;
    gatekeeper_sum(&cut->r->gates, &sum);
    cut->held_count += sum.held_count;
    if (sum.held_ms_longest > cut->held_ms_longest)
        cut->held_ms_longest = sum.held_ms_longest;
    if (cut->lock != NULL)
        tap_unlock(cut->lock, &err); /* closing it does the same */
    cut->r->over = true;
    if (!failpoint("cutover.after_release", &err))
        log_error(cut->r->setup->log, LOG_WARN, "runner", &err, "migration %s", cut->r->id);
    return true;
}

/* --- the way back --- */

bool cutover_settle(struct runner *r, struct error *err)
{
    const struct error *why = error_is_set(&r->taken_back_for) ? &r->taken_back_for : NULL;
    uint64_t epoch = r->m.epoch;
    bool switched;

    r->settling = true;
    if (!runner_ledger_open(r, err) || !failpoint("cutover.before_settle", err))
        return false;
    if (!ledger_take_back(r->ledger, r->id, NULL, why, &epoch, &switched, &r->routed, err)) {
        /* Changed by hand, or by a successor: the row is read anew. */
        if (error_is(err, "55000"))
            r->settling = r->owned = false;
        return false;
    }
    r->settling = false;
    r->owned = true;
    r->m.epoch = epoch;
    if (switched)
        r->state = MIGRATION_MIGRATED;
    r->tap_to_open = !switched;
    r->guards_checked = false;
    return failpoint("cutover.after_settle", err);
}

/* Evicts whoever else may still have the lock, and claims the tap for our epoch, even if it turns out to be
 * open. */
static bool open_tap(struct runner *r, struct error *err)
{
    struct tap_lock *lock = NULL;
    enum tap_state state;
    uint64_t epoch;
    bool present, fine;

    if (!runner_connect_source(r, err) || !tap_read(r->m.source_pg, &r->m, &present, &state, &epoch, err))
        return false;
    if (!present)
        return true; /* check_tap() says what that means */
    fine = tap_lock_open(&r->m, &lock, err) &&
           tap_read(r->m.source_pg, &r->m, &present, &state, &epoch, err) &&
           (state == TAP_OPEN || tap_open(lock, r->m.epoch, err));
    tap_lock_close(lock);
    return fine;
}

bool cutover_reopen(struct runner *r, struct error *err)
{
    const struct error *why = error_is_set(&r->taken_back_for) ? &r->taken_back_for : NULL;

    if (!failpoint("cutover.before_reopen", err) || !open_tap(r, err))
        return false;
    if (r->state == MIGRATION_CUTOVER_PAUSED &&
        !runner_enter(r, MIGRATION_DUAL_WRITE, r->m.epoch, "cutover rolled back", NULL, NULL, why, "warning",
                      "recoverable", err))
        return false;
    if (!runner_publish(r, clock_ms() + PUBLISH_MS, err) ||
        !runner_order_gates(r, GATE_OPEN, clock_ms() + OPEN_MS, err))
        return false;
    r->tap_to_open = false;
    error_clear(&r->taken_back_for);
    log_line(r->setup->log, LOG_INFO, "runner",
             "migration %s: its cutover is taken back, the tenant lives in \"%s\"", r->id, r->m.source->name);
    return failpoint("cutover.after_reopen", err);
}

static void log_completed(struct runner *r)
{
    runner_log(r, LOG_INFO, "Migration completed", "cutover", 0, r->cursor.events, NULL);
}

bool cutover_recover(struct runner *r, struct error *err)
{
    if (!r->moves)
        lease_resume_move(r->setup->lease);
    r->moves = true;
    /* Settling comes first: it fences whoever had it, also if the source cannot be reached. */
    if (!r->tap_to_open && !cutover_settle(r, err))
        return false;
    if (r->state == MIGRATION_MIGRATED) {
        r->over = let_in(r) && tell_everybody(r) && drop_gates(r);
        log_completed(r);
        return true;
    }
    return cutover_reopen(r, err);
}

/* Nothing but gates and lock: the lock is let go, the state written, and only then the gates open. */
static bool revert_simply(struct cutover *cut, const struct error *why, struct error *err)
{
    struct runner *r = cut->r;

    tap_lock_close(cut->lock);
    cut->lock = NULL;
    if (!runner_enter(r, MIGRATION_DUAL_WRITE, r->m.epoch, "cutover rolled back", cut->request->operator_name,
                      NULL, why, "warning", "recoverable", err))
        return false;
    return runner_publish(r, clock_ms() + PUBLISH_MS, err) && open_gates(cut, err);
}

/* The tap may be shut and the switch may have been committed: the control database decides, then the tap
 * opens. */
static bool revert_by_route(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t until_ms = clock_ms() + SETTLE_MS;

    tap_lock_close(cut->lock);
    cut->lock = NULL;
    while (!cutover_settle(r, err)) {
        if (r->stopping || !r->settling || clock_ms() > until_ms)
            return false; /* the runner goes on with it */
        pg_nap(&r->m.wake, 50);
    }
    if (r->state == MIGRATION_MIGRATED)
        return cutover_release(cut);
    return cutover_reopen(r, err);
}

/* Writes stay held until the way back has come to its end; what cannot be done now, the runner does as soon
 * as it can. */
static void revert(struct cutover *cut, struct error *why)
{
    struct runner *r = cut->r;
    struct error err = *why;
    bool fine;

    if (r->state != MIGRATION_CUTOVER_PAUSED && r->state != MIGRATION_MIGRATED)
        return; /* nothing was changed yet */
    r->taken_back_for = *why;
    r->guards_checked =
        false; /* the target may have let the tenant in: the next round of the mirror says no */
    if (error_is(why, "57014"))
        runner_log(r, LOG_WARN, "Cutover timeout", "cutover",
                   cut->closed_us == 0 ? 0 : (now_us() - cut->closed_us) / 1000, 0, why);
    fine = r->state == MIGRATION_MIGRATED ? cutover_release(cut)
           : cut->tap_touched             ? revert_by_route(cut, &err)
                                          : revert_simply(cut, why, &err);
    if (!fine && r->state == MIGRATION_CUTOVER_PAUSED && !r->tap_to_open)
        r->settling = true;
    if (!fine && !r->stopping)
        log_error(r->setup->log, LOG_ERROR, "runner", &err,
                  "migration %s: its cutover is not rolled back yet", r->id);
}

/* --- what it cost --- */

static double pause_ms(const struct cutover *cut)
{
    return cut->opened_us > cut->closed_us && cut->closed_us > 0
               ? (double)(cut->opened_us - cut->closed_us) / 1000
               : 0;
}

static void report(struct cutover *cut, const struct error *why)
{
    struct runner *r = cut->r;
    struct buf json;
    struct error err;

    buf_init(&json);
    buf_append_format(&json,
                      "{\"pause_ms\": %.3f, \"held_writes\": %" PRIu32 ", \"longest_hold_ms\": %" PRIu64
                      ", \"cutover_tries\": %u, \"cutover_result\": \"%s\"",
                      pause_ms(cut), cut->held_count, cut->held_ms_longest, cut->tries,
                      r->state == MIGRATION_MIGRATED ? "switched" : "rolled back");
    for (size_t i = 0; i < STEPS; i++)
        buf_append_format(&json, ", \"cutover_%s_us\": %" PRIu64, step_names[i], cut->step_us[i]);
    if (cut->blockers[0] != '\0') {
        buf_append_text(&json, ", \"cutover_blockers\": ");
        json_text(&json, cut->blockers);
    }
    if (why != NULL) {
        buf_append_text(&json, ", \"cutover_error\": ");
        json_text(&json, why->message);
    }
    buf_append_text(&json, "}");
    if (!buf_failed(&json) && !ledger_is_broken(r->ledger) &&
        !ledger_report(r->ledger, r->id, LEDGER_CUTOVER, buf_text(&json), cut->request->operator_name, &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down its cutover", r->id);
    buf_done(&json);
}

static struct rows *answer_rows(const struct cutover *cut)
{
    static const struct {
        const char *name;
        enum rows_type type;
    } columns[] = { { "id", ROWS_UUID },           { "tenant_id", ROWS_TEXT },
                    { "state", ROWS_TEXT },        { "pause_ms", ROWS_FLOAT8 },
                    { "held_writes", ROWS_INT8 },  { "longest_hold_ms", ROWS_INT8 },
                    { "events_copied", ROWS_INT8 } };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i].name, columns[i].type);
    rows_text(rows, cut->r->id);
    rows_text(rows, cut->r->m.tenant);
    rows_text(rows, migration_state_name(cut->r->state));
    rows_format(rows, "%.3f", pause_ms(cut));
    rows_number(rows, cut->held_count);
    rows_number(rows, (int64_t)cut->held_ms_longest);
    rows_number(rows, cut->r->cursor.events);
    return rows;
}

static void answer(struct cutover *cut, struct control_request *request, struct error *why)
{
    struct runner *r = cut->r;

    if (r->state == MIGRATION_CUTOVER_PAUSED) {
        error_set(why, "08007", "whether migration %s was switched is not known yet", r->id);
        error_detail(why, "The control database does not answer; the tenant's writes stay held.");
        error_hint(why, "SHOW MIGRATION '%s' tells as soon as it is known.", r->id);
    }
    if (r->state == MIGRATION_MIGRATED)
        runner_answer(request, answer_rows(cut), NULL);
    else
        runner_answer(request, NULL, why);
}

/* --- the runbook --- */

static bool go(struct cutover *cut, struct error *err)
{
    return cutover_check(cut, err)          /* 1  preconditions */
           && cutover_pause(cut, err)       /* 2  the new epoch, written down and published; */
           && cutover_close_gates(cut, err) /*    every loop holds the tenant's writes; those in flight end */
           && cutover_drain(cut, err)       /* 3  the tap's lock: nobody past the proxy is left */
           && cutover_catch_up(cut, err)    /* 4  last pass of the mirror, last keys verified */
           && cutover_shut_tap(cut, err)    /* 5  the source refuses the tenant's rows */
           && cutover_switch(cut, err)      /* 6  the one conditional commit */
           && cutover_release(cut);         /* 7  held writes go to the new store */
}

/* No other process of this instance has clients, and none will until the cutover has ended. */
static bool begin_move(struct runner *r, struct error *err)
{
    r->moves = lease_begin_move(r->setup->lease);
    if (r->moves)
        return true;
    error_set(err, "55006", "an earlier process of this instance still serves clients");
    error_detail(err, "Their writes are not this process's to hold, so no cutover can begin.");
    return error_hint(err,
                      "It ends when their transactions have ended, or shutdown_timeout_seconds after its "
                      "successor began; then try again.");
}

void cutover_end_move(struct runner *r)
{
    if (r->moves)
        lease_end_move(r->setup->lease);
    r->moves = false;
}

void cutover_run(struct runner *r, struct control_request *request)
{
    struct cutover cut = { .r = r, .request = request };
    struct migration_settings kept = r->m.settings;
    uint64_t begun_us = now_us();
    struct error err;
    bool fine, begun;

    error_clear(&err);
    if (!begin_move(r, &err)) {
        runner_answer(request, NULL, &err);
        return;
    }
    r->critical = true; /* an ABORT waits until it is over */
    fine = go(&cut, &err);
    begun = r->state != MIGRATION_DUAL_WRITE;
    if (!fine && !r->stopping)
        revert(&cut, &err);
    tap_lock_close(cut.lock);
    if (begun && !r->stopping)
        report(&cut, fine ? NULL : &err);
    if (r->state == MIGRATION_MIGRATED)
        runner_log(r, LOG_INFO, "Migration completed", "cutover", (now_us() - begun_us) / 1000,
                   r->cursor.events, NULL);
    answer(&cut, request, &err);
    r->m.settings = kept;
    r->critical = false;
    r->verify_behind_ms = 0;
}
