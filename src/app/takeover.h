/* clang-format off */
/* takeover.h - a restart that refuses nobody: `pgshunt --takeover FILE` gets the listening sockets of the
 * process that runs, serves, and lets that one finish its clients' transactions. Main's thread, on both
 * sides.
 *
 *   successor                                       predecessor
 *   HELLO ─────────────────────────────────────►    (serves)
 *         ◄──────────────────────────── SOCKETS     their descriptors, its tag; it goes on serving
 *   builds all but control, accepts nobody
 *   RELEASE ───────────────────────────────────►    no cutover begins any more, one under way ends; control
 *         ◄─────────────────────────── RELEASED     only follows (or KEPT: it goes on alone, the successor ends)
 *   control reads the routes, takes the migrations
 *   accepts; SERVING ──────────────────────────►    accepts nobody any more, drains, ends
 *   CANCEL ────────────────────────────────────►    a CancelRequest with a key of its clients
 *   end of connection: it has ended; cutovers may begin
 *
 * At every moment somebody accepts, so that the kernel turns nobody away. Whoever dies: a successor that dies
 * before SERVING is as if it had never come (the predecessor starts its control again); a predecessor that
 * dies leaves sockets and migrations to the successor.
 *
 * Two processes with clients of one tenant: only one has control, and it begins no cutover while the other
 * one lives (lease_share()). Until then the tenant's writes go to the source on both sides, and the tap captures
 * all of them, whoever made them. Routes that somebody changes by hand are published in both. */
/* clang-format on */
#ifndef PGSHUNT_APP_TAKEOVER_H
#define PGSHUNT_APP_TAKEOVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/inherited.h"
#include "route/letters.h"

struct app;

enum takeover_state {
    TAKEOVER_NONE,
    TAKEOVER_OFFERED,  /* a successor has our sockets, too */
    TAKEOVER_RELEASED, /* our control has stopped; until a time */
    TAKEOVER_LEFT,     /* the successor serves */
};

struct takeover {
    int listener;  /* where a successor asks; -1: none */
    int successor; /* -1: none */
    enum takeover_state state;
    uint64_t until_ms;   /* RELEASED */
    int predecessor;     /* -1: none (any more) */
    bool waits_to_serve; /* has its sockets, does not accept yet */
    bool succeeds;       /* began with a predecessor */
    struct inherited inherited;
    unsigned tag;
};

void takeover_init(struct takeover *takeover);
void takeover_close(struct app *app); /* the end of the program */
/* From now on a successor may ask. A path that cannot be bound is logged: nobody can take over, all else
 * works. */
void takeover_listen(struct app *app);

/* --- the successor --- */
/* Asks whoever runs for its sockets. Nobody there: true, and nothing inherited. */
bool takeover_ask(struct app *app, struct error *err);
/* All but control stands: waits until the predecessor's has stopped. */
bool takeover_release(struct app *app, struct error *err);
/* The routes have been read: accepts, and says so. false: nobody can be accepted, the program ends. */
bool takeover_serve(struct app *app, struct error *err);
void takeover_pass_cancel(struct app *app, const struct cancel_letter *letter);

/* The predecessor: a successor serves. */
void takeover_leave(struct app *app);

/* --- in main's loop --- */
enum { TAKEOVER_FDS = 3 };
void takeover_poll_fds(const struct app *app, struct pollfd fds[static TAKEOVER_FDS]);
/* Looks at what has come. true: this process has to end. */
bool takeover_look(struct app *app, const struct pollfd fds[static TAKEOVER_FDS]);

#endif
