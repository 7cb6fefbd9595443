/* call.h - what a statement does beside reading and writing rows: calls, new relations (private to sql). */
#ifndef PGSHUNT_SQL_CALL_H
#define PGSHUNT_SQL_CALL_H

#include "sql/walk.h"

void call_note(struct walk *walk, const PgQuery__FuncCall *call);
/* Is it a call of a function that [events] declares? */
bool call_is_declared(struct walk *walk, const PgQuery__FuncCall *call);
/* A relation that the statement creates. */
void call_note_created(struct walk *walk, const PgQuery__RangeVar *range, bool dropped_at_commit);

#endif
