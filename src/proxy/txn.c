/* txn.c - see txn.h. */
#include "proxy/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    while (txn->branch_count > 0)
        route_table_give(txn->branches[--txn->branch_count].routes);
    txn->journal = NULL;
    txn->savepoints = NULL;
    txn->branch = -1;
    txn->open = txn->failed = txn->lost = txn->overflow = txn->isolation_known = false;
    txn->isolation = '\0';
    txn->first_sync = 0;
    txn->tenant[0] = '\0';
    txn->several = false;
    txn->tenant_depth = txn->several_depth = 0;
    memset(txn->paper, 0, sizeof txn->paper);
}

void txn_fail(struct txn *txn)
{
    uint64_t first_sync = txn->first_sync;

    txn_reset(txn);
    txn->first_sync = first_sync;
    txn->open = txn->failed = true;
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

static bool says(struct slice statement, const char *word)
{
    size_t bytes = strlen(word);

    for (size_t i = 0; i + bytes <= statement.bytes; i++)
        if (strncasecmp(statement.at + i, word, bytes) == 0)
            return true;
    return false;
}

/* In a block PostgreSQL warns and goes on, with the modes that it names. */
static bool begin_again(struct txn *txn, struct slice statement, char isolation)
{
    if (!says(statement, "isolation") && !says(statement, "read") && !says(statement, "deferrable"))
        return true;
    txn->isolation = isolation == 0 ? txn->isolation : isolation;
    txn->isolation_known = false;
    return txn_note(txn, statement);
}

bool txn_begin(struct txn *txn, struct slice statement, char isolation)
{
    if (txn->open)
        return begin_again(txn, statement, isolation);
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

/* Cuts the journal; branches that know more (they have been told of the end, too) know `known` entries. */
static void forget_journal(struct txn *txn, size_t count, size_t known)
{
    cut_journal(txn, count);
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].journal_at > known)
            txn->branches[i].journal_at = known;
}

/* A subtransaction that becomes read only is that until its RELEASE (CommitSubTransaction() of PostgreSQL):
 * then the statement has had no effect, and another server need not be told. */
static void void_read_only(struct txn *txn, size_t from)
{
    for (size_t i = from; i < txn->journal_count; i++) {
        char *statement = txn->journal[i];

        if (strcasestr(statement, "transaction") == NULL || strcasestr(statement, "read") == NULL ||
            strcasestr(statement, "default_transaction") != NULL ||
            strcasestr(statement, "characteristics") != NULL)
            continue;
        txn->journal_bytes -= strlen(statement);
        statement[0] = '\0';
    }
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
        forget_journal(txn, before, before);
    else
        void_read_only(txn, before);
    if (!bare && !note_release(txn, name))
        txn->overflow = true;
    cut_savepoints(txn, (size_t)at);
    if (txn->tenant_depth > txn->savepoint_count)
        txn->tenant_depth = (unsigned)txn->savepoint_count;
    if (txn->several_depth > txn->savepoint_count)
        txn->several_depth = (unsigned)txn->savepoint_count;
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].wrote_depth > txn->savepoint_count)
            txn->branches[i].wrote_depth = (unsigned)txn->savepoint_count;
    for (size_t i = 0; i < PAPER_MAX; i++)
        if (txn->paper[i].depth > txn->savepoint_count)
            txn->paper[i].depth = (unsigned)txn->savepoint_count;
    return true;
}

bool txn_rollback_to(struct txn *txn, const char *name)
{
    long at = find_savepoint(txn, name);
    size_t before;

    if (at < 0)
        return false;
    cut_savepoints(txn, (size_t)at + 1);
    before = txn->savepoints[at].journal_count;
    forget_journal(txn, before + 1, before + 1);
    if (txn->tenant_depth > (size_t)at)
        txn->tenant[0] = '\0';
    if (txn->several_depth > (size_t)at)
        txn->several = false;
    for (size_t i = 0; i < txn->branch_count; i++) /* all that it wrote came behind the savepoint */
        if (txn->branches[i].wrote_depth > (size_t)at) {
            txn->branches[i].wrote = false;
            txn->branches[i].look = 0;
        }
    for (size_t i = 0; i < PAPER_MAX; i++)
        if (txn->paper[i].depth > (size_t)at)
            txn->paper[i] = (struct paper){ 0 };
    return true;
}

/* Of a chained block's journal: its BEGIN, and what changed the modes behind it (SET TRANSACTION, SET
 * transaction_read_only …). */
static bool is_mode(const struct txn *txn, size_t index)
{
    return index == 0 || strcasestr(txn->journal[index], "transaction") != NULL ||
           strncasecmp(txn->journal[index], "begin", 5) == 0;
}

static bool has_snapshot(const char *statement)
{
    return strcasestr(statement, "snapshot") != NULL;
}

/* The journal becomes what a chained block starts with. Savepoints must be gone. */
static void keep_modes(struct txn *txn)
{
    size_t kept = 0;

    for (size_t i = 0; i < txn->journal_count; i++) {
        char *statement = txn->journal[i];

        if (is_mode(txn, i) && !(i > 0 && has_snapshot(statement))) {
            txn->journal[kept++] = statement;
        } else {
            txn->journal_bytes -= strlen(statement);
            free(statement);
        }
    }
    txn->journal_count = kept;
}

/* An error undoes the modes, too (they are settings), as far back as the last savepoint: without one, the
 * chained block has the session's. */
static void fail_modes(struct txn *txn)
{
    if (txn->savepoint_count > 0) {
        cut_journal(txn, txn->savepoints[txn->savepoint_count - 1].journal_count);
        return;
    }
    cut_journal(txn, 0);
    txn->isolation = '\0';
    txn->isolation_known = false;
    if (!txn_note(txn, slice_of("BEGIN")))
        txn->overflow = true;
}

