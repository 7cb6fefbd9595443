/* copy.h - how the rows of a COPY … FROM STDIN are written, as its options say: for wire/copy_rows. Pure. */
#ifndef PGSHUNT_SQL_COPY_H
#define PGSHUNT_SQL_COPY_H

#include "sql/plan.h"
#include "wire/copy_rows.h"

enum copy_encoding {
    COPY_ENCODING_SAME,   /* UTF8, or no encoding at all: what the rows say is what the server reads */
    COPY_ENCODING_ASCII,  /* another one: only ASCII can be compared with what we know */
    COPY_ENCODING_UNSAFE, /* a byte of a character may look like ASCII: nothing can be read */
};

/* Of an encoding by its name, in any spelling PostgreSQL takes; .at NULL or one that is not known is UNSAFE.
 */
enum copy_encoding copy_encoding_named(struct slice name);

/* `statement->copy` with the content of its literals. `client_encoding`: the session's, unless the options
 * name one. false: a value is not one that PostgreSQL would take, or not one that is understood. */
bool copy_read_options(const struct plan_statement *statement, struct slice text, const struct shape *shape,
                       struct slice client_encoding, struct copy_options *options,
                       enum copy_encoding *encoding);

#endif
