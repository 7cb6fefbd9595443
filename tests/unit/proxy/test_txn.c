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
    if (begins(text, "chain") || begins(text, "fail and chain")) {
        txn_chain(txn, begins(text, "fail"));
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
    { "begin; begin isolation level serializable", "begin; begin isolation level serializable", 0 },
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
    txn_join(&txn, 2)->wrote = txn.failed = true;
    txn_reset(&txn);
    assert_false(txn.open || txn.failed);
    assert_int_equal(txn.branch, -1);
    assert_int_equal(txn.branch_count, 0);
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
    { "begin; set transaction read only; chain", "begin; set transaction read only", 0, false },
    { "begin; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; set local x = 1; chain; chain",
      "begin; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", 0, false },
    { "begin; savepoint a; set local transaction_read_only = on; chain",
      "begin; set local transaction_read_only = on", 0, false },
    { "begin; savepoint a; set transaction read only; release a; chain", "begin", 0, false },
    { "begin isolation level repeatable read; set transaction snapshot '1-1'; chain",
      "begin isolation level repeatable read", 0, false },
    { "begin isolation level serializable; set transaction read only; fail and chain", "BEGIN", 0, false },
    { "begin isolation level serializable; savepoint a; set transaction read only; fail and chain",
      "begin isolation level serializable", 's', false },
    { "chain", "", 0, true }, /* its BEGIN was not seen */
    { "begin; savepoint a; set transaction read only; rollback to a; chain", "begin", 0, false },
};

static void a_chained_block_has_the_modes_of_the_one_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(chain_cases); i++) {
        char journal[512];
        struct txn txn;

        txn_init(&txn);
        txn_join(&txn, 5)->wrote = true;
        *txn_join(&txn, 3) = (struct branch){ 3, .wrote = true, .used = true, .kept = true, .pinned = true };
        strcpy(txn.tenant, "t");
        assert_true(say_all(&txn, chain_cases[i].script));
        print_journal(&txn, journal, sizeof journal);
        assert_string_equal(journal, chain_cases[i].journal);
        assert_int_equal(txn.isolation, chain_cases[i].isolation);
        assert_int_equal(txn.overflow, chain_cases[i].overflow);
        assert_true(txn.open);
        assert_int_equal(txn.branch, 3); /* the same server, and no other */
        assert_int_equal(txn.branch_count, 1);
        assert_true(txn_is_bare(txn_at(&txn, 3)));
        if (strstr(chain_cases[i].script, "; set local y") == NULL)
            assert_int_equal(txn_at(&txn, 3)->journal_at, txn.journal_count);
        assert_string_equal(txn.tenant, "");
        assert_int_equal(txn.savepoint_count, 0);
        txn_reset(&txn);
    }
}

static void the_isolation_survives_a_chain(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_true(say_all(&txn, "begin; set transaction isolation level serializable"));
    txn.isolation = 's'; /* the caller's, of SET TRANSACTION */
    txn_chain(&txn, false);
    assert_int_equal(txn.isolation, 's');
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

/* ---- branches ---- */

static const struct store stores[] = { { .name = "shared" },
                                       { .name = "one", .index = 1 },
                                       { .name = "two", .index = 2 } };

/* A table where `tenant` lives in `store`. */
static struct route_table *routes_with(const char *tenant, const struct store *store)
{
    struct route_table *table = route_table_new(1);
    struct route route = { .store = store };

    strcpy(route.tenant, tenant);
    assert_true(route_table_add(table, &route));
    route_table_seal(table, &stores[0]);
    return table;
}

/* clang-format off */
static const struct used_case {
    struct plan_statement statement;
    bool wrote, used, kept, pinned;
} used_cases[] = {
    { { .class = CLASS_NEUTRAL }, false, false, false, false },
    { { .class = CLASS_READ }, false, true, false, false },
    { { .class = CLASS_READ, .locks = true }, true, true, false, false },
    { { .class = CLASS_NEUTRAL, .advisory = true }, true, false, false, false },
    { { .class = CLASS_WRITE }, true, true, false, false },
    { { .class = CLASS_READ, .kind = STATEMENT_DECLARE }, false, true, true, false },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_FETCH }, false, false, true, false },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_LISTEN }, false, false, true, false },
    { { .class = CLASS_NEUTRAL, .kind = STATEMENT_SET_TRANSACTION, .snapshot = true }, false, false, false, true },
};
/* clang-format on */

