/* test_txn.c - the journal of a transaction: what another server would be told. A script is what the client
 * said, in order: "savepoint a; set x; release a". */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/txn.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* As the statement's caller does. false: PostgreSQL would have answered with an error. */
static bool say(struct txn *txn, const char *text)
{
    if (begins(text, "begin"))
        return txn_begin(txn, slice_of(text), strstr(text, "serializable") == NULL ? 0 : 's');
    if (begins(text, "savepoint "))
        return txn_savepoint(txn, slice_of(text), text + strlen("savepoint "));
    if (begins(text, "release "))
        return txn_release(txn, text + strlen("release "));
    if (begins(text, "rollback to "))
        return txn_rollback_to(txn, text + strlen("rollback to "));
    if (begins(text, "chain")) {
        txn_chain(txn);
        return true;
    }
    return txn_note(txn, slice_of(text));
}

/* Says a whole script; ends at what is refused. */
static bool say_all(struct txn *txn, const char *script)
{
    char copy[512], *rest = copy, *text;
    bool fine = true;

    snprintf(copy, sizeof copy, "%s", script);
    while (fine && (text = strsep(&rest, ";")) != NULL)
        fine = say(txn, text + strspn(text, " "));
    return fine;
}

static void print_journal(const struct txn *txn, char *out, size_t bytes)
{
    size_t at = 0;

    out[0] = '\0';
    for (size_t i = 0; i < txn->journal_count && at < bytes; i++)
        at += (size_t)snprintf(out + at, bytes - at, "%s%s", i == 0 ? "" : "; ", txn->journal[i]);
}

static const struct journal_case {
    const char *script, *journal; /* NULL: the script's last statement is refused */
    size_t savepoints;
} journal_cases[] = {
    { "begin", "begin", 0 },
    { "begin isolation level serializable; set local x = 1",
      "begin isolation level serializable; set local x = 1", 0 },
    { "begin; begin", "begin", 0 },
    { "begin; savepoint a", "begin; savepoint a", 1 },
    /* ROLLBACK TO keeps its savepoint and takes back what came behind */
    { "begin; set x; savepoint a; set y; rollback to a", "begin; set x; savepoint a", 1 },
    { "begin; savepoint a; set x; savepoint b; set y; rollback to a", "begin; savepoint a", 1 },
    { "begin; savepoint a; set x; savepoint b; set y; rollback to b",
      "begin; savepoint a; set x; savepoint b", 2 },
    { "begin; savepoint a; set x; rollback to a; set y; rollback to a; set z", "begin; savepoint a; set z",
      1 },
    /* of savepoints of one name the innermost counts */
    { "begin; savepoint a; set x; savepoint a; set y; rollback to a",
      "begin; savepoint a; set x; savepoint a", 2 },
    { "begin; savepoint a; set x; savepoint a; set y; release a; rollback to a", "begin; savepoint a", 1 },
    { "begin; savepoint a; savepoint b; savepoint a; rollback to b", "begin; savepoint a; savepoint b", 2 },
    /* RELEASE: what was done stays, what only stood there goes */
    { "begin; savepoint a; release a", "begin", 0 },
    { "begin; set x; savepoint a; savepoint b; release a", "begin; set x", 0 },
    { "begin; savepoint a; set x; release a", "begin; savepoint a; set x; RELEASE SAVEPOINT \"a\"", 0 },
    { "begin; savepoint a; savepoint b; release b; set x; release a",
      "begin; savepoint a; set x; RELEASE SAVEPOINT \"a\"", 0 },
    { "begin; savepoint a; savepoint b; set x; release b; release a",
      "begin; savepoint a; savepoint b; set x; RELEASE SAVEPOINT \"b\"; RELEASE SAVEPOINT \"a\"", 0 },
    { "begin; savepoint a; savepoint b; set x; release a; savepoint c",
      "begin; savepoint a; savepoint b; set x; RELEASE SAVEPOINT \"a\"; savepoint c", 1 },
    { "begin; savepoint a; savepoint b; set x; release b; rollback to a", "begin; savepoint a", 1 },
    { "begin; savepoint a; set x; rollback to a; release a", "begin", 0 },
    { "begin; savepoint x\"y; set x; release x\"y",
      "begin; savepoint x\"y; set x; RELEASE SAVEPOINT \"x\"\"y\"", 0 },
    /* what PostgreSQL refuses too */
    { "begin; release a", NULL, 0 },
    { "begin; rollback to a", NULL, 0 },
    { "begin; savepoint A; rollback to a", NULL, 1 },
    { "begin; savepoint a; release a; rollback to a", NULL, 0 },
    { "begin; savepoint a; savepoint b; rollback to a; release b", NULL, 1 },
    { "begin; savepoint a; savepoint b; release a; rollback to b", NULL, 0 },
};

