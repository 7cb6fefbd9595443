/* job.c - what each command does.
 * Owns:   nothing; requests belong to control from ask() until job_answer() gets them back.
 * Leaves: migrations to control, CUTOVER … WHEN READY to ready.c, SHOW from the view to show.c, EXPLAIN ROUTE
 * to explain.c. Thread: the console's.   Start at: works[], then job_start(). */
#include "admin/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/explain.h"
#include "admin/ready.h"
#include "admin/show.h"
#include "base/clock.h"

enum { TIMEOUT_SECONDS_MAX = 30 * 24 * 3600 };

static const char *const states[] = { "pending",  "bulk_copy", "dual_write",  "cutover_paused",
                                      "migrated", "failed",    "rolled_back", "paused" };
enum { STATE_COUNT = sizeof states / sizeof states[0] };

bool job_state_is_final(const char *state)
{
    return strcmp(state, "migrated") == 0 || strcmp(state, "failed") == 0 ||
           strcmp(state, "rolled_back") == 0;
}

uint64_t job_tag(const struct job *job)
{
    return (uint64_t)job->owner << 32 | job->asked;
}

uint32_t job_owner_of_tag(uint64_t tag)
{
    return (uint32_t)(tag >> 32);
}

/* --- questions to control --- */

static bool copy_text(char **to, const char *from)
{
    if (from == NULL)
        return true;
    *to = strdup(from);
    return *to != NULL;
}

static bool fill_options(struct control_request *request, const struct command *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        struct control_option *option = &request->options[i];

        *option = (struct control_option){ NULL, NULL };
        request->option_count = i + 1; /* counted first: its drop frees what a failure leaves behind */
        if (!copy_text(&option->name, command->options[i].name) ||
            !copy_text(&option->value, command->options[i].value))
            return false;
    }
    return true;
}

/* NULL: once. */
static bool read_times(const char *text, int64_t *times, struct error *err)
{
    char *end = NULL;

    *times = text == NULL ? 1 : strtoll(text, &end, 10);
    if (text == NULL || (end != text && *end == '\0' && *times >= 1 && *times <= JOB_REHEARSALS_MAX))
        return true;
    return error_set(err, "22023", "TIMES must be a number from 1 to %d, not \"%s\"", JOB_REHEARSALS_MAX,
                     text);
}

/* What stands in the command itself goes the way of the options of WITH. */
static bool add_option(struct control_request *request, const char *name, const char *value)
{
    struct control_option *option = &request->options[request->option_count];

    if (value == NULL || request->option_count == CONTROL_OPTIONS_MAX)
        return true;
    *option = (struct control_option){ NULL, NULL };
    request->option_count++;
    return copy_text(&option->name, name) && copy_text(&option->value, value);
}

/* A tenant that is no value of its column's type is refused here: `err` is set and *bad. */
static bool fill_tenant(const struct job *job, struct control_request *request, bool *bad, struct error *err)
{
    char tenant[TENANT_BYTES_MAX];

    if (job->command->slots[SLOT_TENANT] == NULL)
        return true;
    if (!show_canonical_tenant(job->view, job->command->slots[SLOT_TENANT], tenant, err)) {
        *bad = true;
        return false;
    }
    return copy_text(&request->tenant, tenant);
}