/* The new block has the old one's modes. A RELEASE of a savepoint called "transaction" is kept, too, and
 * fails there: then no other store can join. */
void txn_chain(struct txn *txn, bool failed)
{
    int store = txn->branch;
    struct branch *branch;

    if (failed)
        fail_modes(txn);
    cut_savepoints(txn, 0);
    keep_modes(txn);
    while (txn->branch_count > 0)
        route_table_give(txn->branches[--txn->branch_count].routes);
    txn->branch = -1;
    txn->overflow = txn->overflow || txn->journal_count == 0;
    txn->open = true;
    txn->failed = txn->lost = false;
    txn->tenant[0] = '\0';
    txn->several = false;
    txn->tenant_depth = txn->several_depth = 0;
    memset(txn->paper, 0, sizeof txn->paper);
    if (store < 0)
        return;
    branch = txn_join(txn, store);
    branch->journal_at = txn->journal_count;
}

/* ---- branches ---- */

struct branch *txn_at(struct txn *txn, int store)
{
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].store == store)
            return &txn->branches[i];
    return NULL;
}

struct branch *txn_join(struct txn *txn, int store)
{
    struct branch *branch = txn_at(txn, store);

    txn->branch = store;
    if (branch != NULL)
        return branch;
    branch = &txn->branches[txn->branch_count++]; /* one per store: there is room */
    *branch = (struct branch){ .store = store };
    return branch;
}

void txn_leave(struct txn *txn, int store)
{
    struct branch *branch = txn_at(txn, store);

    if (branch == NULL)
        return;
    route_table_give(branch->routes);
    txn->branch_count--;
    memmove(branch, branch + 1, (size_t)(txn->branches + txn->branch_count - branch) * sizeof *branch);
    if (txn->branch == store)
        txn->branch = txn->branch_count == 0 ? -1 : txn->branches[txn->branch_count - 1].store;
}

const struct branch *txn_writer(const struct txn *txn)
{
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].wrote)
            return &txn->branches[i];
    return NULL;
}

const struct branch *txn_pinned(const struct txn *txn)
{
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].pinned)
            return &txn->branches[i];
    return NULL;
}

bool txn_is_bare(const struct branch *branch)
{
    return !branch->wrote && !branch->used && !branch->kept && !branch->pinned;
}

bool txn_has_made(const struct txn *txn, const struct branch *branch, const char *name)
{
    long at = find_savepoint(txn, name);

    return at >= 0 && branch->journal_at > txn->savepoints[at].journal_count;
}

int txn_ends_at(const struct txn *txn, bool failed, bool rolls_back)
{
    const struct branch *writer = txn_writer(txn);

    if (writer != NULL && (rolls_back || !failed))
        return writer->store;
    return txn->branch;
}

static void note_use(struct txn *txn, struct branch *branch, struct route_table *routes)
{
    if (branch->used)
        return;
    branch->used = true;
    if (txn->open && route_table_away_count(routes) > 0)
        branch->routes = route_table_take(routes);
}

void txn_look(struct txn *txn, struct route_table *routes)
{
    for (size_t i = 0; i < txn->branch_count; i++)
        if (txn->branches[i].used && txn->branches[i].routes == NULL && route_table_away_count(routes) > 0)
            txn->branches[i].routes = route_table_take(routes);
}

void txn_used(struct txn *txn, struct branch *branch, const struct plan_statement *statement,
              struct route_table *routes)
{
    if (statement->class == CLASS_WRITE || statement->locks || statement->advisory) {
        branch->look = branch->wrote || !statement->only_locks_returned ? 0 : ++txn->looks;
        if (!branch->wrote)
            branch->wrote_depth = (unsigned)txn->savepoint_count;
        branch->wrote = true;
    }
    if (statement->class != CLASS_NEUTRAL)
        note_use(txn, branch, routes);
    if (statement->kind == STATEMENT_LISTEN || statement->kind == STATEMENT_UNLISTEN ||
        statement->kind == STATEMENT_DECLARE || statement->kind == STATEMENT_FETCH)
        branch->kept = true;
    if (statement->snapshot)
        branch->pinned = true;
}

void txn_about(struct txn *txn, const char *tenant, bool several)
{
    if (txn->tenant[0] == '\0' && tenant[0] != '\0') {
        snprintf(txn->tenant, sizeof txn->tenant, "%s", tenant);
        txn->tenant_depth = (unsigned)txn->savepoint_count;
    }
    several = several || (tenant[0] != '\0' && strcmp(txn->tenant, tenant) != 0);
    if (several && !txn->several) {
        txn->several = true;
        txn->several_depth = (unsigned)txn->savepoint_count;
    }
}

void txn_looked(struct txn *txn, int store, uint64_t look, bool found)
{
    struct branch *branch = txn_at(txn, store);

    if (look == 0 || branch == NULL || branch->look != look)
        return;
    branch->look = 0;
    branch->wrote = found;
}

const struct branch *txn_saw(const struct txn *txn, const char *tenant, const struct store *default_store)
{
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct branch *branch = &txn->branches[i];
        const struct route *route = branch->routes == NULL ? NULL : route_table_get(branch->routes, tenant);

        if (branch->used && branch->store == (int)(route == NULL ? default_store : route->store)->index)
            return branch;
    }
    return NULL;
}

bool txn_is_older(const struct txn *txn, const struct route_table *routes)
{
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct branch *branch = &txn->branches[i];

        if (branch->used && branch->routes != routes &&
            (branch->routes != NULL || route_table_away_count(routes) > 0))
            return true;
    }
    return false;
}
