/* coverage.h - CHECK COVERAGE: every shape on event and companion tables that this instance has seen, that
 * any has recorded as one to know of, or that a store's pg_stat_statements names; how its tenant is found, or
 * that it cannot be. Control's thread. */
#ifndef PGSHUNT_MIGRATE_COVERAGE_H
#define PGSHUNT_MIGRATE_COVERAGE_H

#include "base/rows.h"
#include "migrate/ledger.h"
#include "route/store.h"
#include "sql/schema.h"

struct coverage_setup { /* all borrowed */
    struct ledger *ledger;
    const struct stores *stores;
    const struct schema *schema; /* of the default store; NULL: not known yet */
    const char *tenant_setting;
    const struct pg_wake *wake;
    struct rows *const *seen; /* what loops have told (proxy/seen.h); NULL: nothing */
    unsigned seen_count;
    uint64_t until_ms; /* stores that have not answered by then are left out */
};

struct coverage {
    struct rows *rows;  /* owned by the caller afterwards */
    size_t unexplained; /* of them: nobody knows whose rows they are about, and nobody has accepted it */
    char left_out[300]; /* which stores' statements are not in it, and why; "" : none */
};

bool coverage_check(const struct coverage_setup *setup, struct coverage *coverage, struct error *err);

#endif
