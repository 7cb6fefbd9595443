/* journal.h - what a session has said since its last transaction was over: changes (settings, LISTEN,
 * temporary tables, cursors), and the statements that commit or undo them. One truth for all kinds of
 * changes. Pure: no sockets, no clock. One session's.
 *
 * A step is noted when it is said to a server, which may do it later, or never. What became of it the answers
 * tell, and nothing else:
 *   journal_failed()             an error: the server has done what stood before the failing statement, and
 * skips what stands behind it, up to the next ReadyForQuery journal_answered_rollback()  a COMMIT's answer
 * was ROLLBACK journal_ready()              a ReadyForQuery: what is left up to it has been done, in order.
 * COMMIT settles what came before it, ROLLBACK drops it, ROLLBACK TO what came behind the savepoint; status
 * 'I' ends what is left, badly if there was an error behind the last end Until then what has been said is
 * believed to happen: `undone` is what a ROLLBACK on its way will take back. That belief is good enough for
 * messages of the same pipeline (an error skips them, too). For what follows behind a Sync it is a guess:
 * journal_is_unheard() says so, and whoever must not guess waits (arrive.c).
 *
 * Statements are numbered as they are sent, over all servers. Invariants: steps stand in the order of their
 * numbers; those before `unheard` are changes and savepoints of the open transaction that stand. */
#ifndef PGSHUNT_PROXY_JOURNAL_H
#define PGSHUNT_PROXY_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum journal_kind {
    JOURNAL_CHANGE,
    JOURNAL_SAVEPOINT,
    JOURNAL_RELEASE,
    JOURNAL_ROLLBACK_TO,
    JOURNAL_COMMIT, /* and PREPARE TRANSACTION: what is the session's stays with the session */
    JOURNAL_ROLLBACK,
};

enum journal_owner { JOURNAL_SETTING, JOURNAL_CHANNEL, JOURNAL_BELONGING };

/* First member of a change; on its own for the others. */
struct journal_step {
    enum journal_kind kind;
    enum journal_owner owner; /* of a change */
    bool local;               /* a change: goes with its transaction, however that ends */
    bool undone;      /* something said behind it takes it back; a savepoint: it is not there any more */
    uint64_t ordinal; /* its statement's number */
    uint64_t first;   /* … of the first statement of its transaction */
    char *name;       /* of a savepoint; owned. NULL: none */
    struct journal_step *prev, *next;
};

struct journal_hooks {
    /* A change takes effect for good, or never: takes it over. */
    void (*settle)(void *who, struct journal_step *change);
    void (*drop)(void *who, struct journal_step *change);
    /* A change has been executed. true: it asks for no transaction, and is settled at once. */
    bool (*heard)(void *who, struct journal_step *change);
};

struct journal {
    struct journal_step *steps;   /* in the order in which they were said */
    struct journal_step *unheard; /* the first of those whose ReadyForQuery has not come; NULL: none */
    size_t count;
    uint64_t said;   /* statements sent, or answered here: the number of the next one */
    uint64_t at;     /* of the one that is being booked: `said`, or a later one of its message */
    uint64_t first;  /* where the transaction that is being said begins */
    uint64_t closed; /* `said` when a ReadyForQuery was asked for last */
    bool failing;    /* an error since the last ReadyForQuery */
    bool failed;     /* the open transaction has failed */
    const struct journal_hooks *hooks;
    void *who;
};

void journal_init(struct journal *journal, const struct journal_hooks *hooks, void *who);
void journal_done(struct journal *journal); /* drops everything */

/* Notes a change by statement `at`; `local` is the caller's, the rest is filled in. The journal owns it from
 * here on. */
void journal_add(struct journal *journal, struct journal_step *change, enum journal_owner owner);
/* Notes any other statement. false: no memory, or JOURNAL_STEPS_MAX: nothing that is believed is sure any
 * more. */
bool journal_say(struct journal *journal, enum journal_kind kind, const char *name);

/* A ReadyForQuery has been asked for. `open`: a transaction block goes on behind it. */
void journal_close(struct journal *journal, bool open);

/* The server has not done statements `from` … `until` - 1. */
void journal_failed(struct journal *journal, uint64_t from, uint64_t until);
/* Statement `ordinal` has been answered ROLLBACK. */
void journal_answered_rollback(struct journal *journal, uint64_t ordinal);
/* ReadyForQuery, behind the statements before `until`. */
void journal_ready(struct journal *journal, uint64_t until, char tx_status);
/* Nothing more will be heard of any of it. */
void journal_drop(struct journal *journal);

/* Something said before the last ReadyForQuery that has been asked for may still turn out otherwise. */
bool journal_is_unheard(const struct journal *journal);
/* The next change of that owner behind `step` (NULL: the first); those that will be undone are passed over
 * unless `all`. NULL: none. */
struct journal_step *journal_next(const struct journal *journal, const struct journal_step *step,
                                  enum journal_owner owner, bool all);

#endif
