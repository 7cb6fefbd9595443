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
    void (*ready)(void *who);    /* the routes have been read; once, on the console's thread */
    void *who;
    struct inherited *inherited; /* the socket of the process that ran before; NULL: none */
};

/* Takes the socket and its lock, starts the thread. false: another instance has them, or they cannot be made.
 */
bool console_start(const struct console_setup *setup, struct console **console, struct error *err);
/* Operators get 57P01; the thread is joined, the socket removed, the mailbox closed. NULL is fine. */
void console_stop(struct console *console);
/* With `inherited`: no operator is accepted until LETTER_SERVE. LETTER_LEAVE: another process does from now on. */
void console_list_sockets(const struct console *console, struct inherited *list); /* borrowed descriptors */
const char *console_socket_path(const struct console *console);

#endif
