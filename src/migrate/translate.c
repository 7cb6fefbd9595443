/* translate.c - see translate.h.   Start at: translate_position(). */
#include "migrate/translate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sql_embedded.h"

enum { STATE, MODE, MAPPING, FIRST, LAST, SOURCE, TARGET, EVENT, CHECKPOINT, ALL };

static const char *option(const struct control_request *request, const char *name)
{
    for (size_t i = 0; i < request->option_count; i++) {
        if (strcmp(request->options[i].name, name) == 0)
            return request->options[i].value;
    }
    return NULL;
}

static bool read_number(const char *text, int64_t *number, struct error *err)
{
    char *end = NULL;

    errno = 0;
    *number = text == NULL ? 0 : strtoll(text, &end, 10);
    if (end != NULL && end != text && *end == '\0' && errno == 0 && *number >= 0)
        return true;
    error_set(err, "22P02", "\"%.60s\" is not a position", text == NULL ? "" : text);
    return error_hint(err, "TRANSLATE POSITION 'id' 4711: a number from 0 to 9223372036854775807.");
}

static bool not_mapped(struct error *err, const char *hint)
{
    error_detail(err, "position_mapping_error");
    return error_hint(err, "%s", hint);
}

/* What can be said of the whole migration. */
static bool check_migration(const PGresult *found, const char *id, struct error *err)
{
    const char *state = PQgetvalue(found, 0, STATE);

    if (strcmp(state, "failed") == 0 || strcmp(state, "rolled_back") == 0) {
        error_set(err, "42704", "migration %s is %s: its positions mean nothing", id, state);
        return not_mapped(err, "The tenant lives where it was, with the positions that it had.");
    }
    if (strcmp(PQgetvalue(found, 0, MODE), "assign") != 0)
        return true;
    if (strcmp(PQgetvalue(found, 0, MAPPING), "off") == 0) {
        error_set(err, "42704", "migration %s keeps no mapping of positions", id);
        return not_mapped(err, "It was started WITH (position_mapping_enabled = off).");
    }
    if (!PQgetisnull(found, 0, FIRST))
        return true;
    error_set(err, "42704", "no position of migration %s is mapped yet", id);
    return not_mapped(err, "Pairs come in dual_write, when the copy is complete; try again then.");
}

/* What can be said of this position. */
static bool check_position(const PGresult *found, const char *id, int64_t position, bool nearest,
                           struct error *err)
{
    const char *first = PQgetvalue(found, 0, FIRST), *last = PQgetvalue(found, 0, LAST);
    const char *hint =
        PQgetvalue(found, 0, ALL)[0] == 't'
            ? "SHOW MIGRATION tells what is mapped; NEAREST takes the last one before it."
            : "The migration is under way, and not everything is mapped yet; NEAREST takes the "
              "last one before it.";

    if (position < strtoll(first, NULL, 10))
        error_set(err, "42704", "position %lld is before migration %s: its first is %s", (long long)position,
                  id, first);
    else if (nearest || strtoll(PQgetvalue(found, 0, SOURCE), NULL, 10) == position)
        return true;
    else if (position > strtoll(last, NULL, 10))
        error_set(err, "42704", "position %lld is behind migration %s: its last is %s", (long long)position,
                  id, last);
    else
        error_set(err, "42704", "no event of migration %s had position %lld", id, (long long)position);
    return not_mapped(err, hint);
}

static void add_kept(struct rows *rows, int64_t position)
{
    rows_number(rows, position);
    rows_number(rows, position);
    rows_text(rows, NULL);
    rows_flag(rows, true);
    rows_number(rows, position);
}

static void add_mapped(struct rows *rows, const PGresult *found, int64_t position)
{
    rows_text(rows, PQgetvalue(found, 0, SOURCE));
    rows_text(rows, PQgetvalue(found, 0, TARGET));
    rows_text(rows, PQgetisnull(found, 0, EVENT) ? NULL : PQgetvalue(found, 0, EVENT));
    rows_flag(rows, strtoll(PQgetvalue(found, 0, SOURCE), NULL, 10) == position);
    rows_text(rows, PQgetvalue(found, 0, CHECKPOINT));
}

static struct rows *make_rows(const PGresult *found, int64_t position)
{
    struct rows *rows = rows_new();

    if (rows == NULL)
        return NULL;
    rows_column(rows, "source_position", ROWS_INT8);
    rows_column(rows, "target_position", ROWS_INT8);
    rows_column(rows, "event_id", ROWS_TEXT);
    rows_column(rows, "exact", ROWS_BOOL);
    rows_column(rows, "checkpoint", ROWS_INT8);
    if (strcmp(PQgetvalue(found, 0, MODE), "assign") == 0)
        add_mapped(rows, found, position);
    else
        add_kept(rows, position);
    return rows;
}

bool translate_position(struct ledger *ledger, const char *id, const struct control_request *request,
                        struct rows **rows, struct error *err)
{
    const char *text = option(request, "position");
    bool nearest = option(request, "nearest") != NULL, fine;
    int64_t position;
    PGresult *found;

    *rows = NULL;
    if (!read_number(text, &position, err))
        return false;
    found = pg_query(ledger_pg(ledger), sql_translate_position, 2, (const char *[]){ id, text }, err);
    if (found == NULL)
        return false;
    fine = PQntuples(found) == 1 ? check_migration(found, id, err)
                                 : error_set(err, "42704", "there is no migration \"%s\"", id);
    if (fine && strcmp(PQgetvalue(found, 0, MODE), "assign") == 0)
        fine = check_position(found, id, position, nearest, err);
    if (fine) {
        *rows = make_rows(found, position);
        fine = *rows != NULL || error_no_memory(err);
    }
    PQclear(found);
    return fine;
}
