/* ddl.h - how pgshunt changes a store that goes on working: nobody waits for us longer than an instant, and
 * two of us do not make the same thing at once. Runner's thread; blocking, interruptible. */
#ifndef PGSHUNT_MIGRATE_DDL_H
#define PGSHUNT_MIGRATE_DDL_H

#include "migrate/migration.h"

/* A table that wants another trigger, or one less. All borrowed. */
struct ddl_table {
    struct pg *pg;
    const struct relation *rel;
    const char *tenant; /* on whose account, for the log */
    struct log *log;
    const struct pg_wake *wake;
};

#define DDL_SOURCE(m, rel)                                                                                   \
    {                                                                                                        \
        (m)->source_pg, (rel), (m)->tenant, (m)->log, &(m)->wake                                             \
    }

/* Runs `sql` in a transaction that waits at most 100 ms for a lock, again and again with back-off, and logs
 * who is in the way (an ordinary autovacuum worker is cancelled); `inside` (may be NULL) is called before its
 * COMMIT. 55P03 after a minute. */
bool ddl_short(const struct ddl_table *table, const char *sql, bool (*inside)(void *who, struct error *err),
               void *who, struct error *err);
/* One transaction under the lock of whoever makes shared objects. */
bool ddl_setup(struct pg *pg, struct buf *sql, struct error *err);

#endif
