/* ready.c - see ready.h.
 *
 *   look at the row ──dual_write──► CUTOVER ──done──► its row
 *        ▲   │ any other state         │ not ready: soon again; taken back: later each time
 *        └───┴──────── wait ◄──────────┘ */
#include "admin/ready.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
    LOOK_MS = 500,
    BACK_MS_MIN = 1000, /* after a cutover that held writes and was taken back */
    BACK_MS_MAX = 30000,
};

enum job_result ready_start(struct job *job, struct error *err)
{
    return job_ask(job, CONTROL_FIND, err);
}

static enum job_result wait(struct job *job, const char *text, uint64_t ms)
{
    job_tell_once(job, text);
    return job_look_again(job, ms);
}

/* The answer to the CUTOVER that switched it has been lost: what is known without it. */
static enum job_result moved(const struct job *job, struct rows **rows, struct error *err)
{
    struct rows *made = rows_new();

    if (made == NULL) {
        error_no_memory(err);
        return JOB_FAILED;
    }
    for (const struct command_column *column = job->command->info->columns; column->name != NULL; column++)
        rows_column(made, column->name, column->type);
    for (const struct command_column *column = job->command->info->columns; column->name != NULL; column++) {
        const char *value = job_found(*rows, column->name);

        rows_text(made, *value == '\0' ? NULL : value);
    }
    rows_free(*rows);
    *rows = made;
    return JOB_DONE;
}

static enum job_result look(struct job *job, struct rows **rows, struct error *err)
{
    const char *state = job_found(*rows, "state"), *progress = job_found(*rows, "progress_percentage");
    char text[160];

    if (strcmp(state, "migrated") == 0)
        return moved(job, rows, err);
    if (job_state_is_final(state)) {
        error_set(err, "55000", "migration is %s and will never be migrated", state);
        error_hint(err, "SHOW AUDIT '%s' says how it came to that.", job_found(*rows, "id"));
        return JOB_FAILED;
    }
    if (strcmp(state, "dual_write") == 0) {
        job->ready.cutting = true;
        return job_ask(job, CONTROL_CUTOVER, err);
    }
    snprintf(text, sizeof text, "waiting for dual_write: it is %s%s%.20s%s", state,
             *progress == '\0' ? "" : ", ", progress, *progress == '\0' ? "" : " %");
    return wait(job, text, LOOK_MS);
}

/* What waiting does not mend: words that are wrong, a migration that is not there. */
static bool is_hopeless(const struct error *err)
{
    return strncmp(err->sqlstate, "42", 2) == 0 || strncmp(err->sqlstate, "22", 2) == 0;
}

static enum job_result try_again(struct job *job, const struct error *err)
{
    char text[512];

    if (strcmp(err->sqlstate, "55000") == 0) {
        snprintf(text, sizeof text, "waiting: %.480s", err->detail[0] != '\0' ? err->detail : err->message);
        return wait(job, text, LOOK_MS);
    }
    job->ready.wait_ms = job->ready.wait_ms == 0 ? BACK_MS_MIN : job->ready.wait_ms * 2;
    if (job->ready.wait_ms > BACK_MS_MAX)
        job->ready.wait_ms = BACK_MS_MAX;
    snprintf(text, sizeof text, "%.200s; %.230s; trying again", err->message, err->detail);
    /* With some jitter: what is in the way may come round as regularly as we do. */
    return wait(job, text, job->ready.wait_ms * 3 / 4 + clock_us() % (job->ready.wait_ms / 4 + 1));
}

enum job_result ready_answer(struct job *job, bool ok, struct rows **rows, struct error *err)
{
    bool cutting = job->ready.cutting;
    enum job_result result;

    job->ready.cutting = false;
    if (ok && cutting)
        return JOB_DONE;
    if (ok && *rows != NULL && rows_count(*rows) > 0) {
        result = look(job, rows, err);
    } else if (ok) {
        error_set(err, "42704", "migration \"%s\" is gone", job->command->slots[SLOT_ID]);
        result = JOB_FAILED;
    } else if (is_hopeless(err) || (!cutting && !job_may_come_back(err))) {
        result = JOB_FAILED;
    } else {
        result = try_again(job, err);
    }
    if (result == JOB_DONE)
        return result;
    rows_free(*rows);
    *rows = NULL;
    return result;
}
