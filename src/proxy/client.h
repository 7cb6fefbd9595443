/* client.h - one application connection, from startup to close.
 * Owns:   its stream, its session and transaction, one server per store that it has needed.
 * Leaves: which tenant to sql/attribute, which store to place, whether now to route/gate, what each message
 * asks to statement, answers to relay and outcome, other servers to join, lost ones to lost.
 * Thread: its own event loop.   Start at: steps.h, then client_run(). */
#ifndef PGSHUNT_PROXY_CLIENT_H
#define PGSHUNT_PROXY_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "proxy/admit.h"
#include "proxy/cancel.h"
#include "proxy/identity.h"
#include "proxy/place.h"
#include "proxy/cursors.h"
#include "proxy/finder.h"
#include "proxy/server.h"
#include "proxy/session.h"
#include "proxy/settings.h"
#include "proxy/sow.h"
#include "proxy/steps.h"
#include "proxy/stream.h"
#include "proxy/txn.h"
#include "route/gate.h"
#include "sql/attribute.h"
#include "sql/execute.h"

struct ear;
struct loop;

struct client {
    struct stream stream; /* first: a stream's hooks get from it to its client by a cast */
    struct loop *loop;
    uint64_t number;            /* never used twice by a loop */
    struct client *prev, *next; /* the loop's list */
    UT_hash_handle hh;          /* the loop's hash by cancel_pid */
    enum client_state state;
    struct error closing_why;
    uint64_t since_ms;                 /* state entered */
    uint64_t welcomed_ms;              /* logged in */
    uint64_t connected_ms, request_ms; /* request: when bytes came last */

    /* who */
    struct proxy_settings *settings; /* a reference to those it logged in by; NULL: STARTUP */
    struct admit admit;              /* until it is known */
    struct credentials credentials;
    struct identity *identity; /* as whom its servers log in; from LOGIN on */
    char *user, *database;
    struct parameter_pair *startup; /* all but user, database, _pq_.*; said to every server */
    size_t startup_count;
    char startup_tenant[TENANT_BYTES_MAX]; /* the tenant setting that it began with; "" : none */
    bool startup_tenant_unknown;           /* … it began with one that is not understood */
    char *startup_path;                    /* the search_path that it began with; NULL: none */
    bool startup_path_unknown;
    const char *user_tenant; /* [routing] user.NAME or database.NAME; "" : none */
    bool mapped_database;    /* … the latter: stores have their own names for the database */
    bool routed;             /* its database is the default store's, and it speaks SQL */
    int home_store;          /* where it has logged in; -1: not yet */
    bool replication;        /* a walsender's client: one server for good, never attributed */
    bool asked_ssl, asked_gssenc, direct_tls;
    bool cancelling;         /* has sent a CancelRequest, and waits until it has been passed on */
    bool old_protocol;       /* 1 or 2: all that it gets is an error that it can read */
    unsigned protocol_minor; /* of 3.x, as agreed */
    uint32_t cancel_pid;
    size_t cancel_key_bytes; /* CANCEL_KEY_BYTES; …_LONG from protocol 3.2 on */
    unsigned char cancel_key[CANCEL_KEY_BYTES_LONG];

    /* what it is doing */
    struct session session;
    struct txn txn;
    struct cursors cursors;
    struct server *servers[STORES_MAX]; /* by store.index; owned, or lent */
    bool shares;                        /* pool_mode = transaction: its servers are lent (lend.h) */
    struct pool **pools;                /* by store.index, those it has needed */
    struct pool_waiter line;            /* LOGIN, JOINING: it waits for a server */
    unsigned lent;                      /* how many servers it has */
    unsigned lend_tries;                /* servers lost in a row before it could use them */
    int last_store;                     /* of its last statement; -1: none yet */
    int answering;                      /* store whose server owes visible answers; -1: none */
    char tx_status;                     /* as the client was told */
    bool redefines;                     /* changes a declared table: the catalogue is read again behind it */
    bool outcome_failed;                /* how the transaction that ends next has gone */
    bool committed;                     /* since the last ReadyForQuery, whatever has failed behind it */
    bool gid_found;                     /* COMMIT PREPARED: the store asked last has it */
    unsigned gid_asked;                 /* … how many have answered that they have not */
    uint64_t healing_sync; /* the ReadyForQuery that answers what may end the transaction's failure */
    bool error_seen;       /* an ErrorResponse went out since the last ReadyForQuery */
    bool unflushed;        /* servers were told something that no message of its own sends off */
    bool ends_due;         /* some server's ends_sync is set */
    uint64_t chain_sync;   /* the ReadyForQuery that ends a transaction although another goes on; 0: none */
    bool skip_to_sync;     /* refused by the proxy in extended protocol: ignore until Sync */
    uint64_t sync_sent, sync_seen; /* ReadyForQuerys asked for and answered */
    size_t saying;                 /* statements of the Query that is being forwarded */
    uint64_t look; /* the message booked last is a locking read of that number (txn.h); 0: is none */
    uint64_t idle_since_ms, busy_since_ms; /* by the loop's clock; busy 0: everything has been answered */
    size_t passing_bytes;                  /* rest of a large message on its way to `passing_to` */
    int passing_to;                        /* store, -1: thrown away */
    char *local_portal; /* a portal that the proxy answers itself (deferred BEGIN …); NULL: none */
    struct plan *local_plan;
    struct slice local_text; /* owned */

