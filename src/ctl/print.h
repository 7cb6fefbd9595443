/* print.h - rows on standard output: a table to read, or JSON, one array of objects. Pure but for the
 * writing. */
#ifndef PGSHUNT_CTL_PRINT_H
#define PGSHUNT_CTL_PRINT_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/buf.h"

/* Aligned columns, numbers to the right; one row of many columns, and lists of names and values, stand
 * upright. */
void print_table(const PGresult *result, struct buf *out);
void print_json(const PGresult *result, struct buf *out);
/* The value of a named column; "" for NULL and where there is none. */
const char *print_value(const PGresult *result, int row, const char *column);

#endif
