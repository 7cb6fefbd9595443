/* stream.h - where a statement names streams or events instead of tenants (private to sql).
 * The columns of streams and events are looked for exactly as the tenant's is: one pass of fact.c and scope.c
 * for each, with that column in the tenant's place. So what is evidence there is evidence here, and for
 * combinations of columns every row that counts has one of each column's values. */
#ifndef PGSHUNT_SQL_STREAM_H
#define PGSHUNT_SQL_STREAM_H

#include "sql/walk.h"

/* The names that `table`'s columns of streams and events have in a statement. */
void stream_name_columns(const struct walk *walk, struct source *source, const struct schema_table *table,
                         const PgQuery__Alias *alias);

/* One query level: `items` are its FROM, `target` what it writes (NULL: nothing), `condition` its WHERE. When
 * its tenants are resolved, and before what nests in it is walked. */
void stream_resolve(struct walk *walk, struct scope *scope, struct source *target,
                    PgQuery__Node *const *items, size_t count, const PgQuery__Node *condition);

/* After the last reference: fills plan_statement.streams. */
void stream_sum(struct walk *walk);

/* … and plan_statement.named. */
void stream_sum_named(struct walk *walk);

/* Notes where the rows of an INSERT name their streams and tenants: plan_statement.sown. */
void stream_sow(struct walk *walk, const struct schema_table *table, const PgQuery__InsertStmt *insert);

/* Does SET give one of these columns (or the tenant's) another value? */
bool stream_is_assigned(const struct walk *walk, const struct schema_table *table,
                        PgQuery__Node *const *targets, size_t count);

#endif
