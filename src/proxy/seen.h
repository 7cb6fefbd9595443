/* seen.h - the shapes of statements that one loop has seen on declared tables: how their tenants were found,
 * and what an operator must know before a tenant moves (DESIGN §4.8, §4.9). Bounded: shapes beyond
 * SEEN_SHAPES_MAX are counted together, under a name that says so. Nothing is ever forgotten, so a mark stays
 * good. One loop's; pure. */
#ifndef PGSHUNT_PROXY_SEEN_H
#define PGSHUNT_PROXY_SEEN_H

#include "base/rows.h"
#include "base/uuid.h"
#include "sql/attribute.h"

enum {
    SEEN_SHAPES_MAX = 2000,  /* of PRINT_BYTES_MAX each: 2 MB a loop */
    SEEN_FINDINGS_MAX = 4000 /* of all shapes */
};

/* What is wrong with a shape, or will be. Names in `finding_names`, and in the control schema. */
enum finding {
    FINDING_FEED,                    /* reads declared tables, not restricted to tenants */
    FINDING_UNATTRIBUTED_WRITE,      /* writes rows of tenants that cannot be told */
    FINDING_MISSED_ROWS,             /* a feed in a transaction of the tenant that is moving */
    FINDING_CROSS_STORE_STATEMENT,   /* would be refused so after the cutover */
    FINDING_CROSS_STORE_TRANSACTION, /* the same */
    FINDING_CONFLICTING_EVIDENCE,    /* the same */
    FINDINGS
};

struct seen;
struct seen_shape;

struct seen_sight {
    enum statement_class class;
    unsigned tables;
    enum tenancy tenancy;
    enum evidence evidence;
    bool contradicted;
    const char *why; /* static */
};

struct seen *seen_new(void); /* NULL: no memory */
void seen_free(struct seen *seen);

/* The shape of a statement: by its mark, else by its text. NULL: no memory. `text` empty: one that could not
 * be read. */
struct seen_shape *seen_look(struct seen *seen, struct plan_statement *statement, struct slice text,
                             bool standard_conforming_strings);
/* A statement of that shape was sent, and this was made of it. */
void seen_count(struct seen_shape *shape, const struct seen_sight *sight, int64_t now_s);
/* Something could not be remembered: from now on there is a feed that nobody can name. */
void seen_doubt(struct seen *seen);
/* `migration` "": whatever is moving. What has no room is counted under the shape that stands for all others.
 */
void seen_find(struct seen *seen, struct seen_shape *shape, enum finding finding, const char *migration,
               const char *why, int64_t now_s);

/* shape, class, tables, tenant, count, unattributed, contradicted, why, first_s, last_s. */
void seen_tell(const struct seen *seen, struct rows *rows);
/* what, migration, shape, why, count, first_s, last_s: totals since the loop began. */
void seen_tell_findings(const struct seen *seen, struct rows *rows);

#endif
