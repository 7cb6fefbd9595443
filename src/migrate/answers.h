/* answers.h - SHOW from the control tables and from what control itself knows, as rows. Control's thread. */
#ifndef PGSHUNT_MIGRATE_ANSWERS_H
#define PGSHUNT_MIGRATE_ANSWERS_H

#include "base/rows.h"
#include "migrate/control.h"
#include "migrate/ledger.h"
#include "migrate/publisher.h"
#include "migrate/survey.h"

/* The migration whose id begins with `prefix`. 42704 migration_not_found, or ambiguous. */
struct found_migration {
    char id[UUID_TEXT_BYTES];
    enum migration_state state;
};
bool answers_find(struct ledger *ledger, const char *prefix, struct found_migration *found,
                  struct rows **rows, struct error *err); /* `rows` may be NULL: not wanted */

bool answers_migrations(struct ledger *ledger, const struct control_request *request, struct rows **rows,
                        struct error *err);
bool answers_migration(struct ledger *ledger, const char *id, struct rows **rows, struct error *err);
bool answers_failures(struct ledger *ledger, const char *id, struct rows **rows, struct error *err);
/* Any statement's rows, with the types that drivers know. */
bool answers_ask(struct ledger *ledger, const char *sql, int count, const char *const *values,
                 struct rows **rows, struct error *err);
bool answers_audit(struct ledger *ledger, const char *id, struct rows **rows, struct error *err);
bool answers_report(struct ledger *ledger, const char *id, bool json, struct rows **rows, struct error *err);
bool answers_metrics(struct ledger *ledger, struct rows **rows, struct error *err);
bool answers_instances(struct ledger *ledger, struct rows **rows, struct error *err);

bool answers_shapes(struct ledger *ledger, struct rows **rows, struct error *err);
/* ACCEPT SHAPE, WITHDRAW SHAPE. 42704: there is none of that number. */
bool answers_decide(struct ledger *ledger, const struct control_request *request, struct rows **rows,
                    struct error *err);

bool answers_stores(const struct stores *stores, const struct survey *survey,
                    const struct publisher *publisher, struct rows **rows, struct error *err);
bool answers_tenants(const struct publisher *publisher, struct rows **rows, struct error *err);

#endif
