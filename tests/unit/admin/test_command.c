/* test_command.c - the console's grammar: good commands and what they mean, bad ones and what is said about
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/command.h"

static const struct command_values none = { 0, NULL };

/* "tenant=x target=y FORCE batch_size:5", in the order of slots: what a command was understood as. */
static void describe(const struct command *command, char *text, size_t bytes)
{
    static const char *const slots[SLOTS] = { "tenant", "id",      "source", "target", "reason",
                                              "state",  "seconds", "n",      "times",  "level",
                                              "percent", "position", "rest" };
    size_t used = 0;

    text[0] = '\0';
    for (int slot = 0; slot < SLOTS; slot++)
        if (command->slots[slot] != NULL)
            used += (size_t)snprintf(text + used, bytes - used, "%s=%s ", slots[slot], command->slots[slot]);
    for (size_t i = 0; i < command->option_count; i++)
        used += (size_t)snprintf(text + used, bytes - used, "%s:%s ", command->options[i].name,
                                 command->options[i].value);
    used += (size_t)snprintf(text + used, bytes - used, "%s%s%s", command->flags & COMMAND_ALL ? "ALL " : "",
                             command->flags & COMMAND_ACTIVE ? "ACTIVE " : "",
                             command->flags & COMMAND_FORCE ? "FORCE " : "");
    used += (size_t)snprintf(text + used, bytes - used, "%s",
                             command->flags & COMMAND_WHEN_READY ? "WHEN_READY " : "");
    if (used > 0)
        text[used - 1] = '\0';
}

