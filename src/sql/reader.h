/* reader.h - one pass over a statement's text (private to sql). */
#ifndef PGSHUNT_SQL_READER_H
#define PGSHUNT_SQL_READER_H

#include "sql/shape.h"
#include "sql/token.h"

/* Fills an empty shape with what `lexer` reads. false: see shape_read(); what is in the shape then is of no
 * use. */
bool reader_run(struct shape *shape, struct slice text, struct lexer *lexer);

#endif
