/* test_gate.c - one loop's gates: who may write, who waits, what runner and mirror are told. Time is what a
 * test says it is; letters go through real mailboxes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "route/gate.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { LOOP = 3, HOLD_MS_DEFAULT = 5000 };

static struct gates *gates;
static struct mailbox *runner, *doorbell;

static int begin(void **state)
{
    (void)state;
    gates = gates_new(LOOP);
    runner = mailbox_new();
    doorbell = mailbox_new();
    return gates == NULL || runner == NULL || doorbell == NULL;
}

/* Nothing may be left that a test has not looked at. */
static int end(void **state)
{
    bool quiet;

    (void)state;
    gates_free(gates);
    quiet = mailbox_next(runner) == NULL && mailbox_next(doorbell) == NULL;
    mailbox_give(runner);
    mailbox_give(doorbell);
    return quiet ? 0 : 1;
}

/* ---- a runner ---- */

struct wish {
    enum gate_op op;
    const char *tenant;
    uint64_t epoch, hold_ms_max, now_ms;
};

static void order_as(const struct wish *wish)
{
    struct gate_letter *letter =
        gate_letter_new(wish->op, wish->tenant, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", wish->epoch, runner,
                        wish->op == GATE_MAKE ? doorbell : NULL);

    letter->hold_ms_max = wish->hold_ms_max;
    gates_order(gates, letter, wish->now_ms);
}

#define ORDER(...) order_as(&(struct wish){ __VA_ARGS__ })

/* The next answer, by value; a test that gets none fails here. */
static struct gate_letter next_answer(enum gate_op op)
{
    struct letter *letter = mailbox_next(runner);
    struct gate_letter answer;

    assert_non_null(letter);
    assert_int_equal(letter->kind, LETTER_GATE);
    answer = *(struct gate_letter *)letter;
    letter_drop(letter);
    assert_int_equal(answer.op, op);
    assert_int_equal(answer.loop, LOOP);
    return answer;
}

static void assert_no_answer(void)
{
    assert_null(mailbox_next(runner));
}

static struct gate_letter ask(const char *tenant, uint64_t now_ms)
{
    ORDER(.op = GATE_ASK, .tenant = tenant, .epoch = 1000, .now_ms = now_ms);
    return next_answer(GATE_ASK);
}

static void make(const char *tenant)
{
    ORDER(.op = GATE_MAKE, .tenant = tenant, .epoch = 1);
    assert_true(next_answer(GATE_MAKE).ok);
}

/* `make` and CLOSE with nothing in flight. */
static void make_closed(const char *tenant)
{
    make(tenant);
    ORDER(.op = GATE_CLOSE, .tenant = tenant, .epoch = 1);
    assert_true(next_answer(GATE_CLOSE).drained);
}

static void assert_rings(const char *tenant, int32_t pid)
{
    struct letter *letter = mailbox_next(doorbell);

    assert_non_null(letter);
    assert_int_equal(letter->kind, LETTER_DOORBELL);
    assert_string_equal(((struct doorbell_letter *)letter)->tenant, tenant);
    assert_int_equal(((struct doorbell_letter *)letter)->backend_pid, pid);
    letter_drop(letter);
}

static void assert_quiet_doorbell(void)
{
    assert_null(mailbox_next(doorbell));
}

/* ---- a transaction ---- */

struct attempt {
    const char *tenant;
    int32_t pid;
    uint64_t sync, first_sync, now_ms;
    bool lease_is_over;
    struct gate **closed;
};

static enum gate_answer enter_as(struct gate_pass **passes, const struct attempt *attempt)
{
    const struct gate_ask ask = { .backend_pid = attempt->pid,
                                  .sync = attempt->sync,
                                  .first_sync = attempt->first_sync,
                                  .lease_valid = !attempt->lease_is_over,
                                  .now_ms = attempt->now_ms };
    struct gate *ignored = NULL;

    return gates_enter(gates, attempt->tenant, &ask, passes,
                       attempt->closed == NULL ? &ignored : attempt->closed);
}

#define ENTER(passes, ...) enter_as(passes, &(struct attempt){ __VA_ARGS__ })

static size_t count(const struct gate_pass *passes)
{
    size_t found = 0;

    for (; passes != NULL; passes = passes->next)
        found++;
    return found;
}

/* ---- somebody who waits ---- */

struct somebody {
    struct gate_waiter waiter; /* first: what is called back gets from it to us by a cast */
    int opened, expired;
    int turn;                /* the how manieth of the test to be called back, from 1 */
    struct gate *wait_again; /* when called back; NULL: has enough */
    uint64_t again_ms;
};

static int turns;

static void called_back(struct somebody *who)
{
    who->turn = ++turns;
    assert_null(who->waiter.gate);
    if (who->wait_again != NULL)
        gate_wait(who->wait_again, &who->waiter, who->again_ms);
}

static void on_opened(struct gate_waiter *waiter)
{
    struct somebody *who = (struct somebody *)waiter;

    who->opened++;
    called_back(who);
}

