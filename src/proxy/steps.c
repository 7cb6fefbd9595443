/* steps.c - see steps.h. */
#include "proxy/steps.h"

/* 0 = not expected; states are stored plus one. */
#define TO(state) (CLIENT_##state + 1)

static const unsigned char steps[CLIENT_STATES][CLIENT_EVENTS] = {
    [CLIENT_STARTUP] = { [EV_STARTUP] = TO(AUTH), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_AUTH] = { [EV_KNOWN] = TO(LOGIN), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_LOGIN] = { [EV_SERVER] = TO(IDLE), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_IDLE] = { [EV_HOLD] = TO(HELD),
                      [EV_JOIN] = TO(JOINING),
                      [EV_SWITCH] = TO(SWITCHING),
                      [EV_LOOK] = TO(LOOKING),
                      [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_HELD] = { [EV_GO] = TO(IDLE), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_JOINING] = { [EV_GO] = TO(IDLE), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_SWITCHING] = { [EV_GO] = TO(IDLE), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_LOOKING] = { [EV_GO] = TO(IDLE), [EV_CLOSE] = TO(CLOSING) },
    [CLIENT_CLOSING] = { [EV_CLOSE] = TO(CLOSING) },
};

bool client_step(enum client_state state, enum client_event event, enum client_state *next)
{
    unsigned char to = steps[state][event];

    if (to == 0)
        return false;
    *next = (enum client_state)(to - 1);
    return true;
}

const char *client_state_name(enum client_state state)
{
    static const char *const names[CLIENT_STATES] = { "startup", "auth",      "login",   "idle",   "held",
                                                      "joining", "switching", "looking", "closing" };

    return names[state];
}

const char *client_event_name(enum client_event event)
{
    static const char *const names[CLIENT_EVENTS] = { "startup", "known",  "server", "hold", "go",
                                                      "join",    "switch", "look",   "close" };

    return names[event];
}
