/* positions_ship.c - pairs of positions from the target, where they were written with their rows, to the
 * control database, where operators and subscriptions look. What is done twice has the same result: the
 * control database remembers in one commit what it has. Thread: the runner's.   Start at: positions_ship().
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "migrate/positions.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { SHIP_ROWS = 2000 };

/* What names the event: its id, or its key's columns. */
static void append_event_id(const struct relation *rel, struct buf *out)
{
    buf_append_text(out, "concat_ws('/'");
    for (size_t i = 0; i < rel->key_count; i++) {
        buf_append_text(out, ", e.");
        relation_append_identifier(out, rel->key_names[i]);
        buf_append_text(out, "::text");
    }
    buf_append_text(out, ")");
}

static PGresult *ask_target(struct migration *m, const char *text, int count, const char *const *values,
                            struct error *err)
{
    const struct moved_table *table = &m->tables[0];
    struct buf sql, tenant, position, event;
    PGresult *result = NULL;

    buf_init(&sql);
    buf_init(&tenant);
    buf_init(&position);
    buf_init(&event);
    relation_append_identifier(&tenant, m->names->tenant);
    relation_append_identifier(&position, m->names->position);
    append_event_id(&table->target, &event);
    sqltext_expand(&sql, text, m->control_schema,
                   (const struct sqltext_value[]){ { "table", table->target.qualified },
                                                   { "tenant_column", buf_text(&tenant) },
                                                   { "position_column", buf_text(&position) },
                                                   { "event_id", buf_text(&event) } },
                   4);
    if (buf_failed(&sql) || buf_failed(&tenant) || buf_failed(&position) || buf_failed(&event))
        error_no_memory(err);
    else
        result = pg_query(m->target_pg, buf_text(&sql), count, values, err);
    buf_done(&sql);
    buf_done(&tenant);
    buf_done(&position);
    buf_done(&event);
    return result;
}

static const char *or_null(const PGresult *result, int column)
{
    return PQgetisnull(result, 0, column) ? NULL : PQgetvalue(result, 0, column);
}

/* One commit of the control database. */
static bool tell_control(struct migration *m, struct pg *ledger, const PGresult *pairs, const PGresult *gone,
                         struct error *err)
{
    char epoch[24];
    const char *const values[] = { m->id,
                                   epoch,
                                   or_null(pairs, 0),
                                   or_null(pairs, 1),
                                   or_null(pairs, 2),
                                   or_null(pairs, 4),
                                   or_null(gone, 0),
                                   or_null(gone, 1) };

    snprintf(epoch, sizeof epoch, "%" PRIu64, m->epoch);
    return pg_run(ledger, sql_positions_ship, 8, values, err);
}

static bool forget_gone(struct migration *m, const PGresult *gone, struct error *err)
{
    PGresult *result =
        ask_target(m, sql_positions_gone_told, 2, (const char *[]){ m->id, PQgetvalue(gone, 0, 1) }, err);

    PQclear(result);
    return result != NULL;
}

bool positions_ship(struct migration *m, struct pg *ledger, int64_t *shipped, bool *more, struct error *err)
{
    char from[24], limit[16];
    PGresult *pairs, *gone;
    long pair_count, gone_count;
    bool good;

    *more = false;
    snprintf(from, sizeof from, "%" PRId64, *shipped);
    snprintf(limit, sizeof limit, "%d", SHIP_ROWS);
    /* The pairs first: one that goes in between is told with the next ones. */
    pairs = ask_target(m, sql_positions_ship_read, 4, (const char *[]){ m->id, from, limit, m->tenant }, err);
    gone = pairs == NULL ? NULL
                         : ask_target(m, sql_positions_gone_read, 2, (const char *[]){ m->id, limit }, err);
    good = gone != NULL;
    pair_count = good ? atol(PQgetvalue(pairs, 0, 3)) : 0;
    gone_count = good ? atol(PQgetvalue(gone, 0, 2)) : 0;
    if (good && (pair_count > 0 || gone_count > 0))
        good = tell_control(m, ledger, pairs, gone, err) && (gone_count == 0 || forget_gone(m, gone, err));
    if (good && pair_count > 0)
        *shipped = strtoll(PQgetvalue(pairs, 0, 4), NULL, 10);
    *more = good && (pair_count == SHIP_ROWS || gone_count == SHIP_ROWS);
    PQclear(pairs);
    PQclear(gone);
    return good;
}