static void on_expired(struct gate_waiter *waiter)
{
    struct somebody *who = (struct somebody *)waiter;

    who->expired++;
    called_back(who);
}

static struct somebody nobody(void)
{
    turns = 0;
    return (struct somebody){ .waiter = { .opened = on_opened, .expired = on_expired } };
}

/* Tries to write at `tenant`'s gate, is held, and waits. */
static struct gate *wait_at(struct somebody *who, const char *tenant, uint64_t now_ms)
{
    struct gate_pass *passes = NULL;
    struct gate *closed = NULL;

    assert_int_equal(ENTER(&passes, .tenant = tenant, .sync = 1, .now_ms = now_ms, .closed = &closed),
                     GATE_HOLD);
    assert_null(passes);
    gate_wait(closed, &who->waiter, now_ms);
    return closed;
}

/* ---- tests ---- */

static void where_no_gate_stands_nothing_is_counted(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    assert_int_equal(ENTER(&passes, .tenant = "t", .lease_is_over = true), GATE_GO);
    assert_int_equal(ENTER(&passes, .tenant = NULL, .lease_is_over = true), GATE_GO);
    make("t");
    assert_int_equal(ENTER(&passes, .tenant = "other", .lease_is_over = true), GATE_GO);
    assert_null(passes);
    assert_int_equal(gates_count(gates), 1);
    assert_true(gates_has(gates, "t"));
    assert_false(gates_has(gates, "other"));
}

static void an_order_to_a_gate_that_is_not_there_is_refused(void **state)
{
    static const enum gate_op ops[] = { GATE_CLOSE, GATE_OPEN, GATE_DROP, GATE_ASK };

    (void)state;
    for (size_t i = 0; i < COUNT(ops); i++) {
        ORDER(.op = ops[i], .tenant = "t", .epoch = 9);
        assert_false(next_answer(ops[i]).ok);
    }
    assert_int_equal(gates_count(gates), 0);
}

static void a_transaction_has_one_pass_whatever_it_writes(void **state)
{
    struct gate_pass *passes = NULL;
    struct gate_letter answer;

    (void)state;
    make("t");
    assert_int_equal(ENTER(&passes, .tenant = "t", .pid = 0, .sync = 1, .now_ms = 10), GATE_GO);
    assert_int_equal(ENTER(&passes, .tenant = "t", .pid = 77, .sync = 2, .now_ms = 20), GATE_GO);
    assert_int_equal(count(passes), 1);
    assert_string_equal(gate_pass_tenant(passes), "t");
    answer = ask("t", 30);
    assert_int_equal(answer.in_flight, 1);
    assert_int_equal(answer.blocker_count, 1);
    assert_int_equal(answer.blocker_pids[0], 77);    /* the server may be opened after the first try */
    assert_int_equal(answer.blocker_ages_ms[0], 20); /* in flight since its first write */
    gates_leave(&passes, 1, 40);                     /* not its end: a later statement moved that on */
    assert_int_equal(count(passes), 1);
    gates_leave(&passes, 2, 50);
    assert_null(passes);
    assert_int_equal(ask("t", 60).in_flight, 0);
    assert_rings("t", 77);
}

static void close_is_answered_at_once_where_nothing_is_in_flight(void **state)
{
    struct gate_letter answer;

    (void)state;
    make("t");
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    answer = next_answer(GATE_CLOSE);
    assert_true(answer.ok);
    assert_true(answer.drained);
    assert_int_equal(answer.in_flight, 0);
    assert_no_answer();
}

