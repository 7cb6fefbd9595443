/* plan.h - what attribution learned about a statement's shape: class, tables, where the tenant stands.
 * libpg_query lives behind this header only. A planner belongs to one thread: a cache (shape -> plan,
 * bounded, least recently used) in front of the grammar. Plans are immutable and reference counted (not
 * atomic: one thread). */
#ifndef PGSHUNT_SQL_PLAN_H
#define PGSHUNT_SQL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sql/schema.h"
#include "sql/shape.h"

/* The grammar's major version. A newer server knows more, an older one some things that were taken out since.
 */
enum { PLAN_GRAMMAR_MAJOR = 15 };

enum statement_kind {
    STATEMENT_PLAIN, /* anything that runs: SELECT, INSERT, UPDATE, DELETE, MERGE, DDL, CALL, DO … */
    STATEMENT_EMPTY,
    STATEMENT_BEGIN,    /* and START TRANSACTION */
    STATEMENT_COMMIT,   /* and END */
    STATEMENT_ROLLBACK, /* and ABORT */
    STATEMENT_SAVEPOINT,
    STATEMENT_RELEASE,
    STATEMENT_ROLLBACK_TO,
    STATEMENT_PREPARE_TRANSACTION,
    STATEMENT_COMMIT_PREPARED,
    STATEMENT_ROLLBACK_PREPARED,
    STATEMENT_SET_TRANSACTION, /* SET TRANSACTION …; `snapshot` if SET TRANSACTION SNAPSHOT */
    STATEMENT_SET,             /* SET, SET SESSION, SET SESSION CHARACTERISTICS, set_config(…, false) */
    STATEMENT_SET_LOCAL,       /* SET LOCAL, set_config(…, true) */
    STATEMENT_RESET,           /* RESET x, SET x TO DEFAULT */
    STATEMENT_RESET_ALL,
    STATEMENT_DISCARD_ALL,
    STATEMENT_PREPARE, /* SQL level; `name`; the inner statement's class and tenants are this statement's */
    STATEMENT_EXECUTE, /* `name`, `arguments`; also below EXPLAIN and CREATE TABLE AS: class and tables are
                          then what these add to the prepared statement's (sql/execute.h) */
    STATEMENT_DEALLOCATE, /* `name`, NULL for ALL */
    STATEMENT_DECLARE,    /* DECLARE CURSOR: class of its query */
    STATEMENT_FETCH,      /* FETCH, MOVE, CLOSE */
    STATEMENT_COPY_IN,    /* COPY … FROM STDIN */
    STATEMENT_COPY_OUT,
    STATEMENT_LISTEN,
    STATEMENT_UNLISTEN, /* `name`, NULL for * */
};

/* What it may do, at most. */
enum statement_class {
    CLASS_NEUTRAL, /* touches no table: SET, SHOW, SELECT 1, currval, transaction control */
    CLASS_READ,
    CLASS_WRITE, /* writes, locks rows or tables or advisory keys, runs a function we do not know while it
                    writes, or changes something else where it runs (NOTIFY, SET CONSTRAINTS; tables is 0
                    then) */
};

enum { TABLES_EVENT = 1, TABLES_COMPANION = 2, TABLES_EVERYWHERE = 4, TABLES_DEFAULT = 8 };

/* One place where the statement says a tenant: the content of every hole of that slot. */
struct tenant_ref {
    uint32_t slot;
    uint32_t type_oid; /* of the tenant column: how to read a binary parameter, how to write it canonically */
    uint32_t cast_oid; /* of the cast nearest to the value ($1::text); 0: none, a parameter has the column's
                          type */
    bool elements; /* the content is an array: each of its elements is a tenant (types are the elements') */
    bool nulls;    /* and an element that is NULL is a row without a tenant; else it matches nothing */
    bool untyped;  /* a parameter without a declared type may be of another than the column's: only its
                      text is understood */
    bool negative; /* a minus stands in front of the number */
    bool stream;   /* the content is the id of a stream: plan_statement.pattern finds the tenant in it; its
                      types are those of that id */
};

/* unnest($1, $2): where `slot` holds more elements than `array` does, rows without a tenant are made. */
struct tenant_length {
    uint32_t slot, array;
};

/* One place where the statement names a stream or an event: a value of one column of one reference. The
 * reference is restricted to all combinations of its columns' values. */
