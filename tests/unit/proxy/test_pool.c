/* test_pool.c - who gets which server connection, when one more is opened, when one must go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/pool.h"

static const struct store shared = { .name = "shared", .index = 0 }, other = { .name = "other", .index = 1 };

#define NEVER UINT64_MAX

struct play {
    struct quotas *quotas;
    struct pools *pools;
};

static struct play begin(struct quota_limits limits, struct pool_rules rules)
{
    struct play play = { .quotas = quotas_new(&limits) };

    assert_non_null(play.quotas);
    play.pools = pools_new(&rules, play.quotas);
    assert_non_null(play.pools);
    return play;
}

static void end(struct play *play)
{
    pools_free(play->pools);
    quotas_free(play->quotas);
}

static struct pool *join(struct pools *pools, const struct store *store, const char *user, const char *option)
{
    struct parameter_pair startup[] = { { (char *)"options", (char *)option },
                                        { (char *)"application_name", (char *)"x" } };
    struct credentials nothing = { 0 };
    struct identity *identity = identity_new(user, "shop", startup, 2, "application_name", &nothing);
    struct pool *pool = pools_join(pools, store, identity);

    identity_give(identity);
    assert_non_null(pool);
    return pool;
}

static void open_seat(struct pool *pool, struct pool_seat *seat, uint64_t now_ms)
{
    memset(seat, 0, sizeof *seat);
    pool_opening(pool, seat, now_ms);
    pool_opened(seat, now_ms);
}

static void a_pool_is_of_user_database_and_startup_parameters(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 1 }, (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "-c a=1");

    (void)state;
    assert_ptr_equal(pool, join(play.pools, &shared, "app", "-c a=1"));
    assert_ptr_not_equal(pool, join(play.pools, &shared, "app", "-c a=2"));
    assert_ptr_not_equal(pool, join(play.pools, &shared, "boss", "-c a=1"));
    assert_ptr_not_equal(pool, join(play.pools, &other, "app", "-c a=1"));
    assert_int_equal(pool->client_count, 2);
    pool_leave(pool);
    pools_sweep(play.pools);
    assert_ptr_equal(pool, join(play.pools, &shared, "app", "-c a=1")); /* somebody still knew it */
    end(&play);
}

static void whoever_had_it_last_gets_it_again(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 9 }, (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_seat seats[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(pool_may_warm(pool, 0));
        open_seat(pool, &seats[i], 0);
    }
    for (uint64_t client = 1; client <= 3; client++)
        assert_non_null(pool_lend(pool, client, 10));
    assert_null(pool_lend(pool, 4, 10));
    for (int i = 0; i < 3; i++)
        pool_back(&seats[i], (uint64_t)i + 1, 10);
    assert_ptr_equal(pool_lend(pool, 1, 10), &seats[0]);
    assert_ptr_equal(pool_lend(pool, 9, 10), &seats[2]); /* else the one used last: the others may go */
    for (int i = 0; i < 3; i++)
        pool_gone(&seats[i]);
    assert_int_equal(quota_count(pool->quota), 0);
    end(&play);
}

static void opens_for_those_who_wait_up_to_its_size(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 2, .reserve_size = 1 },
              (struct pool_rules){ .reserve_after_ms = 100, .wait_ms_max = 1000, .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_waiter waiters[4] = { 0 };
    struct pool_seat seats[3] = { 0 };

    (void)state;
    assert_false(pool_may_open(pool, 0)); /* nobody wants one */
    for (int i = 0; i < 4; i++)
        pool_wait(pool, &waiters[i], 50);
    for (int i = 0; i < 2; i++) {
        assert_true(pool_may_open(pool, 50));
        pool_opening(pool, &seats[i], 50);
    }
    assert_false(pool_may_open(pool, 149));
    assert_true(pool_may_open(pool, 150)); /* the reserve */
    pool_opening(pool, &seats[2], 150);
    assert_false(pool_may_open(pool, 500));
    assert_null(pool_overdue(pool, 1049));
    assert_ptr_equal(pool_overdue(pool, 1050), &waiters[0]);
    for (int i = 0; i < 4; i++)
        pool_unwait(&waiters[i]);
    pool_unwait(&waiters[0]); /* fine */
    for (int i = 0; i < 3; i++)
        pool_gone(&seats[i]);
    end(&play);
}

