/* runner.c - the thread that carries one migration through its states.
 * Owns:   one migration: its connections, its gates' orders, its row while it holds the lock and the epoch.
 * Leaves: the checks of START to start.c, CHECK CUTOVER and LAG to check.c, the cutover to cutover.c; what is
 * written where to ledger.c, tap, copier, mirror and verifier; publishing to control.c. Thread: its own;
 * everything reaches it by letter.   Start at: steps[], then carry_on(). */
#include "migrate/purge.h"
#include "migrate/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "migrate/check.h"
#include "migrate/copier.h"
#include "migrate/cutover.h"
#include "migrate/settings.h"
#include "migrate/tap.h"

enum {
    LEDGER_TIMEOUT_MS = 5000,
    LETTER_TIMEOUT_MS = 10000, /* loops answer in microseconds; one that does not is a bug, and is logged */
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 10000,
    PROGRESS_MS = 1000,
    MIRROR_GAP_MS = 10, /* passes closer together than this would only make more, smaller transactions */
    VERIFY_BEHIND_MS = 200,
    VERIFY_AGAIN_MS_MIN = 5000, /* after a violation: what differed may be repaired by the next passes */
    VERIFY_AGAIN_MS_MAX = 600000,
    BREAKER_FAILURES = 5, /* DESIGN §4.4 */
    BREAKER_OPEN_MS = 30000,
    BREAKER_TRIALS = 3,
};

/* --- letters --- */

void runner_answer(struct control_request *request, struct rows *rows, const struct error *err)
{
    if (request == NULL) {
        rows_free(rows);
        return;
    }
    request->ok = err == NULL;
    if (err != NULL)
        request->err = *err;
    else if (rows != NULL && rows_failed(rows))
        request->ok = error_no_memory(&request->err);
    if (request->ok)
        request->rows = rows;
    else
        rows_free(rows);
    letter_reply(&request->letter);
}

static void note_ring(struct runner *r, int32_t pid)
{
    r->rung = true;
    for (size_t i = 0; i < r->rung_count; i++) {
        if (r->rung_pids[i] == pid)
            return;
    }
    if (r->rung_count < RUNG_MAX)
        r->rung_pids[r->rung_count++] = pid; /* a pid that finds no room rings again with its next commit */
}

static void take_request(struct runner *r, struct control_request *request)
{
    struct error err;

    if (request->verb == CONTROL_ABORT) {
        if (r->abort != NULL) {
            error_set(&err, "55000", "migration %s is being aborted already", r->id);
            runner_answer(request, NULL, &err);
            return;
        }
        r->abort = request;
        r->purge_requested = r->purge_requested || request->purge;
        r->abort_requested = r->interrupted = true;
        return;
    }
    if (request->verb == CONTROL_CUTOVER && request->force && r->verifying)
        r->interrupted = true;
    else if (check_answer_quickly(r, request))
        return;
    LL_APPEND(r->requests, &request->letter);
}

static void take_news(struct runner *r, struct runner_letter *letter)
{
    switch (letter->news) {
    case RUNNER_PUBLISH:
        r->publishing = false;
        break;
    case RUNNER_SLOT:
        r->slot = true;
        break;
    case RUNNER_LOOK:
        r->look = true;
        break;
    case RUNNER_ENDED:
        break;
    }
    letter_drop(&letter->letter);
}

bool runner_letters(void *who)
{
    struct runner *r = who;
    struct letter *letter;

    while ((letter = mailbox_next(r->mailbox)) != NULL) {
        switch (letter->kind) {
        case LETTER_GATE:
            gatekeeper_answer(&r->gates, (struct gate_letter *)letter);
            break;
        case LETTER_DOORBELL:
            note_ring(r, ((struct doorbell_letter *)letter)->backend_pid);
            letter_drop(letter);
            break;
        case LETTER_CONTROL:
            take_request(r, (struct control_request *)letter);
            break;
        case LETTER_RUNNER:
            take_news(r, (struct runner_letter *)letter);
            break;
        case LETTER_STOP:
            r->stopping = r->interrupted = true;
            letter_drop(letter);
            break;
        default:
            letter_drop(letter);
        }
    }
    return r->interrupted && !r->critical;
}

bool runner_await(struct runner *r, bool (*there)(struct runner *r), uint64_t until_ms, const char *what,
                  struct error *err)
{
    runner_letters(r);
    while (!there(r)) {
        uint64_t now_ms = clock_ms(), left_ms = 1000;

        /* Not even a cutover waits for loops that are being stopped: its row tells the next owner how far it
         * came. */
        if (r->stopping || (r->interrupted && !r->critical))
            return error_set(err, "57014", "interrupted while waiting for %s", what);
        if (until_ms != 0 && now_ms >= until_ms)
            return error_set(err, "57014", "%s took too long", what);
        if (until_ms != 0 && until_ms - now_ms < left_ms)
            left_ms = until_ms - now_ms;
        pg_nap(&r->m.wake, left_ms);
    }
    return true;
}

static void runner_letter_drop(struct letter *letter)
{
    free(letter);
}

static bool tell_control(struct runner *r, enum runner_news news, const struct route *route,
                         struct error *err)
{
    struct runner_letter *letter = calloc(1, sizeof *letter);