struct stream_ref {
    uint16_t group;        /* the reference, from 0; the array is in order of groups, then of columns */
    uint8_t kind, column;  /* enum schema_key_kind; index in schema_key.columns */
    struct tenant_ref ref; /* type_oid: of that column */
};

/* One argument of EXECUTE. */
struct plan_argument {
    int64_t slot;      /* of its literal; -1: none (NULL, or an expression that is not read) */
    uint32_t cast_oid; /* what the literal is cast to first; 0: to nothing */
    bool null;         /* it is NULL */
};

/* A type that is not one of those a tenant may have. */
#define PLAN_TYPE_OTHER UINT32_MAX

enum {
    PLAN_COPY_FORMAT,
    PLAN_COPY_DELIMITER,
    PLAN_COPY_NULL,
    PLAN_COPY_QUOTE,
    PLAN_COPY_ESCAPE,
    PLAN_COPY_HEADER,
    PLAN_COPY_ENCODING,
    PLAN_COPY_OPTIONS
};

struct plan_option {
    bool given;
    char word[32]; /* its value where it is no literal; "": it stands in `slot` */
    int64_t slot;
};

/* COPY … FROM STDIN whose rows have the tenant in one of their columns (sql/copy.h). */
struct plan_copy {
    size_t table;             /* its index in the schema */
    unsigned columns, column; /* of a row; which of them, from 0 */
    bool listed;              /* the statement names its columns; else they are the table's, in its order */
    bool doubtful;            /* and some that the table seems not to have: the server may refuse it */
    bool force_null, force_not_null; /* the tenant's column is among them */
    struct plan_option options[PLAN_COPY_OPTIONS];
};

struct plan_statement {
    enum statement_kind kind;
    enum statement_class class;
    unsigned tables; /* TABLES_*: of every reference */
    bool locks;      /* FOR UPDATE/SHARE, LOCK TABLE, pg_advisory_*lock */
    /* locks, and all that it does is to lock rows of declared tables that it returns: a SELECT … FOR UPDATE
     * that has returned none holds none that anybody was told of (txn.h, struct branch). */
    bool only_locks_returned;
    bool ddl;             /* changes definitions (a loop reports DDL on a declared table to the catalogue) */
    bool tenants_partial; /* some reference to an event or companion table is restricted, some is not (or a
                             condition on a tenant was not understood): unknown, whatever stands around the
                             statement */
    bool rows_unseen; /* a write whose rows' tenants are not in the statement (INSERT … SELECT … FROM …):
                         unknown, whatever stands around */
    bool everywhere_written; /* writes, or locks, a table that has the same rows in all stores */
    size_t tenant_count;     /* 0 with TABLES_EVENT|COMPANION: the statement itself says nothing */
    struct tenant_ref *tenants;
    size_t length_count;
    struct tenant_length *lengths;
    /* Every reference is restricted to tenants, or to streams or events by name: then here stand those of the
     * latter, whatever tenants_partial says. For the stream directory; 0: nothing for it to find. */
    size_t stream_count;
    struct stream_ref *streams;
    const char *stream_why_not; /* they are named, but do not tell a tenant; else NULL */
    /* An INSERT … VALUES that names its rows' streams and tenants: where the columns of KEY_STREAM stand in a
     * row, and last the tenant's. For what a commit shows; NULL: it is not so plain. */
    struct tenant_ref *sown;
    size_t sown_count;
    bool unsettles; /* may take a stream from its tenant: DELETE, TRUNCATE, an UPDATE of tenant or stream */
    struct pattern *pattern; /* for tenant_ref.stream; NULL: no such */
    /* Where ids of streams stand that the pattern reads (schema.pattern_column). First those of references
     * that are not restricted to tenants: `named_needed` of them, if that makes them all restricted, whatever
     * tenants_partial says; else none. The others must only not contradict. */
    size_t named_count, named_needed;
    struct tenant_ref *named;
    bool tenant_null;                /* some reference is IS NULL or a NULL in VALUES: "no tenant" */
    uint32_t tenant_type;            /* of the first such table's tenant column; 0: none, or not known yet */
    struct plan_argument *arguments; /* EXECUTE */
    size_t argument_count;
    uint32_t *types; /* PREPARE: of its parameters, as declared; PLAN_TYPE_OTHER, 0: unspecified */
    size_t type_count;
    struct plan_copy *copy; /* rows_unseen, and the rows can be read as they come; NULL: they cannot */
    char *name;         /* savepoint, setting (lower case), prepared statement, cursor, gid, channel; or NULL.
                           A set_config() whose setting cannot be read has none: it may be any */
    char *value;        /* SET: the value where it is not a hole (SET x TO off); or NULL */
    int64_t value_slot; /* SET: the slot of its value; -1: none */
    bool value_is_element; /* SET search_path TO 'a, b': one schema of that name, and not two */
    bool sets;             /* PREPARE, DECLARE, COPY: runs a set_config(); what it sets is unknown */
    bool local_unknown;    /* set_config whose third argument is not a constant */
    char isolation; /* BEGIN, SET TRANSACTION: 'c' read committed, 'r' repeatable read, 's' serializable, 0 */
    bool snapshot;  /* SET TRANSACTION SNAPSHOT, pg_export_snapshot() */
    bool and_chain;
    bool with_hold; /* DECLARE … WITH HOLD */
    bool closes;    /* FETCH: it is a CLOSE; `name` NULL: of all */
    bool temporary; /* creates a temporary table or view */
    char *created;  /* … of that name */
    bool drops;     /* drops what `defaults` names */
    char *defaults; /* the tables of TABLES_DEFAULT by name, each with its NUL, and another NUL; NULL: they
                     * are not known by name, or not all */
    bool shadows;   /* and its name is a declared table's: plan_context.temp_shadows from now on */
    bool advisory;  /* takes or gives a session-level advisory lock */
    bool unlocks, unlocks_all; /* … gives one, or all */
    /* What it leaves behind in its session, and is no setting and no prepared statement: LISTEN, a session
     * advisory lock, a temporary table that outlives the transaction, a cursor WITH HOLD, LOAD. In words;
     * NULL: nothing. */
    const char *keeps;
    uint32_t shape_at, shape_bytes; /* its part of the shape; 0 bytes: not known */
    bool by_literal, by_parameter;  /* the kinds of places that `tenants` names */
    /* The one thing of a plan that changes: what its thread makes of it (seen.h). 0 at first. */
    uint32_t mark;
};

