/* txn.h - the client's transaction as it would have to be told to another server: the journal (BEGIN with its
 * modes, savepoints; SETs are the session's), one branch per store it touches, and what has happened there.
 *
 * open = false: no transaction block. A single statement, or a pipeline before its Sync, is then an implicit
 * transaction: it has branches (from the first message that reached a server until the Sync), and in its
 * journal stand SETs only. open and no branch: deferred. The proxy answered BEGIN itself, no server knows of
 * it.
 *
 * Invariants: at most one branch has written. `branch` is the store of the branch used last; when the
 * transaction has failed on a server, that is the failed one. A branch knows the first `journal_at` entries
 * of the journal, and is told the others before its next statement: the one used last knows all of them.
 * Pure. One client's. */
#ifndef PGSHUNT_PROXY_TXN_H
#define PGSHUNT_PROXY_TXN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"
#include "base/slice.h"
#include "route/table.h"
#include "sql/plan.h"

enum { PAPER_MAX = 8 }; /* tenants in dual_write that are rehearsed at a time */

struct savepoint {
    char *name;
    size_t journal_count; /* entries that stood before it */
};

/* The transaction's part in one store. */
struct branch {
    int store;   /* its index */
    bool wrote;  /* or locked */
    bool used;   /* rows were read or written: where the isolation level keeps a snapshot, it has one */
    bool kept;   /* LISTEN, a cursor, a portal: something that a rollback would take from the client */
    bool pinned; /* its snapshot was exported, or is another one's: no second store can have it */
    bool ending; /* has been told COMMIT, ahead of the writing one */
    unsigned wrote_depth; /* wrote: the savepoints that stood before its first write */
    /* wrote: all that it has done is one SELECT … FOR UPDATE of that number whose answer is not in. If that
     * has found nothing, the branch has not written (txn_looked()). 0: it is not so. */
    uint64_t look;
    size_t journal_at;
    struct route_table
        *routes; /* used, in a block: as they were at first; NULL: all tenants at home. Owned */
};

/* Where the transaction would have written if a tenant had moved (glance.h). */
struct paper {
    uint32_t serial; /* of the rehearsal; another one's: nowhere yet */
    int writer;      /* the store's index */
    unsigned depth;  /* the savepoints that stood before its first write */
};

struct txn {
    bool open;
    uint64_t first_sync; /* open: the number of the first ReadyForQuery that is due in the block */
    int branch;          /* store of the branch used last, -1: there is none */
    struct branch branches[STORES_MAX]; /* in the order in which they joined */
    size_t branch_count;
    bool failed;   /* open, no branch, refused by the proxy or lost: all but its end is answered 25P02 */
    bool lost;     /* failed since a server went away: the next statement says so */
    bool overflow; /* journal over JOURNAL_BYTES_MAX, or something in it that cannot be said again */
    bool isolation_known;                 /* `isolation` is the server's own word */
    char isolation;                       /* 'c', 'r', 's'; 0: the session's default */
    char tenant[TENANT_BYTES_MAX];        /* the first one attributed; "" : none yet */
    bool several;                         /* others have been, too */
    unsigned tenant_depth, several_depth; /* the savepoints that stood before that */
    char **journal;                       /* statements, in order */
    size_t journal_count, journal_bytes;
    struct savepoint *savepoints;
    size_t savepoint_count;
    struct paper paper[PAPER_MAX];
    uint64_t looks; /* numbers given to them; of all transactions of the client */
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
/* Its server is lost, and all that it has done with it: from now on the block is failed, until its end. */
void txn_fail(struct txn *txn);
/* COMMIT AND CHAIN / ROLLBACK AND CHAIN: a new block with the old modes on the branch used last. `failed`:
 * the old one had failed. */
void txn_chain(struct txn *txn, bool failed);

/* ---- branches ---- */

struct branch *txn_at(struct txn *txn, int store); /* NULL: none there */
/* The branch at `store`, from now on the one used last; a new one has been told nothing. */
struct branch *txn_join(struct txn *txn, int store);
void txn_leave(struct txn *txn, int store);
const struct branch *txn_writer(const struct txn *txn); /* NULL: none has written */
const struct branch *txn_pinned(const struct txn *txn);
/* Another server could be told all that the branch has done. */
bool txn_is_bare(const struct branch *branch);
/* The branch has made the innermost savepoint of that name: it must hear of its end. */
bool txn_has_made(const struct txn *txn, const struct branch *branch, const char *name);
/* Whose answer is the client's when the transaction ends: the writing one's, since only it can fail to
 * commit; the failed one's where COMMIT must answer ROLLBACK. -1: there is no branch. */
int txn_ends_at(const struct txn *txn, bool failed, bool rolls_back);
/* What a statement does on a branch; `routes`: as they are now. */
void txn_used(struct txn *txn, struct branch *branch, const struct plan_statement *statement,
              struct route_table *routes);
/* The answer to locking read number `look`, which was sent to `store`. One that has found nothing holds no
 * lock that anybody was told of, and returns nothing more however often its portal is executed: the branch is
 * a reading one again. (A row that changed while its lock was waited for, and then did not fit, may stay
 * locked. Reading branches end behind the writing one, so even that lock is held as long as it would be.) */
void txn_looked(struct txn *txn, int store, uint64_t look, bool found);
/* A statement is about `tenant` ("": none), or about several. A rollback to a savepoint before it undoes
 * that, too: what stands around the next statement is what stood there then. */
void txn_about(struct txn *txn, const char *tenant, bool several);
/* What has been used already is used in a block from now on. */
void txn_look(struct txn *txn, struct route_table *routes);
/* Where the tenant lived when a branch that keeps its snapshot saw it first; NULL: none of them did. */
const struct branch *txn_saw(const struct txn *txn, const char *tenant, const struct store *default_store);
/* Some branch has looked when the routes were others. */
bool txn_is_older(const struct txn *txn, const struct route_table *routes);

#endif
