/* check_shapes.c - see check_shapes.h. Start at: check_shapes(). */
#include "migrate/check_shapes.h"

#include <stdio.h>
#include <string.h>

#include "sql_embedded.h"

enum { N, WHAT, SHAPE, COUNT, LAST, ACCEPTED };

static const struct {
    const char *what, *after;
} afters[] = {
    { "feed", "reads the default store, without the tenant's new rows" },
    { "missed_rows", "in the tenant's own transaction, reads no longer everybody's rows" },
    { "unattributed_write", "refused: unattributed_write" },
    { "cross_store_statement", "refused: cross_store_statement" },
    { "cross_store_transaction", "refused: cross_store_transaction" },
    { "conflicting_evidence", "refused: conflicting_evidence" },
};

static const char *after_of(const char *what)
{
    for (size_t i = 0; i < sizeof afters / sizeof afters[0]; i++)
        if (strcmp(afters[i].what, what) == 0)
            return afters[i].after;
    return what;
}

static void put_open(const PGresult *result, int row, struct check *check)
{
    bool feed = strcmp(PQgetvalue(result, row, WHAT), "feed") == 0;

    *check = (struct check){ .name = feed ? "feed" : "rehearsal", .status = CHECK_BLOCKER };
    snprintf(check->found, sizeof check->found, "shape %s, %s times, last %s; after the cutover: %s: %.200s",
             PQgetvalue(result, row, N), PQgetvalue(result, row, COUNT), PQgetvalue(result, row, LAST),
             after_of(PQgetvalue(result, row, WHAT)), PQgetvalue(result, row, SHAPE));
    snprintf(check->hint, sizeof check->hint,
             "If that is all right: ACCEPT SHAPE %s REASON '…'. Else change the statement%s.",
             PQgetvalue(result, row, N), feed ? ", or its reader" : "");
}

static void put_fine(const char *name, int accepted, const char *none, struct check *check)
{
    *check = (struct check){ .name = name, .status = CHECK_OK };
    if (accepted == 0)
        snprintf(check->found, sizeof check->found, "%s", none);
    else
        snprintf(check->found, sizeof check->found, "%d shapes, all accepted; SHOW SHAPES lists them",
                 accepted);
}

bool check_shapes(struct ledger *ledger, const char *migration, struct check *checks, size_t capacity,
                  size_t *count, struct error *err)
{
    const char *const values[] = { migration };
    PGresult *result = pg_query(ledger_pg(ledger), sql_check_shapes, 1, values, err);
    int left[2] = { 0, 0 }, accepted[2] = { 0, 0 };

    *count = 0;
    if (result == NULL)
        return false;
    for (int row = 0; row < PQntuples(result); row++) {
        bool feed = strcmp(PQgetvalue(result, row, WHAT), "feed") == 0;

        if (*PQgetvalue(result, row, ACCEPTED) == 't') {
            accepted[feed]++;
            continue;
        }
        left[feed]++;
        if (*count < CHECK_SHAPES_MAX && *count + 2 < capacity)
            put_open(result, row, &checks[(*count)++]);
    }
    PQclear(result);
    if (left[true] == 0 && *count < capacity)
        put_fine("feeds", accepted[true], "nobody reads over all tenants through pgshunt",
                 &checks[(*count)++]);
    if (left[false] == 0 && *count < capacity)
        put_fine("rehearsal", accepted[false], "nothing of the tenant's would fail after the cutover",
                 &checks[(*count)++]);
    return true;
}
