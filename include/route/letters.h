/* letters.h - every letter that crosses between threads: event loops, control, runners, console.
 * Rules: base/mailbox.h. Structs here are complete; whoever receives one owns it. */
#ifndef PGSHUNT_ROUTE_LETTERS_H
#define PGSHUNT_ROUTE_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/mailbox.h"
#include "base/rows.h"
#include "route/catalogue.h"
#include "route/table.h"

enum letter_kind {
    LETTER_STOP,     /* struct letter; main → loops, console, control; control → runners */
    LETTER_PUBLISH,  /* struct publish_letter; control → loops, console; answered when applied */
    LETTER_GATE,     /* struct gate_letter; runner → loops; answered */
    LETTER_DOORBELL, /* struct doorbell_letter; loop → runner */
    LETTER_STALE,    /* struct stale_letter; loop → control: a store refused a row or saw DDL; look again */
    LETTER_CONTROL,  /* struct control_request (migrate/control.h); console → control, or main; answered */
    LETTER_RUNNER,   /* private to migrate/: orders and news between control and runners; answered where asked
                      */
    LETTER_LOOP,     /* private to proxy/: an accepted socket, a cancel, … */
    LETTER_SHOW,     /* struct show_letter; console, control → loops; answered at once */
    LETTER_READY,    /* struct letter; console → main: the routes have been read */
    LETTER_SERVE,    /* struct letter; main → console: accept operators */
    LETTER_LEAVE,    /* struct letter; main → console: another process accepts them now */
    LETTER_CANCEL,   /* struct cancel_letter; loop → main: a key of another process */
    LETTER_NEWS,     /* struct news_letter; runner → console: how far a command has come */
    LETTER_CONFIG,   /* struct config_letter; main → control, console: RELOAD */
};

/* Who can be written to. Made by the app before any thread starts, immutable afterwards; borrowed by all. */
struct switchboard {
    unsigned loop_count;
    struct mailbox *loops[LOOPS_MAX];
    struct mailbox *control;
    struct mailbox *console;
    struct mailbox *app; /* main's own thread */
};

/* New routes and columns. The receiver takes both references over, and answers at once. */
struct publish_letter {
    struct letter letter;
    struct route_table *table;
    struct catalogue *catalogue;
    bool ready;    /* the routing table has been read: clients may be served */
    unsigned loop; /* the answer: who applied it (index in loops; loop_count: the console) */
};
struct publish_letter *publish_letter_new(struct mailbox *reply_to, struct route_table *table,
                                          struct catalogue *catalogue,
                                          bool ready); /* takes references of its own */

/* A notice for whoever waits for the command of that tag. */
struct news_letter {
    struct letter letter;
    uint64_t tag;
    char text[512];
};
struct news_letter *news_letter_new(uint64_t tag); /* NULL: no memory */

enum gate_op {
    GATE_MAKE,  /* makes the gate, open; counts from now on, transactions that already wrote included */
    GATE_CLOSE, /* holds new writes; answered when the last transaction in flight has ended, or when the gate
                   is opened or dropped before that (drained = false) */
    GATE_OPEN,  /* held clients decide anew, by the routes published until now */
    GATE_DROP,  /* opens and forgets */
    GATE_ASK,   /* only answers */
};

enum { GATE_BLOCKERS_MAX = 8 };

struct gate_letter {
    struct letter letter;
    enum gate_op op;
    char tenant[TENANT_BYTES_MAX];
    char migration[UUID_TEXT_BYTES];
    uint64_t owner_epoch;     /* a loop ignores (ok = false) an epoch lower than the gate's */
    uint64_t hold_ms_max;     /* CLOSE: a write held longer is answered write_paused */
    struct mailbox *doorbell; /* MAKE: where to ring; a reference, taken over */
    bool follows;             /* MAKE: only the doorbell, at a gate that goes on following the routes */
    /* the answer */
    unsigned loop;
    bool ok;            /* false: no such gate, an older epoch, or no memory */
    bool drained;       /* CLOSE */
    uint32_t in_flight; /* transactions */
    uint32_t held_now;
    uint32_t held_count; /* since the last CLOSE */
    uint64_t held_ms_longest;
    uint32_t blocker_count;                  /* entries below */
    int32_t blocker_pids[GATE_BLOCKERS_MAX]; /* backends at the source whose transaction is in flight */
    uint64_t blocker_ages_ms[GATE_BLOCKERS_MAX];
    uint32_t warm_ready,
        warm_failed;      /* sessions that wrote the tenant: has / could not get a target connection */
    char warm_error[256]; /* the last failure */
};
/* `doorbell` and `reply_to`: references are taken for the letter. */
struct gate_letter *gate_letter_new(enum gate_op op, const char *tenant, const char *migration,
                                    uint64_t owner_epoch, struct mailbox *reply_to, struct mailbox *doorbell);

/* One of the tenant's write transactions has committed at the source. */
struct doorbell_letter {
    struct letter letter;
    char tenant[TENANT_BYTES_MAX];
    int32_t backend_pid; /* a backend that works for a proxy: not a hidden writer */
};
struct doorbell_letter *doorbell_letter_new(const char *tenant, int32_t backend_pid);

enum stale_what { STALE_ROUTE, STALE_CATALOGUE };
struct stale_letter {
    struct letter letter;
    enum stale_what what;
    char tenant[TENANT_BYTES_MAX]; /* STALE_ROUTE */
};
struct stale_letter *stale_letter_new(enum stale_what what, const char *tenant);

/* What a loop knows: SHOW CLIENTS and its like. */
enum show_what {
    SHOW_CLIENTS,
    SHOW_SERVERS,
    SHOW_POOLS,
    SHOW_STATS,
    SHOW_SPREADS, /* how long statements and waits took, by classes; the status pages ask */
    SHOW_PLANS,
    SHOW_SEEN,     /* shapes of statements on declared tables; control asks */
    SHOW_FINDINGS, /* what is wrong with some; control asks */
};
struct show_letter {
    struct letter letter;
    enum show_what what;
    uint64_t tag; /* the asker's own */
    /* the answer */
    unsigned loop;
    struct rows *rows; /* owned; NULL: no memory */
};
struct show_letter *show_letter_new(enum show_what what, uint64_t tag, struct mailbox *reply_to);

/* Another configuration than until now, in what may change (config_keep_fixed()). The receiver takes the
 * reference over.
 */
struct config_letter {
    struct letter letter;
    const struct config *config;
};
struct config_letter *config_letter_new(const struct config *config); /* takes a reference of its own */

/* A CancelRequest whose key this process has not given: its predecessor's, perhaps. */
struct cancel_letter {
    struct letter letter;
    uint32_t pid;
    size_t key_bytes;
    unsigned char key[CANCEL_KEY_BYTES_LONG];
};
struct cancel_letter *cancel_letter_new(uint32_t pid, const void *key, size_t key_bytes);

struct letter *plain_letter_new(enum letter_kind kind); /* says all by its kind */
struct letter *stop_letter_new(void);

#endif
