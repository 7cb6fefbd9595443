/* ledger_notes.c - see ledger_notes.h. */
#include "migrate/ledger_notes.h"

#include <inttypes.h>
#include <stdio.h>

#include "migrate/settings.h"

struct number {
    char text[24];
};

static const char *number_text(struct number *number, int64_t value)
{
    snprintf(number->text, sizeof number->text, "%" PRId64, value);
    return number->text;
}

const char *ledger_error_json(struct buf *json, const struct error *why, const char *severity,
                              const char *recoverability)
{
    if (why == NULL)
        return NULL;
    buf_append_text(json, "{\"message\": ");
    json_text(json, why->message);
    buf_append_text(json, ", \"sqlstate\": ");
    json_text(json, why->sqlstate);
    buf_append_text(json, ", \"detail\": ");
    json_text(json, why->detail);
    buf_append_text(json, ", \"hint\": ");
    json_text(json, why->hint);
    buf_append_text(json, ", \"severity\": ");
    json_text(json, severity == NULL ? "error" : severity);
    buf_append_text(json, ", \"recoverability\": ");
    json_text(json, recoverability == NULL ? "recoverable" : recoverability);
    buf_append_text(json, "}");
    return buf_failed(json) ? NULL : buf_text(json);
}

bool ledger_progress(struct ledger *ledger, const char *id, uint64_t epoch,
                     const struct ledger_progress *progress, struct error *err)
{
    struct number numbers[5];
    char percentage[32];
    const char *const values[] = { id,
                                   number_text(&numbers[0], (int64_t)epoch),
                                   number_text(&numbers[1], progress->total_events),
                                   number_text(&numbers[2], progress->events_copied),
                                   number_text(&numbers[3], progress->sync_lag_events),
                                   number_text(&numbers[4], progress->source_position),
                                   percentage };

    snprintf(percentage, sizeof percentage, "%.2f", progress->percentage);
    return pg_run(ledger_pg(ledger), "SELECT migration_progress($1, $2, $3, $4, $5, $6, $7)", 7, values, err);
}

bool ledger_note(struct ledger *ledger, const char *id, uint64_t epoch, const struct error *why,
                 const char *severity, const char *recoverability, struct error *err)
{
    struct number number;
    struct buf json;
    bool fine;

    buf_init(&json);
    const char *const values[] = { id, number_text(&number, (int64_t)epoch),
                                   ledger_error_json(&json, why, severity, recoverability) };
    fine = pg_run(ledger_pg(ledger), "SELECT migration_note($1, $2, $3)", 3, values, err);
    buf_done(&json);
    return fine;
}

bool ledger_event(struct ledger *ledger, const char *id, const char *event, const char *operator_name,
                  const char *details, struct error *err)
{
    const char *const values[] = { id, event, operator_name, details };

    return pg_run(ledger_pg(ledger), "SELECT migration_audit($1, $2, $3, $4)", 4, values, err);
}

bool ledger_report(struct ledger *ledger, const char *id, enum ledger_report what, const char *event,
                   const char *json, const char *operator_name, struct error *err)
{
    static const char *const columns[] = {
        [LEDGER_VERIFICATION] = "verification",
        [LEDGER_CUTOVER] = "cutover_report",
        [LEDGER_REPAIR] = "repair",
        [LEDGER_RESYNC] = "resync",
    };
    const char *const values[] = { id, columns[what], json, event, operator_name };

    return pg_run(ledger_pg(ledger), "SELECT migration_report($1, $2, $3, $4, $5)", 5, values, err);
}

bool ledger_write_failed(struct ledger *ledger, const char *id, int64_t entries, const struct error *why,
                         struct error *err)
{
    struct number number;
    const char *const values[] = { id, number_text(&number, entries), why->sqlstate, why->message };

    return pg_run(ledger_pg(ledger), "SELECT migration_write_failed($1, $2, $3, $4)", 4, values, err);
}

bool ledger_write_recovered(struct ledger *ledger, const char *id, struct error *err)
{
    return pg_run(ledger_pg(ledger), "SELECT migration_write_recovered($1)", 1, &id, err);
}

bool ledger_settled(struct ledger *ledger, const char *id, struct error *err)
{
    return pg_run(ledger_pg(ledger), "SELECT migration_settled($1)", 1, &id, err);
}

static bool wish(struct ledger *ledger, const char *id, uint64_t epoch, bool wanted,
                 const char *operator_name, const char *reason, struct error *err)
{
    struct number number;
    const char *const values[] = { id, number_text(&number, (int64_t)epoch), wanted ? "t" : "f",
                                   operator_name, reason };

    return pg_run(ledger_pg(ledger), "SELECT migration_want_resume($1, $2, $3, $4, $5)", 5, values, err);
}

bool ledger_want_resume(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                        const char *reason, struct error *err)
{
    return wish(ledger, id, epoch, true, operator_name, reason, err);
}

bool ledger_unwant_resume(struct ledger *ledger, const char *id, uint64_t epoch, const char *operator_name,
                          const char *reason, struct error *err)
{
    return wish(ledger, id, epoch, false, operator_name, reason, err);
}