static void close_is_answered_once_when_the_last_transaction_has_ended(void **state)
{
    struct gate_pass *first = NULL, *second = NULL;

    (void)state;
    make("t");
    ENTER(&first, .tenant = "t", .pid = 1, .sync = 1);
    ENTER(&second, .tenant = "t", .pid = 2, .sync = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    assert_no_answer();
    gates_leave(&first, 1, 5);
    assert_rings("t", 1);
    assert_no_answer();
    assert_false(ask("t", 6).drained);
    gates_leave(&second, 1, 7);
    assert_rings("t", 2);
    assert_true(next_answer(GATE_CLOSE).drained);
    gates_leave(&second, UINT64_MAX, 8); /* nothing is left to end */
    assert_no_answer();
    assert_true(ask("t", 9).drained);
}

static void in_flight_goes_on_at_a_closed_gate_and_others_are_held(void **state)
{
    struct gate_pass *old = NULL, *new = NULL;
    struct gate *closed = NULL;

    (void)state;
    make("t");
    make("free");
    ENTER(&old, .tenant = "t", .sync = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    assert_int_equal(ENTER(&old, .tenant = "t", .sync = 2), GATE_GO);
    assert_int_equal(ENTER(&old, .tenant = "t", .sync = 3, .lease_is_over = true), GATE_GO);
    assert_int_equal(ENTER(&new, .tenant = "t", .sync = 1, .closed = &closed), GATE_HOLD);
    assert_non_null(closed);
    assert_null(new);
    assert_int_equal(ENTER(&new, .tenant = "free", .sync = 1), GATE_GO); /* another tenant's gate */
    gates_leave(&new, 1, 0);
    assert_rings("free", 0);
    gates_leave(&old, 3, 0);
    assert_rings("t", 0);
    assert_true(next_answer(GATE_CLOSE).drained);
}

/* At a gate that was closed while statement 4 was in flight: does statement `sync` of a transaction whose
 * first ReadyForQuery is `first_sync` go on? */
static const struct pipeline_case {
    uint64_t sync, first_sync;
    enum gate_answer answer;
} pipeline_cases[] = {
    { 5, 1, GATE_GO }, { 5, 4, GATE_GO }, { 4, 4, GATE_GO }, { 5, 5, GATE_HOLD }, { 6, 5, GATE_HOLD },
};

/* Else a client that never waits for its answers would keep the gate from draining for ever. */
static void a_pass_is_good_for_its_own_transaction_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(pipeline_cases); i++) {
        const struct pipeline_case *row = &pipeline_cases[i];
        struct gate_pass *passes = NULL;
        bool goes = row->answer == GATE_GO;

        make("t");
        ENTER(&passes, .tenant = "t", .sync = 4, .first_sync = 4);
        ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
        assert_int_equal(ENTER(&passes, .tenant = "t", .sync = row->sync, .first_sync = row->first_sync),
                         row->answer);
        assert_int_equal(count(passes), 1);
        gates_leave(&passes, 4, 0);
        assert_int_equal(count(passes), goes && row->sync > 4);
        gates_leave(&passes, row->sync, 0);
        assert_rings("t", 0);
        assert_true(next_answer(GATE_CLOSE).drained);
        ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 1);
        assert_true(next_answer(GATE_DROP).ok);
    }
}

static void at_an_open_gate_the_next_transaction_takes_the_pass_over(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .sync = 4, .first_sync = 4);
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 5, .first_sync = 5), GATE_GO);
    gates_leave(&passes, 4, 0);
    assert_int_equal(count(passes), 1); /* statement 5 is on its way */
    gates_leave(&passes, 5, 0);
    assert_null(passes);
    assert_rings("t", 0);
}

/* Three passes, of transactions that ReadyForQuery 2, 4 and 6 end. */
static const struct leave_case {
    uint64_t sync;
    size_t left;
} leave_cases[] = {
    { 0, 3 }, { 1, 3 }, { 2, 2 }, { 3, 2 }, { 4, 1 }, { 5, 1 }, { 6, 0 }, { UINT64_MAX, 0 },
};

static void a_ready_for_query_ends_the_transactions_up_to_it(void **state)
{
    static const char *const tenants[] = { "a", "b", "c" };

    (void)state;
    for (size_t i = 0; i < COUNT(tenants); i++)
        make(tenants[i]);
    for (size_t i = 0; i < COUNT(leave_cases); i++) {
        struct gate_pass *passes = NULL;

        for (size_t t = 0; t < COUNT(tenants); t++)
            ENTER(&passes, .tenant = tenants[t], .sync = 2 * (t + 1));
        gates_leave(&passes, leave_cases[i].sync, 0);
        assert_int_equal(count(passes), leave_cases[i].left);
        for (size_t t = 0; t < COUNT(tenants); t++)
            assert_int_equal(ask(tenants[t], 0).in_flight, 2 * (t + 1) > leave_cases[i].sync);
        gates_leave(&passes, UINT64_MAX, 0);
        for (size_t t = 0; t < COUNT(tenants); t++) {
            struct letter *letter = mailbox_next(doorbell);

            assert_non_null(letter);
            letter_drop(letter);
        }
        assert_quiet_doorbell();
    }
}

static void a_retreat_is_silent_and_counts_down(void **state)
{
    struct gate_pass *passes = NULL, *keep;

    (void)state;
    make("kept");
    make("a");
    make("b");
    ENTER(&passes, .tenant = "kept", .pid = 5, .sync = 1);
    keep = passes;
    ENTER(&passes, .tenant = "kept", .pid = 5, .sync = 2);
    ENTER(&passes, .tenant = "a", .sync = 2);
    ENTER(&passes, .tenant = "b", .sync = 2);
    ORDER(.op = GATE_CLOSE, .tenant = "a", .epoch = 1000);
    assert_no_answer();
    gates_retreat(&passes, keep, 3);
    assert_ptr_equal(passes, keep);
    assert_true(next_answer(GATE_CLOSE).drained); /* the one who waits elsewhere does not hold this up */
    assert_quiet_doorbell();
    assert_int_equal(ask("b", 3).in_flight, 0);
    assert_int_equal(ask("kept", 3).in_flight, 1);
    gates_retreat(&passes, NULL, 3);
    assert_null(passes);
    assert_int_equal(ask("kept", 3).in_flight, 0);
    assert_quiet_doorbell();
}

