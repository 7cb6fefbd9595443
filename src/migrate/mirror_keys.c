/* mirror_keys.c - verify behind: the keys that the mirror has applied, until both sides have been compared
 * for them. Owns: its table. Thread: the runner's.   Start at: mirror_keys_verify(). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "migrate/mirror_impl.h"
#include "migrate/sqltext.h"

#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(key) ((key)->lost = true)
#include <uthash.h>

enum { CHUNK_KEYS = 500 }; /* compared by one statement a side */

struct key {
    bool lost; /* no memory to keep it */
    UT_hash_handle hh;
    size_t columns;
    size_t bytes;
    char text[]; /* the columns, each with its NUL */
};

struct mirror_keys {
    struct key *tables[MOVED_TABLES_MAX]; /* as the migration's */
};

struct mirror_keys *mirror_keys_new(void)
{
    return calloc(1, sizeof(struct mirror_keys));
}

void mirror_keys_free(struct mirror_keys *keys)
{
    struct key *key, *next;

    if (keys == NULL)
        return;
    for (size_t i = 0; i < MOVED_TABLES_MAX; i++) {
        HASH_ITER(hh, keys->tables[i], key, next) {
            HASH_DEL(keys->tables[i], key);
            free(key);
        }
    }
    free(keys);
}

size_t mirror_keys_count(const struct mirror_keys *keys)
{
    size_t count = 0;

    for (size_t i = 0; i < MOVED_TABLES_MAX; i++)
        count += HASH_COUNT(keys->tables[i]);
    return count;
}

bool mirror_keys_add(struct mirror_keys *keys, size_t table, size_t columns, const char *const *values)
{
    struct key *key, *found;
    size_t bytes = 0, at = 0;

    for (size_t i = 0; i < columns; i++)
        bytes += strlen(values[i]) + 1;
    key = calloc(1, sizeof *key + bytes);
    if (key == NULL)
        return false;
    key->columns = columns;
    key->bytes = bytes;
    for (size_t i = 0; i < columns; i++) {
        memcpy(key->text + at, values[i], strlen(values[i]) + 1);
        at += strlen(values[i]) + 1;
    }
    HASH_FIND(hh, keys->tables[table], key->text, bytes, found);
    if (found == NULL)
        HASH_ADD_KEYPTR(hh, keys->tables[table], key->text, bytes, key);
    if (found != NULL || key->lost) {
        bool good = found != NULL;

        free(key);
        return good;
    }
    return true;
}

/* --- comparing ---------------------------------------------------------------------------------------- */

struct chunk {
    size_t table;
    struct key *keys[CHUNK_KEYS];
    size_t count;
    struct buf arrays[MIRROR_KEY_COLUMNS_MAX];
};

static bool chunk_fill(struct mirror_keys *keys, struct key **from, struct chunk *chunk)
{
    chunk->count = 0;
    for (size_t i = 0; i < MIRROR_KEY_COLUMNS_MAX; i++)
        buf_clear(&chunk->arrays[i]);
    for (struct key *key = *from != NULL ? *from : keys->tables[chunk->table];
         key != NULL && chunk->count < CHUNK_KEYS; key = key->hh.next) {
        const char *column = key->text;

        for (size_t i = 0; i < key->columns; i++, column += strlen(column) + 1)
            sqltext_array_add(&chunk->arrays[i], column);
        chunk->keys[chunk->count++] = key;
    }
    for (size_t i = 0; chunk->count > 0 && i < chunk->keys[0]->columns; i++) {
        sqltext_array_end(&chunk->arrays[i]);
        if (buf_failed(&chunk->arrays[i]))
            return false;
    }
    return true;
}

static PGresult *ask(struct pg *pg, const struct migration *m, const struct buf *sql, struct chunk *chunk,
                     struct error *err)
{
    const char *values[1 + MIRROR_KEY_COLUMNS_MAX] = { m->tenant };
    size_t columns = chunk->keys[0]->columns;

