/* tell.h - SHOW CLIENTS, SERVERS, POOLS, STATS: what one loop knows, as rows. The loop's thread.
 * A column is added here and, with the same name, in admin/command_table.h (POOLS and STATS: also in
 * admin/gather.c). */
#ifndef PGSHUNT_PROXY_TELL_H
#define PGSHUNT_PROXY_TELL_H

#include "route/letters.h"

struct loop;

/* Fills the letter's rows; no memory is what rows_failed() says of them. */
void tell(struct loop *loop, struct show_letter *letter);

#endif
