/* cutover_steps.c - steps 1 to 6 of a cutover (DESIGN §4.6): everything that may still be taken back, and the
 * one commit that may not.
 * Leaves: gates to the loops, the tap's rules to tap_lock.c, the conditional commit to ledger.c.
 * Thread: the runner's.   Start at: cutover_check(), and read downwards. */
#include <stdio.h>

#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/companion.h"
#include "migrate/copier.h"
#include "migrate/cutover_impl.h"
#include "migrate/others.h"
#include "migrate/settings.h"

enum {
    LOCK_PAUSE_MS = 50, /* gates open between two tries of the lock, longer each time */
    HOLDERS_MAX = 8,
};

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

bool cutover_check(struct cutover *cut, struct error *err)
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
            return cutover_blocked(cut, "a transaction that has written the tenant", err);
    }
    return true;
}

static const char *details_of(const struct cutover *cut)
{
    return cut->rehearsal ? "{\"rehearsal\": true}" : cut->request->force ? "{\"force\": true}" : NULL;
}

/* Before anybody waits: the lock's session at the source, and nobody who would hold it up. Then the new epoch
 * in the control database, which is also the order to the other instances to close their gates, and in every
 * loop's route. */
bool cutover_pause(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us;

    if (!failpoint("cutover.before_pause", err) || !tap_lock_open(&r->m, &cut->lock, err) ||
        !look_for_old_holders(cut, err) || !catch_up_before(cut, err))
        return false;
    begun_us = clock_us();
    if (!runner_enter(r, MIGRATION_CUTOVER_PAUSED, r->m.epoch + 1, "cutover_initiated",
                      cut->request->operator_name, details_of(cut), NULL, NULL, NULL, err))
        return false;
    cut->others = r->routed.others;
    if (cut->others) {
        cut->closed_us = begun_us;
        cut->deadline_ms = clock_ms() + (uint64_t)r->m.settings.cutover_timeout_ms;
    }
    runner_log(r, LOG_INFO, cut->rehearsal ? "Rehearsal initiated" : "Cutover initiated", "cutover", 0,
               r->cursor.events, NULL);
    return failpoint("cutover.after_pause", err) &&
           runner_publish_here(r, clock_ms() + CUTOVER_PUBLISH_MS, err) &&
           (cut->others || catch_up_before(cut, err));
}

/* Other instances' gates stay closed until the route says otherwise, and have to drain once. */
static bool drain_others(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = clock_us();

    if (!cut->others || cut->others_drained)
        return true;
    if (!failpoint("cutover.before_others", err))
        return false;
    cut->others_drained = others_await(cut->r, true, cut->deadline_ms, err);
    cut->step_us[STEP_OTHERS] = clock_us() - begun_us;
    if (!cut->others_drained)
        return cutover_is_late(cut) ? cutover_blocked(cut, "another instance's transactions", err) : false;
    return failpoint("cutover.after_others", err);
}