static void the_doorbell_is_the_newest_owners(void **state)
{
    struct gate_pass *passes = NULL;
    struct mailbox *other = mailbox_new();
    struct letter *letter;

    (void)state;
    ORDER(.op = GATE_MAKE, .tenant = "t", .epoch = 5);
    assert_true(next_answer(GATE_MAKE).ok);
    gates_order(gates, gate_letter_new(GATE_MAKE, "t", "", 4, runner, other), 0);
    assert_false(next_answer(GATE_MAKE).ok);
    ENTER(&passes, .tenant = "t", .pid = 1, .sync = 1);
    gates_leave(&passes, 1, 0);
    assert_rings("t", 1);
    gates_order(gates, gate_letter_new(GATE_MAKE, "t", "", 6, runner, other), 0);
    assert_true(next_answer(GATE_MAKE).ok);
    assert_int_equal(gates_count(gates), 1);
    ENTER(&passes, .tenant = "t", .pid = 2, .sync = 1);
    gates_leave(&passes, 1, 0);
    assert_quiet_doorbell();
    letter = mailbox_next(other);
    assert_non_null(letter);
    letter_drop(letter);
    mailbox_close(other); /* its owner has gone: rings are dropped */
    mailbox_give(other);
    ENTER(&passes, .tenant = "t", .pid = 3, .sync = 1);
    gates_leave(&passes, 1, 0);
    assert_null(passes);
}

static void open_answers_a_close_that_has_not_drained(void **state)
{
    struct gate_pass *passes = NULL;
    struct gate_letter answer;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .pid = 9, .sync = 1, .now_ms = 100);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1, .now_ms = 200);
    ORDER(.op = GATE_OPEN, .tenant = "t", .epoch = 1, .now_ms = 350);
    answer = next_answer(GATE_CLOSE);
    assert_true(answer.ok);
    assert_false(answer.drained);
    assert_int_equal(answer.blocker_pids[0], 9);
    assert_int_equal(answer.blocker_ages_ms[0], 250);
    assert_true(next_answer(GATE_OPEN).ok);
    gates_leave(&passes, 1, 400);
    assert_rings("t", 9);
    assert_no_answer(); /* the CLOSE has had its answer */
}

static void a_second_close_answers_the_first(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .sync = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 2);
    assert_false(next_answer(GATE_CLOSE).drained);
    assert_no_answer();
    gates_leave(&passes, 1, 0);
    assert_rings("t", 0);
    assert_true(next_answer(GATE_CLOSE).drained);
    assert_no_answer();
}

static void a_dropped_gate_lets_go_of_everybody(void **state)
{
    struct gate_pass *passes = NULL;
    struct somebody held = nobody();

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .sync = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    wait_at(&held, "t", 0);
    ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 1, .now_ms = 4);
    assert_false(next_answer(GATE_CLOSE).drained);
    assert_true(next_answer(GATE_DROP).ok);
    assert_int_equal(held.opened, 1);
    assert_int_equal(gates_count(gates), 0);
    assert_null(gate_pass_tenant(passes));
    make("t"); /* a new gate does not know the old one's pass */
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 2), GATE_GO);
    assert_int_equal(count(passes), 2);
    gates_leave(&passes, UINT64_MAX, 5);
    assert_rings("t", 0);
    assert_quiet_doorbell();
}

static void who_waited_longest_is_woken_first(void **state)
{
    struct somebody three[3] = { nobody(), nobody(), nobody() }, left = nobody();

    (void)state;
    make_closed("t");
    wait_at(&three[0], "t", 10);
    wait_at(&left, "t", 11);
    wait_at(&three[1], "t", 12);
    wait_at(&three[2], "t", 13);
    gate_unwait(&left.waiter);
    gate_unwait(&left.waiter); /* fine if it does not wait */
    assert_int_equal(ask("t", 20).held_now, 3);
    ORDER(.op = GATE_OPEN, .tenant = "t", .epoch = 1000, .now_ms = 30);
    assert_true(next_answer(GATE_OPEN).ok);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(three[i].opened, 1);
        assert_int_equal(three[i].turn, i + 1);
    }
    assert_int_equal(left.opened, 0);
}

/* Without a lease a client that is woken decides anew, and waits again at once. */
static void who_waits_again_while_others_are_woken_is_not_woken_twice(void **state)
{
    struct somebody first = nobody(), second = nobody();
    struct gate_letter answer;

    (void)state;
    make_closed("t");
    first.wait_again = wait_at(&first, "t", 10);
    first.again_ms = 31; /* the clock went on while the first was served */
    wait_at(&second, "t", 11);
    ORDER(.op = GATE_OPEN, .tenant = "t", .epoch = 1, .now_ms = 30);
    answer = next_answer(GATE_OPEN);
    assert_int_equal(first.opened, 1);
    assert_int_equal(second.opened, 1);
    assert_int_equal(answer.held_now, 1);
    assert_int_equal(answer.held_count, 3);
    assert_int_equal(answer.held_ms_longest, 20);
    first.wait_again = NULL;
    gates_tick(gates, true, 40);
    assert_int_equal(first.opened, 2);
}

