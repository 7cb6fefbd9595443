/* print.h - a shape as people read it: no content of a literal, a bounded text, all ASCII. Also its name:
 * two shapes have the same text only if they are the same (beyond PRINT_BYTES_MAX: the same sum). Pure. */
#ifndef PGSHUNT_SQL_PRINT_H
#define PGSHUNT_SQL_PRINT_H

#include "base/buf.h"
#include "sql/plan.h"

enum { PRINT_BYTES_MAX = 1000 }; /* fits an index of PostgreSQL, a log line and a screen */

/* Appends `shape` (of shape.text, or a statement's part of it). A literal, also one that stays in a shape, is
 * `?`, a parameter `$n`, what was folded `...`. Failure: buf_failed(). */
void print_shape(struct slice shape, bool standard_conforming_strings, struct buf *out);
/* The part of the shape that is this statement's; all of it if that is not known. */
struct slice print_part(struct slice shape, const struct plan_statement *statement);

/* How the statement says its tenant, by its shape alone: "literal", "parameter", …; NULL: it touches no event
 * or companion table. */
const char *print_source(const struct plan_statement *statement);
/* "event, companion, default"; "" for none. */
void print_tables(unsigned tables, char *text, size_t bytes);
const char *print_class(enum statement_class class); /* "neutral", "read", "write" */

#endif
