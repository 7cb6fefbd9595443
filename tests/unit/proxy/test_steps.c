/* test_steps.c - a client's moves: the drawing of steps.h as a list, and nothing besides. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proxy/steps.h"

static const struct move {
    enum client_state from;
    enum client_event event;
    enum client_state to;
} moves[] = {
    { CLIENT_STARTUP, EV_STARTUP, CLIENT_AUTH },  { CLIENT_AUTH, EV_KNOWN, CLIENT_LOGIN },
    { CLIENT_LOGIN, EV_SERVER, CLIENT_IDLE },     { CLIENT_IDLE, EV_HOLD, CLIENT_HELD },
    { CLIENT_IDLE, EV_JOIN, CLIENT_JOINING },     { CLIENT_IDLE, EV_SWITCH, CLIENT_SWITCHING },
    { CLIENT_HELD, EV_GO, CLIENT_IDLE },          { CLIENT_JOINING, EV_GO, CLIENT_IDLE },
    { CLIENT_SWITCHING, EV_GO, CLIENT_IDLE },     { CLIENT_STARTUP, EV_CLOSE, CLIENT_CLOSING },
    { CLIENT_AUTH, EV_CLOSE, CLIENT_CLOSING },    { CLIENT_LOGIN, EV_CLOSE, CLIENT_CLOSING },
    { CLIENT_IDLE, EV_CLOSE, CLIENT_CLOSING },    { CLIENT_HELD, EV_CLOSE, CLIENT_CLOSING },
    { CLIENT_JOINING, EV_CLOSE, CLIENT_CLOSING }, { CLIENT_SWITCHING, EV_CLOSE, CLIENT_CLOSING },
    { CLIENT_IDLE, EV_LOOK, CLIENT_LOOKING },     { CLIENT_LOOKING, EV_GO, CLIENT_IDLE },
    { CLIENT_LOOKING, EV_CLOSE, CLIENT_CLOSING }, { CLIENT_CLOSING, EV_CLOSE, CLIENT_CLOSING },
};

static const struct move *allowed(enum client_state from, enum client_event event)
{
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++)
        if (moves[i].from == from && moves[i].event == event)
            return &moves[i];
    return NULL;
}

static void allows_the_moves_of_the_drawing_and_no_other(void **state)
{
    (void)state;
    for (int from = 0; from < CLIENT_STATES; from++)
        for (int event = 0; event < CLIENT_EVENTS; event++) {
            const struct move *move = allowed((enum client_state)from, (enum client_event)event);
            enum client_state next = CLIENT_STATES;

            if (client_step((enum client_state)from, (enum client_event)event, &next) != (move != NULL))
                fail_msg("%s is %s while %s", client_event_name((enum client_event)event),
                         move == NULL ? "accepted" : "refused", client_state_name((enum client_state)from));
            assert_int_equal(next, move == NULL ? CLIENT_STATES : move->to); /* refused: untouched */
        }
}

static void every_state_and_event_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < CLIENT_STATES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(client_state_name((enum client_state)a),
                                    client_state_name((enum client_state)b));
    for (int a = 0; a < CLIENT_EVENTS; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(client_event_name((enum client_event)a),
                                    client_event_name((enum client_event)b));
    assert_string_equal(client_state_name(CLIENT_CLOSING), "closing");
    assert_string_equal(client_event_name(EV_CLOSE), "close");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows_the_moves_of_the_drawing_and_no_other),
        cmocka_unit_test(every_state_and_event_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