static void what_a_statement_does_stays_with_the_branch(void **state)
{
    struct route_table *routes = routes_with("t", &stores[0]);

    (void)state;
    for (size_t i = 0; i < COUNT(used_cases); i++) {
        const struct used_case *row = &used_cases[i];
        const struct plan_statement nothing = { .class = CLASS_NEUTRAL };
        struct branch *branch;
        struct txn txn;

        txn_init(&txn);
        branch = txn_join(&txn, 1);
        txn_join(&txn, 2);
        txn_used(&txn, branch, &row->statement, routes);
        txn_used(&txn, branch, &nothing, routes); /* does not take it back */
        if (branch->wrote != row->wrote || branch->used != row->used || branch->kept != row->kept ||
            branch->pinned != row->pinned)
            fail_msg("row %zu: wrote %d used %d kept %d pinned %d", i, branch->wrote, branch->used,
                     branch->kept, branch->pinned);
        assert_int_equal(txn_is_bare(branch), i == 0);
        assert_true(txn_is_bare(txn_at(&txn, 2)));
        txn_reset(&txn);
    }
    route_table_give(routes);
}

static void branches_join_and_leave(void **state)
{
    struct txn txn;

    (void)state;
    txn_init(&txn);
    txn_join(&txn, 4);
    txn_join(&txn, 0);
    txn_join(&txn, 7);
    assert_ptr_equal(txn_join(&txn, 0), txn_at(&txn, 0)); /* again: the same, and the one used last */
    assert_int_equal(txn.branch_count, 3);
    assert_int_equal(txn.branch, 0);
    txn_leave(&txn, 4);
    assert_null(txn_at(&txn, 4));
    assert_int_equal(txn.branch, 0);
    txn_leave(&txn, 0);
    assert_int_equal(txn.branch, 7);
    txn_leave(&txn, 3); /* is none */
    txn_leave(&txn, 7);
    assert_int_equal(txn.branch, -1);
    assert_int_equal(txn.branch_count, 0);
    for (int store = 0; store < STORES_MAX; store++)
        txn_join(&txn, store);
    assert_int_equal(txn.branch_count, STORES_MAX);
    txn_reset(&txn);
}

/* Which branch's answer to COMMIT, and to ROLLBACK, is the client's. Stores in the order in which they were
 * used last; a capital W: it has written. */
static const struct end_case {
    const char *branches;
    int commits_at, failed_commits_at, rolls_back_at;
} end_cases[] = {
    { "", -1, -1, -1 },   { "0", 0, 0, 0 },
    { "0W", 0, 0, 0 },    { "0W 1", 0, 1, 0 }, /* wrote in 0, then read in 1, where it failed */
    { "0 1W", 1, 1, 1 },  { "0 1W 2", 1, 2, 1 },
    { "0 1 2", 2, 2, 2 }, { "0W 1 0", 0, 0, 0 }, /* and back again */
};

static void the_branch_that_wrote_answers_commit(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(end_cases); i++) {
        const struct end_case *row = &end_cases[i];
        struct txn txn;

        txn_init(&txn);
        for (const char *at = row->branches; *at != '\0'; at++) {
            if (*at >= '0' && *at <= '9')
                txn_join(&txn, *at - '0');
            if (*at == 'W')
                txn_at(&txn, txn.branch)->wrote = true;
        }
        assert_int_equal(txn_ends_at(&txn, false, false), row->commits_at);
        assert_int_equal(txn_ends_at(&txn, true, false), row->failed_commits_at);
        assert_int_equal(txn_ends_at(&txn, false, true), row->rolls_back_at);
        assert_int_equal(txn_ends_at(&txn, true, true), row->rolls_back_at);
        txn_reset(&txn);
    }
}

