/* show.h - the SHOWs that the console answers from its own view. Everything else is asked of control (job.h).
 */
#ifndef PGSHUNT_ADMIN_SHOW_H
#define PGSHUNT_ADMIN_SHOW_H

#include "admin/command.h"
#include "admin/view.h"
#include "base/error.h"
#include "base/rows.h"

/* One of the reported parameters (ParameterStatus), which drivers also ask for by SHOW. */
struct show_parameter {
    const char *name, *value;
};
/* NULL name ends the list. */
const struct show_parameter *show_parameters(void);

/* New, empty rows with the columns of a command. NULL: no memory. */
struct rows *show_rows_new(const struct command_info *info);

/* Each answers one command. false: `err`. The rows are the caller's. */
typedef bool show_fn(const struct view *view, const struct command *command, struct rows **rows,
                     struct error *err);
show_fn show_help, show_version, show_config, show_tenants, show_route, show_totals, show_parameter_value,
    show_one;

/* 57P03 until routes have been published. */
bool show_is_ready(const struct view *view, struct error *err);

/* A tenant as the event table's column would have it. true also where the column's type is not known yet:
 * then it is taken as it stands. false: 22P02, or too long. */
bool show_canonical_tenant(const struct view *view, const char *given, char tenant[TENANT_BYTES_MAX],
                           struct error *err);

#endif