static void the_journal_is_what_another_server_must_be_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(journal_cases); i++) {
        const struct journal_case *row = &journal_cases[i];
        char journal[512];
        struct txn txn;
        size_t bytes = 0;

        txn_init(&txn);
        assert_int_equal(say_all(&txn, row->script), row->journal != NULL);
        print_journal(&txn, journal, sizeof journal);
        if (row->journal != NULL)
            assert_string_equal(journal, row->journal);
        assert_int_equal(txn.savepoint_count, row->savepoints);
        for (size_t k = 0; k < txn.journal_count; k++)
            bytes += strlen(txn.journal[k]);
        assert_int_equal(txn.journal_bytes, bytes);
        assert_true(txn.open);
        assert_false(txn.overflow);
        txn_reset(&txn);
    }
}

static void has_the_savepoints_that_stand(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_false(txn_has_savepoint(&txn, "a"));
    assert_true(say_all(&txn, "begin; savepoint a; savepoint b; savepoint a"));
    assert_true(txn_has_savepoint(&txn, "a"));
    assert_true(txn_release(&txn, "a"));
    assert_true(txn_has_savepoint(&txn, "a"));
    assert_true(txn_release(&txn, "a"));
    assert_false(txn_has_savepoint(&txn, "a"));
    assert_false(txn_has_savepoint(&txn, "b"));
    txn_reset(&txn);
}

static void a_reset_forgets_everything(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_int_equal(txn.branch, -1);
    assert_true(say_all(&txn, "begin isolation level serializable; savepoint a; set x"));
    strcpy(txn.tenant, "t");
    txn.branch = 2;
    txn.wrote = txn.failed = true;
    txn_reset(&txn);
    assert_false(txn.open || txn.wrote || txn.failed);
    assert_int_equal(txn.branch, -1);
    assert_int_equal(txn.isolation, 0);
    assert_string_equal(txn.tenant, "");
    assert_int_equal(txn.journal_count + txn.savepoint_count + txn.journal_bytes, 0);
    txn_reset(&txn); /* twice is fine */
}

static const struct chain_case {
    const char *script, *journal;
    char isolation;
    bool overflow; /* the new block's modes cannot be told to another server */
} chain_cases[] = {
    { "begin; chain", "begin", 0, false },
    { "begin isolation level serializable; savepoint a; set local x = 1; chain",
      "begin isolation level serializable", 's', false },
    { "begin; chain; chain; set local y = 1", "begin; set local y = 1", 0, false },
    { "begin; set transaction read only; chain", "", 0, true },
    { "begin; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; chain; chain", "", 0, true },
    { "begin; set local transaction_read_only = on; chain", "", 0, true },
    { "begin; savepoint a; set transaction read only; rollback to a; chain", "begin", 0, false },
};

static void a_chained_block_has_the_modes_of_the_one_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chain_cases); i++) {
        char journal[512];
        struct txn txn;

        txn_init(&txn);
        txn.branch = 3;
        strcpy(txn.tenant, "t");
        txn.wrote = txn.read = txn.read_other = txn.pinned = true;
        assert_true(say_all(&txn, chain_cases[i].script));
        print_journal(&txn, journal, sizeof journal);
        assert_string_equal(journal, chain_cases[i].journal);
        assert_int_equal(txn.isolation, chain_cases[i].isolation);
        assert_int_equal(txn.overflow, chain_cases[i].overflow);
        assert_true(txn.open);
        assert_int_equal(txn.branch, 3); /* the same server */
        assert_false(txn.wrote || txn.read || txn.read_other || txn.pinned);
        assert_string_equal(txn.tenant, "");
        assert_int_equal(txn.savepoint_count, 0);
        txn_reset(&txn);
    }
}

