/* check.c - is a migration ready for its cutover?
 * Owns: the list of checks.   Leaves: acting on them to cutover.c.   Thread: the runner's.   Start at: checks
 * in check_cutover(), in the order of DESIGN §4.6 step 1. */
#include "migrate/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "migrate/check_shapes.h"
#include "migrate/others.h"
#include "migrate/runner_verify.h"
#include "migrate/tap.h"

enum { ASK_GATES_MS = 2000, TARGET_SLOW_MS = 2000, HOLDERS_MAX = 16, HIDDEN_MAX = 8 };

/* --- what is found --- */

struct list {
    struct check *checks;
    size_t count;
};

static struct check *add(struct list *list, const char *name, enum check_status status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static struct check *add(struct list *list, const char *name, enum check_status status, const char *fmt, ...)
{
    struct check *check = &list->checks[list->count];
    va_list args;

    if (list->count < CHECKS_MAX - 1)
        list->count++;
    memset(check, 0, sizeof *check);
    check->name = name;
    check->status = status;
    va_start(args, fmt);
    vsnprintf(check->found, sizeof check->found, fmt, args);
    va_end(args);
    return check;
}

static void hint(struct check *check, const char *text)
{
    if (check->status != CHECK_OK)
        snprintf(check->hint, sizeof check->hint, "%s", text);
}

static void check_state(struct runner *r, struct list *list)
{
    bool ready = r->state == MIGRATION_DUAL_WRITE;

    hint(add(list, "state", ready ? CHECK_OK : CHECK_BLOCKER, "%s", migration_state_name(r->state)),
         "A cutover begins in dual_write: WAIT MIGRATION … FOR dual_write.");
}

/* Its clients' writes are not ours to hold. cutover_run() asks once more, for good. */
static void check_processes(struct runner *r, struct list *list)
{
    bool alone = !lease_is_shared(r->setup->lease);

    hint(add(list, "processes", alone ? CHECK_OK : CHECK_BLOCKER, "%s",
             alone ? "this process alone serves clients"
                   : "an earlier process of this instance still serves clients"),
         "It ends with their transactions, or shutdown_timeout_seconds after its successor began.");
}

/* What they have not applied, their writers do not go by. */
static bool check_instances(struct runner *r, struct list *list, struct error *err)
{
    char who[400] = "";
    bool all = true;

    if (r->routed.generation != 0 && !ledger_is_broken(r->ledger) && !others_have(r, false, &all, who, err))
        return false;
    hint(add(list, "instances", all ? CHECK_OK : CHECK_BLOCKER, "%s",
             all ? "every instance that is alive goes by the tenant's route" : who),
         "One that is gone is not waited for when its lease has run out; SHOW INSTANCES tells.");
    return true;
}

static void check_lag(struct runner *r, struct list *list)
{
    bool small = r->lag_entries <= r->m.settings.cutover_max_lag_events;
    struct check *check = add(list, "lag", small ? CHECK_OK : CHECK_BLOCKER,
                              "%" PRId64 " captured rows are not mirrored yet (at most %" PRId64
                              "), the oldest for %" PRId64 " ms",
                              r->lag_entries, r->m.settings.cutover_max_lag_events, r->lag_oldest_ms);

    check->force_skips = true;
    hint(check, "Wait until the mirror has caught up; SHOW LAG tells.");
}

static void check_verification(struct runner *r, struct list *list)
{
    struct check *check;

    if (r->verified)
        check =
            add(list, "verification", CHECK_OK,
                "%" PRId64 " events in %" PRId64 " streams are the same on both sides (%s)",
                r->verification.events, r->verification.streams, verifier_level_name(r->verification.level));
    else if (r->verification.violations > 0)
        check = add(list, "verification", CHECK_BLOCKER, "%" PRId64 " events differ: %s",
                    r->verification.violations, r->verification.first);
    else if (runner_verify_is_off(r))
        check = add(list, "verification", CHECK_OK, "verify_consistency is off");
    else
        check = add(list, "verification", CHECK_BLOCKER,
                    r->verifying ? "is running" : "has not been run since the migration was taken up");
    check->force_skips = true;
    hint(check, r->verification.violations == 0
                    ? "Wait for it."
                    : "REPAIR MIGRATION brings what differs; SHOW REPORT names it.");
}

static void check_verify_behind(struct runner *r, struct list *list)
{
    int64_t keys = r->mirror == NULL ? 0 : mirror_unverified(r->mirror);
    struct check *check;

    if (r->verify_behind_violation[0] != '\0')
        check = add(list, "verify_behind", CHECK_BLOCKER, "%s", r->verify_behind_violation);
    else
        check = add(list, "verify_behind",
                    keys <= r->m.settings.cutover_max_lag_events ? CHECK_OK : CHECK_BLOCKER,
                    "%" PRId64 " mirrored keys are not compared yet", keys);
    check->force_skips = true;
    hint(check, "Wait until they are.");
}

static void check_breaker(struct runner *r, struct list *list)
{
    static const char *const names[] = { "closed", "open", "half open" };
    bool shut = r->breaker.state == BREAKER_CLOSED;

    hint(add(list, "breaker", shut ? CHECK_OK : CHECK_BLOCKER, "%s%s%s", names[r->breaker.state],
             shut ? "" : ": ", shut ? "" : r->last_error.message),
         "The target refuses what the mirror writes; see migration_failed_writes.");
}

static bool check_target_logins(struct runner *r, struct list *list, struct error *err)
{
    struct gate_summary sum;

    if (!runner_order_gates(r, GATE_ASK, clock_ms() + ASK_GATES_MS, err))
        return false;
    gatekeeper_sum(&r->gates, &sum);
    if (sum.warm_failed > 0)
        hint(add(list, "target_logins", CHECK_BLOCKER,
                 "%" PRIu32 " sessions could not log in to store \"%s\": %s", sum.warm_failed,
                 r->m.target->name, sum.warm_error),
             "Create the application's role there, with the same password.");
    else
        add(list, "target_logins", CHECK_OK,
            "%" PRIu32 " sessions that wrote the tenant are logged in to the target", sum.warm_ready);
    return true;
}

static void check_hidden_writers(struct runner *r, struct list *list)
{
    struct mirror_hidden hidden[HIDDEN_MAX];
    size_t count = r->mirror == NULL ? 0 : mirror_hidden_writers(r->mirror, hidden, HIDDEN_MAX);
    char text[300] = "";
    size_t used = 0;

    for (size_t i = 0; i < count && used < sizeof text - 1; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%spid %d (%s), %" PRId64 " rows, %" PRIu64 " ms ago", i == 0 ? "" : "; ",
                                 (int)hidden[i].pid, hidden[i].application, hidden[i].entries,
                                 hidden[i].last_ms_ago);
    hint(add(list, "hidden_writers", count == 0 ? CHECK_OK : CHECK_WARNING, "%s",
             count == 0 ? "nobody writes the tenant past pgshunt" : text),
         "After the switch their writes are refused; point them at pgshunt.");
}

static bool check_lock_holders(struct runner *r, struct list *list, struct error *err)
{
    struct tap_holder holders[HOLDERS_MAX];
    size_t count = 0;
    uint64_t limit_ms = (uint64_t)r->m.settings.cutover_timeout_ms;

    if (!tap_holders(r->m.source_pg, &r->m, holders, HOLDERS_MAX, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (holders[i].prepared)
            hint(add(list, "lock_holders", CHECK_WARNING,
                     "prepared transaction \"%s\" of %s has written the tenant", holders[i].query,
                     holders[i].user),
                 "COMMIT PREPARED or ROLLBACK PREPARED it; see pg_prepared_xacts.");
        else if (holders[i].age_ms > limit_ms)
            hint(add(list, "lock_holders", CHECK_WARNING,
                     "pid %d (%s, %s) has written the tenant and is open for %" PRIu64 " ms: %.120s",
                     (int)holders[i].pid, holders[i].user, holders[i].application, holders[i].age_ms,
                     holders[i].query),
                 "While it is open, a cutover is rolled back.");
        else
            continue;
        return true; /* one is enough to be told */
    }
    add(list, "lock_holders", CHECK_OK, "%zu open transactions have written the tenant, none for long",
        count);
    return true;
}

static bool check_tap(struct runner *r, struct list *list, struct error *err)
{
    bool sound;

    if (!tap_is_sound(&r->m, &sound, err))
        return false;
    hint(add(list, "tap", sound ? CHECK_OK : CHECK_BLOCKER,
             sound ? "complete and enabled" : "removed or disabled"),
         "What was changed meanwhile is not known: ABORT MIGRATION, and start again.");
    return true;
}

static bool check_statements(struct runner *r, struct list *list, struct error *err)
{
    size_t added = 0;

    if (ledger_is_broken(r->ledger))
        return error_set(err, "08001", "the control database cannot be reached");
    if (!check_shapes(r->ledger, r->id, list->checks + list->count, CHECKS_MAX - list->count, &added, err))
        return false;
    list->count += added;
    return true;
}

static void check_stores(struct runner *r, struct list *list)
{
    if (r->connected)
        add(list, "stores", CHECK_OK, "both are connected");
    else
        hint(add(list, "stores", CHECK_BLOCKER, "%s",
                 error_is_set(&r->last_error) ? r->last_error.message : "a store cannot be reached"),
             "It is tried again; SHOW STORES tells which.");
}

/* What needs no question to anybody. */
static void check_memory(struct runner *r, struct list *list)
{
    check_state(r, list);
    check_processes(r, list);
    check_stores(r, list);
    check_lag(r, list);
    check_verification(r, list);
    check_verify_behind(r, list);
    check_breaker(r, list);
}

bool check_cutover(struct runner *r, struct check *checks, size_t *count, struct error *err)
{
    struct list list = { checks, 0 };
    bool fine;

    *count = 0;
    r->lag_read_ms = clock_ms();
    fine = tap_lag(r->m.source_pg, &r->m, &r->lag_entries, &r->lag_oldest_ms, err);
    if (!fine)
        return false;
    check_memory(r, &list);
    fine = check_instances(r, &list, err) && check_target_logins(r, &list, err) &&
           check_lock_holders(r, &list, err) && check_tap(r, &list, err);
    check_hidden_writers(r, &list);
    fine = fine && check_statements(r, &list, err);
    *count = list.count;
    return fine;
}

/* --- answers --- */

static struct rows *checks_as_rows(const struct check *checks, size_t count)
{
    static const char *const status[] = { "ok", "warning", "blocker" };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "check", ROWS_TEXT);
    rows_column(rows, "status", ROWS_TEXT);
    rows_column(rows, "found", ROWS_TEXT);
    rows_column(rows, "hint", ROWS_TEXT);
    rows_column(rows, "ok", ROWS_BOOL);
    for (size_t i = 0; i < count; i++) {
        rows_text(rows, checks[i].name);
        rows_text(rows, status[checks[i].status]);
        rows_text(rows, checks[i].found);
        rows_text(rows, checks[i].hint[0] == '\0' ? NULL : checks[i].hint);
        rows_flag(rows, checks[i].status != CHECK_BLOCKER);
    }
    return rows;
}

static struct rows *lag_as_rows(struct runner *r)
{
    static const char *const breaker[] = { "closed", "open", "half_open" };
    static const char *const trend[] = { "none", "converging", "steady", "growing" };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "migration_id", ROWS_UUID);
    rows_column(rows, "entries", ROWS_INT8);
    rows_column(rows, "oldest_ms", ROWS_INT8);
    rows_column(rows, "unverified_keys", ROWS_INT8);
    rows_column(rows, "breaker", ROWS_TEXT);
    rows_column(rows, "last_error", ROWS_TEXT);
    rows_column(rows, "trend", ROWS_TEXT);
    rows_text(rows, r->id);
    rows_number(rows, r->lag_entries);
    rows_number(rows, r->lag_oldest_ms);
    rows_number(rows, r->mirror == NULL ? 0 : mirror_unverified(r->mirror));
    rows_text(rows, breaker[r->breaker.state]);
    rows_text(rows, r->write_failing ? r->last_error.message : NULL);
    rows_text(rows, trend[r->lag_entries == 0 ? 0 : 2 + r->lag_trend]);
    return rows;
}