static bool fill_request(const struct job *job, struct control_request *request, struct error *err)
{
    const struct command *command = job->command;
    bool bad = false;

    snprintf(request->operator_name, sizeof request->operator_name, "%s", job->operator_name);
    request->tag = job_tag(job);
    request->force = (command->flags & COMMAND_FORCE) != 0;
    request->patient = (command->flags & COMMAND_WHEN_READY) != 0;
    request->purge = (command->flags & COMMAND_PURGE) != 0;
    if (!read_times(command->slots[SLOT_TIMES], &request->times, err))
        return false;
    if (fill_tenant(job, request, &bad, err) &&
        copy_text(&request->id,
                  command->slots[SLOT_ID] != NULL ? command->slots[SLOT_ID] : command->slots[SLOT_N]) &&
        copy_text(&request->from, command->slots[SLOT_SOURCE]) &&
        copy_text(&request->to, command->slots[SLOT_TARGET]) &&
        copy_text(&request->reason, command->slots[SLOT_REASON]) &&
        copy_text(&request->filter, command->flags & COMMAND_ALL ? "all" : "active") &&
        fill_options(request, command) && add_option(request, "level", command->slots[SLOT_LEVEL]) &&
        add_option(request, "sample", command->slots[SLOT_PERCENT]) &&
        add_option(request, "position",
                   command->slots[SLOT_ID] != NULL && command->slots[SLOT_POSITION] == NULL
                       ? command->slots[SLOT_N]
                       : command->slots[SLOT_POSITION]) &&
        add_option(request, "nearest", command->flags & COMMAND_NEAREST ? "on" : NULL))
        return true;
    return bad ? false : error_no_memory(err);
}

enum job_result job_ask(struct job *job, enum control_verb verb, struct error *err)
{
    struct control_request *request = control_request_new(verb, NULL);

    if (request == NULL) {
        error_no_memory(err);
        return JOB_FAILED;
    }
    job->asked++;
    if (!fill_request(job, request, err)) {
        letter_drop(&request->letter);
        return JOB_FAILED;
    }
    if (!job->hooks->ask(job->hooks->who, request)) {
        letter_drop(&request->letter);
        error_set(err, "57P01", "pgshunt is shutting down");
        return JOB_FAILED;
    }
    job->waits_for_answer = true;
    return JOB_WAITS;
}

/* --- WATCH and WAIT --- */

/* A named value of the one row that CONTROL_FIND answers; "" if there is none. */
const char *job_found(const struct rows *rows, const char *name)
{
    for (size_t i = 0; i < rows_column_count(rows); i++) {
        const char *value = strcmp(rows_column_name(rows, i), name) == 0 ? rows_value(rows, 0, i) : NULL;

        if (value != NULL)
            return value;
    }
    return "";
}

enum job_result job_look_again(struct job *job, uint64_t ms)
{
    job->hooks->wake_in(job->hooks->who, ms);
    return JOB_WAITS;
}

void job_tell_once(struct job *job, const char *text)
{
    if (strcmp(text, job->told) == 0)
        return;
    snprintf(job->told, sizeof job->told, "%s", text);
    job->hooks->notice(job->hooks->who, text);
}

static void tell_progress(struct job *job, const struct rows *row)
{
    const char *lag = job_found(row, "sync_lag_events"), *message = job_found(row, "error_message");
    char text[512];
    size_t used;

    used = (size_t)snprintf(text, sizeof text, "%s: %s of %s events copied", job_found(row, "state"),
                            job_found(row, "events_copied"), job_found(row, "total_events"));
    if (used < sizeof text && *job_found(row, "progress_percentage") != '\0')
        used += (size_t)snprintf(text + used, sizeof text - used, " (%.1f %%)",
                                 strtod(job_found(row, "progress_percentage"), NULL));
    if (used < sizeof text && *lag != '\0')
        used += (size_t)snprintf(text + used, sizeof text - used, ", %s to mirror", lag);
    if (used < sizeof text && *job_found(row, "eta_seconds") != '\0')
        used += (size_t)snprintf(text + used, sizeof text - used, ", %.0f events/s, %.0f s to go",
                                 strtod(job_found(row, "rate"), NULL),
                                 strtod(job_found(row, "eta_seconds"), NULL));
    if (used < sizeof text && *message != '\0')
        snprintf(text + used, sizeof text - used, ", %s", message);
    job_tell_once(job, text);
}

static enum job_result watch_look(struct job *job, struct rows **rows)
{
    const char *state = job_found(*rows, "state");
    bool paused = strcmp(state, "cutover_paused") == 0;

    tell_progress(job, *rows);
    if (job_state_is_final(state) || (job->was_paused && !paused))
        return JOB_DONE; /* the end, or a cutover that was rolled back */
    job->was_paused = paused;
    rows_free(*rows);
    *rows = NULL;
    return job_look_again(job, JOB_POLL_MS);
}