static void rests_after_a_failure(void **state)
{
    struct play play = begin((struct quota_limits){ .pool_size = 2 },
                             (struct pool_rules){ .retry_after_ms = 100, .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_waiter waiter = { 0 };
    struct pool_seat seat = { 0 };
    struct error why;

    (void)state;
    error_set(&why, "08001", "no route");
    pool_wait(pool, &waiter, 1);
    assert_true(pool_may_open(pool, 1));
    pool_opening(pool, &seat, 1);
    pool_failed(pool, &why, false, 10);
    assert_false(pool_is_down(pool, 20)); /* one is still on its way */
    pool_gone(&seat);
    assert_true(pool_is_down(pool, 109));
    assert_false(pool_may_open(pool, 109));
    assert_false(pool_is_down(pool, 110));
    assert_true(pool_may_open(pool, 110));
    open_seat(pool, &seat, 111);
    assert_int_equal(pool->failed_ms, 0);
    pool_unwait(&waiter);
    pool_gone(&seat);
    end(&play);
}

static void a_pool_that_starves_gets_its_turn(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 1 }, (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *rich = join(play.pools, &shared, "app", "-c a=1"),
                *poor = join(play.pools, &shared, "app", "");
    struct pool_waiter waits = { 0 }, waits_too = { 0 };
    struct pool_seat seat, mine = { 0 };

    (void)state;
    assert_true(pool_may_warm(rich, 1));
    open_seat(rich, &seat, 1);
    assert_non_null(pool_lend(rich, 1, 10));
    assert_false(pool_must_close(&seat, 2));
    pool_wait(rich, &waits_too, 2);
    assert_false(pool_must_close(&seat, 2)); /* who waits here has this one to wait for */
    pool_wait(poor, &waits, 2);
    assert_true(pool_must_close(&seat, 2));
    pool_gone(&seat);
    assert_true(rich->starved && poor->starved);
    pool_unwait(&waits_too);
    assert_true(pool_may_open(poor, 3));
    pool_opening(poor, &mine, 3);
    assert_false(pool_may_open(rich, 3));
    pool_opened(&mine, 3);
    pool_unwait(&waits);
    pool_wait(rich, &waits_too, 4);
    assert_ptr_equal(pool_evict(rich), &mine);
    assert_ptr_equal(pool_outlived(poor, 4), &mine);
    pool_unwait(&waits_too);
    assert_null(pool_outlived(poor, 4));
    pool_gone(&mine);
    end(&play);
}

static void the_old_and_the_idle_go(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 5 },
              (struct pool_rules){
                  .min_size = 1, .idle_ms_max = 100, .lifetime_ms_max = 1000, .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_seat first, second;

    (void)state;
    assert_true(pool_may_open(pool, 0)); /* min_size, since somebody knows the pool */
    open_seat(pool, &first, 0);
    assert_false(pool_may_open(pool, 0));
    assert_true(pool_may_warm(pool, 0));
    open_seat(pool, &second, 50);
    assert_null(pool_outlived(pool, 99));
    assert_ptr_equal(pool_outlived(pool, 100), &first);
    pool_gone(&first);
    assert_null(pool_outlived(pool, 500)); /* the last one stays */
    assert_ptr_equal(pool_outlived(pool, 1050), &second);
    assert_non_null(pool_lend(pool, 1, 10));
    assert_true(pool_must_close(&second, 1050));
    pool_gone(&second);
    end(&play);
}

static void a_store_has_its_own_limit(void **state)
{
    struct play play = begin((struct quota_limits){ .pool_size = 5, .store_max = 2 },
                             (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *app = join(play.pools, &shared, "app", ""), *boss = join(play.pools, &shared, "boss", "");
    struct pool *away = join(play.pools, &other, "app", "");

    (void)state;
    assert_true(pool_may_warm(app, 0));
    assert_true(pool_may_warm(boss, 0));
    assert_false(pool_may_warm(app, 0));
    assert_true(pool_may_warm(away, 0));
    quota_give(boss->quota);
    assert_true(pool_may_warm(app, 0));
    quota_give(app->quota);
    quota_give(app->quota);
    quota_give(away->quota);
    end(&play);
}

static void a_user_has_a_limit_at_each_store(void **state)
{
    struct play play = begin((struct quota_limits){ .pool_size = 5, .user_max = 2 },
                             (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *app = join(play.pools, &shared, "app", ""), *boss = join(play.pools, &shared, "boss", "");
    struct pool *away = join(play.pools, &other, "app", "");

    (void)state;
    assert_true(pool_may_warm(app, 0));
    assert_true(pool_may_warm(app, 0));
    assert_false(pool_may_warm(app, 0));
    assert_true(pool_may_warm(boss, 0));
    assert_true(pool_may_warm(away, 0));
    assert_true(quota_gains_from(app->quota, app->quota));
    assert_false(quota_gains_from(app->quota, boss->quota));
    assert_false(quota_gains_from(app->quota, away->quota));
    quota_give(app->quota);
    quota_give(app->quota);
    quota_give(boss->quota);
    quota_give(away->quota);
    end(&play);
}

static void what_is_beyond_a_lowered_limit_goes_when_it_is_free(void **state)
{
    static const struct quota_limits fewer[] = { { .pool_size = 1 },
                                                 { .pool_size = 5, .user_max = 1 },
                                                 { .pool_size = 5, .store_max = 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof fewer / sizeof fewer[0]; i++) {
        struct play play =
            begin((struct quota_limits){ .pool_size = 3 }, (struct pool_rules){ .check_after_ms = NEVER });
        struct pool *pool = join(play.pools, &shared, "app", "");
        struct pool_seat seats[3];

        for (int j = 0; j < 3; j++) {
            assert_true(pool_may_warm(pool, 0));
            open_seat(pool, &seats[j], 0);
        }
        assert_ptr_equal(pool_lend(pool, 1, 10), &seats[2]);
        assert_false(pool_must_close(&seats[2], 1));
        assert_null(pool_outlived(pool, 1));
        quotas_limit(play.quotas, &fewer[i]);
        assert_true(pool_must_close(&seats[2], 1));
        pool_gone(&seats[2]);
        assert_non_null(pool_outlived(pool, 1)); /* an idle one, too … */
        pool_gone(&seats[0]);
        assert_null(pool_outlived(pool, 1)); /* … down to the limit */
        assert_false(pool_may_warm(pool, 1));
        pool_gone(&seats[1]);
        end(&play);
    }
}

static void a_reserve_in_use_is_not_too_many(void **state)
{
    struct play play = begin((struct quota_limits){ .pool_size = 1, .reserve_size = 1 },
                             (struct pool_rules){ .reserve_after_ms = 5, .check_after_ms = NEVER });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_seat first, second;

    (void)state;
    assert_true(quota_take(pool->quota, true));
    open_seat(pool, &first, 0);
    assert_true(quota_take(pool->quota, true));
    open_seat(pool, &second, 0);
    assert_false(quota_is_over(pool->quota));
    quotas_limit(play.quotas, &(struct quota_limits){ .pool_size = 1 });
    assert_true(quota_is_over(pool->quota));
    pool_gone(&first);
    pool_gone(&second);
    end(&play);
}

static void what_is_idle_is_for_those_who_wait_long_elsewhere(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 2 }, (struct pool_rules){ .check_after_ms = NEVER });
    struct pool *busy = join(play.pools, &shared, "app", "-c a=1"),
                *idle = join(play.pools, &shared, "app", "");
    struct pool_waiter waiter = { 0 };
    struct pool_seat working, free;

    (void)state;
    assert_true(pool_may_warm(busy, 0));
    open_seat(busy, &working, 0);
    assert_ptr_equal(pool_lend(busy, 1, 10), &working);
    assert_true(pool_may_warm(idle, 0));
    open_seat(idle, &free, 0);
    pool_wait(busy, &waiter, 100);
    pool_look(busy, 150);
    assert_null(pool_yield(idle, 150)); /* not long enough */
    pool_look(busy, 200);
    assert_ptr_equal(pool_yield(idle, 200), &free);
    free.idle_since_ms = 150;
    assert_null(pool_yield(idle, 200)); /* it has been of use just now */
    free.idle_since_ms = 0;
    pool_unwait(&waiter);
    assert_null(pool_yield(idle, 300));
    pool_wait(busy, &waiter, 300);
    pool_look(busy, 400);
    assert_false(pool_may_open(busy, 400));
    pool_gone(pool_yield(idle, 400));
    assert_true(pool_may_open(busy, 400));
    quota_give(busy->quota);
    pool_unwait(&waiter);
    pool_gone(&working);
    end(&play);
}

static void what_was_idle_for_long_is_checked_first(void **state)
{
    struct play play =
        begin((struct quota_limits){ .pool_size = 2 }, (struct pool_rules){ .check_after_ms = 100 });
    struct pool *pool = join(play.pools, &shared, "app", "");
    struct pool_waiter waiter = { 0 };
    struct pool_seat seats[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(pool_may_warm(pool, 0));
        open_seat(pool, &seats[i], 0);
    }
    assert_ptr_equal(pool_lend(pool, 1, 500), &seats[1]); /* it has logged in just now */
    pool_back(&seats[1], 1, 500);
    assert_ptr_equal(pool_lend(pool, 2, 599), &seats[1]);
    pool_back(&seats[1], 1, 600);
    assert_null(pool_lend(pool, 1, 2000));
    assert_null(pool_doubt(pool, 2000)); /* nobody waits for it */
    pool_wait(pool, &waiter, 2000);
    assert_ptr_equal(pool_doubt(pool, 2000), &seats[1]);
    assert_null(pool_doubt(pool, 2000)); /* one waits, one is on its way */
    assert_false(pool_may_open(pool, 2000));
    pool_back(&seats[1], 1, 2001);
    assert_ptr_equal(pool_lend(pool, 2, 2500), &seats[1]); /* checked, though idle for long again */
    pool_unwait(&waiter);
    pool_gone(&seats[0]);
    pool_tend(&seats[1]);
    pool_gone(&seats[1]); /* it has not come back from there */
    assert_int_equal(quota_count(pool->quota), 0);
    end(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_is_of_user_database_and_startup_parameters),
        cmocka_unit_test(whoever_had_it_last_gets_it_again),
        cmocka_unit_test(opens_for_those_who_wait_up_to_its_size),
        cmocka_unit_test(rests_after_a_failure),
        cmocka_unit_test(a_pool_that_starves_gets_its_turn),
        cmocka_unit_test(the_old_and_the_idle_go),
        cmocka_unit_test(a_store_has_its_own_limit),
        cmocka_unit_test(what_was_idle_for_long_is_checked_first),
        cmocka_unit_test(a_user_has_a_limit_at_each_store),
        cmocka_unit_test(what_is_idle_is_for_those_who_wait_long_elsewhere),
        cmocka_unit_test(what_is_beyond_a_lowered_limit_goes_when_it_is_free),
        cmocka_unit_test(a_reserve_in_use_is_not_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
