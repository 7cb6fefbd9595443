/* status.h - pages for machines over HTTP: /metrics, /health, /health/migration, /ready (http_listen). Read
 * only. A thread of its own; what it tells it asks the loops and control by letter. */
#ifndef PGSHUNT_STATUS_STATUS_H
#define PGSHUNT_STATUS_STATUS_H

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/stats.h"
#include "route/letters.h"

struct status;

struct status_setup {
    const struct config *config; /* all borrowed until status_stop() */
    const struct switchboard *switchboard;
    struct log *log;
    struct stats **loop_stats; /* switchboard->loop_count of them */
};

/* Binds and starts the thread. `status` NULL and true: http_listen is empty. false: the address is wrong or
 * in use. */
bool status_start(const struct status_setup *setup, struct status **status, struct error *err);
void status_stop(struct status *status); /* answers are cut off; joins. NULL is fine */

#endif
