/* txn.h - the client's transaction as it would have to be told to another server: the journal (BEGIN with its
 * modes, savepoints; SETs are the session's), the one branch, and what has happened on it.
 *
 * open = false: no transaction block. A single statement, or a pipeline before its Sync, is then an implicit
 * transaction: it has a branch (from the first message that reached a server until the Sync), and no journal.
 * open and branch = -1: deferred. The proxy answered BEGIN itself, no server knows of it.
 * Pure. One client's. */
#ifndef PGSHUNT_PROXY_TXN_H
#define PGSHUNT_PROXY_TXN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "base/slice.h"
#include "sql/plan.h"

struct savepoint {
    char *name;
    size_t journal_count; /* entries that stood before it */
};

struct txn {
    bool open;
    uint64_t first_sync; /* open: the number of the first ReadyForQuery that is due in the block */
    int branch;          /* index of the store, -1: none */
    bool failed;     /* open, no branch, and refused by the proxy: everything but its end is answered 25P02 */
    bool lost;       /* its server went away: the next statement says so */
    bool wrote;      /* or locked: the branch cannot be left any more */
    bool read;       /* rows: matters for snapshots */
    bool read_other; /* rows of something other than the transaction's tenant: cannot be re-homed */
    bool pinned;     /* cursor, snapshot, prepared …: cannot be re-homed */
    bool overflow;   /* journal over JOURNAL_BYTES_MAX */
    bool isolation_known;          /* `isolation` is the server's own word */
    char isolation;                /* 'c', 'r', 's'; 0: the session's default */
    char tenant[TENANT_BYTES_MAX]; /* the first one attributed; "" : none yet */
    char **journal;                /* statements, in order */
    size_t journal_count, journal_bytes;
    struct savepoint *savepoints;
    size_t savepoint_count;
};

void txn_init(struct txn *txn);
void txn_reset(struct txn *txn); /* no transaction; frees the journal */
/* BEGIN / START TRANSACTION as the client said it. false: no memory. */
bool txn_begin(struct txn *txn, struct slice statement, char isolation);
/* Something else that another server must be told: SET TRANSACTION, SET LOCAL, SET (inside the block). */
bool txn_note(struct txn *txn, struct slice statement);
bool txn_savepoint(struct txn *txn, struct slice statement, const char *name);
/* PostgreSQL's rules: the innermost of that name; those inside it go. false: there is none. */
bool txn_release(struct txn *txn, const char *name);
bool txn_rollback_to(struct txn *txn, const char *name);
bool txn_has_savepoint(const struct txn *txn, const char *name);
/* COMMIT AND CHAIN / ROLLBACK AND CHAIN: a new block with the old modes on the same branch. */
void txn_chain(struct txn *txn);
/* What a statement does on the branch. */
void txn_used(struct txn *txn, const struct plan_statement *statement, bool of_tenant);

#endif
