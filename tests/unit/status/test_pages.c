/* test_pages.c - which page, in which form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "status/pages.h"

static const struct health_limits limits = { 900, 1000 };

static void paths_are_whole(void **state)
{
    enum page page;

    (void)state;
    assert_true(pages_find("/metrics", &page));
    assert_int_equal(page, PAGE_METRICS);
    assert_true(pages_find("/health/migration", &page));
    assert_int_equal(page, PAGE_HEALTH_MIGRATION);
    assert_false(pages_find("/metrics/", &page));
    assert_false(pages_find("/", &page));
    assert_false(pages_find("", &page));
}

static void headers_are_lists_with_qualities(void **state)
{
    (void)state;
    assert_true(pages_accepts("gzip", "gzip"));
    assert_true(pages_accepts("deflate, GZIP;q=0.5, br", "gzip"));
    assert_true(pages_accepts("gzip ; q=1", "gzip"));
    assert_false(pages_accepts("gzip;q=0", "gzip"));
    assert_false(pages_accepts("gzip;q=0.000, deflate", "gzip"));
    assert_false(pages_accepts("x-gzip", "gzip"));
    assert_false(pages_accepts("", "gzip"));
    assert_false(pages_accepts(NULL, "gzip"));
    assert_true(
        pages_accepts("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
                      "application/openmetrics-text"));
}

static void an_answer_has_its_type_and_may_be_packed(void **state)
{
    struct snapshot snapshot = { .loops = 0 };
    struct page_request request = { PAGE_METRICS, false, false };
    struct page_answer answer;
    size_t plain_bytes;

    (void)state;
    error_set(&snapshot.control_error, "08006", "away");
    pages_answer(&request, &snapshot, &limits, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(buf_text(&answer.body), "\npgshunt_control_up 0\n"));
    plain_bytes = buf_bytes(&answer.body);
    buf_done(&answer.body);
    request.gzip = true;
    pages_answer(&request, &snapshot, &limits, &answer);
    assert_true(answer.gzip);
    assert_true(buf_bytes(&answer.body) < plain_bytes);
    assert_memory_equal(buf_at(&answer.body), "\x1f\x8b", 2);
    buf_done(&answer.body);
    request = (struct page_request){ PAGE_READY, false, false };
    pages_answer(&request, &snapshot, &limits, &answer);
    assert_int_equal(answer.status, 503);
    buf_done(&answer.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(paths_are_whole),
                                        cmocka_unit_test(headers_are_lists_with_qualities),
                                        cmocka_unit_test(an_answer_has_its_type_and_may_be_packed) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
