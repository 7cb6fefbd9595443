/* The table of allowed moves, cell by cell as DESIGN.md §4.1 has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "migrate/state.h"

static const struct {
    const char *from, *to; /* everything that may follow, in any order */
} allowed[] = {
    { "pending", "bulk_copy failed rolled_back" },
    { "bulk_copy", "dual_write paused failed rolled_back" },
    { "dual_write", "cutover_paused paused failed rolled_back" },
    { "paused", "bulk_copy dual_write failed rolled_back" },
    { "cutover_paused", "migrated dual_write failed rolled_back" },
    { "failed", "rolled_back" },
    { "migrated", "" },
    { "rolled_back", "" },
};

static bool is_listed(const char *list, const char *name)
{
    size_t bytes = strlen(name);

    for (const char *at = strstr(list, name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == list || at[-1] == ' ') && (at[bytes] == ' ' || at[bytes] == '\0'))
            return true;
    }
    return false;
}

static void allows_exactly_the_moves_of_the_design(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
        enum migration_state from;

        assert_true(migration_state_parse(allowed[i].from, &from));
        for (int to = 0; to < MIGRATION_STATES; to++) {
            bool listed = is_listed(allowed[i].to, migration_state_name((enum migration_state)to));

            if (migration_may_move(from, (enum migration_state)to) != listed)
                fail_msg("%s to %s is %s", allowed[i].from, migration_state_name((enum migration_state)to),
                         listed ? "refused" : "allowed");
        }
    }
}

static void has_the_numbers_of_the_metric(void **unused)
{
    static const char *const names[] = { "pending",  "bulk_copy", "dual_write",  "cutover_paused",
                                         "migrated", "failed",    "rolled_back", "paused" };

    (void)unused;
    assert_int_equal(MIGRATION_STATES, sizeof names / sizeof names[0]);
    for (int i = 0; i < MIGRATION_STATES; i++)
        assert_string_equal(migration_state_name((enum migration_state)i), names[i]);
}

static void a_paused_or_failed_migration_leaves_the_route_normal(void **unused)
{
    (void)unused;
    assert_int_equal(migration_routing(MIGRATION_PAUSED), ROUTING_NORMAL);
    assert_int_equal(migration_routing(MIGRATION_FAILED), ROUTING_NORMAL);
    assert_int_equal(migration_routing(MIGRATION_MIGRATED), ROUTING_NORMAL);
    assert_int_equal(migration_routing(MIGRATION_BULK_COPY), ROUTING_BULK_COPY);
    assert_int_equal(migration_routing(MIGRATION_DUAL_WRITE), ROUTING_DUAL_WRITE);
    assert_int_equal(migration_routing(MIGRATION_CUTOVER_PAUSED), ROUTING_CUTOVER_PAUSED);
}

static void what_has_ended_is_not_active(void **unused)
{
    (void)unused;
    for (int i = 0; i < MIGRATION_STATES; i++) {
        bool ended = i == MIGRATION_MIGRATED || i == MIGRATION_FAILED || i == MIGRATION_ROLLED_BACK;

        assert_int_equal(migration_is_active((enum migration_state)i), !ended);
    }
}

static void does_not_know_other_names(void **unused)
{
    enum migration_state state;

    (void)unused;
    assert_false(migration_state_parse("", &state));
    assert_false(migration_state_parse("Pending", &state));
    assert_false(migration_state_parse("dual_write ", &state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows_exactly_the_moves_of_the_design),
        cmocka_unit_test(has_the_numbers_of_the_metric),
        cmocka_unit_test(a_paused_or_failed_migration_leaves_the_route_normal),
        cmocka_unit_test(what_has_ended_is_not_active),
        cmocka_unit_test(does_not_know_other_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
