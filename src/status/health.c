/* health.c - see health.h.   Start at: health_migration(). */
#include "status/health.h"

#include <string.h>

#include "base/json.h"

unsigned health_process(const struct snapshot *snapshot, struct buf *json)
{
    bool whole = snapshot->told == snapshot->loops;

    buf_append_format(
        json,
        "{\"status\": \"%s\", \"version\": \"" PGSHUNT_VERSION
        "\", \"clients\": %llu, \"control\": \"%s\"}\n",
        whole ? "healthy" : "unhealthy",
        (unsigned long long)(snapshot->totals[STAT_CLIENTS_ACCEPTED] - snapshot->totals[STAT_CLIENTS_CLOSED]),
        snapshot->migrations != NULL ? "up" : "down");
    return whole ? 200 : 503;
}

unsigned health_ready(const struct snapshot *snapshot, struct buf *json)
{
    bool ready = snapshot->loops > 0 && snapshot->told == snapshot->loops && snapshot->migrations != NULL;

    buf_append_format(json, "{\"ready\": %s}\n", ready ? "true" : "false");
    return ready ? 200 : 503;
}

/* --- migrations --- */

struct judgement {
    unsigned active, stuck, high_lag, failing;
    double failures;
    struct buf details;
};

static void detail(struct judgement *judgement, const struct rows *rows, size_t row, const char *what)
{
    if (buf_bytes(&judgement->details) > 0)
        buf_append_text(&judgement->details, ", ");
    buf_append_text(&judgement->details, "{\"migration_id\": ");
    json_text(&judgement->details, snapshot_value(rows, row, "id"));
    buf_append_text(&judgement->details, ", \"tenant_id\": ");
    json_text(&judgement->details, snapshot_value(rows, row, "tenant_id"));
    buf_append_text(&judgement->details, ", \"state\": ");
    json_text(&judgement->details, snapshot_value(rows, row, "state"));
    buf_append_text(&judgement->details, ", \"problem\": ");
    json_text(&judgement->details, what);
    buf_append_text(&judgement->details, ", \"error\": ");
    json_text(&judgement->details, snapshot_value(rows, row, "error_message"));
    buf_append_text(&judgement->details, "}");
}

static bool is_active(const char *state)
{
    return strcmp(state, "migrated") != 0 && strcmp(state, "failed") != 0 &&
           strcmp(state, "rolled_back") != 0;
}

/* A migration that waits for its turn or for an operator is not stuck. */
static bool should_move(const char *state)
{
    return strcmp(state, "bulk_copy") == 0 || strcmp(state, "cutover_paused") == 0;
}

static void judge(struct judgement *judgement, const struct rows *rows, size_t row,
                  const struct health_limits *limits)
{
    const char *state = snapshot_value(rows, row, "state");

    if (!is_active(state))
        return;
    judgement->active++;
    judgement->failures += snapshot_number(rows, row, "recent_target_failures");
    if (should_move(state) && snapshot_number(rows, row, "idle_seconds") > limits->stuck_after_seconds) {
        judgement->stuck++;
        detail(judgement, rows, row, "stuck");
    }
    if (snapshot_number(rows, row, "sync_lag_events") > limits->lag_events_max) {
        judgement->high_lag++;
        detail(judgement, rows, row, "high lag");
    }
    if (strcmp(snapshot_value(rows, row, "target_failing"), "t") == 0) {
        judgement->failing++;
        detail(judgement, rows, row, "the target fails");
    }
    if (strcmp(state, "paused") == 0)
        detail(judgement, rows, row, "paused");
}

unsigned health_migration(const struct snapshot *snapshot, const struct health_limits *limits,
                          struct buf *json)
{
    struct judgement judgement = { 0 };
    const char *status;

    if (snapshot->migrations == NULL) {
        buf_append_text(json, "{\"status\": \"unhealthy\", \"error\": ");
        json_text(json, snapshot->control_error.message);
        buf_append_text(json, "}\n");
        return 503;
    }
    buf_init(&judgement.details);
    for (size_t row = 0; row < rows_count(snapshot->migrations); row++)
        judge(&judgement, snapshot->migrations, row, limits);
    status = judgement.stuck > 0 ? "unhealthy" : buf_bytes(&judgement.details) > 0 ? "degraded" : "healthy";
    buf_append_format(json,
                      "{\"status\": \"%s\", \"active_migrations\": %u, \"stuck_migrations\": %u, "
                      "\"high_sync_lag_count\": %u, "
                      "\"target_write_failure_rate\": %.4f, \"details\": [%s]}\n",
                      status, judgement.active, judgement.stuck, judgement.high_lag, judgement.failures / 60,
                      buf_text(&judgement.details));
    buf_done(&judgement.details);
    return judgement.stuck > 0 ? 503 : 200;
}
