/* setting.h - settings that a statement changes (private to sql). */
#ifndef PGSHUNT_SQL_SETTING_H
#define PGSHUNT_SQL_SETTING_H

#include "sql/type.h"
#include "sql/walk.h"

enum { SETTING_TYPE = TYPE_TEXT };

/* Of BEGIN, START TRANSACTION, SET TRANSACTION: see plan_statement.isolation. */
char setting_isolation(PgQuery__Node *const *options, size_t count);

#endif