    if (letter == NULL)
        return error_no_memory(err);
    letter->letter.kind = LETTER_RUNNER;
    letter->letter.drop = runner_letter_drop;
    letter->letter.reply_to = news == RUNNER_ENDED ? NULL : mailbox_take(r->mailbox);
    letter->news = news;
    memcpy(letter->migration, r->id, sizeof letter->migration);
    if (route != NULL)
        letter->route = *route;
    letter_send(r->setup->switchboard->control, &letter->letter);
    return true;
}

/* --- log --- */

void runner_log(struct runner *r, enum log_level level, const char *event, const char *operation,
                uint64_t duration_ms, int64_t events, const struct error *err)
{
    char duration[24], count[24];
    struct log_field fields[8] = {
        { "migration_id", r->id },  { "tenant_id", r->m.tenant }, { "phase", migration_state_name(r->state) },
        { "operation", operation }, { "duration_ms", duration },  { "events_count", count }
    };
    unsigned used = 6;

    snprintf(duration, sizeof duration, "%" PRIu64, duration_ms);
    snprintf(count, sizeof count, "%" PRId64, events);
    if (err != NULL) {
        fields[used++] = (struct log_field){ "error", err->message };
        if (err->detail[0] != '\0')
            fields[used++] = (struct log_field){ "detail", err->detail };
    }
    log_event(r->setup->log, level, "runner", event, fields, used);
}

/* --- gates, routes, states --- */

static bool op_answered(struct runner *r, enum gate_op op)
{
    return gatekeeper_has_answers(&r->gates, op);
}

static bool made(struct runner *r)
{
    return op_answered(r, GATE_MAKE);
}

static bool closed(struct runner *r)
{
    return op_answered(r, GATE_CLOSE);
}

static bool opened(struct runner *r)
{
    return op_answered(r, GATE_OPEN);
}

static bool dropped(struct runner *r)
{
    return op_answered(r, GATE_DROP);
}

static bool asked(struct runner *r)
{
    return op_answered(r, GATE_ASK);
}

bool runner_order_gates(struct runner *r, enum gate_op op, uint64_t until_ms, struct error *err)
{
    static const struct {
        bool (*answered)(struct runner *r);
        const char *what;
    } ops[] = { [GATE_MAKE] = { made, "making the gates" },
                [GATE_CLOSE] = { closed, "the tenant's transactions in flight" },
                [GATE_OPEN] = { opened, "opening the gates" },
                [GATE_DROP] = { dropped, "dropping the gates" },
                [GATE_ASK] = { asked, "asking the gates" } };

    if (!gatekeeper_order(&r->gates, op, r->m.tenant, r->id, r->m.epoch,
                          (uint64_t)r->m.settings.write_hold_timeout_ms))
        return error_no_memory(err);
    return runner_await(r, ops[op].answered, until_ms, ops[op].what, err);
}

static bool published(struct runner *r)
{
    return !r->publishing;
}

/* Other instances say in the control database that they have applied it. */
static bool await_others(struct runner *r, uint64_t until_ms, struct error *err)
{
    bool all = false;

    for (;;) {
        if (!ledger_acknowledged(r->ledger, r->m.tenant, r->routed.generation, &all, err))
            return false;
        if (all)
            return true;
        if (r->stopping || (r->interrupted && !r->critical) || (until_ms != 0 && clock_ms() >= until_ms))
            return error_set(err, "57014", "another instance has not applied generation %" PRIu64,
                             r->routed.generation);
        pg_nap(&r->m.wake, 10);
    }
}

bool runner_publish(struct runner *r, uint64_t until_ms, struct error *err)
{
    struct route route;

    if (r->routed.generation == 0)
        return true; /* no routing row: nothing has ever been said about this tenant */
    memset(&route, 0, sizeof route);
    memcpy(route.tenant, r->m.tenant, sizeof route.tenant);
    route.store = r->state == MIGRATION_MIGRATED ? r->m.target : r->m.source;
    route.generation = r->routed.generation;
    route.migration_state = r->abort_written                                ? ROUTING_NORMAL
                            : r->announced && r->state == MIGRATION_PENDING ? ROUTING_BULK_COPY
                                                                            : migration_routing(r->state);
    if (route.migration_state != ROUTING_NORMAL) {
        route.target = r->m.target;
        memcpy(route.migration, r->id, sizeof route.migration);
        route.owner_epoch = r->m.epoch;
    }
    r->publishing = true;
    return tell_control(r, RUNNER_PUBLISH, &route, err) &&
           runner_await(r, published, until_ms, "every loop to apply the new route", err) &&
           (!r->routed.others || await_others(r, until_ms, err));
}

bool runner_enter(struct runner *r, enum migration_state to, uint64_t new_epoch, const char *event,
                  const char *operator_name, const char *details, const struct error *why,
                  const char *severity, const char *recoverability, struct error *err)
{
    struct migration_move move = { .from = r->state,
                                   .to = to,
                                   .epoch = r->m.epoch,
                                   .new_epoch = new_epoch,
                                   .event = event,
                                   .operator_name = operator_name,
                                   .details = details,
                                   .error = why,
                                   .severity = severity,
                                   .recoverability = recoverability };

    if (!migration_enter(r->ledger, r->id, &move, &r->routed, err)) {
        r->owned = false; /* it may have been committed all the same: the row is read again */
        return false;
    }
    r->state = to;
    r->m.epoch = new_epoch;
    return true;
}

