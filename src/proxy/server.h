/* server.h - one connection to a store's PostgreSQL, working for one client: its life from login to close.
 * Owns:   its stream, the line of requests whose answers are still to come (owed), which prepared statements
 * it has. Leaves: what an answer means to the client (relay), what to send (statement, server_say), making it
 * alike (join).
 * Thread: its client's loop.   Start at: enum server_state, then on_login_message(). */
#ifndef PGSHUNT_PROXY_SERVER_H
#define PGSHUNT_PROXY_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "proxy/dial.h"
#include "proxy/prove.h"
#include "proxy/identity.h"
#include "proxy/made.h"
#include "proxy/pool.h"
#include "proxy/report.h"
#include "proxy/session.h"
#include "proxy/stream.h"
#include "proxy/tally.h"
#include "proxy/wear.h"
#include "route/store.h"

struct client;
struct loop;

/*   CONNECTING ──connected──► LOGIN ──ReadyForQuery──► READY ──┐
 *        └────────────failed────┴──────────lost──────────┴─► BROKEN, then freed by its client */
enum server_state {
    SERVER_CONNECTING, /* until the connection stands, TLS included */
    SERVER_LOGIN,      /* StartupMessage sent; authentication and parameters come */
    SERVER_READY,      /* speaks for the client */
    SERVER_BROKEN,     /* `why` says so; nothing more is sent or read */
};

struct request; /* owed.h */

enum tended { TENDED_NOT, TENDED_RESET, TENDED_CHECK };

struct server {
    struct stream stream; /* first, as in struct client */
    struct loop *loop;
    struct server *prev_of_loop, *next_of_loop; /* the loop's list */
    struct client *client;                      /* NULL once the client has let go of it */
    struct identity *identity;                  /* as whom it logs in */
    const struct store *store;
    enum server_state state;
    struct error why;     /* BROKEN, or the FATAL it said last */
    bool why_from_server; /* `why` is what the server itself said */
    struct dial dial;
    uint64_t since_ms;                 /* state entered */
    uint64_t connected_ms, request_ms; /* request: when it was asked last */
    struct tally_clock clock;
    uint64_t told_bytes; /* of what went out, in its store's tally */
    struct prove prove;  /* of its login */

    int32_t pid;
    unsigned char key[CANCEL_KEY_BYTES_MAX];
    size_t key_bytes;
    char tx_status; /* of its last ReadyForQuery */

    struct request *line; /* a ring: owed.h */
    size_t line_at, line_count, line_capacity;
    size_t visible;       /* requests in line that are not silent */
    size_t passing_bytes; /* rest of a large message on its way to the client */
    bool passing_silent;
    bool pipeline; /* extended messages since the last Sync */
    bool skipping; /* an error: everything until Sync is ignored by the server */
    bool copy_in;  /* expects CopyData */
    bool asking;   /* server_say_asking() is under way, or answered and not yet looked at */
    char captured[32];
    bool silent_failed; /* a silent request failed; silent_why */
    struct error silent_why;
    unsigned cancels; /* cancel connections under way: nothing new is sent meanwhile */

    struct made_set made;   /* prepared statements it has */
    struct pool_seat seat;  /* pool_mode = transaction: its place in a pool */
    const char *pinned;     /* why it stays with its client; NULL: it does not */
    bool spoilt;            /* … and what it carries ends with it only: DISCARD ALL does not undo it */
    enum tended tended;     /* what it is told while it works for nobody (tend.h) … */
    uint64_t tended_ms;     /* … and since when */
    bool made_stale;        /* PostgreSQL has said that a shared statement means something else by now */
    bool doubtful;          /* the transaction runs something that could not be read */
    struct wear *wear;      /* settings it has been given since its login … */
    bool wear_unknown;      /* … which went wrong: to be reset first */
    struct report reported; /* what it said last of its parameters */
    /* Whom it was made like last: a report that SET cannot make equal is not tried for ever. */
    uint64_t told_client, told_version, told_here;
    bool warm;      /* opened in the background */
    unsigned major; /* of server_version; 0: not heard yet */
    uint64_t
        ends_sync; /* its branch ends with that ReadyForQuery of the client's; 0: none waits for its end */
};

/* Begins to connect and log in as `client`'s user. Reports by client_server_ready() or lost_server().
 * NULL: no memory. */
struct server *server_open(struct client *client, const struct store *store);
/* The same for nobody yet (lend.h). Reports by lend_ready() or lend_lost(). */
struct server *server_open_for(struct loop *loop, const struct store *store, struct identity *identity);
void server_expired(struct server *server); /* breaks one that takes too long to log in */
/* Says Terminate and closes; the client is not called any more. */
void server_close(struct server *server);
/* It carries what no other client may find: its client keeps it. `for_good`: nothing undoes that. */
void server_pin(struct server *server, const char *why, bool for_good);
/* Gives up: state BROKEN with `why`, the client is told once. */
void server_break(struct server *server, const struct error *why);

void server_count_bytes(struct server *server);    /* what it was sent, into its store's tally */
bool server_is_quiet(const struct server *server); /* nothing is owed */

/* Of prepared statements (session.h), as clients share them or under their own names. */
bool server_has(struct server *server, struct prepared *prepared);
/* The name that it has, or would have, there. */
const char *server_name_of(const struct server *server, struct prepared *prepared);
bool server_has_own(const struct server *server, const struct prepared *prepared);

#endif