bool cutover_close_gates(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    struct gate_summary sum;
    uint64_t begun_us = clock_us();

    if (!failpoint("cutover.before_close", err))
        return false;
    if (!cut->others)
        cut->closed_us = begun_us;
    if (cut->deadline_ms == 0)
        cut->deadline_ms = clock_ms() + (uint64_t)r->m.settings.cutover_timeout_ms;
    cut->tries++;
    if (!runner_order_gates(r, GATE_CLOSE, cut->deadline_ms, err))
        return cutover_is_late(cut) ? cutover_blocked(cut, "a transaction in flight", err) : false;
    if (!gatekeeper_all_obeyed(&r->gates, GATE_CLOSE))
        return error_set(err, "55000", "a loop has no gate for the tenant");
    gatekeeper_sum(&r->gates, &sum);
    if (!sum.drained)
        return cutover_blocked(cut, "a transaction in flight", err);
    cut->step_us[STEP_CLOSE] = clock_us() - begun_us;
    return drain_others(cut, err) && failpoint("cutover.after_close", err);
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
bool cutover_drain(struct cutover *cut, struct error *err)
{
    bool got = false;
    uint64_t begun_us;

    for (;;) {
        begun_us = clock_us();
        if (!failpoint("cutover.before_lock", err) || !tap_lock_try(cut->lock, lock_wait_ms(cut), &got, err))
            return false;
        if (got)
            break;
        if (cutover_is_late(cut))
            return cutover_blocked(cut, "a writer that went past pgshunt", err);
        if (!cutover_open_gates(cut, err))
            return false;
        pg_nap(&cut->r->m.wake, LOCK_PAUSE_MS * cut->tries);
        if (cutover_is_late(cut))
            return cutover_blocked(cut, "a writer that went past pgshunt", err);
        if (!cutover_close_gates(cut, err))
            return false;
    }
    cut->step_us[STEP_LOCK] = clock_us() - begun_us;
    return failpoint("cutover.after_drain", err);
}

/* --- 4: the last pass --- */

/* Nobody can write the tenant any more. The mirror compares the source's fingerprints in its own snapshot. */
static bool mirror_last(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = clock_us();
    bool fine = mirror_drain(cut->r->mirror, err);

    cut->step_us[STEP_MIRROR] = clock_us() - begun_us;
    return fine;
}

static bool verify_last(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = clock_us();
    bool fine = mirror_unverified(cut->r->mirror) == 0 || mirror_verify_behind(cut->r->mirror, err);

    cut->step_us[STEP_VERIFY] = clock_us() - begun_us;
    return fine;
}

/* By the mirror's own connection, which proves that the target is alive and ours. */
static bool finish_target(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us = clock_us();
    bool fine = relation_unchanged(r->m.target_pg, &r->m.tables[0].target, r->m.names, err) &&
                companion_unchanged(&r->m, err) && companion_move_sequences(&r->m, err) &&
                copier_finish(&r->m, r->routed.generation + 1, !cut->rehearsal, err);

    cut->step_us[STEP_TARGET] = clock_us() - begun_us;
    return fine;
}

bool cutover_catch_up(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    bool fine;

    pg_set_deadline(r->m.source_pg, cut->deadline_ms);
    pg_set_deadline(r->m.target_pg, cut->deadline_ms);
    fine = failpoint("cutover.before_catch_up", err) && mirror_last(cut, err) && verify_last(cut, err) &&
           finish_target(cut, err) && failpoint("cutover.after_catch_up", err);
    pg_set_deadline(r->m.source_pg, 0);
    pg_set_deadline(r->m.target_pg, 0);
    if (!fine && cutover_is_late(cut) && error_is(err, "57014"))
        return cutover_blocked(cut, "the last pass of the mirror", err);
    return fine;
}

/* --- 5, 6: the point of return --- */

bool cutover_shut_tap(struct cutover *cut, struct error *err)
{
    uint64_t begun_us = clock_us();
    bool fine;

    if (!failpoint("cutover.before_shut", err))
        return false;
    cut->r->revocable = false; /* from here on it takes milliseconds to its end */
    runner_letters(cut->r);
    if (cut->r->recalled)
        return error_set(err, "57014", "called off");
    if (cutover_is_late(cut))
        return cutover_blocked(cut, "the last pass of the mirror", err);
    cut->tap_touched = true;
    fine = tap_shut(cut->lock, err);
    cut->step_us[STEP_SHUT] = clock_us() - begun_us;
    return fine && failpoint("cutover.after_shut", err);
}

bool cutover_switch(struct cutover *cut, struct error *err)
{
    struct runner *r = cut->r;
    uint64_t begun_us = clock_us();
    enum ledger_outcome outcome;
    char details[64];

    if (!failpoint("cutover.before_switch", err))
        return false;
    snprintf(details, sizeof details, "{\"lock_tries\": %u}", cut->tries);
    outcome = ledger_switch(r->ledger, r->id, r->m.epoch, r->routed.generation,
                            r->m.target == r->m.default_store && r->setup->ledger->in_default_store,
                            cut->request->operator_name, details, &r->routed, err);
    cut->step_us[STEP_SWITCH] = clock_us() - begun_us;
    if (outcome == LEDGER_DONE)
        r->state = MIGRATION_MIGRATED;
    return outcome == LEDGER_DONE && failpoint("cutover.after_switch", err);
}