static enum job_result wait_is_over(const struct job *job, const char *state, struct error *err)
{
    error_set(err, "57014", "migration is not %s after %s seconds", job->command->slots[SLOT_STATE],
              job->command->slots[SLOT_SECONDS]);
    if (*state != '\0')
        error_detail(err, "It is %s.", state);
    return JOB_FAILED;
}

/* How long until the next look; 0: the time is over. */
static uint64_t wait_ms(const struct job *job)
{
    uint64_t now_ms = clock_ms();

    if (job->deadline_ms == 0)
        return JOB_POLL_MS;
    if (now_ms >= job->deadline_ms)
        return 0;
    return job->deadline_ms - now_ms < JOB_POLL_MS ? job->deadline_ms - now_ms : JOB_POLL_MS;
}

static enum job_result wait_look(struct job *job, struct rows **rows, struct error *err)
{
    const char *wanted = job->command->slots[SLOT_STATE], *state = job_found(*rows, "state");
    enum job_result result;
    uint64_t ms;

    if (strcmp(state, wanted) == 0)
        return JOB_DONE;
    ms = wait_ms(job);
    if (job_state_is_final(state)) {
        error_set(err, "55000", "migration is %s and will never be %s", state, wanted);
        if (*job_found(*rows, "error_message") != '\0')
            error_detail(err, "%s", job_found(*rows, "error_message"));
        error_hint(err, "SHOW AUDIT '%s' says how it came to that.", job_found(*rows, "id"));
        result = JOB_FAILED;
    } else if (ms == 0) {
        result = wait_is_over(job, state, err);
    } else {
        result = job_look_again(job, ms);
    }
    rows_free(*rows);
    *rows = NULL;
    return result;
}

/* A control database that is away for a moment does not end a watch: it may be what is being watched for. */
bool job_may_come_back(const struct error *err)
{
    return strncmp(err->sqlstate, "08", 2) == 0 || strncmp(err->sqlstate, "57P0", 4) == 0 ||
           strncmp(err->sqlstate, "53", 2) == 0;
}

static enum job_result look_failed(struct job *job, struct error *err)
{
    uint64_t ms = wait_ms(job);
    char text[512];

    if (!job_may_come_back(err))
        return JOB_FAILED;
    if (ms == 0)
        return wait_is_over(job, "", err);
    snprintf(text, sizeof text, "no answer, looking again: %.400s", err->message);
    job_tell_once(job, text);
    return job_look_again(job, ms);
}

static enum job_result start_watch(struct job *job, struct rows **rows, struct error *err)
{
    (void)rows;
    return job_ask(job, CONTROL_FIND, err);
}

static bool check_state(const char *state, struct error *err)
{
    for (size_t i = 0; i < STATE_COUNT; i++)
        if (strcmp(state, states[i]) == 0)
            return true;
    error_set(err, "22023", "\"%s\" is not a state of a migration", state);
    return error_hint(
        err, "States are pending, bulk_copy, dual_write, cutover_paused, migrated, failed, rolled_back "
             "and paused.");
}

static bool read_timeout(const char *seconds, uint64_t *ms, struct error *err)
{
    char *end;
    double value = strtod(seconds, &end);

    if (end == seconds || *end != '\0' || !isfinite(value) || value < 0 || value > TIMEOUT_SECONDS_MAX)
        return error_set(err, "22023", "TIMEOUT must be a number of seconds from 0 to %d, not \"%s\"",
                         TIMEOUT_SECONDS_MAX, seconds);
    *ms = (uint64_t)(value * 1000);
    return true;
}

static enum job_result start_wait(struct job *job, struct rows **rows, struct error *err)
{
    const char *seconds = job->command->slots[SLOT_SECONDS];
    uint64_t ms = 0;

