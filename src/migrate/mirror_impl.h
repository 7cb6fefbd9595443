/* mirror_impl.h - what the files of the mirror share: mirror.c (passes), mirror_read.c (their
 * reading half), mirror_sql.c (texts), mirror_keys.c
 * (what was applied and not yet compared), mirror_hidden.c (writers past the proxy). Nobody else includes it.
 */
#ifndef PGSHUNT_MIGRATE_MIRROR_IMPL_H
#define PGSHUNT_MIGRATE_MIRROR_IMPL_H

#include "migrate/mirror.h"

enum {
    MIRROR_KEY_COLUMNS_MAX = 9,    /* as relation.key_names */
    MIRROR_UNVERIFIED_MAX = 20000, /* keys remembered for verify-behind; then it runs by itself */
};

/* The statements of one table. Prepared under a name with the table's number behind it. */
struct mirror_table_sql {
    struct buf rows, children, digest_source; /* source; children: of a companion without a tenant column */
    struct buf delete, insert, digest_target; /* target */
    struct buf settle; /* the same; of the event table where the target gives the positions, else empty */
};

struct mirror_sql {                          /* of one migration, made once per connection */
    struct buf begin, lock, entries, forget; /* source */
    struct buf hold, cursor;                 /* target */
    size_t key_max;                          /* the columns of the longest key: entries has room for it */
    struct mirror_table_sql tables[MOVED_TABLES_MAX];
};
void mirror_sql_done(struct mirror_sql *sql);
bool mirror_sql_make(const struct migration *m, struct mirror_sql *sql, struct error *err);

/* Keys applied and not yet compared. */
struct mirror_keys;
struct mirror_keys *mirror_keys_new(void);
void mirror_keys_free(struct mirror_keys *keys);
bool mirror_keys_add(struct mirror_keys *keys, size_t table, size_t columns,
                     const char *const *values); /* false: no memory */
size_t mirror_keys_count(const struct mirror_keys *keys);
/* Compares them all, in chunks; what is captured again stays. */
bool mirror_keys_verify(struct mirror_keys *keys, struct migration *m, const struct mirror_sql *sql,
                        struct error *err);

struct mirror_writers;
struct mirror_writers *mirror_writers_new(void);
void mirror_writers_free(struct mirror_writers *writers);
void mirror_writers_know(struct mirror_writers *writers, int32_t pid);
void mirror_writers_saw(struct mirror_writers *writers, int32_t pid, const char *application);
size_t mirror_writers_hidden(const struct mirror_writers *writers, struct mirror_hidden *out, size_t max);

/* Up to which id captured is known to be settled: all transactions that were handed a lower id have ended. An
 * id is handed out to a transaction that has an xid (it has changed a row). So: remember the last id
 * (mark_id); then an xid that is higher than all of those transactions' (mark_xid: that of our own next
 * transaction that deletes entries; a snapshot's xmax would not do, for it is only the last completed xid +
 * 1); and once a snapshot's xmin is beyond it, what it does not see below mark_id will never come. */
struct mirror_floor {
    int64_t settled, mark_id;
    uint64_t mark_xid;
    enum { MARK_NONE, MARK_ID, MARK_XID } mark;
};

/* The keys of one table that a batch is about. */
struct mirror_table_batch {
    size_t keys;
    struct buf arrays[MIRROR_KEY_COLUMNS_MAX];
    PGresult *children; /* kept until the keys have been noted for verify-behind */
};

struct mirror_batch {
    int64_t *ids;
    size_t count, capacity;
    int64_t first_id;
    uint64_t insert_lsn, flush_lsn, xmin;
    int64_t last_id;
    struct mirror_table_batch tables[MOVED_TABLES_MAX];
    PGresult *entries; /* kept like children */
    int64_t rows_put, keys_deleted;
    bool target_begun, committed, conflict;
};

struct mirror;

/* Where a row of sql_mirror_entries has its key: behind its five other columns, the old one (`old`) behind
 * the new one. */
enum { ENTRY_ID, ENTRY_OP, ENTRY_PID, ENTRY_APPLICATION, ENTRY_RELATION, ENTRY_KEY };
int mirror_entry_field(const struct mirror_sql *sql, bool old, size_t column);
/* Which of the migration's tables an entry is about; false (55000): none that is declared. */
bool mirror_entry_table(const struct mirror *mirror, const PGresult *entries, int row, size_t *table,
                        struct error *err);

/* "m_rows_2": the name that a table's statement is prepared under. */
struct mirror_name {
    char text[24];
};
struct mirror_name mirror_name(const char *statement, size_t table);

struct mirror {
    struct migration *m;
    struct mirror_sql sql;
    struct mirror_floor floor;
    struct mirror_keys *keys;
    struct mirror_writers *writers;
    char *tap_fingerprint;
    int32_t source_pid, target_pid; /* the backends that our statements are prepared in; 0: none */
    struct buf forget;              /* ids the target has committed and the source still holds */
};

/* The source's half of a pass, in the order of its pipeline: what is sent, then what is read. */
bool mirror_send_forget(struct mirror *mirror, struct error *err);
bool mirror_send_read(struct mirror *mirror, int64_t limit, struct error *err); /* and syncs */
bool mirror_read_forget(struct mirror *mirror, struct error *err);
bool mirror_read_begin(struct mirror *mirror, struct mirror_batch *batch, struct error *err);
bool mirror_read_fingerprints(struct mirror *mirror, struct error *err);
bool mirror_read_entries(struct mirror *mirror, struct mirror_batch *batch, struct error *err);
bool mirror_read_end(struct mirror *mirror, struct mirror_batch *batch,
                     struct error *err); /* behind the rows */
void mirror_raise_floor(struct mirror_floor *floor, const struct mirror_batch *batch);

#endif
