/* copy_row.h - one row of a COPY … FROM STDIN: its tenant, and whether it may go where the COPY goes. */
#ifndef PGSHUNT_PROXY_COPY_ROW_H
#define PGSHUNT_PROXY_COPY_ROW_H

#include "proxy/arrive.h"
#include "sql/copy.h"

struct copying;

/* What a row says. */
struct copy_row {
    uint64_t line;
    const char *why; /* its tenant cannot be told; else NULL */
    bool null;       /* it has none */
    char tenant[TENANT_BYTES_MAX];
};

/* What the parser has found, as a tenant. */
void copy_row_read(const struct copying *copying, enum copy_event event, struct copy_row *row);
/* The row as evidence for the whole statement. As attribute(). */
bool copy_row_attribute(const struct plan_statement *statement, const struct copy_row *row,
                        const struct surroundings *around, struct attribution *out, struct error *err);
/* The row of a COPY that has been opened. WAITING: its tenant's gate is closed. */
enum arrival copy_row_admit(struct client *client, const struct copy_row *row, struct error *err);
/* Says in an error which line it is about. */
void copy_row_name(const struct copy_row *row, struct error *err);

#endif