static const struct {
    const char *text;
    enum command_verb verb;
    const char *meaning;
} good[] = {
    { "", COMMAND_EMPTY, "" },
    { " \n\t", COMMAND_EMPTY, "" },
    { ";", COMMAND_EMPTY, "" },
    { "-- nothing", COMMAND_EMPTY, "" },
    { "SHOW HELP", COMMAND_SHOW_HELP, "" },
    { "show help;", COMMAND_SHOW_HELP, "" },
    { "  ShOw  /* a /* nested */ comment */ HeLp  ; ", COMMAND_SHOW_HELP, "" },
    { "SHOW VERSION -- trailing", COMMAND_SHOW_VERSION, "" },
    { "SHOW CONFIG", COMMAND_SHOW_CONFIG, "" },
    { "SHOW STORES", COMMAND_SHOW_STORES, "" },
    { "SHOW TENANTS", COMMAND_SHOW_TENANTS, "" },
    { "SHOW INSTANCES", COMMAND_SHOW_INSTANCES, "" },
    { "SHOW CLIENTS", COMMAND_SHOW_CLIENTS, "" },
    { "SHOW STATS", COMMAND_SHOW_STATS, "" },
    { "SHOW MIGRATIONS", COMMAND_SHOW_MIGRATIONS, "" },
    { "SHOW MIGRATIONS ACTIVE", COMMAND_SHOW_MIGRATIONS, "ACTIVE" },
    { "SHOW MIGRATIONS all", COMMAND_SHOW_MIGRATIONS, "ALL" },
    { "SHOW MIGRATIONS TENANT 'x'", COMMAND_SHOW_MIGRATIONS, "tenant=x" },
    { "SHOW MIGRATION 'deadbeef'", COMMAND_SHOW_MIGRATION, "id=deadbeef" },
    { "SHOW MIGRATION 0d9c4f8e-7a2b-4c1d-9e3f-123456789abc", COMMAND_SHOW_MIGRATION,
      "id=0d9c4f8e-7a2b-4c1d-9e3f-123456789abc" },
    { "SHOW ROUTE 'it''s'", COMMAND_SHOW_ROUTE, "tenant=it's" },
    { "SHOW ROUTE ''", COMMAND_SHOW_ROUTE, "tenant=" },
    { "SHOW ROUTE '''; SHUTDOWN; --'", COMMAND_SHOW_ROUTE, "tenant='; SHUTDOWN; --" },
    { "SHOW ROUTE \"quo\"\"ted\"", COMMAND_SHOW_ROUTE, "tenant=quo\"ted" },
    { "SHOW ROUTE 'TO'", COMMAND_SHOW_ROUTE, "tenant=TO" },
    { "SHOW ROUTE Zoë", COMMAND_SHOW_ROUTE, "tenant=Zoë" },
    { "SHOW LAG 'a'", COMMAND_SHOW_LAG, "id=a" },
    { "SHOW AUDIT 'a'", COMMAND_SHOW_AUDIT, "id=a" },
    { "START MIGRATION TENANT 't' TO 'dedicated-a'", COMMAND_START_MIGRATION, "tenant=t target=dedicated-a" },
    { "START MIGRATION TENANT t TO dedicated-a", COMMAND_START_MIGRATION, "tenant=t target=dedicated-a" },
    { "START MIGRATION TENANT 't' FROM 'a' TO 'b'", COMMAND_START_MIGRATION, "tenant=t source=a target=b" },
    { "START MIGRATION TENANT 't' TO 'b' WITH (Batch_Size = 5000, position_mode='preserve')",
      COMMAND_START_MIGRATION, "tenant=t target=b batch_size:5000 position_mode:preserve" },
    { "START MIGRATION TENANT 't' TO 'b' WITH (allow_empty=on)", COMMAND_START_MIGRATION,
      "tenant=t target=b allow_empty:on" },
    { "START MIGRATION TENANT 't' TO 'b' WITH (batch_size = -5)", COMMAND_START_MIGRATION,
      "tenant=t target=b batch_size:-5" },
    { "CHECK MIGRATION 'abcd'", COMMAND_CHECK_MOVED, "id=abcd" },
    { "CHECK MIGRATION TENANT 't' TO 'b'", COMMAND_CHECK_MIGRATION, "tenant=t target=b" },
    { "check migration tenant t from a to b with (batch_size = 5)", COMMAND_CHECK_MIGRATION,
      "tenant=t source=a target=b batch_size:5" },
    { "CREATE TARGET SCHEMA TENANT 't' TO 'b' WITH (defer_indexes = on)", COMMAND_CREATE_SCHEMA,
      "tenant=t target=b defer_indexes:on" },
    { "CUTOVER MIGRATION 'a'", COMMAND_CUTOVER_MIGRATION, "id=a" },
    { "CUTOVER MIGRATION 'a' FORCE", COMMAND_CUTOVER_MIGRATION, "id=a FORCE" },
    { "CUTOVER MIGRATION 'a' WHEN READY", COMMAND_CUTOVER_MIGRATION, "id=a WHEN_READY" },
    { "cutover migration 'a' force when ready with (cutover_timeout_ms = 3)", COMMAND_CUTOVER_MIGRATION,
      "id=a cutover_timeout_ms:3 FORCE WHEN_READY" },
    { "REHEARSE CUTOVER 'a'", COMMAND_REHEARSE_CUTOVER, "id=a" },
    { "REHEARSE CUTOVER 'a' TIMES 19", COMMAND_REHEARSE_CUTOVER, "id=a times=19" },
    { "CUTOVER MIGRATION 'a' FORCE WITH (cutover_timeout_ms = 30000)", COMMAND_CUTOVER_MIGRATION,
      "id=a cutover_timeout_ms:30000 FORCE" },
    { "CUTOVER MIGRATION 'a' WITH (cutover_timeout_ms = 30000)", COMMAND_CUTOVER_MIGRATION,
      "id=a cutover_timeout_ms:30000" },
    { "CHECK CUTOVER 'a'", COMMAND_CHECK_CUTOVER, "id=a" },
    { "ABORT MIGRATION 'a'", COMMAND_ABORT_MIGRATION, "id=a" },
    { "ACCEPT SHAPE 7", COMMAND_ACCEPT_SHAPE, "n=7" },
    { "accept shape 7 reason 'it reads both'", COMMAND_ACCEPT_SHAPE, "reason=it reads both n=7" },
    { "WITHDRAW SHAPE '7'", COMMAND_WITHDRAW_SHAPE, "n=7" },
    { "SHOW SHAPES", COMMAND_SHOW_SHAPES, "" },
    { "ABORT MIGRATION 'a' PURGE TARGET", COMMAND_ABORT_MIGRATION, "id=a" },
    { "ABORT MIGRATION 'a' REASON 'too slow; again'", COMMAND_ABORT_MIGRATION,
      "id=a reason=too slow; again" },
    { "ALTER MIGRATION 'a' SET (batch_size = 5, max_bulk_copy_rate=0)", COMMAND_ALTER_MIGRATION,
      "id=a batch_size:5 max_bulk_copy_rate:0" },
    { "EMERGENCY STOP", COMMAND_EMERGENCY_STOP, "" },
    { "EMERGENCY STOP TENANT 't' REASON 'fire'", COMMAND_EMERGENCY_STOP, "tenant=t reason=fire" },
    { "RESUME WRITES TENANT 't'", COMMAND_RESUME_WRITES, "tenant=t" },
    { "SHOW FAILURES 'a'", COMMAND_SHOW_FAILURES, "id=a" },
    { "PAUSE MIGRATION 'a'", COMMAND_PAUSE_MIGRATION, "id=a" },
    { "PAUSE MIGRATION 'a' REASON 'it''s late'", COMMAND_PAUSE_MIGRATION, "id=a reason=it's late" },
    { "resume migration 'a' reason b", COMMAND_RESUME_MIGRATION, "id=a reason=b" },
    { "VERIFY MIGRATION 'a'", COMMAND_VERIFY_MIGRATION, "id=a" },
    { "verify migration 'a' level full sample 2.5", COMMAND_VERIFY_MIGRATION, "id=a level=full percent=2.5" },
    { "VERIFY MIGRATION 'a' SAMPLE '10'", COMMAND_VERIFY_MIGRATION, "id=a percent=10" },
    { "REPAIR MIGRATION 'a'", COMMAND_REPAIR_MIGRATION, "id=a" },
    { "REPAIR MIGRATION 'a' STREAM 'b;''; DROP' c", COMMAND_REPAIR_MIGRATION, "id=a stream:b;'; DROP stream:c" },
    { "TRANSLATE POSITION 'a' 4711", COMMAND_TRANSLATE_POSITION, "id=a n=4711" },
    { "translate position 'a' 4711 nearest", COMMAND_TRANSLATE_POSITION, "id=a n=4711" },
    { "PLAN SUBSCRIPTIONS 'a'", COMMAND_PLAN_SUBSCRIPTIONS, "id=a" },
    { "MIGRATE SUBSCRIPTIONS 'a'", COMMAND_MIGRATE_SUBSCRIPTIONS, "id=a" },
    { "RESYNC MIGRATION 'a'", COMMAND_RESYNC_MIGRATION, "id=a" },
    { "RESYNC MIGRATION 'a' FROM POSITION '-5'", COMMAND_RESYNC_MIGRATION, "id=a position=-5" },
    { "SHOW REPORT 'a'", COMMAND_SHOW_REPORT, "id=a" },
    { "SHOW REPORT 'a' JSON", COMMAND_SHOW_REPORT_JSON, "id=a" },
    { "WATCH MIGRATION 'a'", COMMAND_WATCH_MIGRATION, "id=a" },
    { "WAIT MIGRATION 'a' FOR dual_write", COMMAND_WAIT_MIGRATION, "id=a state=dual_write" },
    { "WAIT MIGRATION 'a' FOR 'migrated' TIMEOUT 1.5", COMMAND_WAIT_MIGRATION,
      "id=a state=migrated seconds=1.5" },
    { "EXPLAIN ROUTE SELECT 1", COMMAND_EXPLAIN_ROUTE, "rest=SELECT 1" },
    { "EXPLAIN ROUTE SELECT ';' AS a, $1  ;", COMMAND_EXPLAIN_ROUTE, "rest=SELECT ';' AS a, $1" },
    { "EXPLAIN ROUTE SELECT $$;$$ -- ;\n, 2; SHOW HELP", COMMAND_EXPLAIN_ROUTE,
      "rest=SELECT $$;$$ -- ;\n, 2" },
    { "EXPLAIN ROUTE 'without an end", COMMAND_EXPLAIN_ROUTE, "rest='without an end" },
    { "RELOAD", COMMAND_RELOAD, "" },
    { "SHUTDOWN", COMMAND_SHUTDOWN, "" },
    { "shutdown graceful", COMMAND_SHUTDOWN, "" },
    { "SHOW SHUTDOWN", COMMAND_SHOW_SHUTDOWN, "" },
    { "BEGIN", COMMAND_BEGIN, "" },
    { "begin isolation level serializable;", COMMAND_BEGIN, "rest=isolation level serializable" },
    { "START TRANSACTION READ ONLY", COMMAND_BEGIN, "rest=READ ONLY" },
    { "COMMIT", COMMAND_END_TRANSACTION, "" },
    { "ROLLBACK", COMMAND_END_TRANSACTION, "" },
    { "ROLLBACK TRANSACTION", COMMAND_END_TRANSACTION, "" },
    { "ROLLBACK TO s", COMMAND_POLITE, "rest=s" },
    { "ABORT", COMMAND_END_TRANSACTION, "" },
    { "SET application_name = 'a;b'", COMMAND_POLITE, "rest=application_name = 'a;b'" },
    { "DISCARD ALL", COMMAND_POLITE, "rest=ALL" },
    { "RESET ALL", COMMAND_POLITE, "rest=ALL" },
    { "CLOSE ALL", COMMAND_POLITE, "rest=ALL" },
    { "UNLISTEN *", COMMAND_POLITE, "rest=*" },
    { "SELECT 1", COMMAND_SELECT_ONE, "" },
    { "select pg_catalog.version()", COMMAND_SHOW_VERSION, "" },
    { "SELECT pg_advisory_unlock_all();", COMMAND_POLITE, "" },
    { "SHOW TRANSACTION ISOLATION LEVEL", COMMAND_SHOW_PARAMETER, "" },
    { "show standard_conforming_strings", COMMAND_SHOW_PARAMETER, "" },
};