/* Moves on within the epoch. */
static bool enter_next(struct runner *r, enum migration_state to, const char *event, struct error *err)
{
    return runner_enter(r, to, r->m.epoch, event, NULL, NULL, NULL, NULL, NULL, err);
}

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
        if (ledger_look(r->ledger, r->id, &record, &found, err) && found)
            r->state = record.state;
        return error_set(err, "55000", "migration %s has come to its end: it is %s", r->id,
                         migration_state_name(r->state));
    }
    /* Whatever was done under the old epoch is refused from now on: everything is claimed again. */
    r->connected = r->abort_written = r->announced = false;
    r->gates_claimed = false;
    if (!take_record(r, &record, err))
        return false;
    if (r->state == MIGRATION_FAILED && !r->abort_requested)
        r->over = true;
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
    return got || error_set(err, "55P03", "another owner still holds migration %s", r->id);
}

/* A working ledger that owns the migration; one try. */
static bool own(struct runner *r, struct error *err)
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
    if (r->m.source_pg != NULL && r->m.source_rel.oid != 0)
        return true;
    snprintf(what, sizeof what, "store \"%s\"", r->m.source->name);
    if (r->m.source_pg == NULL && !pg_open(r->m.source->conninfo, what, "pgshunt runner", &r->m.wake,
                                           LEDGER_TIMEOUT_MS, &r->m.source_pg, err))
        return false;
    relation_done(&r->m.source_rel);
    memset(&r->m.source_rel, 0, sizeof r->m.source_rel);
    return relation_read(r->m.source_pg, what, r->m.names, &r->m.source_rel, err);
}

static bool connect_stores(struct runner *r, struct error *err)
{
    runner_drop_broken(r);
    if (r->connected)
        return true;
    if (!migration_connect(&r->m, err) || !cursor_claim(&r->m, &r->cursor, err))
        return false;
    if (r->mirror == NULL)
        r->mirror = mirror_new(&r->m);
    else
        mirror_reset(r->mirror);
    if (r->mirror == NULL)
        return error_no_memory(err);
    r->connected = true;
    return true;
}

static bool make_gates(struct runner *r, struct error *err)
{
    if (r->gates_made && r->gates_claimed)
        return true;
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
        return error_hint(err, "ABORT MIGRATION '%s', and start again.", r->id);
    }
    if (!sound && (!failpoint("runner.before_tap", err) || !tap_install(&r->m, err) ||
                   !failpoint("runner.after_tap", err)))
        return false;
    r->tap_checked = true;
    return true;
}

/* A gate stands on every loop before the tap does (DESIGN §2). */
static bool prepare(struct runner *r, struct error *err)
{
    return make_gates(r, err) && connect_stores(r, err) && check_tap(r, err);
}

/* --- progress --- */

static bool write_progress(struct runner *r, struct error *err)
{
    uint64_t now_ms = clock_ms();

    if (now_ms - r->progress_written_ms < PROGRESS_MS)
        return true;
    r->progress_written_ms = now_ms;
    if (r->cursor.done || r->total_events < r->cursor.events)
        r->total_events = r->cursor.events; /* it was an estimate */
    r->progress.total_events = r->total_events;
    r->progress.events_copied = r->cursor.events;
    r->progress.source_position = r->cursor.position;
    r->progress.sync_lag_events = r->lag_entries;
    r->progress.percentage =
        r->state != MIGRATION_BULK_COPY || r->cursor.done || r->progress.total_events == 0
            ? 100.0
            : 100.0 * (double)r->cursor.events / (double)r->progress.total_events;
    return ledger_progress(r->ledger, r->id, r->m.epoch, &r->progress, err);
}

static bool read_lag(struct runner *r, struct error *err)
{
    if (clock_ms() - r->lag_read_ms < PROGRESS_MS)
        return true;
    r->lag_read_ms = clock_ms();
    return tap_lag(r->m.source_pg, &r->m, &r->lag_entries, &r->lag_oldest_ms, err);
}

static bool on_copied(void *who, const struct cursor *cursor)
{
    struct runner *r = who;
    struct error err;
    uint64_t before_ms = r->progress_written_ms;

    r->cursor = *cursor;
    runner_letters(r);
    if (!failpoint("runner.bulk_copy", &err))
        return false;
    if (!write_progress(r, &err))
        return false; /* the next round opens the ledger again */
    if (r->progress_written_ms != before_ms)
        runner_log(r, LOG_INFO, "Bulk copy progress", "copy", 0, cursor->events, NULL);
    return !r->interrupted;
}

/* --- the mirror --- */

