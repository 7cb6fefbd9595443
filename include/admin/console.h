/* console.h - an operator's psql on the Unix-domain socket: a libuv loop on a thread of its own. */
#ifndef PGSHUNT_ADMIN_CONSOLE_H
#define PGSHUNT_ADMIN_CONSOLE_H

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "base/stats.h"
#include "route/letters.h"
#include "route/store.h"

struct console;

struct console_setup {
    const struct config *config; /* all borrowed until console_stop() */
    const struct stores *stores;
    const struct switchboard *switchboard; /* the console's own mailbox is switchboard->console */
    struct log *log;
    struct stats **loop_stats;   /* switchboard->loop_count of them */
    void (*shutdown)(void *who); /* SHUTDOWN was typed; called on the console's thread */
    void *who;
};

bool console_start(const struct console_setup *setup, struct console **console, struct error *err);
void console_stop(struct console *console);

#endif