/* "w": the branch writes. Whether it counts as the writing one at the end. */
static const struct undone_case {
    const char *script;
    bool wrote;
} undone_cases[] = {
    { "begin; w", true },
    { "begin; savepoint a; w; rollback to a", false },
    { "begin; w; savepoint a; w; rollback to a", true },
    { "begin; savepoint a; w; savepoint b; w; rollback to b", true },
    { "begin; savepoint a; w; savepoint b; w; rollback to a", false },
    { "begin; savepoint a; savepoint b; w; release b; rollback to a", false },
    { "begin; savepoint a; savepoint b; w; release a", true },
    { "begin; savepoint a; w; release a; savepoint c; rollback to c", true },
    { "begin; savepoint a; w; rollback to a; w", true },
    /* l: a locking read; then what its answer says */
    { "begin; l", true },
    { "begin; l; none", false },
    { "begin; l; found", true },
    { "begin; l; found; none", true },
    { "begin; l; none; l; none", false },
    { "begin; l; none; l", true },
    { "begin; l; l; none", true },
    { "begin; l; w; none", true },
    { "begin; w; l; none", true },
    { "begin; l; none; w", true },
    { "begin; savepoint a; l; rollback to a", false },
    { "begin; savepoint a; l; rollback to a; w; none", true },
    { "begin; savepoint a; l; release a; none", false },
};

static void a_write_that_was_rolled_back_is_none(void **state)
{
    static const struct plan_statement write = { .class = CLASS_WRITE };
    static const struct plan_statement lock = { .class = CLASS_WRITE,
                                                .locks = true,
                                                .only_locks_returned = true };
    struct route_table *routes = routes_with("t", &stores[0]);

    (void)state;
    for (size_t i = 0; i < COUNT(undone_cases); i++) {
        char copy[256], *rest = copy, *text;
        struct txn txn;

        txn_init(&txn);
        snprintf(copy, sizeof copy, "%s", undone_cases[i].script);
        while ((text = strsep(&rest, ";")) != NULL) {
            text += strspn(text, " ");
            if (strcmp(text, "w") == 0)
                txn_used(&txn, txn_join(&txn, 1), &write, routes);
            else if (strcmp(text, "l") == 0)
                txn_used(&txn, txn_join(&txn, 1), &lock, routes);
            else if (strcmp(text, "none") == 0 || strcmp(text, "found") == 0)
                txn_looked(&txn, 1, txn.looks, text[0] == 'f');
            else
                assert_true(say(&txn, text));
        }
        if ((txn_writer(&txn) != NULL) != undone_cases[i].wrote)
            fail_msg("%s", undone_cases[i].script);
        txn_reset(&txn);
    }
    route_table_give(routes);
}

static const struct about_case {
    const char *script, *tenant; /* t, u: a statement about that tenant; tu: about both */
    bool several;
} about_cases[] = {
    { "begin; t", "t", false },
    { "begin; t; u", "t", true },
    { "begin; tu; t", "t", true },
    { "begin; savepoint a; t; rollback to a", "", false },
    { "begin; savepoint a; t; rollback to a; u", "u", false },
    { "begin; t; savepoint a; u; rollback to a", "t", false },
    { "begin; t; savepoint a; rollback to a", "t", false },
    { "begin; savepoint a; t; release a; savepoint b; rollback to b", "t", false },
    { "begin; savepoint a; savepoint b; t; release b; rollback to a", "", false },
    { "begin; t; savepoint a; savepoint b; u; release b; rollback to a", "t", false },
    { "begin; t; savepoint a; u; release a; savepoint c; rollback to c", "t", true },
};

static void a_rollback_undoes_whom_it_was_about(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(about_cases); i++) {
        char copy[256], *rest = copy, *text;
        struct txn txn;

        txn_init(&txn);
        snprintf(copy, sizeof copy, "%s", about_cases[i].script);
        while ((text = strsep(&rest, ";")) != NULL) {
            text += strspn(text, " ");
            if (strcmp(text, "tu") == 0)
                txn_about(&txn, "t", true);
            else if (strlen(text) == 1)
                txn_about(&txn, text, false);
            else
                assert_true(say(&txn, text));
        }
        if (strcmp(txn.tenant, about_cases[i].tenant) != 0 || txn.several != about_cases[i].several)
            fail_msg("%s: \"%s\", several %d", about_cases[i].script, txn.tenant, txn.several);
        txn_reset(&txn);
    }
}