static void answer_rows(struct control_request *request, struct rows *rows)
{
    struct error err;

    error_no_memory(&err);
    runner_answer(request, rows, rows == NULL ? &err : NULL);
}

/* Nobody who only asks waits for a target that hangs: what is known is told. */
static bool target_keeps_waiting(const struct runner *r, enum control_verb verb)
{
    if (verb != CONTROL_SHOW_LAG && verb != CONTROL_CHECK_CUTOVER)
        return false;
    return r->target_since_ms != 0 && clock_ms() - r->target_since_ms > TARGET_SLOW_MS;
}

bool check_answer_quickly(struct runner *r, struct control_request *request)
{
    struct check checks[CHECKS_MAX];
    struct list list = { checks, 0 };
    struct error err;

    if (request->verb == CONTROL_VERIFY || request->verb == CONTROL_REPAIR || request->verb == CONTROL_RESYNC)
        return runner_verify_refuse(r, request);
    if (r->state == MIGRATION_DUAL_WRITE && r->connected && !r->verifying && !r->abort_requested &&
        r->breaker.state != BREAKER_OPEN && !target_keeps_waiting(r, request->verb))
        return false;
    switch (request->verb) {
    case CONTROL_SHOW_LAG:
        answer_rows(request, lag_as_rows(r));
        return true;
    case CONTROL_CHECK_CUTOVER:
        check_memory(r, &list);
        answer_rows(request, checks_as_rows(checks, list.count));
        return true;
    case CONTROL_CUTOVER:
    case CONTROL_REHEARSE:
        if (r->state == MIGRATION_DUAL_WRITE)
            error_set(&err, "55000", "migration %s is not ready for its cutover: %s", r->id,
                      r->abort_requested ? "it is being aborted"
                      : r->verifying     ? "the verification is running"
                                         : "a store cannot be reached");
        else
            error_set(&err, "55000", "migration %s is in state %s", r->id, migration_state_name(r->state));
        error_detail(
            &err,
            "invalid_state_transition: a cutover begins in dual_write, when CHECK CUTOVER finds no blocker");
        error_hint(&err,
                   r->state == MIGRATION_PAUSED
                       ? "RESUME MIGRATION '%.8s', then wait until CHECK CUTOVER is content."
                       : "CHECK CUTOVER '%s' tells what is missing.",
                   r->id);
        runner_answer(request, NULL, &err);
        return true;
    default:
        error_set(&err, "0A000", "a migration does not answer this");
        runner_answer(request, NULL, &err);
        return true;
    }
}

void check_answer(struct runner *r, struct control_request *request)
{
    struct check checks[CHECKS_MAX];
    struct error err;
    size_t count;
    bool fine = false;

    if (request->verb == CONTROL_CHECK_CUTOVER) {
        fine = check_cutover(r, checks, &count, &err);
    } else if (request->verb == CONTROL_SHOW_LAG) {
        r->lag_read_ms = clock_ms();
        fine = tap_lag(r->m.source_pg, &r->m, &r->lag_entries, &r->lag_oldest_ms, &err);
    } else {
        error_set(&err, "0A000", "a migration does not answer this");
    }
    if (!fine)
        runner_answer(request, NULL, &err);
    else if (request->verb == CONTROL_CHECK_CUTOVER)
        answer_rows(request, checks_as_rows(checks, count));
    else
        answer_rows(request, lag_as_rows(r));
}
