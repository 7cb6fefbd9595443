/* test_exposition.c - the two text formats, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "status/exposition.h"

static const struct exposition_label labels[] = { { "store", "a\"b\\c\nd" },
                                                  { "state", NULL },
                                                  { NULL, NULL } };

static void write_some(struct exposition *to)
{
    static const double bounds[] = { 0.01, 1 }, counts[] = { 1, 1, 1 };

    exposition_family(to, "x_total", EXPOSITION_COUNTER, "a\nhelp");
    exposition_sample(to, labels, 12345678901);
    exposition_family(to, "y", EXPOSITION_GAUGE, "gauge");
    exposition_sample(to, NULL, 0.25);
    exposition_family(to, "z", EXPOSITION_HISTOGRAM, "histogram");
    exposition_histogram(to, &labels[1], bounds, 2, counts, 7.505);
    exposition_end(to);
}

static void text_0_0_4(void **state)
{
    struct buf out;
    struct exposition to = { &out, false, NULL };

    (void)state;
    buf_init(&out);
    write_some(&to);
    assert_string_equal(buf_text(&out), "# HELP x_total a\\nhelp\n# TYPE x_total counter\n"
                                        "x_total{store=\"a\\\"b\\\\c\\nd\",state=\"\"} 12345678901\n"
                                        "# HELP y gauge\n# TYPE y gauge\ny 0.25\n"
                                        "# HELP z histogram\n# TYPE z histogram\n"
                                        "z_bucket{state=\"\",le=\"0.01\"} 1\n"
                                        "z_bucket{state=\"\",le=\"1\"} 2\n"
                                        "z_bucket{state=\"\",le=\"+Inf\"} 3\n"
                                        "z_sum{state=\"\"} 7.505\n"
                                        "z_count{state=\"\"} 3\n");
    buf_done(&out);
}

static void open_metrics_1_0(void **state)
{
    struct buf out;
    struct exposition to = { &out, true, NULL };

    (void)state;
    buf_init(&out);
    write_some(&to);
    assert_string_equal(buf_text(&out), "# HELP x a\\nhelp\n# TYPE x counter\n"
                                        "x_total{store=\"a\\\"b\\\\c\\nd\",state=\"\"} 12345678901\n"
                                        "# HELP y gauge\n# TYPE y gauge\ny 0.25\n"
                                        "# HELP z histogram\n# TYPE z histogram\n"
                                        "z_bucket{state=\"\",le=\"0.01\"} 1\n"
                                        "z_bucket{state=\"\",le=\"1.0\"} 2\n"
                                        "z_bucket{state=\"\",le=\"+Inf\"} 3\n"
                                        "z_sum{state=\"\"} 7.505\n"
                                        "z_count{state=\"\"} 3\n# EOF\n");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(text_0_0_4), cmocka_unit_test(open_metrics_1_0) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