static void reads_every_good_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct command command;
        struct error err;
        char meaning[512];
        bool read = command_parse(slice_of(good[i].text), 0, &none, &command, &err);

        if (!read)
            fail_msg("%s: %s", good[i].text, err.message);
        describe(&command, meaning, sizeof meaning);
        if (command.info->verb != good[i].verb || strcmp(meaning, good[i].meaning) != 0)
            fail_msg("%s: read as %d \"%s\"", good[i].text, command.info->verb, meaning);
        command_done(&command);
    }
}

static const struct {
    const char *text, *sqlstate, *says, *hint;
} bad[] = {
    { "NONSENSE", "42601", "character 1", "SHOW HELP" },
    { "NONSENSE", "42601", "expected SHOW, START, ", "" },
    { "NONSENSE", "42601", ", RELOAD or SHUTDOWN", "" },
    { "NONSENSE", "42601", "found NONSENSE", "" },
    { "SHOW", "42601", "end of command", "SHOW HELP" },
    { "SHOW NONSENSE", "42601", "MIGRATIONS", "" },
    { "SHOW HELP ME", "42601", "expected the end of the command, found ME", "Usage: SHOW HELP" },
    { "SHOW MIGRATION", "42601", "expected 'id'", "Usage: SHOW MIGRATION 'id'" },
    { "SHOW MIGRATIONS SOME", "42601", "expected ACTIVE, ALL, TENANT or the end of the command", "" },
    { "START", "42601", "expected MIGRATION", "Usage: START MIGRATION TENANT" },
    { "START MIGRATION", "42601", "expected TENANT", "" },
    { "START MIGRATION TENANT 'x'", "42601", "expected FROM or TO", "" },
    { "START MIGRATION TENANT TO 'b'", "42601", "expected 'tenant', found TO", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH", "42601", "expected (", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH (", "42601", "expected an option's name", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH ()", "42601", "expected an option's name", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH (batch_size)", "42601", "expected =", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH (batch_size =)", "42601", "expected the option's value", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH (a = 1, A = 2)", "42601", "option A is given twice", "" },
    { "START MIGRATION TENANT 'x' TO 'b' WITH (a = 1", "42601", "expected , or )", "" },
    { "CUTOVER MIGRATION 'a' FORCED", "42601", "expected FORCE, WHEN, WITH or the end", "" },
    { "CUTOVER MIGRATION 'a' WHEN", "42601", "expected READY", "" },
    { "REHEARSE CUTOVER 'a' TIMES", "42601", "expected times", "" },
    { "CUTOVER MIGRATION 'a' WITH (a = 1) FORCE", "42601", "expected the end", "" },
    { "CHECK", "42601", "expected MIGRATION", "" },
    { "ABORT MIGRATION 'x' REASON", "42601", "expected 'reason'", "" },
    { "ABORT 'x'", "42601", "expected MIGRATION", "" },
    { "WAIT MIGRATION 'x'", "42601", "expected FOR", "" },
    { "WAIT MIGRATION 'x' FOR", "42601", "expected state", "" },
    { "EXPLAIN ROUTE", "42601", "expected <statement>", "" },
    { "EXPLAIN SELECT 1", "42601", "expected ROUTE", "" },
    { "SHOW ROUTE 'unfinished", "42601", "a quoted value without an end", "" },
    { "SHOW /* ROUTE", "42601", "a comment without an end", "" },
    { "SHOW ROUTE $1", "42P02", "there is no parameter $1", "" },
    { "SHOW ROUTE $", "42601", "expected 'tenant'", "" },
    { "SHOW ROUTE $0", "42P02", "no parameter", "" },
    { "SHOW ROUTE $99999999999999999999999999", "42P02", "no parameter", "" },
    { "SELECT 1 + 1", "42601", "found SELECT", "" },
    { "SHUTDOWN LATER", "42601", "expected GRACEFUL, NOW or the end", "" },
    { "Zoë SHOW", "42601", "character 1", "" },
    { "SHOW Zoë", "42601", "character 6", "" },
    { "/* é */ X", "42601", "character 9", "" },
    { "'", "42601", "without an end", "" },
    { "\x01", "42601", "character 1", "" },
    { "((((", "42601", "found (", "" },
};

static void says_what_is_wrong_with_a_bad_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct command command;
        struct error err;

        if (command_parse(slice_of(bad[i].text), 0, &none, &command, &err))
            fail_msg("%s: accepted", bad[i].text);
        command_done(&command);
        if (strcmp(err.sqlstate, bad[i].sqlstate) != 0 || strstr(err.message, bad[i].says) == NULL ||
            strstr(err.hint, bad[i].hint) == NULL)
            fail_msg("%s: %s %s (%s)", bad[i].text, err.sqlstate, err.message, err.hint);
    }
}

