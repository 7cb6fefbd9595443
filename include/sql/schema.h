/* schema.h - what planning must know of one store's declared tables: class, columns in order, types, tenant
 * column. Immutable and reference counted (atomic): the catalogue builds it on the control thread, loops read
 * it. */
#ifndef PGSHUNT_SQL_SCHEMA_H
#define PGSHUNT_SQL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "sql/pattern.h"

enum table_class {
    TABLE_DEFAULT, /* not declared: lives in the default store */
    TABLE_EVENT,
    TABLE_COMPANION,  /* moves with its tenant */
    TABLE_EVERYWHERE, /* same rows in all stores */
};

struct schema_column {
    char *name;
    uint32_t type_oid; /* of a domain: the type below it; 3500 (anyenum) for every enum */
    bool generated;    /* always from other columns: no statement gives it a value */
};

struct schema_table {
    char *schema, *name;
    enum table_class class; /* DEFAULT: another one of a declared table's name, without columns */
    bool read_only;         /* a view of the event table: what is written through it is not followed */
    bool usual;             /* its schema may stand on a search_path that the client has not set itself */
    bool of_role;           /* its schema is named like a role: "$user" may mean it */
    size_t column_count;    /* live columns, in attnum order; 0: the store has no such table */
    struct schema_column *columns;
    int tenant_column; /* index in columns; -1: none */
};

/* An argument as calls may give it. */
struct schema_argument {
    bool declared;
    unsigned position; /* from 1; 0: not known */
    char *name;        /* for calls that name it (tenant => …); NULL: it has none, or it is not known */
    uint32_t type_oid; /* of a domain: the type below it; 0: not known */
};

/* A function that works on the event table, as declared; or another one of its name (`declared` is false). */
struct schema_function {
    char *schema, *name;
    bool declared, writes;
    bool clear; /* the store has it, and all its overloads have the arguments below in the same place and type
                 */
    bool usual, of_role; /* as of a table */
    struct schema_argument tenant,
        stream; /* its tenant's value; or the id of its stream, for schema.pattern */
};

/* What names an event without its tenant: all of its stream's columns, or its id. One value of it belongs to
 * one tenant, if a unique constraint without the tenant column makes it so (the stream directory). */
enum schema_key_kind { KEY_STREAM, KEY_EVENT };
enum {
    KEY_KINDS = 2,
    STREAM_COLUMNS_MAX = 4,
    KEY_COLUMNS_MAX = STREAM_COLUMNS_MAX + 1,
};

struct schema_key {
    size_t column_count; /* 0: none is declared, or too many */
    char *columns[STREAM_COLUMNS_MAX];
    const char *why_not; /* a static sentence: it does not tell a tenant; NULL: it does */
    char *question;      /* sql/stream_find.sql, for whoever asks this store; NULL: cannot be asked */
};

struct schema {
    int refs; /* atomic */
    uint64_t generation;
    bool known; /* false: the store has not been read yet; statements that need it are unknown */
    size_t table_count;
    struct schema_table *tables;
    size_t function_count;
    struct schema_function *functions; /* schema_give() frees them with all they hold */
    struct schema_key keys[KEY_KINDS];
    struct pattern *pattern; /* the tenant in the id of a stream; NULL: none is declared */
    char *pattern_column;    /* … which stands in that column, of all tables that have it; NULL: in none */
    char *problem; /* what is declared and is not so in the store, the first of it; NULL: all is well */
};

struct schema *schema_new(size_t table_count); /* zeroed tables, one reference */
struct schema *schema_take(struct schema *schema);
void schema_give(struct schema *schema);
/* `schema_name` empty: by name alone. NULL: not declared. */
const struct schema_table *schema_find(const struct schema *schema, const char *schema_name,
                                       const char *table_name);
/* The same for a function. */
const struct schema_function *schema_find_function(const struct schema *schema, const char *schema_name,
                                                   const char *name);
/* The column of `table` that the declared pattern reads, a text. NULL: it has none. */
const struct schema_column *schema_pattern_column(const struct schema *schema,
                                                  const struct schema_table *table);
/* The type of the event table's tenant column; 0: not known. */
uint32_t schema_tenant_type(const struct schema *schema);
/* May a text that nobody parses name a declared table? By letters alone, and an identifier in Unicode escapes
 * may be anything. */
bool schema_is_mentioned(const struct schema *schema, struct slice text);

#endif
