/* explain_values.h - EXPLAIN ROUTE … WITH VALUES ('a', 2, NULL): what $1, $2, … are, where the command comes
 * without a Bind. Pure. */
#ifndef PGSHUNT_ADMIN_EXPLAIN_VALUES_H
#define PGSHUNT_ADMIN_EXPLAIN_VALUES_H

#include "sql/attribute.h"

enum { EXPLAIN_VALUES_MAX = 100 };

struct explain_values {
    struct parameters params; /* views into the rest; count 0: none were given */
    struct slice values[EXPLAIN_VALUES_MAX];
    uint16_t formats[EXPLAIN_VALUES_MAX];
    char *memory; /* owned */
};

/* Takes the list off the end of `text`, if there is one: no statement of SQL ends so. false: no memory, or
 * more values than EXPLAIN_VALUES_MAX (54023). */
bool explain_values_read(struct slice *text, struct explain_values *values, struct error *err);
void explain_values_done(struct explain_values *values);

#endif