static void target_failed(struct runner *r, const struct error *why)
{
    struct error err;

    breaker_failure(&r->breaker, clock_ms());
    if (!r->write_failing || r->breaker.state == BREAKER_OPEN)
        runner_log(r, LOG_WARN, "Target write failed", "mirror", 0, r->lag_entries, why);
    r->write_failing = true;
    r->last_error = *why;
    if (!ledger_write_failed(r->ledger, r->id, r->lag_entries, why, &err) ||
        !ledger_note(r->ledger, r->id, r->m.epoch, why, "warning", "transient", &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down a target failure",
                  r->id);
}

static void target_recovered(struct runner *r)
{
    struct error err;

    breaker_success(&r->breaker);
    if (!r->write_failing || r->breaker.state != BREAKER_CLOSED)
        return;
    r->write_failing = false;
    log_line(r->setup->log, LOG_INFO, "runner", "migration %s: the target is back", r->id);
    if (!ledger_write_recovered(r->ledger, r->id, &err) ||
        !ledger_note(r->ledger, r->id, r->m.epoch, NULL, NULL, NULL, &err))
        log_error(r->setup->log, LOG_WARN, "runner", &err, "migration %s: writing down a recovery", r->id);
}

bool runner_mirror(struct runner *r, bool *more, struct error *err)
{
    struct mirror_pass pass = { 0 };

    *more = false;
    r->rung = false;
    for (size_t i = 0; i < r->rung_count; i++)
        mirror_know_backend(r->mirror, r->rung_pids[i]);
    r->rung_count = 0;
    if (!mirror_run(r->mirror, &pass, err))
        return false;
    *more = pass.more;
    if (pass.entries > 0 || r->breaker.state != BREAKER_CLOSED)
        target_recovered(r);
    return true;
}

/* Until a pass finds less than a batch: under load there is always something. */
static bool mirror_up(struct runner *r, struct error *err)
{
    bool more = true;

    while (more && !r->interrupted) {
        if (!failpoint("runner.mirror", err) || !runner_mirror(r, &more, err))
            return false;
    }
    return true;
}

/* --- verification --- */

static bool write_verification(struct runner *r, struct error *err)
{
    struct buf json;
    bool fine;

    buf_init(&json);
    buf_append_format(&json,
                      "{\"result\": \"%s\", \"level\": \"hash\", \"streams\": %" PRId64
                      ", \"events\": %" PRId64 ", \"suspects\": %" PRId64 ", \"violations\": %" PRId64
                      ", \"duration_ms\": %" PRIu64 ", \"first_violation\": ",
                      r->verified ? "passed" : "violations", r->verification.streams, r->verification.events,
                      r->verification.suspects, r->verification.violations, r->verification.duration_ms);
    json_text(&json, r->verification.first);
    buf_append_text(&json, "}");
    fine = buf_failed(&json)
               ? error_no_memory(err)
               : ledger_report(r->ledger, r->id, LEDGER_VERIFICATION, buf_text(&json), NULL, err);
    buf_done(&json);
    return fine;
}

static void violated(struct runner *r, const char *what)
{
    struct error found;

    error_set(&found, "XX001", "%s", what);
    error_detail(&found, "consistency_error");
    runner_log(r, LOG_ERROR, "Consistency check failed", "verify", r->verification.duration_ms,
               r->verification.events, &found);
}

/* What has been asked is answered from memory, so that nobody waits for the verification; but CUTOVER … FORCE
 * goes first. */
static bool clear_requests(struct runner *r)
{
    struct letter *letter, *next;

    LL_FOREACH_SAFE(r->requests, letter, next) {
        struct control_request *request = (struct control_request *)letter;

        if (request->verb == CONTROL_CUTOVER && request->force)
            return false;
        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        if (!check_answer_quickly(r, request))
            runner_answer(request, NULL, &(struct error){ "55000", "the verification is running", "", "" });
    }
    return true;
}

static bool verify_all(struct runner *r, struct error *err)
{
    uint64_t begun_ms = clock_ms();
    bool fine;

    if (r->verified || begun_ms < r->verify_next_ms || r->breaker.state != BREAKER_CLOSED)
        return true;
    r->verifying = true;
    if (!clear_requests(r)) {
        r->verifying = false;
        return true;
    }
    fine = failpoint("runner.before_verify", err) && verifier_hash(&r->m, r->mirror, &r->verification, err);
    r->verifying = false;
    if (!fine)
        return false;
    r->verified = r->verification.violations == 0;
    if (r->verified) {
        r->verify_behind_violation[0] = '\0';
        log_line(r->setup->log, LOG_INFO, "runner",
                 "migration %s: verified, %" PRId64 " events in %" PRId64 " streams, %" PRIu64 " ms", r->id,
                 r->verification.events, r->verification.streams, clock_ms() - begun_ms);
    } else {
        violated(r, r->verification.first);
        r->verify_wait_ms = r->verify_wait_ms == 0 ? VERIFY_AGAIN_MS_MIN : r->verify_wait_ms * 2;
        if (r->verify_wait_ms > VERIFY_AGAIN_MS_MAX)
            r->verify_wait_ms = VERIFY_AGAIN_MS_MAX;
        r->verify_next_ms = clock_ms() + r->verify_wait_ms;
    }
    return write_verification(r, err);
}

/* What the mirror has applied is compared by key soon after, so that a cutover has little left to compare. */
static bool verify_behind(struct runner *r, struct error *err)
{
    uint64_t now_ms = clock_ms();

    if (mirror_unverified(r->mirror) == 0 || now_ms - r->verify_behind_ms < VERIFY_BEHIND_MS)
        return true;
    r->verify_behind_ms = now_ms;
    if (mirror_verify_behind(r->mirror, err))
        return true;
    if (!error_is(err, "XX001"))
        return false;
    snprintf(r->verify_behind_violation, sizeof r->verify_behind_violation, "%.250s", err->message);
    violated(r, err->message);
    r->verified = false; /* only another full verification takes that back */
    r->verify_next_ms = now_ms + VERIFY_AGAIN_MS_MIN;
    return true;
}

/* --- the states' steps --- */

static bool slot_given(struct runner *r)
{
    return r->slot;
}

/* The gates' way: the route says bulk_copy everywhere before the tap is put in; the state does when it
 * stands. */
static bool step_pending(struct runner *r, struct error *err)
{
    if (!runner_await(r, slot_given, 0, "a slot", err) || !failpoint("runner.before_bulk_copy", err) ||
        !ledger_announce(r->ledger, r->id, r->m.epoch, &r->routed, err))
        return false;
    r->announced = true;
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err) || !prepare(r, err) ||
        !enter_next(r, MIGRATION_BULK_COPY, "bulk copy started", err))
        return false;
    runner_log(r, LOG_INFO, "Migration started", "start", 0, 0, NULL);
    return failpoint("runner.after_bulk_copy_entered", err) &&
           runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err);
}

