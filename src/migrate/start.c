/* start.c - START MIGRATION: refuses by what preflight has found, writes the row, answers. Changes nothing in
 * either store. Thread: the runner's.   Start at: runner_begin(). */
#include <stdio.h>
#include <string.h>

#include "base/failpoint.h"
#include "migrate/preflight.h"
#include "migrate/runner.h"
#include "migrate/settings.h"

/* Compares with what is recorded, or records it; preflight has only looked. */
static bool know_stores(struct runner *r, struct error *err)
{
    return ledger_know_store(r->ledger, r->m.source->name, r->m.tables[0].source.system_identifier,
                             r->m.tables[0].source.database_oid, err) &&
           ledger_know_store(r->ledger, r->m.target->name, r->m.tables[0].target.system_identifier,
                             r->m.tables[0].target.database_oid, err);
}

/* What the operator was warned of stands beside the start in the audit, in one commit with it. */
static bool write_warnings(struct runner *r, const struct findings *list, struct error *err)
{
    struct buf json;
    bool fine;

    if (findings_count_of(list, FINDING_WARNING) == 0)
        return true;
    buf_init(&json);
    findings_warnings_json(list, &json);
    fine =
        buf_failed(&json)
            ? error_no_memory(err)
            : pg_run(
                  ledger_pg(r->ledger),
                  "INSERT INTO migration_audit_log (migration_id, event_type, new_state, details, operator)"
                  " VALUES ($1, 'migration_checked', 'pending', jsonb_build_object('warnings', $2::jsonb), "
                  "$3)",
                  3, (const char *[]){ r->id, buf_text(&json), r->start->operator_name }, err);
    buf_done(&json);
    return fine;
}

static bool write_row(struct runner *r, const struct findings *list, struct error *err)
{
    struct migration_record record;
    struct buf json;

    memset(&record, 0, sizeof record);
    memcpy(record.id, r->id, sizeof record.id);
    memcpy(record.tenant, r->m.tenant, sizeof record.tenant);
    snprintf(record.source, sizeof record.source, "%s", r->m.source->name);
    snprintf(record.target, sizeof record.target, "%s", r->m.target->name);
    snprintf(record.operator_name, sizeof record.operator_name, "%s", r->start->operator_name);
    buf_init(&json);
    settings_write(&r->m.settings, &json);
    snprintf(record.config, sizeof record.config, "%s", buf_text(&json));
    buf_done(&json);
    if (failpoint("start.before_create", err) && pg_run(ledger_pg(r->ledger), "BEGIN", 0, NULL, err) &&
        ledger_create(r->ledger, &record, err) && write_warnings(r, list, err) &&
        pg_run(ledger_pg(r->ledger), "COMMIT", 0, NULL, err))
        return failpoint("start.after_create", err);
    pg_rollback(ledger_pg(r->ledger));
    return false;
}

static struct rows *answer_rows(struct runner *r)
{
    static const char *const columns[] = { "id", "tenant_id", "source", "target", "state" };
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        rows_column(rows, columns[i], i == 0 ? ROWS_UUID : ROWS_TEXT);
    rows_text(rows, r->id);
    rows_text(rows, r->m.tenant);
    rows_text(rows, r->m.source->name);
    rows_text(rows, r->m.target->name);
    rows_text(rows, migration_state_name(MIGRATION_PENDING));
    return rows;
}

/* A NOTICE for the operator, a line in the log: the migration begins all the same. */
static void warn(struct runner *r, const struct findings *list)
{
    struct preflight teller = { .r = r, .request = r->start };

    for (size_t i = 0; i < list->count; i++) {
        const struct finding *finding = &list->at[i];
        char text[512];

        if (finding->status != FINDING_WARNING)
            continue;
        snprintf(text, sizeof text, "%s: %s", finding->check, finding->found);
        preflight_tell(&teller, text);
        log_line(r->setup->log, LOG_WARN, "runner", "START of migration %s: %s", r->id, text);
    }
}

bool runner_begin(struct runner *r, struct error *err)
{
    struct findings list;
    bool fine;

    findings_init(&list);
    fine = preflight_run(r, r->start, &list, err) && findings_pass(&list, err) && know_stores(r, err) &&
           write_row(r, &list, err);
    if (fine) {
        warn(r, &list);
        runner_answer(r->start, answer_rows(r), NULL);
        r->start = NULL;
    }
    findings_done(&list);
    return fine;
}
