/* view.h - may a view stand for the event table? Pure. */
#ifndef PGSHUNT_SQL_VIEW_H
#define PGSHUNT_SQL_VIEW_H

#include <stdbool.h>
#include <stddef.h>

/* `definition` is what pg_get_viewdef() writes. True if its rows are rows of one table, each by itself, and
 * one of its columns is that table's `tenant_column` as it is: then a condition on that column restricts the
 * table. *position: which, from 0. false: *why says in a static sentence what is in the way. That the table
 * is the event table is the caller's to know. */
bool view_shows(const char *definition, const char *tenant_column, size_t *position, const char **why);

#endif