static void reads_a_script_one_command_at_a_time(void **state)
{
    static const char script[] = "SHOW HELP; ; SHOW ROUTE ';' ; EXPLAIN ROUTE SELECT ';';SHUTDOWN";
    static const enum command_verb verbs[] = { COMMAND_SHOW_HELP, COMMAND_EMPTY, COMMAND_SHOW_ROUTE,
                                               COMMAND_EXPLAIN_ROUTE, COMMAND_SHUTDOWN };
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct command command;
        struct error err;

        assert_false(command_is_blank(slice_of(script), at));
        assert_true(command_parse(slice_of(script), at, &none, &command, &err));
        assert_int_equal(command.info->verb, verbs[i]);
        at = command.end;
        command_done(&command);
    }
    assert_true(command_is_blank(slice_of(script), at));
    assert_true(command_is_blank(slice_of(" ; -- x\n;/* y */"), 0));
    assert_false(command_is_blank(slice_of(" ; /* y"), 0));
}

static void puts_values_in_the_place_of_parameters(void **state)
{
    const struct slice at[] = { { "acme", 4 }, { "it's", 4 }, { "7", 1 }, { NULL, 0 } };
    const struct command_values values = { 4, at };
    struct command command;
    struct error err;
    char meaning[256];

    (void)state;
    assert_true(command_parse(slice_of("START MIGRATION TENANT $2 TO $1 WITH (batch_size = $3)"), 0, &values,
                              &command, &err));
    describe(&command, meaning, sizeof meaning);
    assert_string_equal(meaning, "tenant=it's target=acme batch_size:7");
    assert_int_equal(command.parameter_count, 3);
    command_done(&command);
    assert_false(command_parse(slice_of("SHOW ROUTE $4"), 0, &values, &command, &err));
    assert_string_equal(err.sqlstate, "22004");
    command_done(&command);
    assert_false(command_parse(slice_of("SHOW ROUTE $5"), 0, &values, &command, &err));
    assert_string_equal(err.sqlstate, "42P02");
    command_done(&command);
}

