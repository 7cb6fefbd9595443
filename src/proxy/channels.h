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
#include "proxy/journal.h"

struct channel {
    char *name;
    bool on;
    uint64_t own; /* bit per store.index: the client's own server there listens */
    UT_hash_handle hh;
};
_Static_assert(STORES_MAX <= 64, "a bit per store");

/* One LISTEN or UNLISTEN of a transaction that is not over. */
struct channel_change {
    struct journal_step step; /* first */
    char *name;               /* NULL: all (UNLISTEN *, DISCARD ALL) */
    bool listen;
    unsigned store;
};

struct channels {
    struct journal *journal; /* the session's */
    struct channel *all;     /* by name; each is on, or has own servers that still listen */
    size_t change_count;     /* in the journal */
    bool changed;            /* some went on or off since whoever cares has looked */
};

void channels_init(struct channels *channels, struct journal *journal);
void channels_done(struct channels *channels); /* the journal is empty */

/* `name` .at NULL: all. false: no memory, or CHANNELS_MAX. */
bool channels_note(struct channels *channels, struct slice name, bool listen, unsigned store);
/* The journal's hooks. */
void channels_settle(struct channels *channels, struct journal_step *step);
void channels_drop(struct channels *channels, struct journal_step *step);
/* The client's server at `store` is gone, and its LISTENs with it. */
void channels_lost(struct channels *channels, unsigned store);

bool channels_is_any_on(const struct channels *channels);
/* Is a notification from the client's own server passed on? One that was begun in a way we did not see
 * (LISTEN in a function), too. */
bool channels_hears_own(const struct channels *channels, struct slice name);
/* Is it passed on, if it was heard at `store` by somebody else? */
bool channels_hears(const struct channels *channels, struct slice name, unsigned store);

#endif
