/* sqltext.h - the texts of sql/ made concrete: our schema's name, and {placeholders}. Pure. */
#ifndef PGSHUNT_MIGRATE_SQLTEXT_H
#define PGSHUNT_MIGRATE_SQLTEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct sqltext_value {
    const char *name, *text; /* "{name}" becomes text, as it is: quote before */
};

/* Our schema goes into texts without quotes, also inside string literals: 42602 unless it is a plain
 * lower-case name. */
bool sqltext_schema_ok(const char *schema, struct error *err);

/* Appends `sql` with "pgshunt." replaced by the schema (the setting pgshunt.copier is left alone) and each
 * {name} by its value; a {name} that is not in `values` stays. Failure is remembered in `out`. */
void sqltext_expand(struct buf *out, const char *sql, const char *schema, const struct sqltext_value *values,
                    size_t count);

/* Appends 'text', with quotes doubled; E'…' where it holds a backslash. */
void sqltext_literal(struct buf *out, const char *text);

/* A text array under construction: {"a","b" after two elements; sqltext_array_end() closes it. */
void sqltext_array_add(struct buf *array, const char *element);
void sqltext_array_end(struct buf *array);

#endif