    for (size_t i = 0; i < columns; i++)
        values[1 + i] = buf_text(&chunk->arrays[i]);
    return pg_query(pg, buf_text((struct buf *)sql), (int)(1 + columns), values, err);
}

static bool differs(const struct moved_table *table, const struct key *key, const PGresult *source,
                    const PGresult *target, int row, struct error *err)
{
    bool here = !PQgetisnull(source, row, 1), there = !PQgetisnull(target, row, 0);
    const char *column = key->text;
    char name[256] = "";
    size_t at = 0;

    if (here == there && (!here || strcmp(PQgetvalue(source, row, 1), PQgetvalue(target, row, 0)) == 0))
        return false;
    for (size_t i = 0; i < key->columns && at < sizeof name; i++, column += strlen(column) + 1)
        at += (size_t)snprintf(name + at, sizeof name - at, "%s%s", i == 0 ? "" : "/", column);
    error_set(err, "XX001", "%s%s %s is %s", table->names->companion ? "row of " : "event",
              table->names->companion ? table->names->table : "", name,
              !there  ? "missing in the target"
              : !here ? "in the target only"
                      : "different in the target");
    return true;
}

/* Compares one chunk and forgets what was equal. `next`: where the following chunk begins. */
static bool chunk_compare(struct mirror_keys *keys, const struct migration *m, struct chunk *chunk,
                          const PGresult *source, const PGresult *target, struct error *err)
{
    if (PQntuples(source) != (int)chunk->count || PQntuples(target) != (int)chunk->count)
        return error_set(err, "XX000", "the digests of %zu keys are %d and %d", chunk->count,
                         PQntuples(source), PQntuples(target));
    for (size_t i = 0; i < chunk->count; i++) {
        if (PQgetvalue(source, (int)i, 0)[0] == 't')
            continue; /* it has changed again: the mirror comes to it, and adds it again */
        if (differs(&m->tables[chunk->table], chunk->keys[i], source, target, (int)i, err))
            return false;
        HASH_DEL(keys->tables[chunk->table], chunk->keys[i]);
        free(chunk->keys[i]);
    }
    return true;
}

static bool verify_chunk(struct mirror_keys *keys, struct migration *m, const struct mirror_sql *sql,
                         struct chunk *chunk, struct error *err)
{
    /* The source first: the target is written by this thread alone, and so is as the last pass has left it.
     */
    PGresult *source = ask(m->source_pg, m, &sql->tables[chunk->table].digest_source, chunk, err);
    PGresult *target =
        source == NULL ? NULL : ask(m->target_pg, m, &sql->tables[chunk->table].digest_target, chunk, err);
    bool good = target != NULL && chunk_compare(keys, m, chunk, source, target, err);

    PQclear(source);
    PQclear(target);
    return good;
}

static bool verify_table(struct mirror_keys *keys, struct migration *m, const struct mirror_sql *sql,
                         struct chunk *chunk, struct error *err)
{
    struct key *next = NULL;
    bool good = true, more = keys->tables[chunk->table] != NULL;

    while (good && more) {
        if (!chunk_fill(keys, &next, chunk)) {
            good = error_no_memory(err);
            break;
        }
        next = chunk->keys[chunk->count - 1]->hh.next; /* before the chunk's keys may go */
        more = next != NULL;
        good = verify_chunk(keys, m, sql, chunk, err);
    }
    return good;
}

bool mirror_keys_verify(struct mirror_keys *keys, struct migration *m, const struct mirror_sql *sql,
                        struct error *err)
{
    struct chunk *chunk = calloc(1, sizeof *chunk);
    bool good = chunk != NULL;

    if (chunk == NULL)
        return error_no_memory(err);
    for (; good && chunk->table < m->table_count; chunk->table++)
        good = verify_table(keys, m, sql, chunk, err);
    for (size_t i = 0; i < MIRROR_KEY_COLUMNS_MAX; i++)
        buf_done(&chunk->arrays[i]);
    free(chunk);
    return good;
}
