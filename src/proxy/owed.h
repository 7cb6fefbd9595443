/* owed.h - the answers that a server owes, in the order in which they will come. Every message that is
 * answered is added when it is sent; relay takes it out with its answer. Thread: the server's loop. */
#ifndef PGSHUNT_PROXY_OWED_H
#define PGSHUNT_PROXY_OWED_H

#include "proxy/server.h"

/* One answer that is owed. Kinds are the frontend's message types, or one of these. */
enum {
    REQUEST_LOCAL = 'L',
    REQUEST_MARK = 'c', /* CopyDone or CopyFail went by here; nothing is owed for it */
};

struct request {
    char kind;          /* Q P B D E C S F, or L: `local` goes to the client when its turn comes */
    bool silent;        /* asked for by the proxy: answers are swallowed */
    bool swallow_error; /* silent: an error is noted (silent_failed) and not passed on */
    bool capture;       /* silent: the first column of its row goes to server->captured */
    bool expect_error;  /* silent: it is meant to fail */
    bool quietly;       /* silent: whatever becomes of it, nobody asks */
    bool copies;     /* COPY FROM STDIN; `local`, if any, is the error to be told instead of the CopyFail's */
    bool copy_said;  /* … whose CopyInResponse the client has had from us */
    bool ends;       /* ends a transaction: if its answer is lost, nobody knows whether it was committed */
    uint64_t look;   /* Q, E: a locking read of that number (txn.h); 0: it is none */
    uint64_t serial; /* P, and Q of a PREPARE alone: which prepared statement */
    uint64_t ordinal;  /* the journal's number of its first statement, or of the next one if it has none */
    size_t statements; /* how many it has: of Q as many as in its text, of E and F one */
    size_t done;       /* … and how many have been answered */
    struct buf local;
    char ready;  /* L: `local` ends with a ReadyForQuery of that status; 0: it does not */
    bool failed; /* L: it says that the transaction failed */
};

/* false: no memory (the caller breaks the server). */
bool owed_add(struct server *server, char kind, bool silent, uint64_t serial);
/* Bytes for the client that must come after what is owed now; takes `local` over. */
bool owed_add_local(struct server *server, struct buf *local, char ready, bool failed);
struct request *owed_at(const struct server *server, size_t index); /* index < line_count */
struct request *owed_head(const struct server *server);             /* NULL: nothing is owed */
struct request *owed_last(const struct server *server);             /* NULL: nothing is */
bool owed_has(const struct server *server, const char *kinds);      /* some visible one of these kinds */
/* Some request that ends a transaction is owed; `to_ready`: before the next ReadyForQuery, so that one error
 * answers it. */
bool owed_ends(const struct server *server, bool to_ready);
void owed_pop(struct server *server);
void owed_drop(struct server *server, size_t index); /* a Sync that will not be answered */
void owed_done(struct server *server);               /* all of it, and the line's memory */

#endif
