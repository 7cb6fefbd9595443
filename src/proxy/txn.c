/* txn.c - see txn.h. */
#include "proxy/txn.h"

#include <stdlib.h>
#include <string.h>

void txn_init(struct txn *txn)
{
    memset(txn, 0, sizeof *txn);
    txn->branch = -1;
}

static void cut_journal(struct txn *txn, size_t count)
{
    while (txn->journal_count > count) {
        char *statement = txn->journal[--txn->journal_count];

        txn->journal_bytes -= strlen(statement);
        free(statement);
    }
}

static void cut_savepoints(struct txn *txn, size_t count)
{
    while (txn->savepoint_count > count)
        free(txn->savepoints[--txn->savepoint_count].name);
}

void txn_reset(struct txn *txn)
{
    cut_journal(txn, 0);
    cut_savepoints(txn, 0);
    free(txn->journal);
    free(txn->savepoints);
    txn_init(txn);
}

bool txn_note(struct txn *txn, struct slice statement)
{
    char **more, *copy;

    if (txn->journal_bytes + statement.bytes > JOURNAL_BYTES_MAX) {
        txn->overflow = true;
        return true;
    }
    more = realloc(txn->journal, (txn->journal_count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    txn->journal = more;
    copy = strndup(statement.at, statement.bytes);
    if (copy == NULL)
        return false;
    txn->journal[txn->journal_count++] = copy;
    txn->journal_bytes += strlen(copy);
    return true;
}

bool txn_begin(struct txn *txn, struct slice statement, char isolation)
{
    if (txn->open) /* PostgreSQL warns and goes on */
        return true;
    txn->open = true;
    txn->isolation = isolation;
    return txn_note(txn, statement);
}

bool txn_savepoint(struct txn *txn, struct slice statement, const char *name)
{
    struct savepoint *more = realloc(txn->savepoints, (txn->savepoint_count + 1) * sizeof *more);
    char *copy;

    if (more == NULL)
        return false;
    txn->savepoints = more;
    copy = strdup(name);
    if (copy == NULL)
        return false;
    more[txn->savepoint_count++] = (struct savepoint){ .name = copy, .journal_count = txn->journal_count };
    return txn_note(txn, statement);
}

/* Index of the innermost savepoint of that name, or -1. */
static long find_savepoint(const struct txn *txn, const char *name)
{
    for (size_t i = txn->savepoint_count; i > 0; i--)
        if (strcmp(txn->savepoints[i - 1].name, name) == 0)
            return (long)i - 1;
    return -1;
}

bool txn_has_savepoint(const struct txn *txn, const char *name)
{
    return find_savepoint(txn, name) >= 0;
}

/* RELEASE SAVEPOINT "name", for the journal. */
static bool note_release(struct txn *txn, const char *name)
{
    static const char release[] = "RELEASE SAVEPOINT \"";
    char *text = malloc(sizeof release + 2 * strlen(name) + 1), *to;
    bool noted;

    if (text == NULL)
        return false;
    memcpy(text, release, sizeof release - 1);
    to = text + sizeof release - 1;
    for (const char *from = name; *from != '\0'; from++) {
        if (*from == '"')
            *to++ = '"';
        *to++ = *from;
    }
    *to++ = '"';
    noted = txn_note(txn, (struct slice){ text, (size_t)(to - text) });
    free(text);
    return noted;
}

/* Each savepoint that stands has one entry of its own. Where there are no others behind `name`'s, nothing was
 * done that another server must be told, and all of it goes: else a transaction of many savepoints would fill
 * the journal. What was done is kept, released: a later ROLLBACK TO must fail there too. */
bool txn_release(struct txn *txn, const char *name)
{
    long at = find_savepoint(txn, name);
    size_t before;
    bool bare;

    if (at < 0)
        return false;
    before = txn->savepoints[at].journal_count;
    bare = txn->journal_count - before <= txn->savepoint_count - (size_t)at;
    if (bare)
        cut_journal(txn, before);
    else if (!note_release(txn, name))
        txn->overflow = true;
    cut_savepoints(txn, (size_t)at);
    return true;
}

bool txn_rollback_to(struct txn *txn, const char *name)
{
    long at = find_savepoint(txn, name);

    if (at < 0)
        return false;
    cut_savepoints(txn, (size_t)at + 1);
    cut_journal(txn, txn->savepoints[at].journal_count + 1);
    return true;
}

/* Whether the block's modes were changed behind its BEGIN: SET TRANSACTION, SET transaction_read_only … */
static bool has_later_modes(const struct txn *txn)
{
    for (size_t i = 1; i < txn->journal_count; i++)
        if (strcasestr(txn->journal[i], "transaction") != NULL)
            return true;
    return false;
}

/* The new block has the old one's modes. Where they are not all in its BEGIN, another server cannot be told.
 */
void txn_chain(struct txn *txn)
{
    int branch = txn->branch;
    char isolation = txn->isolation;
    bool told = !txn->overflow && !has_later_modes(txn);
    char *begin = told && txn->journal_count > 0 ? strdup(txn->journal[0]) : NULL;

    txn_reset(txn);
    txn->branch = branch;
    if (begin == NULL || !txn_begin(txn, slice_of(begin), isolation))
        txn->overflow = true;
    txn->open = true;
    txn->isolation = isolation;
    free(begin);
}

void txn_used(struct txn *txn, const struct plan_statement *statement, bool of_tenant)
{
    if (statement->class == CLASS_WRITE || statement->locks || statement->advisory)
        txn->wrote = true;
    if (statement->class == CLASS_READ) {
        txn->read = true;
        if (!of_tenant)
            txn->read_other = true;
    }
    if (statement->kind == STATEMENT_LISTEN || statement->kind == STATEMENT_UNLISTEN ||
        statement->kind == STATEMENT_DECLARE || statement->kind == STATEMENT_FETCH || statement->snapshot ||
        statement->kind == STATEMENT_PREPARE_TRANSACTION)
        txn->pinned = true;
}
