/* explain.h - EXPLAIN ROUTE: how pgshunt reads a statement and what would happen to it now. Console's thread.
 */
#ifndef PGSHUNT_ADMIN_EXPLAIN_H
#define PGSHUNT_ADMIN_EXPLAIN_H

#include "admin/command.h"
#include "admin/view.h"
#include "base/error.h"
#include "base/rows.h"
#include "sql/attribute.h"

/* One row per statement of the command's text. `params`: the values of a Bind, NULL if there are none. false:
 * routes or columns are not known yet (57P03), or no memory. */
bool explain_route(const struct view *view, const struct command *command, const struct parameters *params,
                   struct rows **rows, struct error *err);

#endif
