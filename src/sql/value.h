/* value.h - what stands in a hole, as tenants (private to sql). Pure. */
#ifndef PGSHUNT_SQL_VALUE_H
#define PGSHUNT_SQL_VALUE_H

#include "sql/array.h"
#include "sql/attribute.h"

/* One hole of one statement's text. */
struct value_place {
    struct slice text;
    const struct shape *shape;
    const struct parameters *params; /* NULL: none */
    size_t hole;
};

enum value_reading {
    VALUE_TENANT, /* there is one */
    VALUE_NULL,
    VALUE_LATER, /* a parameter that has no value yet */
    VALUE_BAD,   /* it cannot be read as the tenant column's type */
    VALUE_NO_MEMORY,
};

/* An array that is being read. */
struct value_array {
    struct array_reader reader;
    uint32_t type_oid; /* of its elements, as the client writes them */
    char *content;     /* of a literal */
    bool ended;        /* value_next() gave NULL because there are no more elements */
};

enum value_reading value_read(const struct value_place *place, const struct tenant_ref *ref,
                              char tenant[TENANT_BYTES_MAX]);

/* TENANT: it is open, and wants value_close_array(). */
enum value_reading value_open_array(const struct value_place *place, const struct tenant_ref *ref,
                                    struct value_array *array);
/* TENANT, NULL (the element is; or `ended`), or BAD. */
enum value_reading value_next(struct value_array *array, const struct tenant_ref *ref,
                              char tenant[TENANT_BYTES_MAX]);
void value_close_array(struct value_array *array);

/* How many elements an array of any type has; none for NULL. */
enum value_reading value_count(const struct value_place *place, size_t *count);

/* A whole number that the server would write the same way: 0, 42; not 042, 4e1, 4.0. */
bool value_is_plain_number(const char *text);

#endif
