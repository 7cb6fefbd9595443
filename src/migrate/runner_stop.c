/* runner_stop.c - a migration that was stopped from outside (an UPDATE by hand, EMERGENCY STOP) or has
 * failed: what was written down is obeyed, and nothing of it stays in the tenant's way. Part of the runner
 * (runner.h); its thread.   Start at: runner_obey(), then runner_clean_up(). */
#include "migrate/runner.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/cutover.h"
#include "migrate/tap.h"

enum { PUBLISH_MS = 2000 };

bool runner_obey(struct runner *r, struct error *err)
{
    enum migration_state now;
    char store[STORE_NAME_BYTES_MAX];

    if (!failpoint("runner.before_obey", err) ||
        !ledger_obey(r->ledger, r->id, r->m.epoch, &now, store, &r->routed, err))
        return false;
    r->look = r->recalled = false;
    if (now == r->state)
        return true;
    log_line(r->setup->log, LOG_WARN, "runner", "migration %s was changed by hand: it is %s now", r->id,
             migration_state_name(now));
    r->state = now;
    r->settling = r->tap_to_open = r->resume_wanted = false;
    r->lives_elsewhere = store[0] != '\0' && strcmp(store, r->m.source->name) != 0;
    r->over = now != MIGRATION_FAILED;
    return failpoint("runner.after_obey", err);
}

bool runner_fail(struct runner *r, const struct error *why, struct error *err)
{
    if (!runner_enter(r, MIGRATION_FAILED, r->m.epoch, "migration_failed", NULL, NULL, why, "critical",
                      "fatal", err))
        return false;
    runner_log(r, LOG_ERROR, "Migration failed", "fail", 0, r->cursor.events, why);
    return true;
}

/* Held writes go to the source at once. A tap that is shut would refuse them, so it is opened before, but
 * nobody waits for a source that cannot be had. A tenant whose home was changed by hand is where control has
 * read it to be. */
static void release(struct runner *r, bool tap_is_ours)
{
    struct error err;

    if (r->released)
        return;
    if (tap_is_ours && !cutover_open_tap(r, &err))
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: opening its tap", r->id);
    if (r->gates_ordered && !r->lives_elsewhere && !runner_publish(r, clock_ms() + PUBLISH_MS, &err))
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: publishing", r->id);
    runner_drop_gates(r);
    r->released = true;
}

bool runner_clean_up(struct runner *r, struct error *err)
{
    char whose[UUID_TEXT_BYTES] = "";
    bool known, ours;

    if (!failpoint("runner.before_clean_up", err))
        return false;
    /* Another migration of the tenant may have begun since: its tap is none of ours. */
    known = runner_connect_source(r, err) && tap_find(&r->m, whose, err);
    ours = known && strcmp(whose, r->id) == 0;
    release(r, ours);
    cutover_end_move(r);
    if (!known || (ours && (!tap_evict(r->m.source_pg, &r->m, err) || !tap_remove_of(&r->m, r->id, err))))
        return false;
    if (!ledger_settled(r->ledger, r->id, err))
        return false;
    r->over = true;
    return true;
}
