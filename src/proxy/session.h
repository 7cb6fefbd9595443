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
#include "proxy/journal.h"
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
    struct journal_step step; /* first; until its transaction is over */
    char *name;      /* lower case; NULL: any. With `reset` that is RESET ALL or DISCARD ALL, without it a
                      * set_config() whose setting could not be read */
    char *statement; /* to say again on another server */
    char *value;     /* NULL: could not be read */
    bool reset;      /* RESET: back to the startup value */
    struct setting *prev, *next;
};

struct session {
    struct prepared *prepared; /* by name */
    uint64_t last_serial;
    uint64_t *serials;      /* of all whose servers it shares; NULL: last_serial */
    struct journal journal; /* what transactions that are not over have changed of it */
    struct setting *base;   /* in force outside transactions, oldest first, one per name */
    uint64_t version;       /* rises when `base` changes */
    size_t setting_bytes;
    bool overflow;          /* more than JOURNAL_BYTES_MAX: this session cannot join another store */
    bool forgot;            /* a change could not be remembered: every value is unknown */
    struct report reported; /* what the client was told (ParameterStatus) */
    struct wear *wear;      /* what `base` comes to, at `wear_version` */
    uint64_t wear_version;
    struct belongings belongings; /* what is at one store only */
    struct channels channels;     /* LISTEN */
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

/* Notes a change by the statement that is being booked (journal.at). `value` .at NULL: unreadable. false: no
 * memory. */
bool session_set(struct session *session, struct slice name /* .at NULL: any */, struct slice statement,
                 struct slice value, bool local);
bool session_reset(struct session *session, struct slice name /* .at NULL: ALL */, struct slice statement);
/* The same of a statement that decides what becomes of changes; `name`: of a savepoint, else NULL. */
void session_say(struct session *session, enum journal_kind kind, const char *name);
/* Nothing will be heard of what has been said and not been settled. `unsure`: some of it may have been done
 * where the session lives on, and is unknown from now on. */
void session_lost(struct session *session, bool unsure);

/* The value in force. FOUND with *value; UNKNOWN: changed to something unreadable; ABSENT: as it was at
 * startup. */
enum session_value { SESSION_ABSENT, SESSION_FOUND, SESSION_UNKNOWN };
enum session_value session_value(const struct session *session, const char *name, const char **value);

/* A transaction that is not over has changed it; `name` NULL: has changed any. */
bool session_is_changing(const struct session *session, const char *name);

/* What a server must wear to be like the session; borrowed until the base changes. false: no memory. */
bool session_wear(struct session *session, struct wear **wear);

/* ParameterStatus. True if it is news. */
bool session_report(struct session *session, struct slice name, struct slice value);
const char *session_reported(const struct session *session, const char *name); /* NULL: never */

#endif
