/* schema_make.h - CREATE TARGET SCHEMA: what the target lacks of the declared tables, made from the source's
 * definition (sql/schema_items.sql on both sides). Runner's thread; blocking. */
#ifndef PGSHUNT_MIGRATE_SCHEMA_MAKE_H
#define PGSHUNT_MIGRATE_SCHEMA_MAKE_H

#include "migrate/runner.h"

/* Makes everything in one transaction, or nothing, and answers. Takes the request. */
void schema_make_answer(struct runner *r, struct control_request *request);

#endif
