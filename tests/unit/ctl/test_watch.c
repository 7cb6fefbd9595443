/* test_watch.c - the line of a migration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/watch.h"

#define OF(r, e, l, h)                                                                                       \
    .id = "0b0e42aa-0000", .tenant = "acme", .target = "dedicated", .rate = r, .eta_s = e, .lag_before = l,  \
    .held = h

static const struct {
    struct watch_view view;
    unsigned cells;
    const char *line;
} cases[] = {
    { { OF(-1, -1, -1, -1), .state = "bulk_copy", .percent = 52.25, .copied = 1045000, .total = 2000000 },
      0,
      "0b0e42aa acme -> dedicated  bulk_copy  52.2 %  1,045,000/2,000,000" },
    { { OF(100, 5, -1, -1), .state = "bulk_copy", .percent = 50, .copied = 500, .total = 1000 },
      10,
      "0b0e42aa acme -> dedicated  bulk_copy  [#####.....]  50.0 %  500/1,000  100/s  ETA 0:05" },
    { { OF(12, 83333, -1, -1), .state = "bulk_copy", .percent = 0, .copied = 1, .total = 999999 },
      0,
      "0b0e42aa acme -> dedicated  bulk_copy  0.0 %  1/999,999  12/s  ETA 23:08:53" },
    { { OF(-1, -1, 40, -1), .state = "dual_write", .percent = 100, .lag = 12 },
      4,
      "0b0e42aa acme -> dedicated  dual_write  [####]  lag 12 (falling)" },
    { { OF(-1, -1, 4, -1), .state = "dual_write", .percent = 100, .lag = 12 },
      0,
      "0b0e42aa acme -> dedicated  dual_write  lag 12 (rising)" },
    { { OF(-1, -1, -1, 7), .state = "cutover_paused", .percent = 100 },
      0,
      "0b0e42aa acme -> dedicated  cutover_paused  lag 0  7 writers held" },
    { { OF(-1, -1, -1, -1), .state = "migrated", .percent = 100 },
      0,
      "0b0e42aa acme -> dedicated  migrated" },
    { { OF(-1, -1, -1, -1), .state = "failed", .percent = 3, .error = "no room" },
      0,
      "0b0e42aa acme -> dedicated  failed  no room" },
};

static void a_line_says_how_it_goes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf line;

        buf_init(&line);
        watch_line(&cases[i].view, cases[i].cells, &line);
        assert_string_equal(buf_text(&line), cases[i].line);
        buf_done(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_line_says_how_it_goes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
