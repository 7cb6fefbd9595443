/* preflight_table.c - before a migration: do the two event tables fit, and is what [events] declares so?
 * Part of preflight.h; runner's thread. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/preflight.h"
#include "sql_embedded.h"

/* --- columns --- */

static bool add_difference(void *who, const struct error *difference)
{
    struct preflight *p = who;
    struct error why = *difference;

    if (why.hint[0] == '\0')
        error_hint(&why,
                   "ALTER TABLE in the target as in the source; where it is empty, drop it there, and CREATE "
                   "TARGET SCHEMA makes it anew.");
    finding_error(p->list, "columns", FINDING_BLOCKER, &why);
    return true;
}

static const struct relation_column *find(const struct relation *rel, const char *name)
{
    for (size_t i = 0; i < rel->column_count; i++) {
        if (strcmp(rel->columns[i].name, name) == 0)
            return &rel->columns[i];
    }
    return NULL;
}

/* An INSERT without a column list means the store's own order. */
static bool same_order(const struct relation *source, const struct relation *target)
{
    for (size_t i = 0; i < source->column_count && i < target->column_count; i++) {
        if (strcmp(source->columns[i].name, target->columns[i].name) != 0)
            return false;
    }
    return true;
}

/* Rows that the source has and a NOT NULL of the target refuses. */
static void look_for_nulls(struct preflight *p, const struct relation_column *column)
{
    const char *values[] = { p->r->m.tenant };
    struct buf sql;
    PGresult *result = NULL;

    buf_init(&sql);
    buf_append_format(&sql, "SELECT EXISTS (SELECT FROM %s WHERE ", p->source.rel->qualified);
    relation_append_identifier(&sql, p->r->m.names->tenant);
    buf_append_text(&sql, " = $1 AND ");
    relation_append_identifier(&sql, column->name);
    buf_append_text(&sql, " IS NULL)");
    if (!buf_failed(&sql))
        result = preflight_ask(p, "columns", FINDING_WARNING, *p->source.pg, buf_text(&sql), 1, values);
    buf_done(&sql);
    if (result == NULL)
        return;
    if (PQgetvalue(result, 0, 0)[0] == 't')
        finding_blocker(
            p->list, "columns", "23502", "ALTER TABLE … ALTER COLUMN … DROP NOT NULL in the target.",
            "column \"%s\" is null in some of the tenant's rows, and NOT NULL in the target", column->name);
    else
        finding_warning(p->list, "columns", "ALTER TABLE … ALTER COLUMN … DROP NOT NULL in the target.",
                        "column \"%s\" may be null in the source, and is NOT NULL in the target",
                        column->name);
    PQclear(result);
}

void preflight_columns(struct preflight *p)
{
    const struct relation *source = p->source.rel, *target = p->target.rel;
    size_t before = p->list->count;

    relation_compare(source, target, add_difference, p);
    for (size_t i = 0; i < source->column_count; i++) {
        const struct relation_column *to = find(target, source->columns[i].name);

        if (to != NULL && to->not_null && !source->columns[i].not_null && source->columns[i].copied)
            look_for_nulls(p, &source->columns[i]);
    }
    if (p->list->count == before && !same_order(source, target))
        finding_warning(
            p->list, "columns", "Name the columns in every INSERT, or make the target's table anew.",
            "the columns stand in another order in the target: an INSERT without a list of columns "
            "would mean others there");
    if (p->list->count == before)
        finding_ok(p->list, "columns", "%zu columns of %s are the same on both sides", source->column_count,
                   source->qualified);
}

/* --- what [events] declares --- */

static void look_at_declared(struct preflight *p, const struct preflight_side *side)
{
    size_t before = p->list->count;

    if (side->schema == NULL)
        return; /* it could not be read, which has been noted */
    if (side->schema->problem != NULL)
        finding_blocker(p->list, "declared", "55000", "Correct [events] in the configuration, or the store.",
                        "store \"%s\": %s", side->store->name, side->schema->problem);
    if (p->list->count == before)
        finding_ok(p->list, "declared", "store \"%s\" has what [events] declares", side->store->name);
}

static bool table_fits(const struct preflight_side *side, struct error *err)
{
    const struct relation *rel = side->rel;

    if (rel->inheritance_children) {
        error_set(err, "0A000", "store \"%s\": %s has inheritance children", side->store->name,
                  rel->qualified);
        return error_hint(err, "Make them partitions.");
    }
    return true;
}

void preflight_declared(struct preflight *p)
{
    struct error err;

    if (p->r->m.names->position[0] == '\0')
        finding_blocker(p->list, "declared", "55000",
                        "Set position_column under [events]: rows are copied in its order.",
                        "no position column is configured");
    preflight_note(p, "columns", FINDING_BLOCKER, table_fits(&p->source, &err), &err);
    preflight_note(p, "columns", FINDING_BLOCKER, table_fits(&p->target, &err), &err);
    look_at_declared(p, &p->source);
    look_at_declared(p, &p->target);
}

/* --- the index to copy by --- */