static bool step_bulk_copy(struct runner *r, struct error *err)
{
    struct copier_hook hook = { on_copied, r };
    uint64_t begun_ms = clock_ms();
    int64_t bytes;

    if (!prepare(r, err))
        return false;
    if (r->total_events == 0 && !copier_estimate(&r->m, &r->total_events, &bytes, err))
        return false;
    if (!copier_run(&r->m, &r->cursor, &hook, err))
        return false;
    if (!r->cursor.done)
        return true; /* interrupted at a batch's boundary */
    runner_log(r, LOG_INFO, "Bulk copy complete", "copy", clock_ms() - begun_ms, r->cursor.events, NULL);
    if (!mirror_up(r, err) || r->interrupted)
        return r->interrupted;
    r->progress_written_ms = 0;
    if (!read_lag(r, err) || !write_progress(r, err) || !failpoint("runner.before_dual_write", err) ||
        !enter_next(r, MIGRATION_DUAL_WRITE, "bulk copy complete", err))
        return false;
    r->dual_write_since_ms = clock_ms();
    return failpoint("runner.after_dual_write_entered", err) &&
           runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err);
}

/* Serves what has been asked; a cutover among it may end the migration. */
static void serve(struct runner *r)
{
    struct letter *letter;

    while ((letter = r->requests) != NULL && !r->interrupted && !r->over) {
        struct control_request *request = (struct control_request *)letter;

        LL_DELETE(r->requests, letter);
        letter->next = NULL;
        if (check_answer_quickly(r, request))
            continue;
        if (request->verb == CONTROL_CUTOVER)
            cutover_run(r, request);
        else
            check_answer(r, request);
    }
}

/* Until the doorbell rings, somebody asks for something, or the timer for hidden writers is over. */
static void rest(struct runner *r, uint64_t since_ms)
{
    uint64_t until_ms = clock_ms() + (uint64_t)r->m.settings.mirror_poll_ms;
    uint64_t gap_until_ms = since_ms + MIRROR_GAP_MS;

    runner_letters(r);
    while (!r->interrupted && r->requests == NULL && !r->look) {
        uint64_t now_ms = clock_ms();
        uint64_t wake_ms = r->rung ? gap_until_ms : until_ms;

        if (now_ms >= wake_ms)
            return;
        pg_nap(&r->m.wake, wake_ms - now_ms);
    }
}

static bool pause(struct runner *r, const struct error *why, struct error *err);

static bool too_long(struct runner *r, struct error *err)
{
    struct error why;

    if (clock_ms() - r->dual_write_since_ms < (uint64_t)r->m.settings.dual_write_timeout_minutes * 60000)
        return true;
    error_set(&why, "57014", "dual write has gone on for more than %" PRId64 " minutes",
              r->m.settings.dual_write_timeout_minutes);
    error_hint(&why, "ABORT MIGRATION '%s', or start it again with a longer dual_write_timeout_minutes.",
               r->id);
    return pause(r, &why, err);
}

/* The data plane's part of a round; a failure of the target is the breaker's business. */
static bool mirror_round(struct runner *r, struct error *err)
{
    return prepare(r, err) && mirror_up(r, err) &&
           (r->interrupted || (verify_all(r, err) && verify_behind(r, err)));
}

/* Is what failed the target? Then the source's tap still stands and captures. */
static bool target_is_to_blame(const struct runner *r, const struct error *err)
{
    if (r->m.source_pg == NULL || pg_is_broken(r->m.source_pg) || ledger_is_broken(r->ledger))
        return false;
    return !error_is(err, "55000");
}

