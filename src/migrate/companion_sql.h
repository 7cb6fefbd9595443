/* companion_sql.h - the statements about one companion table (sql/companion_*.sql made concrete). Pure. */
#ifndef PGSHUNT_MIGRATE_COMPANION_SQL_H
#define PGSHUNT_MIGRATE_COMPANION_SQL_H

#include "migrate/migration.h"

struct companion_sql { /* of one batch */
    struct buf upper, rows, copy_in, beyond;
};

/* `key`: of the last row that was copied, an element a row in column 2; NULL: from the beginning. `rows`
 * needs companion_sql_rows() behind it. */
void companion_sql_make(const struct migration *m, const struct moved_table *table, const PGresult *key,
                        struct companion_sql *sql);
/* `upper`: the answer to sql->upper. */
void companion_sql_rows(const struct migration *m, const struct moved_table *table, const PGresult *upper,
                        struct companion_sql *sql);
bool companion_sql_good(const struct companion_sql *sql, struct error *err);
void companion_sql_done(struct companion_sql *sql);

/* Of the target: */
void companion_sql_count(const struct migration *m, const struct moved_table *table, struct buf *sql);
void companion_sql_purge(const struct migration *m, const struct moved_table *table, struct buf *sql);
void companion_sql_move(const struct migration *m, const char *sequence, struct buf *sql); /* $1: at least */
/* Of the source; `sequence` NULL: the column has none there. */
void companion_sql_highest(const struct migration *m, const struct moved_table *table, const char *column,
                           const char *sequence, struct buf *sql);

#endif
