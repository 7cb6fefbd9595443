/* path.h - what an unqualified name means: the first of its homes on the search_path (private to sql). Pure.
 * A name's homes are the schemas that have something of that name: what is declared, and, so that nobody
 * takes another table for it, what is not. */
#ifndef PGSHUNT_SQL_PATH_H
#define PGSHUNT_SQL_PATH_H

#include "sql/plan.h"

enum path_finding { PATH_NOTHING, PATH_FOUND, PATH_UNSURE };

enum path_finding path_find_table(const struct plan_context *context, const char *name,
                                  const struct schema_table **table);
enum path_finding path_find_function(const struct plan_context *context, const char *name,
                                     const struct schema_function **function);

#endif
