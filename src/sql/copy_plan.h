/* copy_plan.h - see copy.c (private to sql). */
#ifndef PGSHUNT_SQL_COPY_PLAN_H
#define PGSHUNT_SQL_COPY_PLAN_H

#include "sql/walk.h"

/* Fills walk->out->copy where the rows of a COPY into `table` will say their tenants, and can be read. */
void copy_plan_rows(struct walk *walk, const PgQuery__CopyStmt *statement, const struct schema_table *table);

#endif