static void holding_is_counted_from_close_to_close(void **state)
{
    struct somebody first = nobody(), second = nobody();
    struct gate_letter answer;

    (void)state;
    make_closed("t");
    wait_at(&first, "t", 100);
    wait_at(&second, "t", 150);
    answer = ask("t", 190);
    assert_int_equal(answer.held_now, 2);
    assert_int_equal(answer.held_count, 2);
    assert_int_equal(answer.held_ms_longest, 90); /* those who wait now are part of it */
    ORDER(.op = GATE_OPEN, .tenant = "t", .epoch = 1000, .now_ms = 200);
    answer = next_answer(GATE_OPEN);
    assert_int_equal(answer.held_now, 0);
    assert_int_equal(answer.held_count, 2);
    assert_int_equal(answer.held_ms_longest, 100);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1000, .now_ms = 300);
    answer = next_answer(GATE_CLOSE);
    assert_int_equal(answer.held_count, 0);
    assert_int_equal(answer.held_ms_longest, 0);
}

/* `waited_ms` after it began to wait, at a gate whose CLOSE allowed `hold_ms_max` (0: said nothing). */
static const struct expiry_case {
    uint64_t hold_ms_max, waited_ms;
    int expired;
} expiry_cases[] = {
    { 300, 0, 0 },
    { 300, 299, 0 },
    { 300, 300, 1 },
    { 300, 100000, 1 },
    { 0, HOLD_MS_DEFAULT - 1, 0 },
    { 0, HOLD_MS_DEFAULT, 1 },
};

static void who_is_held_too_long_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(expiry_cases); i++) {
        struct somebody who = nobody();

        make("t");
        ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1, .hold_ms_max = expiry_cases[i].hold_ms_max);
        assert_true(next_answer(GATE_CLOSE).drained);
        wait_at(&who, "t", 1000);
        gates_tick(gates, true, 1000 + expiry_cases[i].waited_ms);
        assert_int_equal(who.expired, expiry_cases[i].expired);
        assert_int_equal(who.opened, 0);
        assert_int_equal(ask("t", 1000).held_now, 1 - expiry_cases[i].expired);
        ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 1000);
        assert_true(next_answer(GATE_DROP).ok);
    }
}

static void only_those_held_too_long_expire(void **state)
{
    struct somebody early = nobody(), late = nobody();

    (void)state;
    make("t");
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1, .hold_ms_max = 100);
    assert_true(next_answer(GATE_CLOSE).drained);
    wait_at(&early, "t", 1000);
    wait_at(&late, "t", 1050);
    gates_tick(gates, true, 1120);
    assert_int_equal(early.expired, 1);
    assert_int_equal(late.expired, 0);
    gate_unwait(&late.waiter);
    assert_int_equal(ask("t", 1120).held_ms_longest, 120);
}

/* The next statement of an expired client is held in its turn. The clock may have gone on since the tick
 * began. */
static void who_waits_again_after_it_expired_has_its_full_time(void **state)
{
    struct somebody who = nobody();

    (void)state;
    make("t");
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1, .hold_ms_max = 100);
    assert_true(next_answer(GATE_CLOSE).drained);
    who.wait_again = wait_at(&who, "t", 1000);
    who.again_ms = 1102;
    gates_tick(gates, true, 1100);
    assert_int_equal(who.expired, 1);
    assert_int_equal(ask("t", 1101).held_ms_longest, 100);
    who.wait_again = NULL;
    gates_tick(gates, true, 1201);
    assert_int_equal(who.expired, 1);
    gates_tick(gates, true, 1202);
    assert_int_equal(who.expired, 2);
}

static void without_a_lease_every_gate_counts_as_closed(void **state)
{
    struct gate_pass *passes = NULL;
    struct somebody who = nobody();
    struct gate *closed = NULL;

    (void)state;
    make("t");
    assert_int_equal(ENTER(&passes, .tenant = "t", .lease_is_over = true, .now_ms = 10, .closed = &closed),
                     GATE_HOLD);
    gate_wait(closed, &who.waiter, 10);
    gates_tick(gates, false, 20);
    assert_int_equal(who.opened + who.expired, 0);
    gates_tick(gates, true, 30); /* it has one again */
    assert_int_equal(who.opened, 1);
    gate_wait(closed, &who.waiter, 30);
    gates_tick(gates, false, 30 + HOLD_MS_DEFAULT);
    assert_int_equal(who.expired, 1);
    assert_int_equal(ask("t", 0).held_now, 0);
}

static void a_tick_does_not_open_what_a_runner_closed(void **state)
{
    struct somebody who = nobody();

    (void)state;
    make_closed("t");
    wait_at(&who, "t", 0);
    gates_tick(gates, true, 1);
    assert_int_equal(who.opened + who.expired, 0);
    gate_unwait(&who.waiter);
}