static void the_isolation_survives_a_chain_that_cannot_be_told(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_true(say_all(&txn, "begin; set transaction isolation level serializable"));
    txn.isolation = 's'; /* the caller's, of SET TRANSACTION */
    txn_chain(&txn);
    assert_int_equal(txn.isolation, 's');
    assert_true(txn.overflow);
    txn_reset(&txn);
}

static void more_than_the_journal_holds_is_an_overflow_and_no_error(void **state)
{
    struct txn txn;
    char *statement = malloc(JOURNAL_BYTES_MAX);

    (void)state;
    memset(statement, 'x', JOURNAL_BYTES_MAX);
    txn_init(&txn);
    assert_true(say_all(&txn, "begin"));
    assert_true(txn_note(&txn, (struct slice){ statement, JOURNAL_BYTES_MAX - strlen("begin") }));
    assert_false(txn.overflow); /* exactly full */
    assert_true(txn_note(&txn, (struct slice){ "y", 1 }));
    assert_true(txn.overflow);
    assert_int_equal(txn.journal_bytes, JOURNAL_BYTES_MAX);
    assert_true(say_all(&txn, "savepoint a; set x; release a"));
    assert_int_equal(txn.savepoint_count, 0);
    txn_reset(&txn);
    assert_false(txn.overflow);
    free(statement);
}

/* Object-relational mappers wrap every call into a savepoint of its own. */
static void many_savepoints_do_not_fill_the_journal(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_true(say_all(&txn, "begin"));
    for (int i = 0; i < 100000; i++)
        assert_true(say_all(&txn, "savepoint s1; savepoint s2; release s2; release s1"));
    assert_false(txn.overflow);
    assert_int_equal(txn.journal_count, 1);
    txn_reset(&txn);
}

/* clang-format off */
static const struct used_case {
    struct plan_statement statement;
    bool of_tenant;
    bool wrote, read, read_other, pinned;
} used_cases[] = {
    { { .class = CLASS_NEUTRAL }, true, false, false, false, false },
    { { .class = CLASS_READ }, true, false, true, false, false },
    { { .class = CLASS_READ }, false, false, true, true, false },
    { { .class = CLASS_READ, .locks = true }, true, true, true, false, false },
    { { .class = CLASS_NEUTRAL, .advisory = true }, true, true, false, false, false },
    { { .class = CLASS_WRITE }, true, true, false, false, false },
    { { .class = CLASS_READ, .kind = STATEMENT_DECLARE }, true, false, true, false, true },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_FETCH }, true, false, false, false, true },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_SET_TRANSACTION, .snapshot = true }, true, false, false, false, true },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_PREPARE_TRANSACTION }, true, false, false, false, true },
};
/* clang-format on */

static void what_a_statement_does_stays_with_the_branch(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(used_cases); i++) {
        const struct used_case *row = &used_cases[i];
        const struct plan_statement nothing = { .class = CLASS_NEUTRAL };
        struct txn txn;

        txn_init(&txn);
        txn_used(&txn, &row->statement, row->of_tenant);
        txn_used(&txn, &nothing, true); /* does not take it back */
        if (txn.wrote != row->wrote || txn.read != row->read || txn.read_other != row->read_other ||
            txn.pinned != row->pinned)
            fail_msg("row %zu: wrote %d read %d read_other %d pinned %d", i, txn.wrote, txn.read,
                     txn.read_other, txn.pinned);
        txn_reset(&txn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_is_what_another_server_must_be_told),
        cmocka_unit_test(has_the_savepoints_that_stand),
        cmocka_unit_test(a_reset_forgets_everything),
        cmocka_unit_test(a_chained_block_has_the_modes_of_the_one_before),
        cmocka_unit_test(the_isolation_survives_a_chain_that_cannot_be_told),
        cmocka_unit_test(more_than_the_journal_holds_is_an_overflow_and_no_error),
        cmocka_unit_test(many_savepoints_do_not_fill_the_journal),
        cmocka_unit_test(what_a_statement_does_stays_with_the_branch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
