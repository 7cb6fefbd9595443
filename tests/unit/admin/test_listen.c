/* test_listen.c - the admin socket's file: its mode, its lock, what is stale and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/listen.h"

static int setup(void **state)
{
    char folder[] = "/tmp/pgshunt-test-XXXXXX";

    *state = mkdtemp(folder) == NULL ? NULL : strdup(folder);
    return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    int left = rmdir(*state); /* fails if a test has left something behind */

    free(*state);
    return left;
}

static mode_t mode_of(const char *path)
{
    struct stat stat;

    return lstat(path, &stat) == 0 ? stat.st_mode & 07777 : 0;
}

static void is_the_owners_alone_unless_shared(void **state)
{
    struct listen_socket sock;
    struct error err;

    assert_true(listen_open(&sock, *state, 6433, false, &err));
    assert_non_null(strstr(sock.path, "/.s.PGSQL.6433"));
    assert_int_equal(mode_of(sock.path), 0600);
    listen_close(&sock);
    assert_int_equal(mode_of(sock.path), 0);
    assert_true(listen_open(&sock, *state, 6433, true, &err));
    assert_int_equal(mode_of(sock.path), 0666);
    listen_close(&sock);
    listen_close(&sock); /* twice is fine */
}

static void keeps_a_second_instance_out(void **state)
{
    struct listen_socket first, second;
    struct error err;

    assert_true(listen_open(&first, *state, 6433, false, &err));
    assert_false(listen_open(&second, *state, 6433, false, &err));
    assert_string_equal(err.sqlstate, "55006");
    assert_int_equal(mode_of(first.path), 0600); /* and the first one keeps its socket */
    assert_true(listen_open(&second, *state, 6434, false, &err));
    listen_close(&second);
    listen_close(&first);
}

/* A program that was killed leaves both files; nobody holds the lock, nobody listens. */
static void takes_over_what_a_dead_instance_left(void **state)
{
    struct listen_socket dead, next;
    struct error err;

    assert_true(listen_open(&dead, *state, 6433, false, &err));
    close(dead.fd);
    close(dead.lock_fd);
    assert_true(listen_open(&next, *state, 6433, false, &err));
    assert_int_equal(mode_of(next.path), 0600);
    listen_close(&next);
}

static void leaves_a_socket_alone_that_somebody_listens_on(void **state)
{
    struct listen_socket other, ours;
    struct error err;

    assert_true(listen_open(&other, *state, 6433, false, &err));
    assert_int_equal(listen(other.fd, 1), 0);
    unlink(other.lock_path); /* as a program without such a lock would: a PostgreSQL server */
    assert_false(listen_open(&ours, *state, 6433, false, &err));
    assert_string_equal(err.sqlstate, "55006");
    assert_int_equal(mode_of(other.path), 0600);
    listen_close(&other);
}

static void leaves_a_file_alone_that_is_no_socket(void **state)
{
    struct listen_socket sock;
    struct error err;
    char path[200];
    FILE *file;

    snprintf(path, sizeof path, "%s/.s.PGSQL.6433", (char *)*state);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_false(listen_open(&sock, *state, 6433, false, &err));
    assert_non_null(strstr(err.message, "not a socket"));
    assert_int_equal(unlink(path), 0);
}

static void says_so_when_the_path_is_too_long_or_leads_nowhere(void **state)
{
    struct listen_socket sock;
    struct error err;
    char dir[300];

    (void)state;
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    assert_false(listen_open(&sock, dir, 6433, false, &err));
    assert_string_equal(err.sqlstate, "22023");
    assert_false(listen_open(&sock, "/nonexistent", 6433, false, &err));
    assert_string_equal(err.sqlstate, "58030");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(is_the_owners_alone_unless_shared),     TEST(keeps_a_second_instance_out),
        TEST(takes_over_what_a_dead_instance_left),  TEST(leaves_a_socket_alone_that_somebody_listens_on),
        TEST(leaves_a_file_alone_that_is_no_socket), TEST(says_so_when_the_path_is_too_long_or_leads_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