/* A branch that has been told the journal so far ("here"), and one that lags behind from the same moment on
 * ("there" after `told` entries). Which of them must hear of the end of "a", and what they know then. */
static void a_branch_hears_of_the_savepoints_that_it_has_made(void **state)
{
    struct branch *here, *there;
    struct txn txn;

    (void)state;
    txn_init(&txn);
    assert_true(say_all(&txn, "begin; set x"));
    there = txn_join(&txn, 2);
    there->journal_at = 1;
    here = txn_join(&txn, 1);
    assert_true(say_all(&txn, "savepoint a; set y; savepoint b; set z"));
    here->journal_at = txn.journal_count;
    assert_true(txn_has_made(&txn, here, "a") && txn_has_made(&txn, here, "b"));
    assert_false(txn_has_made(&txn, there, "a") || txn_has_made(&txn, here, "nobody"));
    assert_true(txn_rollback_to(&txn, "a"));
    assert_int_equal(here->journal_at, 3); /* begin, set x, savepoint a */
    assert_int_equal(there->journal_at, 1);
    there->journal_at = txn.journal_count; /* it has caught up */
    assert_true(txn_has_made(&txn, there, "a"));
    assert_true(txn_release(&txn, "a")); /* nothing came behind it: its entry goes */
    assert_int_equal(here->journal_at, 2);
    assert_int_equal(there->journal_at, 2);
    assert_int_equal(txn.journal_count, 2);
    txn_reset(&txn);
}

static void snapshots_go_on_where_a_tenant_was(void **state)
{
    static const struct plan_statement reading = { .class = CLASS_READ };
    struct route_table *at_home = routes_with("t", &stores[0]), *in_one = routes_with("t", &stores[1]),
                       *in_two = routes_with("t", &stores[2]);
    struct txn txn;

    (void)state;
    txn_init(&txn);
    txn.open = true;
    txn_join(&txn, 0);
    assert_false(txn_is_older(&txn, in_one)); /* it has not looked yet */
    assert_null(txn_saw(&txn, "t", &stores[0]));
    txn_used(&txn, txn_join(&txn, 0), &reading, at_home);
    assert_false(txn_is_older(&txn, at_home));
    assert_true(txn_is_older(&txn, in_one));
    assert_int_equal(txn_saw(&txn, "t", &stores[0])->store, 0);
    txn_used(&txn, txn_join(&txn, 1), &reading, in_one);
    txn_used(&txn, txn_join(&txn, 1), &reading, in_two); /* its snapshot is from before */
    assert_int_equal(txn_saw(&txn, "t", &stores[0])->store, 0);
    txn_leave(&txn, 0);
    assert_int_equal(txn_saw(&txn, "t", &stores[0])->store, 1);
    assert_false(txn_is_older(&txn, in_one));
    assert_true(txn_is_older(&txn, in_two));
    assert_null(txn_saw(&txn, "another", &stores[0])); /* lived in a store that has no branch */
    txn_reset(&txn);
    route_table_give(at_home);
    route_table_give(in_one);
    route_table_give(in_two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_is_what_another_server_must_be_told),
        cmocka_unit_test(has_the_savepoints_that_stand),
        cmocka_unit_test(a_reset_forgets_everything),
        cmocka_unit_test(a_chained_block_has_the_modes_of_the_one_before),
        cmocka_unit_test(the_isolation_survives_a_chain),
        cmocka_unit_test(more_than_the_journal_holds_is_an_overflow_and_no_error),
        cmocka_unit_test(many_savepoints_do_not_fill_the_journal),
        cmocka_unit_test(what_a_statement_does_stays_with_the_branch),
        cmocka_unit_test(branches_join_and_leave),
        cmocka_unit_test(the_branch_that_wrote_answers_commit),
        cmocka_unit_test(a_rollback_undoes_whom_it_was_about),
        cmocka_unit_test(a_write_that_was_rolled_back_is_none),
        cmocka_unit_test(a_branch_hears_of_the_savepoints_that_it_has_made),
        cmocka_unit_test(snapshots_go_on_where_a_tenant_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
