/* translate.h - TRANSLATE POSITION: a source position of a migration as the target has it. Control's thread.
 */
#ifndef PGSHUNT_MIGRATE_TRANSLATE_H
#define PGSHUNT_MIGRATE_TRANSLATE_H

#include "migrate/control.h"
#include "migrate/ledger.h"

/* Options position and nearest of the request. 42704 position_mapping_error: it is not known. */
bool translate_position(struct ledger *ledger, const char *id, const struct control_request *request,
                        struct rows **rows, struct error *err);

#endif
