/* clang-format off */
/* steps.h - the states of a client and the moves between them: one drawing, one table, one function. Pure.
 *
 *   STARTUP ──startup──► AUTH ──known──► LOGIN ──server──► IDLE ◄───────── go ──────────┐
 *      (SSLRequest, GSSENCRequest: stays;                   ├── hold ────► HELD ────────┤
 *       CancelRequest: close)                               ├── join ────► JOINING ─────┤
 *                                                           └── switch ──► SWITCHING ───┘
 *                                                           └── look ────► LOOKING ──go─► IDLE
 *   any ──close──► CLOSING
 *
 * What is true in each state:
 *   STARTUP    no typed message has come; nobody knows who it is.
 *   AUTH       the user is known by name; the password exchange runs.
 *   LOGIN      authenticated; its home server is being opened; nothing it sends is read.
 *   IDLE       the next message is taken from `stream.in` as soon as it is whole ("idle" between messages, not
 *              necessarily between transactions: answers may be owed).
 *   HELD       a gate is closed: its statement is still whole in `stream.in`; it stands in the gate's line.
 *   JOINING    its statement (whole in `stream.in`) needs a server that is being opened or made alike.
 *   SWITCHING  its statement needs another store, and the earlier one still owes answers.
 *   LOOKING    its statement (whole in `stream.in`) names a stream, and stores are asked whose it is.
 *   CLOSING    handles are being closed; nothing is read, sent or counted any more. */
/* clang-format on */
#ifndef PGSHUNT_PROXY_STEPS_H
#define PGSHUNT_PROXY_STEPS_H

#include <stdbool.h>

enum client_state {
    CLIENT_STARTUP,
    CLIENT_AUTH,
    CLIENT_LOGIN,
    CLIENT_IDLE,
    CLIENT_HELD,
    CLIENT_JOINING,
    CLIENT_SWITCHING,
    CLIENT_LOOKING,
    CLIENT_CLOSING,
    CLIENT_STATES
};

enum client_event {
    EV_STARTUP, /* a StartupMessage */
    EV_KNOWN,   /* authenticated */
    EV_SERVER,  /* the home server is ready */
    EV_HOLD,    /* a gate is closed */
    EV_GO,      /* what it waited for has come: decide anew */
    EV_JOIN,    /* a server must be opened or made alike */
    EV_SWITCH,  /* the earlier store's answers must come first */
    EV_LOOK,    /* the stream directory must be asked */
    EV_CLOSE,
    CLIENT_EVENTS
};

/* false: not expected in that state (our own mistake: the caller asserts). */
bool client_step(enum client_state state, enum client_event event, enum client_state *next);
const char *client_state_name(enum client_state state);
const char *client_event_name(enum client_event event);

#endif
