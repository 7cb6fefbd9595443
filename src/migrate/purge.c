/* purge.c - see purge.h. */
#include "migrate/purge.h"

#include <stdlib.h>

#include "migrate/companion.h"
#include "migrate/sqltext.h"
#include "sql_embedded.h"

enum { PURGE_BATCH_ROWS = 10000 };

static void write_delete(const struct migration *m, struct buf *sql)
{
    struct buf tenant, position;

    buf_init(&tenant);
    buf_init(&position);
    relation_append_identifier(&tenant, m->names->tenant);
    relation_append_identifier(&position, m->names->position);
    sqltext_expand(sql, sql_purge_target, m->control_schema,
                   (const struct sqltext_value[]){ { "table", m->tables[0].target.qualified },
                                                   { "tenant_column", buf_text(&tenant) },
                                                   { "position_column", buf_text(&position) } },
                   3);
    if (buf_failed(&tenant) || buf_failed(&position))
        sql->failed = true;
    buf_done(&tenant);
    buf_done(&position);
}

bool purge_target(struct migration *m, int64_t *rows, struct error *err)
{
    char batch[16];
    const char *values[] = { m->tenant, batch };
    struct buf sql;
    long deleted = 1;

    *rows = 0;
    if (!migration_connect(m, err))
        return false;
    if (!companion_purge(m, rows, err))
        return false;
    snprintf(batch, sizeof batch, "%d", PURGE_BATCH_ROWS);
    buf_init(&sql);
    write_delete(m, &sql);
    if (buf_failed(&sql)) {
        buf_done(&sql);
        return error_no_memory(err);
    }
    while (deleted > 0) {
        PGresult *result = pg_query(m->target_pg, buf_text(&sql), 2, values, err);

        if (result == NULL) {
            buf_done(&sql);
            return false;
        }
        deleted = atol(PQcmdTuples(result));
        *rows += deleted;
        PQclear(result);
    }
    buf_done(&sql);
    return true;
}
