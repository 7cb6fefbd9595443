/* test_health.c - what makes a migration stuck, degraded or fine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "status/health.h"

static const struct health_limits limits = { 900, 1000 };

static struct rows *one(const char *state, const char *idle, const char *lag, const char *failing)
{
    static const struct rows_heading columns[] = { { "id", ROWS_TEXT },
                                                   { "tenant_id", ROWS_TEXT },
                                                   { "state", ROWS_TEXT },
                                                   { "idle_seconds", ROWS_FLOAT8 },
                                                   { "sync_lag_events", ROWS_INT8 },
                                                   { "target_failing", ROWS_BOOL },
                                                   { "error_message", ROWS_TEXT },
                                                   { NULL, ROWS_TEXT } };
    const char *const values[] = { "m1", "a\"b", state, idle, lag, failing, NULL };
    struct rows *rows = rows_new();

    rows_columns(rows, columns);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        rows_text(rows, values[i]);
    return rows;
}

static const struct {
    const char *state, *idle, *lag, *failing;
    unsigned status;
    const char *says;
} cases[] = {
    { "bulk_copy", "3", "0", "f", 200,
      "\"status\": \"healthy\", \"active_migrations\": 1, \"stuck_migrations\": 0" },
    { "bulk_copy", "901", "0", "f", 503,
      "\"status\": \"unhealthy\", \"active_migrations\": 1, \"stuck_migrations\": 1" },
    { "paused", "90000", "0", "f", 200, "\"status\": \"degraded\"" },
    { "pending", "90000", "0", "f", 200, "\"status\": \"healthy\"" },
    { "dual_write", "1", "1001", "f", 200, "\"high_sync_lag_count\": 1" },
    { "dual_write", "1", "0", "t", 200, "\"problem\": \"the target fails\"" },
    { "migrated", "90000", "0", "f", 200, "\"status\": \"healthy\", \"active_migrations\": 0" },
};

static void a_migration_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot snapshot = { .migrations =
                                         one(cases[i].state, cases[i].idle, cases[i].lag, cases[i].failing) };
        struct buf json;

        buf_init(&json);
        assert_int_equal(health_migration(&snapshot, &limits, &json), cases[i].status);
        if (strstr(buf_text(&json), cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].says, buf_text(&json));
        buf_done(&json);
        snapshot_done(&snapshot);
    }
}

static void without_a_control_database_nothing_is_known(void **state)
{
    struct snapshot snapshot = { .loops = 4, .told = 4 };
    struct buf json;

    (void)state;
    error_set(&snapshot.control_error, "08006", "it is \"away\"");
    buf_init(&json);
    assert_int_equal(health_migration(&snapshot, &limits, &json), 503);
    assert_non_null(strstr(buf_text(&json), "it is \\\"away\\\""));
    buf_clear(&json);
    assert_int_equal(health_process(&snapshot, &json), 200); /* clients are served all the same */
    assert_int_equal(health_ready(&snapshot, &json), 503);
    snapshot.told = 3;
    assert_int_equal(health_process(&snapshot, &json), 503);
    buf_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_migration_is_judged),
                                        cmocka_unit_test(without_a_control_database_nothing_is_known) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
