/* execute.h - EXECUTE: its arguments as the parameters of what was prepared. Pure. */
#ifndef PGSHUNT_SQL_EXECUTE_H
#define PGSHUNT_SQL_EXECUTE_H

#include "sql/attribute.h"

/* Memory for the arguments of one EXECUTE, used again from call to call. */
struct execute_arguments {
    struct parameters params; /* views into the rest */
    struct slice *values;
    uint16_t *formats;
    char (*texts)[TENANT_BYTES_MAX];
    size_t capacity;
};

void execute_arguments_done(struct execute_arguments *arguments);

/* The arguments of `execute` (a STATEMENT_EXECUTE of `text`), for a statement whose parameters were declared
 * with `types`. What is no constant, or too long for a tenant, has format PARAMETER_UNREAD. false: no memory.
 */
bool execute_read_arguments(const struct plan_statement *execute, struct slice text,
                            const struct shape *shape, const uint32_t *types, size_t type_count,
                            struct execute_arguments *arguments);

/* What EXECUTE (or EXPLAIN, CREATE TABLE AS … EXECUTE) does: `prepared` runs, in its place. Borrows both. */
struct plan_statement execute_joined(const struct plan_statement *execute,
                                     const struct plan_statement *prepared);
/* The same where nobody knows what was prepared: a write of unknown tenants. */
struct plan_statement execute_unknown(const struct plan_statement *execute);

#endif