struct plan {
    unsigned refs;
    bool
        parsed; /* false: the grammar refused it, or it is out of bounds: one statement, class by `touches` */
    bool touches;      /* !parsed: some token names a declared table */
    bool refused;      /* !parsed: a server of PLAN_GRAMMAR_MAJOR answers with an error, and does nothing */
    uint64_t parse_us; /* what the grammar and the walk took */
    size_t statement_count; /* 0: empty query */
    struct plan_statement *statements;
};

struct plan *plan_take(struct plan *plan);
void plan_give(struct plan *plan); /* NULL is fine */

struct planner;

/* tenant_setting: see STATEMENT_SET; borrowed until planner_free(). */
struct planner *planner_new(const char *tenant_setting);
void planner_free(struct planner *planner);

/* All that a plan depends on besides the text (the cache's key). */
struct plan_context {
    const struct schema *schema;
    bool path_unknown;        /* the search_path was changed to something that nobody could read */
    struct slice search_path; /* as last SET; .at NULL: the default */
    bool standard_conforming_strings;
    bool encoding_safe; /* false: client_encoding where a byte of a character may be ASCII (SJIS …) */
    bool temp_shadows;  /* the session made a temporary table of a declared name */
};

/* Plans `text`; `shape` is filled for it (its holes speak of this very text). A reference to *plan is the
 * caller's. Never fails but for memory (false): what cannot be understood is a plan with parsed = false. */
bool planner_plan(struct planner *planner, struct slice text, const struct plan_context *context,
                  struct shape *shape, struct plan **plan);

struct planner_counts {
    uint64_t hits, misses, entries, parse_us;
};
/* What the cache holds, most recently used first. */
struct planner_entry {
    struct slice shape; /* shape.text; for print_shape() with … */
    bool standard_conforming_strings;
    const struct plan *plan;
    uint64_t hits, parse_us;
    int64_t used_s; /* wall clock: when it was used last */
};
typedef void planner_entry_fn(void *who, const struct planner_entry *entry);
void planner_each(const struct planner *planner, planner_entry_fn *tell, void *who);

struct planner_counts planner_count(const struct planner *planner);

#endif