static bool step_dual_write(struct runner *r, struct error *err)
{
    uint64_t begun_ms = clock_ms();

    /* The answer to the last step of the way back was lost: held writes wait for it, whatever the target is
     * doing. */
    if (r->tap_to_open && !(make_gates(r, err) && cutover_reopen(r, err)))
        return false;
    if (breaker_allows(&r->breaker, begun_ms) && !mirror_round(r, err)) {
        if (r->interrupted || !target_is_to_blame(r, err))
            return false;
        target_failed(r, err);
        if (!pg_nap(&r->m.wake, 200)) /* five failures in a row are not five in a millisecond */
            return true;
    }
    if (r->interrupted)
        return true;
    if ((r->m.source_pg != NULL && !pg_is_broken(r->m.source_pg) && !read_lag(r, err)) ||
        !write_progress(r, err))
        return false;
    serve(r);
    if (r->over || r->interrupted || r->state != MIGRATION_DUAL_WRITE)
        return true;
    if (!too_long(r, err))
        return false;
    rest(r, begun_ms);
    return true;
}

/* Found so at start: was it switched? If not, the tap may be shut, and the gates are closed. */
static bool step_cutover_paused(struct runner *r, struct error *err)
{
    /* A gate that this process has made open, for an earlier state, would let writes run into a tap that is
     * shut. */
    return make_gates(r, err) && runner_order_gates(r, GATE_CLOSE, clock_ms() + LETTER_TIMEOUT_MS, err) &&
           cutover_recover(r, err);
}

static bool step_paused(struct runner *r, struct error *err)
{
    (void)err;
    serve(r);
    if (!r->interrupted && !r->look)
        pg_nap(&r->m.wake, 1000);
    return true;
}

static bool step_ended(struct runner *r, struct error *err)
{
    (void)err;
    r->over = true;
    return true;
}

static bool (*const steps[MIGRATION_STATES])(struct runner *r, struct error *err) = {
    [MIGRATION_PENDING] = step_pending,       [MIGRATION_BULK_COPY] = step_bulk_copy,
    [MIGRATION_DUAL_WRITE] = step_dual_write, [MIGRATION_CUTOVER_PAUSED] = step_cutover_paused,
    [MIGRATION_MIGRATED] = step_ended,        [MIGRATION_FAILED] = step_ended,
    [MIGRATION_ROLLED_BACK] = step_ended,     [MIGRATION_PAUSED] = step_paused,
};

/* --- ways out --- */

static void drop_gates(struct runner *r)
{
    struct error err;

    r->gates_made = false;
    if (!runner_order_gates(r, GATE_DROP, clock_ms() + LETTER_TIMEOUT_MS, &err) && !r->stopping)
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: dropping its gates", r->id);
}

static bool pause(struct runner *r, const struct error *why, struct error *err)
{
    if (!runner_enter(r, MIGRATION_PAUSED, r->m.epoch, "migration paused", NULL, NULL, why, "error",
                      "recoverable", err))
        return false;
    runner_log(r, LOG_WARN, "Migration paused", "pause", 0, r->cursor.events, why);
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
        return false;
    drop_gates(r);
    return true;
}

/* Quickly, for the applications' sake: a tap that stays costs every write of the tenant. */
static void try_remove_tap(struct runner *r)
{
    struct error err;

    if (!runner_connect_source(r, &err) || !tap_remove(&r->m, &err)) {
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "migration %s: its tap is still there", r->id);
        log_line(r->setup->log, LOG_ERROR, "runner", "ABORT MIGRATION '%s' removes it", r->id);
    }
}

