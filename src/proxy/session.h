/* session.h - what a session has become since it began, so that another server can be made like it: prepared
 * statements, settings (with PostgreSQL's rules for transactions and savepoints), reported parameters.
 * Pure: no sockets, no clock. One client's, its loop's thread. */
#ifndef PGSHUNT_PROXY_SESSION_H
#define PGSHUNT_PROXY_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/slice.h"
#include "proxy/belongings.h"
#include "proxy/channels.h"
#include "proxy/report.h"
#include "proxy/share.h"
#include "proxy/wear.h"
#include "sql/attribute.h"
#include "sql/plan.h"

/* ---- prepared statements ---- */

struct prepared {
    char *name;        /* "" : the unnamed one */
    struct slice text; /* owned */
    uint32_t *types;
    size_t type_count;
    struct plan *plan;
    uint64_t planned_by;             /* what names meant when it was planned (planning.h) */
    bool backslashes, encoding_safe; /* how its text was read */
    bool sql;                        /* made by SQL's PREPARE: `text` is that statement */
    bool doubt;         /* … of a name that was taken: which of the two the server has is not known */
    struct shape shape; /* of this very text */
    char shared[SHARE_NAME_BYTES]; /* the name that clients share it under; "" : not known yet */
    uint64_t shared_context;       /* … in this context */
    uint64_t serial;               /* never 0, never used twice in a session */
    UT_hash_handle hh;
};

/* ---- settings ---- */

/* One SET (or RESET …) as the client said it. */
struct setting {
    char *name;      /* lower case; NULL: any. With `reset` that is RESET ALL or DISCARD ALL, without it a
                      * set_config() whose setting could not be read */
    char *statement; /* to say again on another server */
    char *value;     /* NULL: could not be read */
    bool local;
    bool reset;     /* RESET: back to the startup value */
    unsigned depth; /* savepoints that stood when it was made */
    bool mixed;     /* noted while session->mixed */
    uint64_t
        undone_sync; /* a ROLLBACK has been sent, for that ReadyForQuery: not in force any more; 0: none */
    uint64_t sync;   /* the ReadyForQuery that at the earliest ends its transaction */
    struct setting *prev, *next;
};

struct session {
    struct prepared *prepared; /* by name */
    uint64_t last_serial;
    uint64_t *serials;       /* of all whose servers it shares; NULL: last_serial */
    struct setting *base;    /* in force outside transactions, oldest first, one per name */
    struct setting *pending; /* of the open transaction, oldest first */
    uint64_t version;        /* rises when `base` changes */
    uint64_t committed_sync; /* the ReadyForQuery before which a COMMIT was sent last */
    bool mixed; /* the message at hand ends a transaction and goes on: whether a change in it lasted is not
                   knowable from how the message ended */
    size_t setting_bytes;
    bool overflow;          /* more than JOURNAL_BYTES_MAX: this session cannot join another store */
    bool forgot;            /* a change could not be remembered: every value is unknown */
    struct report reported; /* what the client was told (ParameterStatus) */
    struct wear *wear;      /* what `base` comes to, at `wear_version` */
    uint64_t wear_version;
    struct belongings belongings; /* what is at one store only */
    struct channels channels;     /* LISTEN; they follow the same commits and rollbacks */
    bool prepared_sets;           /* some SQL-level PREPARE runs a set_config() */
    bool temp_shadows;            /* made a temporary table */
};

void session_init(struct session *session);
void session_done(struct session *session);

/* Remembers a statement; takes over `plan`'s reference and the contents of `shape` (left empty). A statement
 * of that name is replaced. NULL: no memory, or PREPARED_MAX. */
struct prepared *session_prepare(struct session *session, struct slice name, struct slice text,
                                 const uint32_t *types, size_t type_count, struct plan *plan,
                                 struct shape *shape);
/* The name that clients share it under, as things stand: search_path and role say what the names in it mean.
 * Its own name if it cannot be shared: unnamed, or of SQL's PREPARE. */
const char *session_share(const struct session *session, struct prepared *prepared);
struct prepared *session_find(const struct session *session, struct slice name);
void session_forget(struct session *session, struct slice name);
void session_forget_serial(struct session *session, uint64_t serial);
/* SQL's PREPARE was refused: its statement goes, or, where the name was taken, is the older one without
 * doubt. True: it went. */
bool session_prepare_failed(struct session *session, uint64_t serial);
void session_forget_all(struct session *session);

/* Notes a change in the open transaction (a single statement outside one is a transaction of its own).
 * `value` .at NULL: unreadable. false: no memory. */
bool session_set(struct session *session, struct slice name /* .at NULL: any */, struct slice statement,
                 struct slice value, bool local, unsigned depth, uint64_t sync);
bool session_reset(struct session *session, struct slice name /* .at NULL: ALL */, struct slice statement,
                   unsigned depth, uint64_t sync);
/* More follows a COMMIT before the same ReadyForQuery: if that fails, whether the changes so far lasted is
 * not known. */
void session_mix(struct session *session);
/* A ROLLBACK is sent, for ReadyForQuery number `sync`; the transaction's first one was `first_sync`. */
void session_undo(struct session *session, uint64_t first_sync, uint64_t sync);
/* … and ReadyForQuery number `sync` says that the transaction goes on: the ROLLBACK was skipped. */
void session_not_undone(struct session *session, uint64_t sync);
/* The transaction that ReadyForQuery number `sync` ended: pending ones that are not local become the base, …
 */
void session_commit(struct session *session, uint64_t sync);
void session_rollback(struct session *session, uint64_t sync); /* … or go */
void session_rollback_to(struct session *session,
                         unsigned depth); /* those made with more than `depth` savepoints */
void session_release(struct session *session, unsigned depth); /* those now belong to `depth` savepoints */

/* The value in force. FOUND with *value; UNKNOWN: changed to something unreadable; ABSENT: as it was at
 * startup. */
enum session_value { SESSION_ABSENT, SESSION_FOUND, SESSION_UNKNOWN };
enum session_value session_value(const struct session *session, const char *name, const char **value);

/* What a server must wear to be like the session; borrowed until the base changes. false: no memory. */
bool session_wear(struct session *session, struct wear **wear);

/* ParameterStatus. True if it is news. */
bool session_report(struct session *session, struct slice name, struct slice value);
const char *session_reported(const struct session *session, const char *name); /* NULL: never */

#endif
