/* positions.c - see positions.h.   Start at: positions_draw(), positions_raise(). */
#include "migrate/positions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/ddl.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum {
    SLACK_BIGINT = 1000000, /* how much further than needed a sequence is moved */
    SLACK_INTEGER = 10000,
    FORGET_ROWS = 10000, /* of one statement */
};

bool positions_assigned(const struct migration *m)
{
    return strcmp(m->settings.position_mode, "assign") == 0;
}

static bool run(struct migration *m, const char *text, int count, const char *const *values,
                struct error *err)
{
    PGresult *result = migration_ask_target(m, text, count, values, err);

    PQclear(result);
    return result != NULL;
}

bool positions_make_schema(struct migration *m, struct error *err)
{
    return run(m, sql_positions_schema, 0, NULL, err);
}

/* --- the sequence ------------------------------------------------------------------------------------- */

static int64_t slack_of(const struct relation *rel)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (rel->columns[i].is_position)
            return strcmp(rel->columns[i].type, "bigint") == 0    ? SLACK_BIGINT
                   : strcmp(rel->columns[i].type, "integer") == 0 ? SLACK_INTEGER
                                                                  : 0;
    }
    return 0;
}

static bool is_high_enough(struct migration *m, int64_t lowest, bool *enough, struct error *err)
{
    char sql[200];
    PGresult *result;

    snprintf(sql, sizeof sql, "SELECT last_value FROM %.150s", m->tables[0].target.sequence);
    result = pg_query(m->target_pg, sql, 0, NULL, err);
    if (result == NULL)
        return false;
    *enough = strtoll(PQgetvalue(result, 0, 0), NULL, 10) >= lowest;
    PQclear(result);
    return true;
}

bool positions_raise(struct migration *m, int64_t lowest, bool ahead, struct error *err)
{
    const struct relation *rel = &m->tables[0].target;
    struct ddl_table table = { m->target_pg, rel, m->tenant, m->log, &m->wake };
    struct buf literal, sql;
    bool enough, good;

    if (rel->sequence == NULL)
        return error_set(err, "55000", "no sequence gives the positions of %s in store \"%s\"",
                         rel->qualified, m->target->name);
    if (ahead && slack_of(rel) == SLACK_BIGINT)
        lowest += SLACK_BIGINT / 2;
    if (!is_high_enough(m, lowest, &enough, err))
        return false;
    if (enough) /* what this session has cached may be older */
        return pg_run(m->target_pg, "DISCARD SEQUENCES", 0, NULL, err);
    buf_init(&literal);
    buf_init(&sql);
    sqltext_literal(&literal, rel->sequence);
    buf_append_format(&sql, "SELECT %s.sequence_raise(%s::regclass, %" PRId64 ", %" PRId64 ")",
                      m->control_schema, buf_text(&literal), lowest, slack_of(rel));
    good = !buf_failed(&literal) && !buf_failed(&sql) ? ddl_short(&table, buf_text(&sql), NULL, NULL, err)
                                                      : error_no_memory(err);
    buf_done(&literal);
    buf_done(&sql);
    if (!good && error_is(err, "42501"))
        error_hint(err, "pgshunt's role must own the sequence: see sql/roles.sql.");
    return good;
}

/* --- blocks ------------------------------------------------------------------------------------------- */

bool positions_draw(struct migration *m, struct positions_block *block, size_t wanted, struct error *err)
{
    char count[16];
    PGresult *result;

    block->drawn = block->used = 0;
    if (wanted > POSITIONS_BLOCK_MAX)
        wanted = POSITIONS_BLOCK_MAX;
    snprintf(count, sizeof count, "%zu", wanted);
    result = migration_ask_target(m, sql_positions_draw, 2,
                                  (const char *[]){ m->tables[0].target.sequence, count }, err);
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result) && block->drawn < wanted; row++)
        block->given[block->drawn++] = strtoll(PQgetvalue(result, row, 0), NULL, 10);
    PQclear(result);
    return block->drawn == wanted ||
           error_set(err, "XX000", "of %zu positions %zu were given", wanted, block->drawn);
}

bool positions_next(struct positions_block *block, int64_t source_position, bool reserved, int64_t *given,
                    struct error *err)
{
    size_t at = block->used;

    if (at > 0 && block->taken_by[at - 1] == source_position) {
        block->reserved[at - 1] = block->reserved[at - 1] && reserved;
        *given = block->given[at - 1];
        return true;
    }
    if (at == block->drawn)
        return error_set(err, "XX000", "a block of positions is used up");
    *given = block->given[at];
    if (*given < source_position || (at > 0 && *given <= block->given[at - 1])) {
        error_set(err, "55000",
                  "the target's sequence gives position %" PRId64 ", the source has given %" PRId64, *given,
                  source_position);
        return error_hint(err, "Somebody has set it back, or it does not ascend: correct it, then RESUME.");
    }
    block->taken_by[at] = source_position;
    block->reserved[at] = reserved;
    block->used++;
    return true;
}

bool positions_keep(struct migration *m, struct positions_block *block, struct error *err)
{
    struct buf source, target, reserved;
    bool good;

    if (block->used == 0)
        return true;
    buf_init(&source);
    buf_init(&target);
    buf_init(&reserved);
    for (size_t i = 0; i < block->used; i++) {
        const char *before = i == 0 ? "{" : ",";

        buf_append_format(&source, "%s%" PRId64, before, block->taken_by[i]);
        buf_append_format(&target, "%s%" PRId64, before, block->given[i]);
        buf_append_format(&reserved, "%s%s", before, block->reserved[i] ? "t" : "f");
    }
    buf_append_text(&source, "}");
    buf_append_text(&target, "}");
    buf_append_text(&reserved, "}");
    good =
        !buf_failed(&source) && !buf_failed(&target) && !buf_failed(&reserved)
            ? run(m, sql_positions_keep, 4,
                  (const char *[]){ m->id, buf_text(&source), buf_text(&target), buf_text(&reserved) }, err)
            : error_no_memory(err);
    buf_done(&source);
    buf_done(&target);
    buf_done(&reserved);
    block->drawn = block->used = 0;
    return good;
}

/* --- the end ------------------------------------------------------------------------------------------ */

bool positions_sweep(struct migration *m, struct error *err)
{
    return !positions_assigned(m) || run(m, sql_positions_sweep, 1, (const char *[]){ m->id }, err);
}

bool positions_forget(struct migration *m, struct error *err)
{
    char limit[16];
    long deleted = 1;

    snprintf(limit, sizeof limit, "%d", FORGET_ROWS);
    while (deleted > 0) {
        PGresult *result =
            migration_ask_target(m, sql_positions_forget, 2, (const char *[]){ m->id, limit }, err);

        if (result == NULL)
            return false;
        deleted = atol(PQcmdTuples(result));
        PQclear(result);
    }
    return true;
}
