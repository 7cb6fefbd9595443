/* walk.h - one statement's tree on its way to a plan_statement (private to sql).
 * A walk lives on the planner's stack for one statement. All that it allocates is in its arena and goes with
 * it; pointers into the tree and into the schema are borrowed.
 *
 *   reference   one mention of an event or companion table; in the end each must be restricted to tenants
 *   source      an item of a FROM clause, by the name that columns call it
 *   scope       the sources of one query level; names not found in it are looked for further out
 *   restriction what a reference is restricted to: the slots where its tenants stand, or "no tenant" (IS
 * NULL) fact        an AND-ed condition that says something about tenants */
#ifndef PGSHUNT_SQL_WALK_H
#define PGSHUNT_SQL_WALK_H

#include "sql/plan.h"
#include "sql/tree.h"

/* The columns that are looked for beside the tenant's: those of keys, and the one with ids of streams for the
 * declared pattern. */
enum { WALK_PATTERN = KEY_COLUMNS_MAX, WALK_COLUMNS = KEY_COLUMNS_MAX + 1 };

struct restriction_slot {
    struct restriction_slot *next;
    struct tenant_ref ref;
};

struct restriction_length {
    struct restriction_length *next;
    struct tenant_length length;
};

struct restriction {
    bool found; /* slots, or null, or both */
    bool null;
    struct restriction_slot *slots;
    struct restriction_length *lengths;
};

struct reference {
    struct reference *next;
    struct restriction evidence;
    /* The same for the columns of streams and events (stream.c); `pass`: in which of them, plus one,
     * `evidence` is exchanged for it. */
    struct restriction keys[WALK_COLUMNS];
    unsigned pass;
    bool is_event; /* of the event table itself */
    bool assigned; /* no table: what a SET gives the column of the pattern */
};

struct source {
    struct source *next;
    const void *node;          /* the RangeVar or other tree node that it is */
    const PgQuery__Node *item; /* a sub-select or function in FROM; NULL: it is none */
    const struct cte *cte;     /* it is a mention of that one; NULL: it is none */
    const PgQuery__Alias *alias;
    const char *name;        /* alias, else the table's name; NULL: none */
    const char *schema;      /* without an alias: the table's schema; else NULL */
    const char *tenant_name; /* NULL: not an event or companion table, or its tenant cannot be named */
    uint32_t tenant_type;
    const char *key_names[WALK_COLUMNS]; /* as tenant_name */
    uint32_t key_types[WALK_COLUMNS];
    struct reference *reference;
    bool hidden;  /* below an aliased JOIN: its names are not visible */
    bool reached; /* scratch of close_over() */
};

struct cte {
    struct cte *next;
    const char *name;
    const PgQuery__CommonTableExpr *expression;
    bool recursive;
};

struct scope {
    const struct scope *outer;
    struct source *sources;
    struct cte *ctes;
    bool outer_joins; /* rows of a source may be all NULL */
};

struct arena_block;

struct walk {
    const struct plan_context *context;
    const char *tenant_setting;
    const struct shape *shape;
    struct plan_statement *out;
    struct reference *references;
    struct arena_block *arena;
    uint32_t budget; /* steps left; at 0 the statement is unclear: bounds what a hostile one may cost */
    uint32_t stream_budget; /* the same for what is said of streams, which is then not believed */
    bool failed;            /* no memory */
    unsigned pass;       /* 0: facts are about tenants; else about a column of streams, plus one (stream.c) */
    bool renames;        /* a SET gives a stream another id, and which cannot be read */
    bool own_setting;    /* some condition leaves it to the tenant setting */
    bool says;           /* some condition speaks of a tenant column */
    bool unclear;        /* some table or reference could not be understood */
    bool reads, writes;  /* tables; a write also by what is known to write */
    unsigned locking;    /* query levels with FOR UPDATE, FOR SHARE … */
    bool locks_returned; /* … the only one of them being the statement's own, which returns what it locks */
    bool calls_writer;   /* a function that writes or is not known */
    struct buf defaults; /* plan_statement.defaults in the making */
    bool defaults_cut;   /* some table is not known by name */
    bool stays;          /* changes something where it runs, though no table: NOTIFY, SET CONSTRAINTS */
    const PgQuery__FuncCall *sets[8]; /* calls of set_config() */
    size_t set_count;
};

/* walk.c */
void *walk_alloc(struct walk *walk, size_t bytes); /* zeroed; NULL: failed */
bool walk_spend(struct walk *walk);                /* false: the budget is used up */
/* Reads one statement into walk->out (zeroed by the caller). false: no memory. */
bool walk_statement(struct walk *walk, const PgQuery__Node *statement);
void walk_done(struct walk *walk);