void preflight_index(struct preflight *p)
{
    const struct event_names *names = p->r->m.names;
    const struct relation *rel = p->source.rel;
    char oid[16];
    struct buf statement;
    PGresult *result;

    snprintf(oid, sizeof oid, "%u", rel->oid);
    result = preflight_ask(p, "position_index", FINDING_WARNING, *p->source.pg, sql_check_index, 3,
                           (const char *[]){ oid, names->tenant, names->position });
    if (result == NULL)
        return;
    buf_init(&statement);
    buf_append_format(&statement, "CREATE INDEX CONCURRENTLY ON %s (", rel->qualified);
    relation_append_identifier(&statement, names->tenant);
    buf_append_text(&statement, ", ");
    relation_append_identifier(&statement, names->position);
    buf_append_text(&statement, ")");
    if (PQntuples(result) == 0)
        finding_warning(p->list, "position_index", buf_text(&statement),
                        "no index of %s begins with its tenant: each batch reads the table of all tenants",
                        rel->qualified);
    else if (PQgetvalue(result, 0, 1)[0] != 't')
        finding_warning(p->list, "position_index", buf_text(&statement),
                        "index %s finds the tenant's rows, and not in the order of their positions: they are "
                        "sorted for each batch",
                        PQgetvalue(result, 0, 0));
    else
        finding_ok(p->list, "position_index", "index %s gives the tenant's rows in order",
                   PQgetvalue(result, 0, 0));
    buf_done(&statement);
    PQclear(result);
}

/* --- sequences --- */

struct headroom {
    bool there, cycles;
    int64_t most, last; /* the lower of the column's and the sequence's; what has been given */
    char type[32];
};

static bool read_headroom(struct preflight *p, const struct preflight_side *side, struct headroom *room)
{
    char oid[16];
    PGresult *result;
    int64_t of_column, of_sequence;

    snprintf(oid, sizeof oid, "%u", side->rel->oid);
    result = preflight_ask(p, "sequence", FINDING_WARNING, *side->pg, sql_check_sequence, 3,
                           (const char *[]){ oid, p->r->m.names->position, side->rel->sequence });
    if (result == NULL)
        return false;
    memset(room, 0, sizeof *room);
    if (PQntuples(result) == 1) {
        snprintf(room->type, sizeof room->type, "%s", PQgetvalue(result, 0, 0));
        of_column = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        of_sequence = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
        room->there = !PQgetisnull(result, 0, 2);
        room->most = room->there && of_sequence < of_column ? of_sequence : of_column;
        room->last = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
        room->cycles = PQgetvalue(result, 0, 6)[0] == 't';
    }
    PQclear(result);
    return true;
}

void preflight_sequence(struct preflight *p)
{
    static const char hint[] = "ALTER SEQUENCE … MAXVALUE, ALTER TABLE … ALTER COLUMN … TYPE bigint.";
    struct headroom from, to;
    int64_t last;

    if (p->r->m.names->position[0] == '\0' || !read_headroom(p, &p->source, &from) ||
        !read_headroom(p, &p->target, &to))
        return;
    last = from.last > to.last ? from.last : to.last; /* where the target's goes on, at least */
    if (!from.there && !to.there)
        finding_ok(p->list, "sequence", "positions are given by the application: there is no sequence");
    else if (!to.there)
        finding_warning(
            p->list, "sequence", "Give the target's column the source's default.",
            "the source's sequence has no match in the target: nobody would give positions there");
    else if (last >= to.most)
        finding_blocker(p->list, "sequence", "2200H", hint,
                        "the source's positions have reached %" PRId64 ", the target's can be %" PRId64
                        " at most (%s)",
                        last, to.most, to.type);
    else if (to.most - last < to.most / 10)
        finding_warning(p->list, "sequence", hint,
                        "%" PRId64 " positions are left in the target, less than a tenth of %" PRId64 " (%s)",
                        to.most - last, to.most, to.type);
    else
        finding_ok(p->list, "sequence", "%" PRId64 " positions are left in the target", to.most - last);
    if (to.there && to.cycles)
        finding_warning(p->list, "sequence", "ALTER SEQUENCE … NO CYCLE.",
                        "the target's sequence begins anew at its end: positions would be given twice");
}

/* --- row-level security --- */

static void look_at_policies(struct preflight *p, const struct preflight_side *side)
{
    char oid[16];
    PGresult *result;

    snprintf(oid, sizeof oid, "%u", side->rel->oid);
    result = preflight_ask(p, "row_security", FINDING_BLOCKER, *side->pg, sql_check_row_security, 1,
                           (const char *[]){ oid });
    if (result == NULL)
        return;
    if (PQgetvalue(result, 0, 1)[0] == 't')
        finding_blocker(
            p->list, "row_security", "42501",
            "ALTER ROLE pgshunt's BYPASSRLS, or make it a member of the table's owner (and no FORCE "
            "ROW LEVEL SECURITY).",
            "store \"%s\": policies of %s hide rows from role \"%s\"", side->store->name,
            side->rel->qualified, PQuser(pg_raw(*side->pg)));
    else
        finding_ok(p->list, "row_security", "store \"%s\": %s", side->store->name,
                   PQgetvalue(result, 0, 0)[0] == 't' ? "policies do not apply to pgshunt's role"
                                                      : "there are no policies in force");
    PQclear(result);
}

void preflight_row_security(struct preflight *p)
{
    look_at_policies(p, &p->source);
    look_at_policies(p, &p->target);
}
