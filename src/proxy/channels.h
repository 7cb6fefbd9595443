/* channels.h - the channels that one session listens to, by PostgreSQL's rules: LISTEN and UNLISTEN take
 * effect when their transaction commits. Pure: no sockets, no clock.
 *
 * A LISTEN goes to one server of the client's own, as any statement; that server then tells what is notified
 * at its store. `own` remembers which ones do, so that nothing is told twice, and so that a server of which
 * the session has since said UNLISTEN somewhere else is not believed. */
#ifndef PGSHUNT_PROXY_CHANNELS_H
#define PGSHUNT_PROXY_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "base/limits.h"
#include "base/slice.h"

struct channel {
    char *name;
    bool on;
    uint64_t own; /* bit per store.index: the client's own server there listens */
    UT_hash_handle hh;
};
_Static_assert(STORES_MAX <= 64, "a bit per store");

/* One LISTEN or UNLISTEN of the open transaction. */
struct channel_change {
    char *name; /* NULL: all (UNLISTEN *, DISCARD ALL) */
    bool listen;
    unsigned store;
    unsigned depth; /* savepoints that stood */
    uint64_t sync;  /* the ReadyForQuery that at the earliest ends its transaction */
    bool mixed;     /* its message ends a transaction and goes on: a failure of it says nothing of this */
    struct channel_change *prev, *next;
};

struct channels {
    struct channel *all; /* by name; each is on, or has own servers that still listen */
    struct channel_change *pending;
    size_t pending_count;
    bool changed; /* some went on or off since whoever cares has looked */
};

void channels_init(struct channels *channels);
void channels_done(struct channels *channels);

/* `name` .at NULL: all. false: no memory, or CHANNELS_MAX. */
bool channels_note(struct channels *channels, struct slice name, bool listen, unsigned store, unsigned depth,
                   uint64_t sync, bool mixed);
void channels_commit(struct channels *channels, uint64_t sync);
void channels_rollback(struct channels *channels, uint64_t sync);
void channels_rollback_to(struct channels *channels, unsigned depth);
void channels_release(struct channels *channels, unsigned depth);
/* The client's server at `store` is gone, and its LISTENs with it. */
void channels_lost(struct channels *channels, unsigned store);

bool channels_is_any_on(const struct channels *channels);
/* Is a notification from the client's own server passed on? One that was begun in a way we did not see
 * (LISTEN in a function), too. */
bool channels_hears_own(const struct channels *channels, struct slice name);
/* Is it passed on, if it was heard at `store` by somebody else? */
bool channels_hears(const struct channels *channels, struct slice name, unsigned store);

#endif
