/* control_stop.c - EMERGENCY STOP and RESUME WRITES: orders about a tenant, or about all.
 * Leaves: what they mean to a migration to its runner.   Thread: control's.   Start at: control_stop_all().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/answers.h"
#include "migrate/control_impl.h"
#include "sql_embedded.h"

/* Its row was changed: the runner looks at once, not only when NOTIFY tells us. */
static void tell_runner(struct control *c, const char *id)
{
    struct running *running = control_find_running(c, id);
    struct runner_letter *look = running == NULL ? NULL : calloc(1, sizeof *look);

    if (look == NULL)
        return; /* NOTIFY comes as well */
    look->letter.kind = LETTER_RUNNER;
    look->letter.drop = (void (*)(struct letter *))free;
    look->news = RUNNER_LOOK;
    letter_send(runner_mailbox(running->runner), &look->letter);
}

bool control_stop_all(struct control *c, const struct control_request *request, struct rows **rows,
                      struct error *err)
{
    const char *const values[] = { request->tenant, request->operator_name, request->reason };

    if (!answers_ask(c->ledger,
                     "SELECT id, tenant_id, old_state, state, store_id FROM emergency_stop($1, $2, $3)", 3,
                     values, rows, err))
        return false;
    for (size_t row = 0; row < rows_count(*rows); row++)
        tell_runner(c, rows_value(*rows, row, 0));
    c->read_routes = true;
    return true;
}

/* No migration of the tenant is under way: nobody holds its writes. */
static struct rows *nothing_held(const char *tenant)
{
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "tenant_id", ROWS_TEXT);
    rows_column(rows, "migration_id", ROWS_UUID);
    rows_column(rows, "state", ROWS_TEXT);
    rows_column(rows, "pause_ms", ROWS_FLOAT8);
    rows_column(rows, "blocked_writers", ROWS_INT8);
    rows_column(rows, "longest_hold_ms", ROWS_INT8);
    rows_text(rows, tenant);
    rows_text(rows, NULL);
    rows_text(rows, NULL);
    rows_text(rows, "0");
    rows_number(rows, 0);
    rows_number(rows, 0);
    return rows;
}

bool control_find_active(struct control *c, struct control_request *request, struct found_migration *found,
                         bool *there, struct error *err)
{
    const char *const values[] = { request->tenant };
    PGresult *result = pg_query(ledger_pg(c->ledger), sql_find_active_migration, 1, values, err);

    *there = false;
    if (result == NULL)
        return false;
    *there = PQntuples(result) == 1;
    if (*there) {
        snprintf(found->id, sizeof found->id, "%s", PQgetvalue(result, 0, 0));
        *there = migration_state_parse(PQgetvalue(result, 0, 1), &found->state);
    }
    PQclear(result);
    if (*there)
        return true;
    request->rows = nothing_held(request->tenant);
    return request->rows != NULL || error_no_memory(err);
}