static void a_write_of_an_unknown_tenant_passes_all_gates_or_none(void **state)
{
    struct gate_pass *passes = NULL;
    struct gate *closed = NULL;
    struct somebody who = nobody();

    (void)state;
    make("a");
    make("b");
    make("c");
    assert_int_equal(ENTER(&passes, .tenant = NULL, .sync = 1), GATE_GO);
    assert_int_equal(count(passes), 3);
    gates_leave(&passes, 1, 0);
    assert_null(passes);
    for (int i = 0; i < 3; i++) {
        struct letter *letter = mailbox_next(doorbell);

        assert_non_null(letter);
        letter_drop(letter);
    }

    ORDER(.op = GATE_CLOSE, .tenant = "b", .epoch = 1);
    assert_true(next_answer(GATE_CLOSE).drained);
    assert_int_equal(ENTER(&passes, .tenant = NULL, .sync = 2, .closed = &closed), GATE_HOLD);
    assert_null(passes);
    gate_wait(closed, &who.waiter, 0);
    assert_int_equal(ask("b", 0).held_now, 1); /* it waits at the right one */
    gate_unwait(&who.waiter);
}

/* Statement 1 writes `a` on its own; statement 2 comes before the answer to it, and waits at `b`. */
static void who_waits_at_one_gate_does_not_prolong_a_pass_at_another(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("a");
    make_closed("b");
    assert_int_equal(ENTER(&passes, .tenant = "a", .pid = 4, .sync = 1), GATE_GO);
    assert_int_equal(ENTER(&passes, .tenant = NULL, .sync = 2), GATE_HOLD);
    ORDER(.op = GATE_CLOSE, .tenant = "a", .epoch = 1);
    assert_no_answer();
    gates_leave(&passes, 1, 0);
    assert_null(passes);
    assert_rings("a", 4);
    assert_true(next_answer(GATE_CLOSE).drained);
}

/* After `last` at epoch 5, an order of epoch 4 is refused and one of epoch 5 is not. */
static void an_older_epoch_is_refused_whatever_it_orders(void **state)
{
    static const enum gate_op ops[] = { GATE_MAKE, GATE_CLOSE, GATE_OPEN, GATE_ASK, GATE_DROP };

    (void)state;
    for (size_t last = 0; last + 1 < COUNT(ops); last++) /* not DROP: it forgets */
        for (size_t i = 0; i < COUNT(ops); i++) {
            make("t");
            ORDER(.op = ops[last], .tenant = "t", .epoch = 5);
            assert_true(next_answer(ops[last]).ok);
            ORDER(.op = ops[i], .tenant = "t", .epoch = 4);
            assert_false(next_answer(ops[i]).ok);
            assert_true(gates_has(gates, "t"));
            ORDER(.op = ops[i], .tenant = "t", .epoch = 5);
            assert_true(next_answer(ops[i]).ok);
            if (ops[i] != GATE_DROP) {
                ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 5);
                assert_true(next_answer(GATE_DROP).ok);
            }
        }
}

static void a_refused_close_closes_nothing(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    ORDER(.op = GATE_MAKE, .tenant = "t", .epoch = 5);
    assert_true(next_answer(GATE_MAKE).ok);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 4);
    assert_false(next_answer(GATE_CLOSE).ok);
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_GO);
    gates_leave(&passes, 1, 0);
    assert_rings("t", 0);
}

static void make_leaves_a_closed_gate_closed(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make_closed("t");
    ORDER(.op = GATE_MAKE, .tenant = "t", .epoch = 2);
    assert_true(next_answer(GATE_MAKE).ok);
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_HOLD);
}

static void an_answer_names_at_most_eight_blockers(void **state)
{
    struct gate_pass *passes[GATE_BLOCKERS_MAX + 2] = { NULL };
    struct gate_letter answer;

    (void)state;
    make("t");
    for (int i = 0; i < (int)COUNT(passes); i++)
        ENTER(&passes[i], .tenant = "t", .pid = 100 + i, .sync = 1, .now_ms = (uint64_t)i);
    answer = ask("t", 50);
    assert_int_equal(answer.in_flight, COUNT(passes));
    assert_int_equal(answer.blocker_count, GATE_BLOCKERS_MAX);
    for (int i = 0; i < GATE_BLOCKERS_MAX; i++) { /* the oldest */
        assert_int_equal(answer.blocker_pids[i], 100 + i);
        assert_int_equal(answer.blocker_ages_ms[i], 50 - i);
    }
    for (int i = 0; i < (int)COUNT(passes); i++) {
        gates_leave(&passes[i], 1, 60);
        assert_rings("t", 100 + i);
    }
}

/* A publication makes what is missing and touches nothing else. */
static const struct follow_case {
    enum routing_state published;
    bool gate;
    enum gate_answer write;
} follow_cases[] = {
    { ROUTING_NORMAL, false, GATE_GO },
    { ROUTING_BULK_COPY, true, GATE_GO },
    { ROUTING_DUAL_WRITE, true, GATE_GO },
    { ROUTING_CUTOVER_PAUSED, true, GATE_HOLD },
};

static void publish(enum routing_state migration_state)
{
    static const struct store shared = { .name = "shared" };
    struct route route = {
        .tenant = "t", .store = &shared, .migration_state = migration_state, .owner_epoch = 7
    };
    struct route_table *table = route_table_new(1);

    assert_true(route_table_add(table, &route));
    route_table_seal(table, &shared);
    gates_follow(gates, table, 0);
    route_table_give(table);
}