    struct copying *copying; /* its COPY FROM STDIN, where rows are read; NULL: there is none */

    struct ear *ear; /* not an application: hosts that ear's connection */
    bool listening;  /* in the line of those who listen */
    struct client *prev_listening, *next_listening;
    struct buf notified; /* NotificationResponses from other stores that wait for their moment */

    struct gate_pass *passes;
    struct gate_waiter waiter;
    struct sow sow;        /* streams that its transaction writes */
    struct seeker seeker;  /* LOOKING: what the stream directory is asked */
    int waiting_store;     /* JOINING, SWITCHING */
    struct error lost_why; /* of the server lost last */
    bool refused;          /* what it waited for failed: its statement is answered with refused_why */
    struct error refused_why;
    bool running, again;                /* client_run() is on the stack; run once more */
    char warm_tenant[TENANT_BYTES_MAX]; /* has written this migrating tenant; "" : none */
    int warm_store;
    bool warm_failed, warm_wanted; /* wanted: server_open() is on the stack for it */
    uint64_t warm_since_ms;        /* last attempt */
    struct error warm_why;

    /* scratch of the message at hand */
    struct shape shape;
    struct attribution attribution;
    struct place place;
    struct execute_arguments arguments;
};

/* An accepted socket on its loop; takes fd. */
void client_open(struct loop *loop, int fd);
void client_close(struct client *client); /* at once; fine to call twice */
/* Last words: ErrorResponse FATAL, then closes. */
void client_fail(struct client *client, const struct error *why);
void client_flush(struct client *client);       /* sends off what was said to its servers, and to it */
void client_run(struct client *client);         /* handles what has come, as far as it goes */
bool client_waits(const struct client *client); /* for a server, a gate, another store */
void client_enter(struct client *client, enum client_event event);

/* Called by server and relay. */
void client_server_ready(struct client *client, struct server *server);
void client_server_quiet(struct client *client, struct server *server); /* it owes nothing any more */
/* LOGIN: its session holds what it is to be told. */
void client_welcome(struct client *client);
/* What it waits for will not come: its statement is answered with `why`. */
void client_refuse(struct client *client, const struct error *why);
/* The ReadyForQuery that at the earliest ends the transaction: a chained one outlives that of its COMMIT. */
uint64_t client_ends_with(const struct client *client);

/* Answers of the proxy's own: in their turn, behind what servers still owe. Takes `bytes` over. `ready`: the
 * status of a ReadyForQuery at their end, 0 if there is none; `failed`: they say that the transaction failed.
 */
void client_say(struct client *client, struct buf *bytes, char ready, bool failed);
/* Local answers have been sent: what they mean takes effect now. `until`: as outcome_ready(). */
void client_said(struct client *client, char ready, bool failed, uint64_t until);
/* A ReadyForQuery is asked for, of a server or of us. Behind whatever is booked of the message. */
void client_asks_ready(struct client *client);
/* The routes have changed, the gate has opened, …: a statement that waits is decided anew. */
void client_retry(struct client *client);
void client_expired(struct client *client); /* timers: login too long, held too long */
/* A CancelRequest with its key has come. */
void client_cancel(struct client *client, struct cancel_asker asker);

/* What the default store calls the client's database. */
const char *client_dbname(const struct client *client);

#endif
