/* test_config_reload.c - what differs between two configurations, and what of it may take effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"

#define LEAST "[auth]\nauth_type = trust\n[routing]\ndefault_store = a\n"

static struct config *read_text(const char *text)
{
    char path[] = "/tmp/pgshunt-test-XXXXXX";
    int fd = mkstemp(path);
    struct config *config;
    struct error err;
    bool ok;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    ok = config_read(path, &config, &err);
    unlink(path);
    if (!ok)
        fail_msg("%s", err.message);
    return config;
}

static struct rows *change_rows(void)
{
    static const char *const names[] = { "key", "old", "new", "status" };
    struct rows *rows = rows_new();

    for (int i = 0; i < 4; i++)
        rows_column(rows, names[i], ROWS_TEXT);
    return rows;
}

static const char before[] =
    LEAST "user.ann = tenant:1\nuser.bob = tenant:2\n[stores]\na = dbname=a\nb = dbname=b\n"
          "[pgshunt]\nworkers = 2\n[log]\nlevel = info\n[control]\nconninfo = password=old\n";

/* key, old, new, status; "-" : SQL NULL */
static const char *const expected[][4] = {
    { "pgshunt.workers", "2", "3", "needs a restart" },
    { "control.conninfo", "********", "********", "needs a restart" },
    { "log.level", "info", "debug", "applied" },
    { "stores.a", "********", "******** (another one)", "needs a restart" },
    { "stores.b", "********", "-", "needs a restart" },
    { "stores.c", "-", "********", "needs a restart" },
    { "routing.user.ann", "1", "-", "applied" },
    { "routing.user.bob", "2", "3", "applied" },
    { "routing.user.eve", "-", "4", "applied" },
};
enum { EXPECTED = sizeof expected / sizeof expected[0] };

static const char after[] =
    LEAST "user.bob = tenant:3\nuser.eve = tenant:4\n[stores]\na = dbname=x\nc = dbname=c\n"
          "[pgshunt]\nworkers = 3\n[log]\nlevel = debug\n[control]\nconninfo = password=new\n";

static void names_what_differs_and_shows_no_secret(void **state)
{
    struct config *running = read_text(before), *fresh = read_text(after);
    struct rows *rows = change_rows();

    (void)state;
    config_changes(running, fresh, rows);
    assert_false(rows_failed(rows));
    assert_int_equal(rows_count(rows), EXPECTED);
    for (size_t i = 0; i < EXPECTED; i++)
        for (size_t j = 0; j < 4; j++) {
            const char *value = rows_value(rows, i, j);

            assert_string_equal(value == NULL ? "-" : value, expected[i][j]);
        }
    rows_free(rows);
    config_give(running);
    config_give(fresh);
}

static void keeps_what_only_a_restart_can_change(void **state)
{
    struct config *running = read_text(before), *fresh = read_text(after);
    struct rows *rows = change_rows();
    struct error err;

    (void)state;
    assert_true(config_keep_fixed(fresh, running, &err));
    assert_int_equal(config_number(fresh, CONFIG_WORKERS), 2);
    assert_true(config_is(fresh, CONFIG_LOG_LEVEL, "debug"));
    assert_string_equal(config_text(fresh, CONFIG_CONTROL_CONNINFO), "password=old");
    assert_int_equal(config_store_count(fresh), 2);
    assert_string_equal(config_store_conninfo(fresh, 0), "dbname=a");
    assert_string_equal(config_user_tenant(fresh, "eve"), "4");
    config_give(running);
    running = read_text(before);
    config_changes(running, fresh, rows); /* what is left are the four that apply */
    assert_int_equal(rows_count(rows), 4);
    rows_free(rows);
    config_give(running);
    config_give(fresh);
}

static void says_nothing_where_nothing_differs(void **state)
{
    struct config *running = read_text(before), *fresh = read_text(before);
    struct rows *rows = change_rows();

    (void)state;
    config_changes(running, fresh, rows);
    assert_int_equal(rows_count(rows), 0);
    rows_free(rows);
    config_give(config_take(running));
    config_give(running);
    config_give(fresh);
    config_give(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_differs_and_shows_no_secret),
        cmocka_unit_test(keeps_what_only_a_restart_can_change),
        cmocka_unit_test(says_nothing_where_nothing_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
