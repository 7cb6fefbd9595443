/* carry.h - columns that stand for constants of the statement: unnest($1) AS u (t), (VALUES …) AS v (t), a
 * CTE of either (private to sql). */
#ifndef PGSHUNT_SQL_CARRY_H
#define PGSHUNT_SQL_CARRY_H

#include "sql/walk.h"

/* What a column of the scope's own FROM stands for, as tenants of a column of type `column_type`. `rows`:
 * they become rows (INSERT … SELECT), so that NULL counts too. false: it is no such column. */
bool carry_column(struct walk *walk, const struct scope *scope, const PgQuery__ColumnRef *column,
                  uint32_t column_type, bool rows, struct restriction *evidence);
/* The same for column number `position` of SELECT * FROM `item`. */
bool carry_position(struct walk *walk, const struct scope *scope, const PgQuery__Node *item, size_t position,
                    uint32_t column_type, struct restriction *evidence);
/* SELECT unnest($1), …: a target that stands for the elements of its array. Its siblings must not make more
 * rows of their own. */
bool carry_target(struct walk *walk, PgQuery__Node *const *targets, size_t count, size_t position,
                  uint32_t column_type, struct restriction *evidence);

#endif