static bool fail(struct runner *r, const struct error *why, struct error *err)
{
    if (!runner_enter(r, MIGRATION_FAILED, r->m.epoch, "migration failed", NULL, NULL, why, "critical",
                      "fatal", err))
        return false;
    runner_log(r, LOG_ERROR, "Migration failed", "fail", 0, r->cursor.events, why);
    if (!runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
        log_error(r->setup->log, LOG_ERROR, "runner", err, "migration %s: publishing", r->id);
    drop_gates(r);
    try_remove_tap(r);
    r->over = true;
    return true;
}

/* The route is the source's at once; the gates open; only then the tap, which may take its time. */
static bool abort_begin(struct runner *r, struct error *err)
{
    const char *who = r->abort == NULL ? NULL : r->abort->operator_name;
    const char *reason = r->abort == NULL ? NULL : r->abort->reason;

    if (r->abort_written)
        return true;
    if (!failpoint("runner.before_abort", err) ||
        !ledger_abort(r->ledger, r->id, r->m.epoch, who, reason, &r->routed, err))
        return false;
    r->abort_written = true;
    if (!failpoint("runner.after_abort_written", err) ||
        !runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
        return false;
    /* A tap that is shut would refuse what an open gate lets through. */
    if (!r->tap_to_open)
        drop_gates(r);
    return true;
}

static bool abort_end(struct runner *r, struct error *err)
{
    const char *who = r->abort == NULL ? NULL : r->abort->operator_name;
    struct rows *rows;
    int64_t purged = 0;

    if (!runner_connect_source(r, err) || !tap_evict(r->m.source_pg, &r->m, err) || !tap_remove(&r->m, err))
        return false;
    if (r->tap_to_open)
        drop_gates(r);
    r->tap_to_open = false;
    if (r->purge_requested && !purge_target(&r->m, &purged, err))
        return false;
    if (!failpoint("runner.before_rolled_back", err) ||
        !runner_enter(r, MIGRATION_ROLLED_BACK, r->m.epoch, "migration aborted", who, NULL, NULL, NULL, NULL,
                      err))
        return false;
    runner_log(r, LOG_INFO, "Migration rolled back", "abort", 0, r->cursor.events, NULL);
    r->over = true;
    rows = rows_new();
    if (rows != NULL) {
        rows_column(rows, "id", ROWS_TEXT);
        rows_column(rows, "state", ROWS_TEXT);
        rows_text(rows, r->id);
        rows_text(rows, migration_state_name(r->state));
    }
    runner_answer(r->abort, rows, NULL);
    r->abort = NULL;
    return true;
}

/* The operator learns at once that it will take longer; the migration's row says why. */
static void abort_delayed(struct runner *r, const struct error *why)
{
    struct error told = *why, err;

    if (!r->abort_written)
        return;
    ledger_note(r->ledger, r->id, r->m.epoch, why, "error", "transient", &err);
    if (r->abort == NULL)
        return;
    snprintf(told.message, sizeof told.message,
             "the route is at the source, but the tap is not removed yet: %.400s", why->message);
    error_hint(&told, "It is tried until it succeeds; SHOW MIGRATION '%s' tells.", r->id);
    runner_answer(r->abort, NULL, &told);
    r->abort = NULL;
}

static bool step_abort(struct runner *r, struct error *err)
{
    r->interrupted = r->stopping;
    /* A cutover that was found half done is settled first: it may have been switched. */
    if (r->state == MIGRATION_CUTOVER_PAUSED && !r->tap_to_open && !cutover_settle(r, err))
        return false;
    if (r->state == MIGRATION_MIGRATED) {
        r->abort_requested = false;
        error_set(err, "55000", "migration %s is migrated", r->id);
        error_detail(err, "invalid_state_transition: only an active or failed migration can be aborted");
        runner_answer(r->abort, NULL, err);
        r->abort = NULL;
        return true;
    }
    if (abort_begin(r, err) && abort_end(r, err))
        return true;
    if (!r->stopping)
        abort_delayed(r, err);
    return false;
}

/* The row was changed by hand: what it says now is obeyed. */
static bool step_look(struct runner *r, struct error *err)
{
    struct migration_record record;
    bool found;

    r->look = false;
    if (!ledger_look(r->ledger, r->id, &record, &found, err))
        return false;
    if (found && record.epoch == r->m.epoch && record.state == r->state)
        return true;
    log_line(r->setup->log, LOG_WARN, "runner", "migration %s was changed by hand: it is %s now", r->id,
             found ? migration_state_name(record.state) : "gone");
    r->over = true;
    if (found && record.epoch == r->m.epoch && record.state != MIGRATION_MIGRATED) {
        r->abort_written =
            ledger_abort(r->ledger, r->id, r->m.epoch, NULL, "changed by hand", &r->routed, err);
        if (!r->abort_written || !runner_publish(r, clock_ms() + LETTER_TIMEOUT_MS, err))
            log_error(r->setup->log, LOG_ERROR, "runner", err, "migration %s: its route", r->id);
        drop_gates(r);
        if (record.state != MIGRATION_PAUSED)
            try_remove_tap(r);
        return true;
    }
    drop_gates(r);
    return true;
}

/* --- the story --- */

static bool still_ours(struct runner *r, struct error *err)
{
    struct migration_record record;
    bool found;

    if (!ledger_look(r->ledger, r->id, &record, &found, err))
        return true; /* not known: the ledger is opened again, which asks again */
    return found && record.epoch == r->m.epoch && record.state == r->state;
}

/* Growing waits, with some jitter so that runners do not march in step. */
static void back_off(struct runner *r)
{
    uint64_t wait_ms = r->retry_wait_ms == 0 ? RETRY_MS_MIN : r->retry_wait_ms * 2;
    uint64_t until_ms;

    r->retry_wait_ms = wait_ms > RETRY_MS_MAX ? RETRY_MS_MAX : wait_ms;
    until_ms = clock_ms() + r->retry_wait_ms * 3 / 4 + clock_us() % (r->retry_wait_ms / 4 + 1);
    while (!r->interrupted && !r->stopping && clock_ms() < until_ms)
        pg_nap(&r->m.wake, until_ms - clock_ms());
}

static void on_failure(struct runner *r, struct error *err)
{
    struct error ignored, why = *err;

    runner_letters(r);
    runner_drop_broken(r);
    if (r->over || r->stopping || (r->interrupted && error_is(err, "57014")))
        return;
    log_error(r->setup->log, LOG_WARN, "runner", err, "migration %s in %s", r->id,
              migration_state_name(r->state));
    if (ledger_is_broken(r->ledger) || !r->owned) {
        back_off(r);
        return;
    }
    if (error_is(err, "55000") && !still_ours(r, &ignored)) {
        log_line(r->setup->log, LOG_WARN, "runner", "migration %s has another owner, or was changed", r->id);
        drop_gates(r);
        r->over = true;
        return;
    }
    if (pg_error_is_transient(err) || r->abort_requested || r->state == MIGRATION_CUTOVER_PAUSED ||
        r->state == MIGRATION_PAUSED || error_is(err, "XX000")) {
        if (r->owned)
            ledger_note(r->ledger, r->id, r->m.epoch, &why, "warning", "transient", &ignored);
        back_off(r);
        return;
    }
    if (error_is(err, "55000") && migration_may_move(r->state, MIGRATION_PAUSED) ? !pause(r, &why, err)
                                                                                 : !fail(r, &why, err))
        back_off(r);
}

static void carry_on(struct runner *r)
{
    struct error err;

    while (!r->over && !r->stopping) {
        bool fine;

        r->interrupted = r->stopping; /* an ABORT stays remembered in abort_requested */
        error_clear(&err);
        fine = own(r, &err);
        if (fine && r->over)
            return;
        if (fine && r->abort_requested)
            fine = step_abort(r, &err);
        else if (fine && r->look)
            fine = step_look(r, &err);
        else if (fine)
            fine = steps[r->state](r, &err);
        runner_letters(r);
        if (fine) {
            r->retry_wait_ms = 0;
        } else {
            on_failure(r, &err);
        }
    }
}

static void refuse_requests(struct runner *r)
{
    struct letter *letter, *next;
    struct error err;

    error_set(&err, "57P01", "the migration's runner has ended in state %s", migration_state_name(r->state));
    runner_letters(r);
    LL_FOREACH_SAFE(r->requests, letter, next) {
        LL_DELETE(r->requests, letter);
        runner_answer((struct control_request *)letter, NULL, &err);
    }
    runner_answer(r->abort, NULL, &err);
    r->abort = NULL;
    if (r->start != NULL)
        runner_answer(r->start, NULL, &err);
    r->start = NULL;
}

/* However it ended: no gate of ours stays, and no tap of a migration that somebody has ended by hand. */
static void leave(struct runner *r)
{
    if (r->stopping || !r->gates_made)
        return;
    if (r->tap_checked && (r->state == MIGRATION_FAILED || r->state == MIGRATION_ROLLED_BACK))
        try_remove_tap(r);
    drop_gates(r);
}

static void *runner_main(void *who)
{
    struct runner *r = who;
    struct error err;

    error_clear(&err);
    if (r->start != NULL && !runner_begin(r, &err)) {
        runner_answer(r->start, NULL, &err);
        r->start = NULL;
    } else if (tell_control(r, RUNNER_SLOT, NULL, &err)) {
        carry_on(r);
        leave(r);
    }
    refuse_requests(r);
    if (r->mirror != NULL)
        mirror_free(r->mirror);
    migration_disconnect(&r->m);
    relation_done(&r->m.source_rel);
    relation_done(&r->m.target_rel);
    ledger_close(r->ledger);
    if (!tell_control(r, RUNNER_ENDED, NULL, &err))
        log_error(r->setup->log, LOG_ERROR, "runner", &err, "telling control that migration %s has ended",
                  r->id);
    return NULL;
}

/* --- for control --- */

static void runner_free(struct runner *r)
{
    gatekeeper_done(&r->gates);
    if (r->mailbox != NULL)
        mailbox_close(r->mailbox); /* loops may still hold it as a doorbell */
    mailbox_give(r->mailbox);
    free(r);
}

static void runner_init(struct runner *r, const struct runner_setup *setup, const char *id)
{
    r->setup = setup;
    snprintf(r->id, sizeof r->id, "%s", id);
    snprintf(r->m.id, sizeof r->m.id, "%s", id);
    r->m.names = setup->names;
    r->m.control_schema = setup->ledger->schema;
    r->m.log = setup->log;
    r->m.wake = (struct pg_wake){ mailbox_fd(r->mailbox), runner_letters, r };
    r->cursor.high = -1;
    breaker_init(&r->breaker, BREAKER_FAILURES, BREAKER_OPEN_MS, BREAKER_TRIALS);
}

bool runner_start(const struct runner_setup *setup, const char *id, struct control_request *request,
                  struct runner **started, struct error *err)
{
    struct runner *r = calloc(1, sizeof *r);

    *started = NULL;
    if (r != NULL)
        r->mailbox = mailbox_new();
    if (r == NULL || r->mailbox == NULL || !gatekeeper_init(&r->gates, setup->switchboard, r->mailbox)) {
        error_no_memory(err);
        runner_answer(request, NULL, err);
        if (r != NULL)
            runner_free(r);
        return false;
    }
    runner_init(r, setup, id);
    if (request != NULL && request->verb == CONTROL_ABORT) {
        r->abort = request;
        r->purge_requested = request->purge;
        r->abort_requested = true;
    } else {
        r->start = request;
    }
    if (pthread_create(&r->thread, NULL, runner_main, r) != 0) {
        error_set(err, "53000", "could not start a thread");
        runner_answer(request, NULL, err);
        runner_free(r);
        return false;
    }
    *started = r;
    return true;
}

const char *runner_id(const struct runner *r)
{
    return r->id;
}

struct mailbox *runner_mailbox(struct runner *r)
{
    return r->mailbox;
}

void runner_join(struct runner *r)
{
    pthread_join(r->thread, NULL);
    runner_free(r);
}
