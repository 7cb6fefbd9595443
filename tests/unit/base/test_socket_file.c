/* test_socket_file.c - a socket's file: its mode, its lock, what is stale and what is not. */
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

#include "base/socket_file.h"

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

static bool opens(struct socket_file *file, const char *dir, int port, unsigned mode, struct error *err)
{
    const struct socket_file_wish wish = { dir, port, mode, NULL, "port or folder" };

    return socket_file_open(file, &wish, err);
}

static mode_t mode_of(const char *path)
{
    struct stat stat;

    return lstat(path, &stat) == 0 ? stat.st_mode & 07777 : 0;
}

static void has_the_mode_that_was_asked_for(void **state)
{
    struct socket_file sock;
    struct error err;

    assert_true(opens(&sock, *state, 6433, 0600, &err));
    assert_non_null(strstr(sock.path, "/.s.PGSQL.6433"));
    assert_int_equal(mode_of(sock.path), 0600);
    socket_file_close(&sock);
    assert_int_equal(mode_of(sock.path), 0);
    assert_true(opens(&sock, *state, 6433, 0666, &err));
    assert_int_equal(mode_of(sock.path), 0666);
    socket_file_close(&sock);
    socket_file_close(&sock); /* twice is fine */
}

static void keeps_a_second_instance_out(void **state)
{
    struct socket_file first, second;
    struct error err;

    assert_true(opens(&first, *state, 6433, 0600, &err));
    assert_false(opens(&second, *state, 6433, 0600, &err));
    assert_string_equal(err.sqlstate, "55006");
    assert_int_equal(mode_of(first.path), 0600); /* and the first one keeps its socket */
    assert_true(opens(&second, *state, 6434, 0600, &err));
    socket_file_close(&second);
    socket_file_close(&first);
}

/* A program that was killed leaves both files; nobody holds the lock, nobody listens. */
static void takes_over_what_a_dead_instance_left(void **state)
{
    struct socket_file dead, next;
    struct error err;

    assert_true(opens(&dead, *state, 6433, 0600, &err));
    close(dead.fd);
    close(dead.lock_fd);
    assert_true(opens(&next, *state, 6433, 0600, &err));
    assert_int_equal(mode_of(next.path), 0600);
    socket_file_close(&next);
}

static void leaves_a_socket_alone_that_somebody_listens_on(void **state)
{
    struct socket_file other, ours;
    struct error err;

    assert_true(opens(&other, *state, 6433, 0600, &err));
    assert_int_equal(listen(other.fd, 1), 0);
    unlink(other.lock_path); /* as a program without such a lock would: a PostgreSQL server */
    assert_false(opens(&ours, *state, 6433, 0600, &err));
    assert_string_equal(err.sqlstate, "55006");
    assert_int_equal(mode_of(other.path), 0600);
    socket_file_close(&other);
}

static void write_lock(const struct socket_file *like, long pid)
{
    FILE *file = fopen(like->lock_path, "w");

    assert_non_null(file);
    fprintf(file, "%ld\n/var/lib/postgresql/15/main\n0\n6433\n", pid);
    fclose(file);
}

/* A server knows no flock(): the process id in the file speaks for it. */
static void obeys_the_lock_of_a_server_that_is_alive_and_takes_a_dead_ones(void **state)
{
    struct socket_file file;
    struct error err;
    char text[64] = "";
    FILE *lock;

    assert_true(opens(&file, *state, 6433, 0600, &err));
    lock = fopen(file.lock_path, "r");
    assert_non_null(lock);
    assert_non_null(fgets(text, sizeof text, lock)); /* and ours names us, for a server to see */
    fclose(lock);
    assert_int_equal(atol(text), getpid());
    socket_file_close(&file);

    write_lock(&file, (long)getppid());
    assert_false(opens(&file, *state, 6433, 0600, &err));
    assert_string_equal(err.sqlstate, "55006");
    assert_int_equal(access(file.lock_path, F_OK), 0);
    write_lock(&file, 999999999);
    assert_true(opens(&file, *state, 6433, 0600, &err));
    socket_file_close(&file);
}

static void knows_no_group_of_that_name(void **state)
{
    const struct socket_file_wish wish = { *state, 6433, 0660, "no such group", "port or folder" };
    struct socket_file file;
    struct error err;

    assert_false(socket_file_open(&file, &wish, &err));
    assert_string_equal(err.sqlstate, "22023");
}

static void leaves_a_file_alone_that_is_no_socket(void **state)
{
    struct socket_file sock;
    struct error err;
    char path[200];
    FILE *file;

    snprintf(path, sizeof path, "%s/.s.PGSQL.6433", (char *)*state);
    file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_false(opens(&sock, *state, 6433, 0600, &err));
    assert_non_null(strstr(err.message, "not a socket"));
    assert_int_equal(unlink(path), 0);
}

static void says_so_when_the_path_is_too_long_or_leads_nowhere(void **state)
{
    struct socket_file sock;
    struct error err;
    char dir[300];

    (void)state;
    memset(dir, 'x', sizeof dir - 1);
    dir[0] = '/';
    dir[sizeof dir - 1] = '\0';
    assert_false(opens(&sock, dir, 6433, 0600, &err));
    assert_string_equal(err.sqlstate, "22023");
    assert_false(opens(&sock, "/nonexistent", 6433, 0600, &err));
    assert_string_equal(err.sqlstate, "58030");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(has_the_mode_that_was_asked_for),
        TEST(keeps_a_second_instance_out),
        TEST(takes_over_what_a_dead_instance_left),
        TEST(leaves_a_socket_alone_that_somebody_listens_on),
        TEST(leaves_a_file_alone_that_is_no_socket),
        TEST(obeys_the_lock_of_a_server_that_is_alive_and_takes_a_dead_ones),
        TEST(knows_no_group_of_that_name),
        TEST(says_so_when_the_path_is_too_long_or_leads_nowhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