    (void)rows;
    for (char *at = job->command->slots[SLOT_STATE]; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    if (!check_state(job->command->slots[SLOT_STATE], err))
        return JOB_FAILED;
    if (seconds != NULL) {
        if (!read_timeout(seconds, &ms, err))
            return JOB_FAILED;
        job->deadline_ms = clock_ms() + ms;
    }
    return job_ask(job, CONTROL_FIND, err);
}

/* --- the others --- */

static enum job_result start_explain(struct job *job, struct rows **rows, struct error *err)
{
    return explain_route(job->view, job->command, job->params, rows, err) ? JOB_DONE : JOB_FAILED;
}

static enum job_result start_cutover(struct job *job, struct rows **rows, struct error *err)
{
    (void)rows;
    return job->command->flags & COMMAND_WHEN_READY ? ready_start(job, err)
                                                    : job_ask(job, CONTROL_CUTOVER, err);
}

/* Checked here, so that a typing error costs nobody a pause; carried out by the migration's runner. */
static enum job_result start_rehearsal(struct job *job, struct rows **rows, struct error *err)
{
    int64_t times;

    (void)rows;
    return read_times(job->command->slots[SLOT_TIMES], &times, err) ? job_ask(job, CONTROL_REHEARSE, err)
                                                                    : JOB_FAILED;
}

static enum job_result start_shutdown(struct job *job, struct rows **rows, struct error *err)
{
    bool graceful = (job->command->flags & COMMAND_GRACEFUL) != 0;

    (void)rows;
    return job_ask(job, graceful ? CONTROL_SHUTDOWN_GRACEFUL : CONTROL_SHUTDOWN, err);
}

/* --- what loops know --- */

static enum show_what what_of(enum command_verb verb)
{
    return verb == COMMAND_SHOW_CLIENTS   ? SHOW_CLIENTS
           : verb == COMMAND_SHOW_SERVERS ? SHOW_SERVERS
           : verb == COMMAND_SHOW_POOLS   ? SHOW_POOLS
           : verb == COMMAND_SHOW_PLANS   ? SHOW_PLANS
                                          : SHOW_STATS;
}

static bool gathers(const struct job *job)
{
    enum command_verb verb = job->command->info->verb;

    return verb == COMMAND_SHOW_CLIENTS || verb == COMMAND_SHOW_SERVERS || verb == COMMAND_SHOW_POOLS ||
           verb == COMMAND_SHOW_STATS || verb == COMMAND_SHOW_PLANS;
}

static enum job_result gathered(struct job *job, struct rows **rows, struct error *err)
{
    char text[80];

    if (job->gather.left > 0) {
        snprintf(text, sizeof text, "%u event loops have not answered in time", job->gather.left);
        job->hooks->notice(job->hooks->who, text);
    }
    *rows = gather_end(&job->gather, job->command->info);
    if (*rows != NULL)
        return JOB_DONE;
    error_no_memory(err);
    return JOB_FAILED;
}

static enum job_result start_gather(struct job *job, struct rows **rows, struct error *err)
{
    enum show_what what = what_of(job->command->info->verb);

    job->asked++;
    gather_begin(&job->gather, what, job->hooks->ask_loops(job->hooks->who, what, job_tag(job)));
    if (job->gather.left == 0)
        return gathered(job, rows, err);
    job->deadline_ms = clock_ms() + JOB_LOOPS_MS;
    return job_look_again(job, JOB_LOOPS_MS);
}

enum job_result job_told(struct job *job, struct show_letter *letter, struct rows **rows, struct error *err)
{
    *rows = NULL;
    gather_take(&job->gather, letter);
    return job->gather.left > 0 ? JOB_WAITS : gathered(job, rows, err);
}

static enum job_result gather_tick(struct job *job, struct rows **rows, struct error *err)
{
    uint64_t now_ms = clock_ms();

