/* test_guess.c - failed logins by address: the delay doubles, is forgotten, and is nobody else's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/limits.h"
#include "proxy/guess.h"

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage address = { .ss_family = AF_UNIX };

    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) == 1)
        address.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr) == 1)
        address.ss_family = AF_INET6;
    return address;
}

static uint32_t failed(struct guess *guess, const char *text, uint64_t now_ms)
{
    struct sockaddr_storage address = address_of(text);

    return guess_failed(guess, (struct sockaddr *)&address, 100, now_ms);
}

static void it_doubles_up_to_a_bound(void **state)
{
    struct guess *guess = guess_new();
    static const uint32_t expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 6400, 6400 };

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(failed(guess, "10.0.0.1", i), expected[i]);
    guess_free(guess);
    guess_free(NULL);
}

static void a_quiet_while_forgets(void **state)
{
    struct guess *guess = guess_new();

    (void)state;
    failed(guess, "10.0.0.1", 0);
    assert_int_equal(failed(guess, "10.0.0.1", 60000), 200);
    assert_int_equal(failed(guess, "10.0.0.1", 120001), 100);
    guess_free(guess);
}

static void addresses_are_told_apart(void **state)
{
    struct guess *guess = guess_new();

    (void)state;
    failed(guess, "10.0.0.1", 0);
    assert_int_equal(failed(guess, "10.0.0.2", 0), 100);
    assert_int_equal(failed(guess, "2001:db8::1", 0), 100);
    assert_int_equal(failed(guess, "2001:db8::2", 0), 200); /* the same /64 is the same hand */
    assert_int_equal(failed(guess, "2001:db8:0:1::1", 0), 100);
    assert_int_equal(failed(guess, "[local]", 0), 100);
    assert_int_equal(failed(guess, "10.0.0.1", 0), 200);
    guess_free(guess);
}

static void it_holds_so_many_and_forgets_the_oldest(void **state)
{
    struct guess *guess = guess_new();
    struct sockaddr_in address = { .sin_family = AF_INET };

    (void)state;
    for (uint32_t i = 0; i <= GUESSERS_MAX; i++) {
        address.sin_addr.s_addr = htonl(0x0A000000 + i);
        assert_int_equal(guess_failed(guess, (struct sockaddr *)&address, 100, 0), 100);
    }
    assert_int_equal(guess_failed(guess, (struct sockaddr *)&address, 100, 0), 200);
    assert_int_equal(failed(guess, "10.0.0.0", 0), 100); /* forgotten */
    guess_free(guess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_doubles_up_to_a_bound),
        cmocka_unit_test(a_quiet_while_forgets),
        cmocka_unit_test(addresses_are_told_apart),
        cmocka_unit_test(it_holds_so_many_and_forgets_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
