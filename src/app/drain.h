/* drain.h - SHUTDOWN GRACEFUL as main sees it: begun, watched, over. Main's thread. */
#ifndef PGSHUNT_APP_DRAIN_H
#define PGSHUNT_APP_DRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rows.h"

struct app;

struct drain {
    struct mailbox *answers; /* NULL: not draining */
    unsigned loops_left;     /* have not begun */
    uint64_t until_ms;       /* UINT64_MAX: no bound */
    uint64_t since_ms;
};

enum { DRAIN_LOOK_MS = 20 };

/* Nobody new is let in; clients go when their transactions end. Fine if it has begun already. */
bool app_drain_begin(struct app *app, bool has_successor, struct error *err);
bool app_drain_is_over(struct app *app); /* everybody has gone, or time is over, which is logged */
void app_drain_done(struct app *app);
/* SHOW SHUTDOWN: one row. NULL: no memory. */
struct rows *app_drain_show(const struct app *app);

#endif