    if (now_ms < job->deadline_ms) /* an earlier job's timer */
        return job_look_again(job, job->deadline_ms - now_ms);
    return gathered(job, rows, err);
}

void job_done(struct job *job)
{
    gather_done(&job->gather);
}

/* --- and the rest --- */

static enum job_result start_polite(struct job *job, struct rows **rows, struct error *err)
{
    (void)job;
    (void)rows;
    (void)err;
    return JOB_DONE;
}

/* A command does one of three things: it shows, it asks control, or it has a start of its own. */
static const struct work {
    show_fn *show;
    enum job_result (*start)(struct job *job, struct rows **rows, struct error *err);
    enum control_verb asks; /* where there is neither */
} works[COMMAND_VERBS] = {
    [COMMAND_EMPTY] = { .start = start_polite },
    [COMMAND_SHOW_HELP] = { .show = show_help },
    [COMMAND_SHOW_VERSION] = { .show = show_version },
    [COMMAND_SHOW_CONFIG] = { .show = show_config },
    [COMMAND_SHOW_STORES] = { .asks = CONTROL_SHOW_STORES },
    [COMMAND_SHOW_TENANTS] = { .show = show_tenants },
    [COMMAND_SHOW_MIGRATIONS] = { .asks = CONTROL_SHOW_MIGRATIONS },
    [COMMAND_SHOW_MIGRATION] = { .asks = CONTROL_SHOW_MIGRATION },
    [COMMAND_SHOW_ROUTE] = { .show = show_route },
    [COMMAND_SHOW_LAG] = { .asks = CONTROL_SHOW_LAG },
    [COMMAND_SHOW_AUDIT] = { .asks = CONTROL_SHOW_AUDIT },
    [COMMAND_SHOW_INSTANCES] = { .asks = CONTROL_SHOW_INSTANCES },
    [COMMAND_SHOW_CLIENTS] = { .start = start_gather },
    [COMMAND_SHOW_SERVERS] = { .start = start_gather },
    [COMMAND_SHOW_POOLS] = { .start = start_gather },
    [COMMAND_SHOW_STATS] = { .start = start_gather },
    [COMMAND_SHOW_PLANS] = { .start = start_gather },
    [COMMAND_SHOW_TOTALS] = { .show = show_totals },
    [COMMAND_START_MIGRATION] = { .asks = CONTROL_START },
    [COMMAND_CUTOVER_MIGRATION] = { .start = start_cutover },
    [COMMAND_REHEARSE_CUTOVER] = { .start = start_rehearsal },
    [COMMAND_CHECK_MIGRATION] = { .asks = CONTROL_CHECK_MIGRATION },
    [COMMAND_CHECK_MOVED] = { .asks = CONTROL_CHECK_MOVED },
    [COMMAND_CREATE_SCHEMA] = { .asks = CONTROL_CREATE_SCHEMA },
    [COMMAND_CHECK_CUTOVER] = { .asks = CONTROL_CHECK_CUTOVER },
    [COMMAND_ABORT_MIGRATION] = { .asks = CONTROL_ABORT },
    [COMMAND_ALTER_MIGRATION] = { .asks = CONTROL_ALTER },
    [COMMAND_EMERGENCY_STOP] = { .asks = CONTROL_EMERGENCY_STOP },
    [COMMAND_RESUME_WRITES] = { .asks = CONTROL_RESUME_WRITES },
    [COMMAND_SHOW_FAILURES] = { .asks = CONTROL_SHOW_FAILURES },
    [COMMAND_PAUSE_MIGRATION] = { .asks = CONTROL_PAUSE },
    [COMMAND_RESUME_MIGRATION] = { .asks = CONTROL_RESUME },
    [COMMAND_VERIFY_MIGRATION] = { .asks = CONTROL_VERIFY },
    [COMMAND_REPAIR_MIGRATION] = { .asks = CONTROL_REPAIR },
    [COMMAND_RESYNC_MIGRATION] = { .asks = CONTROL_RESYNC },
    [COMMAND_TRANSLATE_POSITION] = { .asks = CONTROL_TRANSLATE },
    [COMMAND_PLAN_SUBSCRIPTIONS] = { .asks = CONTROL_PLAN_SUBSCRIPTIONS },
    [COMMAND_MIGRATE_SUBSCRIPTIONS] = { .asks = CONTROL_MIGRATE_SUBSCRIPTIONS },
    [COMMAND_SHOW_REPORT] = { .asks = CONTROL_SHOW_REPORT },
    [COMMAND_SHOW_REPORT_JSON] = { .asks = CONTROL_SHOW_REPORT_JSON },
    [COMMAND_WATCH_MIGRATION] = { .start = start_watch },
    [COMMAND_WAIT_MIGRATION] = { .start = start_wait },
    [COMMAND_EXPLAIN_ROUTE] = { .start = start_explain },
    [COMMAND_CHECK_COVERAGE] = { .asks = CONTROL_CHECK_COVERAGE },
    [COMMAND_SHOW_SHAPES] = { .asks = CONTROL_SHOW_SHAPES },
    [COMMAND_ACCEPT_SHAPE] = { .asks = CONTROL_ACCEPT_SHAPE },
    [COMMAND_WITHDRAW_SHAPE] = { .asks = CONTROL_WITHDRAW_SHAPE },
    [COMMAND_RELOAD] = { .asks = CONTROL_RELOAD },
    [COMMAND_SHUTDOWN] = { .start = start_shutdown },
    [COMMAND_SHOW_SHUTDOWN] = { .asks = CONTROL_SHOW_SHUTDOWN },
    [COMMAND_BEGIN] = { .start = start_polite },
    [COMMAND_END_TRANSACTION] = { .start = start_polite },
    [COMMAND_POLITE] = { .start = start_polite },
    [COMMAND_SHOW_PARAMETER] = { .show = show_parameter_value },
    [COMMAND_SELECT_ONE] = { .show = show_one },
};

enum job_result job_start(struct job *job, struct rows **rows, struct error *err)
{
    const struct work *work = &works[job->command->info->verb];

