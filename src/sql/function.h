/* function.h - what calling a function may do, by name (private to sql). Pure. */
#ifndef PGSHUNT_SQL_FUNCTION_H
#define PGSHUNT_SQL_FUNCTION_H

enum function_effect {
    FUNCTION_PURE,            /* writes nothing */
    FUNCTION_WRITES,          /* writes, or is not known */
    FUNCTION_LOCKS,           /* an advisory lock of the transaction */
    FUNCTION_UNLOCKS_SESSION, /* gives an advisory lock of the session */
    FUNCTION_LOCKS_SESSION,   /* takes one */
    FUNCTION_SETS,            /* set_config() */
    FUNCTION_SNAPSHOT,        /* pg_export_snapshot() */
    FUNCTION_STAYS,           /* changes something where it runs, though no table: pg_notify() */
};

/* `schema` NULL or empty: as the search path finds it. */
enum function_effect function_effect(const char *schema, const char *name);

#endif