static void every_migrating_route_has_a_gate_from_its_publication_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(follow_cases); i++) {
        struct gate_pass *passes = NULL;

        publish(follow_cases[i].published);
        assert_int_equal(gates_has(gates, "t"), follow_cases[i].gate);
        assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), follow_cases[i].write);
        assert_int_equal(count(passes), follow_cases[i].gate && follow_cases[i].write == GATE_GO);
        gates_leave(&passes, 1, 0);
        assert_quiet_doorbell(); /* nobody listens before a runner has come */
        if (!follow_cases[i].gate)
            continue;
        ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 6); /* the publication's owner is a later one */
        assert_false(next_answer(GATE_DROP).ok);
        ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 7);
        assert_true(next_answer(GATE_DROP).ok);
    }
}

static void a_gate_without_a_runner_does_as_the_publications_say(void **state)
{
    struct somebody who = nobody();
    struct gate_pass *passes = NULL;

    (void)state;
    publish(ROUTING_CUTOVER_PAUSED);
    wait_at(&who, "t", 0);
    publish(ROUTING_CUTOVER_PAUSED);
    assert_int_equal(who.opened, 0);
    publish(ROUTING_DUAL_WRITE);
    assert_int_equal(who.opened, 1);
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_GO);
    publish(ROUTING_CUTOVER_PAUSED);
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_GO); /* in flight */
    gates_leave(&passes, 1, 0);
    wait_at(&who, "t", 0);
    publish(ROUTING_NORMAL);
    assert_int_equal(who.opened, 2);
}

static void a_publication_leaves_a_gate_to_its_runner(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("t");
    publish(ROUTING_CUTOVER_PAUSED); /* the runner's CLOSE comes by letter, and is answered */
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_GO);
    gates_leave(&passes, 1, 0);
    assert_rings("t", 0);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    assert_true(next_answer(GATE_CLOSE).drained);
    publish(ROUTING_DUAL_WRITE);
    publish(ROUTING_NORMAL); /* switched: held until the runner drops it */
    assert_int_equal(ENTER(&passes, .tenant = "t", .sync = 1), GATE_HOLD);
    assert_int_equal(gates_count(gates), 1);
}

static void publish_foreign(enum routing_state migration_state, uint64_t owner_epoch)
{
    static const struct store shared = { .name = "shared" };
    struct route route = { .tenant = "t",
                           .store = &shared,
                           .migration_state = migration_state,
                           .owner_epoch = owner_epoch,
                           .foreign = true };
    struct route_table *table = route_table_new(1);

    assert_true(route_table_add(table, &route));
    route_table_seal(table, &shared);
    gates_follow(gates, table, 0);
    route_table_give(table);
}

static void another_instance_takes_a_gate_from_its_runner(void **state)
{
    struct gate_pass *passes = NULL, *late = NULL;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .sync = 1);
    publish_foreign(ROUTING_CUTOVER_PAUSED, 1); /* what it has been told itself is no later owner's */
    assert_int_equal(ENTER(&late, .tenant = "t", .sync = 1), GATE_GO);
    gates_leave(&late, 1, 0);
    assert_rings("t", 0);
    publish_foreign(ROUTING_CUTOVER_PAUSED, 7);
    assert_int_equal(ENTER(&late, .tenant = "t", .sync = 1), GATE_HOLD);
    ORDER(.op = GATE_OPEN, .tenant = "t", .epoch = 1); /* the earlier owner wakes up */
    assert_false(next_answer(GATE_OPEN).ok);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 7); /* this process asks when it has drained */
    assert_no_answer();
    gates_leave(&passes, 1, 0);
    assert_quiet_doorbell();
    assert_true(next_answer(GATE_CLOSE).drained);
    publish_foreign(ROUTING_NORMAL, 7);
    assert_int_equal(gates_count(gates), 0);
}

static void a_close_that_the_routes_have_undone_has_not_drained(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    publish_foreign(ROUTING_DUAL_WRITE, 7);
    ENTER(&passes, .tenant = "t", .sync = 1);
    publish_foreign(ROUTING_CUTOVER_PAUSED, 8);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 8);
    assert_no_answer();
    publish_foreign(ROUTING_DUAL_WRITE, 8);
    assert_false(next_answer(GATE_CLOSE).drained);
    gates_leave(&passes, 1, 0);
}

/* Its transactions stay counted: another instance goes on with the migration. */
static void a_runner_that_leaves_leaves_its_gate_to_the_routes(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .sync = 1);
    publish(ROUTING_DUAL_WRITE);
    ORDER(.op = GATE_DROP, .tenant = "t", .epoch = 1);
    assert_true(next_answer(GATE_DROP).ok);
    assert_int_equal(ask("t", 0).in_flight, 1);
    gates_leave(&passes, 1, 0);
    assert_quiet_doorbell();
    publish(ROUTING_NORMAL);
    assert_int_equal(gates_count(gates), 0);
}