    *rows = NULL;
    if (work->show != NULL)
        return work->show(job->view, job->command, rows, err) ? JOB_DONE : JOB_FAILED;
    if (work->start != NULL)
        return work->start(job, rows, err);
    return job_ask(job, work->asks, err);
}

enum job_result job_answer(struct job *job, struct control_request *request, struct rows **rows,
                           struct error *err)
{
    enum command_verb verb = job->command->info->verb;
    bool looks = verb == COMMAND_WATCH_MIGRATION || verb == COMMAND_WAIT_MIGRATION;
    bool ok = request->ok;

    job->waits_for_answer = false;
    if (request->notice[0] != '\0')
        job->hooks->notice(job->hooks->who, request->notice);
    *rows = request->rows;
    request->rows = NULL;
    if (!ok)
        *err = request->err;
    letter_drop(&request->letter);
    if (verb == COMMAND_CUTOVER_MIGRATION && job->command->flags & COMMAND_WHEN_READY)
        return ready_answer(job, ok, rows, err);
    if (ok && (!looks || (*rows != NULL && rows_count(*rows) > 0)))
        return !looks                            ? JOB_DONE
               : verb == COMMAND_WATCH_MIGRATION ? watch_look(job, rows)
                                                 : wait_look(job, rows, err);
    rows_free(*rows);
    *rows = NULL;
    if (ok)
        error_set(err, "42704", "migration \"%s\" is gone", job->command->slots[SLOT_ID]);
    return looks ? look_failed(job, err) : JOB_FAILED;
}

void job_cancel(struct job *job)
{
    enum command_verb verb = job->command->info->verb;
    struct control_request *request;
    struct error ignored;

    if (!job->waits_for_answer || (verb != COMMAND_VERIFY_MIGRATION && verb != COMMAND_REPAIR_MIGRATION))
        return;
    request = control_request_new(CONTROL_CANCEL, NULL);
    if (request == NULL)
        return; /* then it goes on, and its report tells */
    if (!fill_request(job, request, &ignored) || !job->hooks->ask(job->hooks->who, request))
        letter_drop(&request->letter);
}

void job_news(struct job *job, const char *text)
{
    job->hooks->notice(job->hooks->who, text);
}

enum job_result job_tick(struct job *job, struct rows **rows, struct error *err)
{
    *rows = NULL;
    return gathers(job) ? gather_tick(job, rows, err) : job_ask(job, CONTROL_FIND, err);
}
