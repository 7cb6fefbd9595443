/* quote.h - an identifier as SQL text (private to sql). Pure. */
#ifndef PGSHUNT_SQL_QUOTE_H
#define PGSHUNT_SQL_QUOTE_H

#include "base/buf.h"

/* Appends an element of a list of identifiers (search_path), in quotes unless it is a plain lower-case word.
 * (The server leaves fewer of them in quotes; both read the same.) */
void quote_identifier(struct buf *value, const char *element);

#endif