/* scope.c: tables and FROM clauses */
/* Notes a table that is mentioned. The table if it is an event or companion table, else NULL. */
const struct schema_table *walk_table(struct walk *walk, const PgQuery__RangeVar *range,
                                      const struct cte *ctes);
/* Notes the name of a table that is not declared. */
void walk_default(struct walk *walk, const char *schema, const char *name);
/* The same look-up without a note. */
const struct schema_table *scope_declared(struct walk *walk, const PgQuery__RangeVar *range);
struct reference *walk_reference(struct walk *walk); /* a new one, without evidence; NULL: no memory */
struct source *scope_add(struct walk *walk, struct scope *scope, const PgQuery__Node *item);
struct source *scope_add_table(struct walk *walk, struct scope *scope, const PgQuery__RangeVar *range,
                               bool target);
struct fact;
/* Finds every reference's evidence below a FROM item, given the facts that hold for its rows. */
void scope_resolve(struct walk *walk, struct scope *scope, const PgQuery__Node *item, struct fact *facts);
void scope_resolve_source(struct walk *walk, struct scope *scope, struct source *source, struct fact *facts);

/* fact.c: conditions */
/* The AND-ed parts of a condition as facts, in front of `tail`. */
struct fact *facts_of(struct walk *walk, struct scope *scope, const PgQuery__Node *condition,
                      struct fact *tail);
/* Tenant columns of the two sources are equal. */
struct fact *facts_equal(struct walk *walk, struct source *a, struct source *b, struct fact *tail);
void facts_apply(struct walk *walk, struct scope *scope, struct source *source, struct fact *facts);
void note_mentions(struct walk *walk, const PgQuery__Node *condition);
bool column_is(struct walk *walk, const struct source *source, const PgQuery__ColumnRef *column);

/* constant.c: literals, parameters, arrays of them */
/* A type by name, without length, array (unless `array`) or set: those may change a value. 0: not one that a
 * tenant may have. */
uint32_t type_named(const PgQuery__TypeName *type, bool array);
/* Does a cast to `oid` on the way to or from a column of that type leave tenants what they are? */
bool cast_keeps(uint32_t column_type, uint32_t oid);
/* A column of numeric cast to an integer: several tenants become one. */
bool cast_rounds(uint32_t column_type, uint32_t oid);
/* A literal or parameter as a tenant of a column of that type (`assumed`: the type of a parameter without a
 * cast, 0: the column's). false: it is something else. */
bool constant_of(struct walk *walk, const PgQuery__Node *node, uint32_t column_type, uint32_t assumed,
                 struct restriction *evidence);
/* Every item of a list; of each a row's element where `element` >= 0. */
bool constants_of(struct walk *walk, PgQuery__Node *const *items, size_t count, int64_t element,
                  uint32_t column_type, uint32_t assumed, struct restriction *evidence);
/* The elements of an array: ARRAY[…], '{…}', $1, cast or not. `rows`: they become rows, NULL too. */
bool elements_of(struct walk *walk, const PgQuery__Node *array, uint32_t column_type, uint32_t assumed,
                 bool rows, struct restriction *evidence);
/* Remembers that `other`, a literal or parameter, decides with `array` on how many rows there are. */
bool length_of(struct walk *walk, const PgQuery__Node *other, const PgQuery__Node *array,
               struct restriction *evidence);
void restriction_join(struct walk *walk, struct restriction *into, const struct restriction *from);

/* query.c: SELECT, INSERT, UPDATE, DELETE, MERGE */
bool walk_query(struct walk *walk, const PgQuery__Node *query, const struct scope *outer, struct cte *ctes);
void walk_expression(struct walk *walk, const PgQuery__Node *expression, struct scope *scope);
/* Of a whole statement: does it lock rows in such a way that it returns all that it locks? */
void walk_locks_returned(struct walk *walk, const PgQuery__Node *statement);

/* setting.c: SET, RESET, set_config() */
void walk_set(struct walk *walk, const PgQuery__VariableSetStmt *set);
void walk_set_config(struct walk *walk, const PgQuery__Node *statement);

/* utility.c: everything else. false: it is a query. */
bool walk_utility(struct walk *walk, const PgQuery__Node *statement);
char *walk_copy(struct walk *walk,
                const char *text); /* on the heap, for the plan; NULL for NULL and empty text */

#endif
