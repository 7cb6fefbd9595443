/* test_takeover_wire.c - what two processes of a takeover say to each other, over a pair of sockets. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "app/takeover_wire.h"

static int setup(void **state)
{
    static int pair[2];

    *state = pair;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
    int *pair = *state;

    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
    return 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void descriptors_arrive_with_their_names(void **state)
{
    struct takeover_message sent = { .tag = 5 }, heard;
    struct inherited list = { 0 }, got = { 0 };
    int *pair = *state, pipes[2];
    struct inherited_socket taken;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    list.count = 2;
    strcpy(list.at[0].what, "*:6432");
    strcpy(list.at[1].what, "/tmp/.s.PGSQL.6432");
    list.at[0].fd = list.at[1].fd = pipes[0];
    list.at[0].lock_fd = -1;
    list.at[1].lock_fd = pipes[1];
    assert_true(takeover_say(pair[0], &sent, TAKEOVER_SOCKETS, &list));
    assert_true(takeover_wait(pair[1], &heard, &got, 1000));
    assert_int_equal(heard.kind, TAKEOVER_SOCKETS);
    assert_int_equal(heard.tag, 5);
    assert_int_equal(got.count, 2);
    assert_false(inherited_take(&got, "*:6433", &taken));
    assert_true(inherited_take(&got, "*:6432", &taken));
    assert_int_equal(taken.lock_fd, -1);
    assert_int_equal(fcntl(taken.fd, F_GETFD), FD_CLOEXEC);
    close(taken.fd);
    assert_int_equal(write(got.at[0].lock_fd, "x", 1), 1); /* the pipe's other end */
    assert_int_equal(read(pipes[0], &heard, 1), 1);
    inherited_leave_rest(&got);
    assert_int_equal(got.count, 0);
    close(pipes[0]);
    close(pipes[1]);
}

static void nothing_yet_is_not_the_end(void **state)
{
    struct takeover_message message;
    int *pair = *state;

    assert_int_equal(takeover_hear(pair[1], &message, NULL), 0);
    assert_false(takeover_wait(pair[1], &message, NULL, 1));
    close(pair[0]);
    pair[0] = -1;
    assert_int_equal(takeover_hear(pair[1], &message, NULL), -1);
}

static void another_version_or_a_short_packet_is_the_end(void **state)
{
    struct takeover_message message = { .kind = TAKEOVER_HELLO, .version = TAKEOVER_VERSION + 1 };
    int *pair = *state;

    assert_int_equal(send(pair[0], &message, sizeof message, 0), sizeof message);
    assert_int_equal(takeover_hear(pair[1], &message, NULL), -1);
    message.version = TAKEOVER_VERSION;
    assert_int_equal(send(pair[0], &message, 8, 0), 8);
    assert_int_equal(takeover_hear(pair[1], &message, NULL), -1);
}

/* Somebody who sends descriptors where none are expected must not make us run out of them. */
static void descriptors_that_nobody_expects_are_closed(void **state)
{
    struct takeover_message message = { 0 };
    struct inherited list = { .count = 1 };
    int *pair = *state, pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    list.at[0].fd = pipes[0];
    list.at[0].lock_fd = -1;
    assert_true(takeover_say(pair[0], &message, TAKEOVER_RELEASE, &list));
    assert_int_equal(takeover_hear(pair[1], &message, NULL), -1);
    assert_false(is_open(pipes[1] + 1));
    close(pipes[0]);
    close(pipes[1]);
}

static void a_key_longer_than_any_is_refused(void **state)
{
    struct takeover_message message = { .key_bytes = 1000 };
    int *pair = *state;

    assert_true(takeover_say(pair[0], &message, TAKEOVER_CANCEL, NULL));
    assert_int_equal(takeover_hear(pair[1], &message, NULL), -1);
}

static void a_peer_of_our_own_user_is_trusted(void **state)
{
    assert_true(takeover_peer_is_trusted(((int *)*state)[0]));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(descriptors_arrive_with_their_names),
        TEST(nothing_yet_is_not_the_end),
        TEST(another_version_or_a_short_packet_is_the_end),
        TEST(descriptors_that_nobody_expects_are_closed),
        TEST(a_key_longer_than_any_is_refused),
        TEST(a_peer_of_our_own_user_is_trusted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