static void a_close_that_waits_is_answered_when_the_loop_ends(void **state)
{
    struct gate_pass *passes = NULL;

    (void)state;
    make("t");
    ENTER(&passes, .tenant = "t", .pid = 3, .sync = 1);
    ORDER(.op = GATE_CLOSE, .tenant = "t", .epoch = 1);
    gates_free(gates);
    gates = NULL;
    assert_false(next_answer(GATE_CLOSE).drained);
    assert_null(gate_pass_tenant(passes));
    gates_leave(&passes, UINT64_MAX, 0);
    assert_null(passes);
}

/* The runner has died: its letters must not be lost memory. */
static void an_answer_that_nobody_wants_is_dropped(void **state)
{
    struct mailbox *gone = mailbox_new();

    (void)state;
    make("t");
    gates_order(gates, gate_letter_new(GATE_ASK, "t", "", 1, NULL, NULL), 0);
    mailbox_close(gone);
    gates_order(gates, gate_letter_new(GATE_MAKE, "t", "", 1, gone, gone), 0);
    mailbox_give(gone);
    assert_true(gates_has(gates, "t"));
}

/* A COPY whose first row has not come counts everywhere; then only where its row is. */
static void provisional_passes_are_given_back_when_the_tenant_is_known(void **state)
{
    const struct gate_ask maybe = {
        .backend_pid = 7, .sync = 1, .first_sync = 1, .lease_valid = true, .provisional = true
    };
    const struct gate_ask surely = { .backend_pid = 7, .sync = 1, .first_sync = 1, .lease_valid = true };
    struct gate_pass *passes = NULL;
    struct gate *closed = NULL;

    (void)state;
    make("a");
    make("b");
    make("c");
    assert_int_equal(gates_enter(gates, "c", &surely, &passes, &closed), GATE_GO);
    assert_int_equal(gates_enter(gates, NULL, &maybe, &passes, &closed), GATE_GO);
    assert_int_equal(ask("a", 0).in_flight + ask("b", 0).in_flight + ask("c", 0).in_flight, 3);
    assert_int_equal(gates_enter(gates, "a", &surely, &passes, &closed), GATE_GO);
    gates_settle(&passes, "a", 0);
    assert_int_equal(ask("a", 0).in_flight, 1);
    assert_int_equal(ask("b", 0).in_flight, 0);
    assert_int_equal(ask("c", 0).in_flight, 1);
    assert_quiet_doorbell(); /* nothing was written at b */
    gates_settle(&passes, NULL, 0);
    assert_int_equal(ask("a", 0).in_flight, 1);
    gates_retreat(&passes, NULL, 0);
    assert_null(passes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(provisional_passes_are_given_back_when_the_tenant_is_known),
        TEST(where_no_gate_stands_nothing_is_counted),
        TEST(an_order_to_a_gate_that_is_not_there_is_refused),
        TEST(a_transaction_has_one_pass_whatever_it_writes),
        TEST(close_is_answered_at_once_where_nothing_is_in_flight),
        TEST(close_is_answered_once_when_the_last_transaction_has_ended),
        TEST(in_flight_goes_on_at_a_closed_gate_and_others_are_held),
        TEST(a_pass_is_good_for_its_own_transaction_only),
        TEST(at_an_open_gate_the_next_transaction_takes_the_pass_over),
        TEST(a_ready_for_query_ends_the_transactions_up_to_it),
        TEST(a_retreat_is_silent_and_counts_down),
        TEST(the_doorbell_is_the_newest_owners),
        TEST(open_answers_a_close_that_has_not_drained),
        TEST(a_second_close_answers_the_first),
        TEST(a_dropped_gate_lets_go_of_everybody),
        TEST(who_waited_longest_is_woken_first),
        TEST(who_waits_again_while_others_are_woken_is_not_woken_twice),
        TEST(holding_is_counted_from_close_to_close),
        TEST(who_is_held_too_long_is_told),
        TEST(only_those_held_too_long_expire),
        TEST(who_waits_again_after_it_expired_has_its_full_time),
        TEST(without_a_lease_every_gate_counts_as_closed),
        TEST(a_tick_does_not_open_what_a_runner_closed),
        TEST(a_write_of_an_unknown_tenant_passes_all_gates_or_none),
        TEST(who_waits_at_one_gate_does_not_prolong_a_pass_at_another),
        TEST(an_older_epoch_is_refused_whatever_it_orders),
        TEST(a_refused_close_closes_nothing),
        TEST(make_leaves_a_closed_gate_closed),
        TEST(an_answer_names_at_most_eight_blockers),
        TEST(every_migrating_route_has_a_gate_from_its_publication_on),
        TEST(a_gate_without_a_runner_does_as_the_publications_say),
        TEST(a_publication_leaves_a_gate_to_its_runner),
        TEST(another_instance_takes_a_gate_from_its_runner),
        TEST(a_close_that_the_routes_have_undone_has_not_drained),
        TEST(a_runner_that_leaves_leaves_its_gate_to_the_routes),
        TEST(a_close_that_waits_is_answered_when_the_loop_ends),
        TEST(an_answer_that_nobody_wants_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
