/* place.h - where must a message go? Plan + attribution + routes -> one store, or an error (DESIGN §3.2).
 * Pure. */
#ifndef PGSHUNT_PROXY_PLACE_H
#define PGSHUNT_PROXY_PLACE_H

#include "proxy/txn.h"
#include "route/table.h"
#include "sql/attribute.h"

/* What all statements of one message together ask for. Start with place_init(). */
struct place {
    const struct store *store; /* NULL: any store will do (neutral) */
    bool write;                /* writes or locks rows of event or companion tables: gates must be asked */
    bool unknown_write;        /* … of tenants that could not be told: every gate */
    bool rows;                 /* … of a COPY whose rows will tell as they come */
    bool changes;              /* some statement of it writes or locks, whatever it is */
    bool begins;               /* BEGIN, START TRANSACTION */
    bool ends, rolls_back;     /* a COMMIT, ROLLBACK, PREPARE TRANSACTION is among them; only ROLLBACKs are */
    bool finishes;             /* COMMIT PREPARED, ROLLBACK PREPARED */
    bool prepares;             /* PREPARE TRANSACTION */
    bool settles_late;         /* RELEASE or ROLLBACK TO behind another statement of the message */
    bool noted;                /* a statement has been */
    bool settles;   /* it matters whether what came before has failed: ends, RELEASE, ROLLBACK TO */
    bool asks_only; /* Parse: nothing of it runs yet */
    bool failed;    /* goes where the transaction has failed */
    bool several;   /* it is about more tenants than one, or also about rows of none */
    char tenant[TENANT_BYTES_MAX]; /* the first statement that is about exactly one; "" : none is */
};

struct place_rules {
    const struct route_table *table;
    const struct store *default_store;
    const struct store *tables_store; /* of the statement's temporary tables; NULL: the default store */
    bool reject_unattributed;         /* unattributed_writes = reject */
    bool rows_are_read;               /* the statement is a COPY, and every row of it is looked at */
    /* A transaction that keeps its snapshots: it goes on reading where it read first. NULL: there is none. */
    const struct txn *snapshots;
    const struct stores *stores; /* only for `snapshots` */
    /* As if this tenant's cutover had been: it lives at its target. NULL: as it is. */
    const struct route *moved;
};

void place_init(struct place *place);
/* Adds one statement. false: cross_store_statement or unattributed_write (0A000), tenant_moved (40001). */
bool place_add(struct place *place, const struct place_rules *rules, const struct plan_statement *statement,
               const struct attribution *attribution, struct error *err);
/* The same for a statement that could not be planned (plan->parsed false). */
bool place_add_unparsed(struct place *place, const struct place_rules *rules, bool touches,
                        struct error *err);

/* What statements without rows ask for, too. Before place_add(). */
void place_note(struct place *place, const struct plan_statement *statement);

/* The message goes to `store`. false: cross_store_statement. */
bool place_go(struct place *place, const struct store *store, struct error *err);
const struct store *place_of_tenant(const struct place_rules *rules, const char *tenant);

#endif