static void counts_parameters_whose_values_come_later(void **state)
{
    struct command command;
    struct error err;

    (void)state;
    assert_true(command_parse(slice_of("SHOW MIGRATION $1"), 0, NULL, &command, &err));
    assert_int_equal(command.parameter_count, 1);
    assert_null(command.slots[SLOT_ID]);
    command_done(&command);
    assert_true(command_parse(slice_of("EXPLAIN ROUTE SELECT $1, '$9', $3 -- $7\n; SHOW ROUTE $8"), 0, NULL,
                              &command, &err));
    assert_int_equal(command.parameter_count, 3);
    command_done(&command);
}

static void refuses_a_zero_byte_in_a_value(void **state)
{
    const struct slice at[] = { { "a\0b", 3 } };
    const struct command_values values = { 1, at };
    struct command command;
    struct error err;

    (void)state;
    assert_false(command_parse(slice_of("SHOW ROUTE $1"), 0, &values, &command, &err));
    assert_string_equal(err.sqlstate, "22021");
    command_done(&command);
}

/* SHOW HELP is the grammar: every usage, with its optional parts left out, is a command. */
static void reads_its_own_usages(void **state)
{
    (void)state;
    for (size_t i = 0; command_at(i) != NULL; i++) {
        struct command command;
        struct error err;
        char text[256] = "";

        if (command_at(i)->help == NULL || strchr(command_at(i)->usage, '<') != NULL)
            continue;
        for (const char *from = command_at(i)->usage; *from != '\0'; from++) {
            if (*from == '[')
                from = strchr(from, ']');
            else if (strncmp(from, ", …", sizeof ", …" - 1) == 0)
                from += sizeof ", …" - 2; /* a list of one */
            else
                text[strlen(text)] = *from;
        }
        if (!command_parse(slice_of(text), 0, &none, &command, &err))
            fail_msg("%s: %s", text, err.message);
        assert_int_equal(command.info->verb, command_at(i)->verb);
        command_done(&command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_good_command),
        cmocka_unit_test(says_what_is_wrong_with_a_bad_one),
        cmocka_unit_test(reads_a_script_one_command_at_a_time),
        cmocka_unit_test(puts_values_in_the_place_of_parameters),
        cmocka_unit_test(counts_parameters_whose_values_come_later),
        cmocka_unit_test(refuses_a_zero_byte_in_a_value),
        cmocka_unit_test(reads_its_own_usages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
