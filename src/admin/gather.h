/* gather.h - what every loop has told, made one table: SHOW CLIENTS, SERVERS, POOLS, STATS. Pure; any thread.
 */
#ifndef PGSHUNT_ADMIN_GATHER_H
#define PGSHUNT_ADMIN_GATHER_H

#include "admin/command.h"
#include "base/error.h"
#include "base/limits.h"
#include "route/letters.h"

struct gather {
    enum show_what what;
    unsigned left; /* loops that have not answered */
    unsigned count;
    struct rows *parts[LOOPS_MAX]; /* owned */
};

void gather_begin(struct gather *gather, enum show_what what, unsigned loops);
void gather_take(struct gather *gather, struct show_letter *letter); /* takes the letter */
/* The table, with the command's columns; the parts are gone afterwards. NULL: no memory. */
struct rows *gather_end(struct gather *gather, const struct command_info *info);
void gather_done(struct gather *gather); /* drops what there is; fine at any time */

#endif
