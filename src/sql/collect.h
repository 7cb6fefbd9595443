/* collect.h - the distinct tenants that the places of a plan name in one statement (private to sql). Pure. */
#ifndef PGSHUNT_SQL_COLLECT_H
#define PGSHUNT_SQL_COLLECT_H

#include "sql/attribute.h"
#include "sql/value.h"

/* Distinct tenants found so far, by hash where there are many. */
struct collector {
    struct attribution *out;
    const struct plan_statement *statement;
    uint16_t *index; /* of 1 + place in out->tenants; NULL: not needed yet. free() it */
};

/* What was read at a place. false: the statement is unknown (out->why), or there is no memory (why NULL). */
bool collect_reading(struct collector *collector, enum value_reading reading, const char *tenant);
/* All that plan_statement.tenants and lengths say. false: as above. */
bool collect_all(struct collector *collector, const struct plan_statement *statement, struct slice text,
                 const struct shape *shape, const struct parameters *params);

/* The tenants that the declared pattern finds in the ids of streams, those of plan_statement.named from
 * `from` to `to`. *silent: it finds none in some of them. false: as above, or a value cannot be read yet. */
bool collect_named(struct collector *collector, size_t from, size_t to, struct slice text,
                   const struct shape *shape, const struct parameters *params, bool *silent);

/* Room for one more tenant in `out`. false: no memory. */
bool collect_room(struct attribution *out);
/* Nothing is known, and why: true. */
bool collect_unknown(struct attribution *out, const char *why);

#endif
