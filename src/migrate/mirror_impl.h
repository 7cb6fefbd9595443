/* mirror_impl.h - what the files of the mirror share: mirror.c (passes), mirror_sql.c (texts), mirror_keys.c
 * (what was applied and not yet compared), mirror_hidden.c (writers past the proxy). Nobody else includes it.
 */
#ifndef PGSHUNT_MIGRATE_MIRROR_IMPL_H
#define PGSHUNT_MIGRATE_MIRROR_IMPL_H

#include "migrate/mirror.h"

enum {
    MIRROR_KEY_COLUMNS_MAX = 9,    /* as relation.key_names */
    MIRROR_UNVERIFIED_MAX = 20000, /* keys remembered for verify-behind; then it runs by itself */
};

struct mirror_sql { /* statements of one migration, made once per pair of relations */
    struct buf begin, entries, rows, forget; /* source */
    struct buf hold, delete, insert, cursor; /* target */
    struct buf digest_source, digest_target;
};
void mirror_sql_done(struct mirror_sql *sql);
bool mirror_sql_make(const struct migration *m, struct mirror_sql *sql, struct error *err);

/* Keys applied and not yet compared. */
struct mirror_keys;
struct mirror_keys *mirror_keys_new(void);
void mirror_keys_free(struct mirror_keys *keys);
bool mirror_keys_add(struct mirror_keys *keys, size_t columns,
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

#endif
