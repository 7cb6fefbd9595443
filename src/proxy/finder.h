/* finder.h - the stream directory of one loop (DESIGN §3.6): what is remembered, else the stores are asked,
 * while the client waits with its statement unread. Owns:   the directory, one asker per store, the questions
 * of clients that wait. Leaves: which streams a statement names to sql/attribute, the connections to asker.
 * Thread: its loop's.   Start at: finder_find().
 *
 * The default store is asked first: a stream that is found there, resident or as a moved tenant's old rows,
 * ends the search. Then, all at once, the stores where tenants live that have moved. "Nobody" needs every
 * store's word, and is true for the message that has asked, by the same routes: it could have run
 * at that moment. */
#ifndef PGSHUNT_PROXY_FINDER_H
#define PGSHUNT_PROXY_FINDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sql/attribute.h"

struct client;
struct finder;
struct loop;
struct sought;

/* What a client has asked for its message at hand; all zeros at first. */
struct seeker {
    struct sought *sought; /* questions and, for a moment, answers */
    unsigned open;         /* answers that are due */
    uint64_t since_ms;     /* of the first one */
    uint64_t generation;   /* of the routes when it was asked */
    struct error why;      /* STREAM_FAILED */
    struct seeker *prev, *next;
    bool listed; /* in the finder's list */
};

struct finder *finder_new(struct loop *loop); /* NULL: no memory */
void finder_free(struct finder *finder);      /* after finder_stop(), when the loop has ended; NULL is fine */
void finder_stop(struct finder *finder);

/* struct stream_finder's; `who` is the client. ASKED: client_retry() follows, after finder_flush(). */
enum stream_answer finder_find(void *who, struct slice key, char tenant[TENANT_BYTES_MAX]);
void finder_flush(struct finder *finder);
/* The message has been decided, or the client goes: nothing of what was asked for it is wanted any more. */
void finder_forget(struct client *client);

/* A transaction has committed that shows whose a stream is; or that may have taken streams from their
 * tenants. */
void finder_keep(struct finder *finder, struct slice key, const char *tenant);
void finder_clear(struct finder *finder);
void finder_unsettle(struct finder *finder); /* the same, on all loops */

void finder_follow(struct finder *finder, bool columns_changed); /* other routes, other columns */
void finder_reset(struct finder *finder); /* RELOAD: forgets all it knows, connects anew */
void finder_tick(struct finder *finder, uint64_t now_ms);

#endif
