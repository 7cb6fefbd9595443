/* type.h - the types a tenant may have, by OID (pg_type.dat of PostgreSQL) and by name (private to sql).
 * Pure. */
#ifndef PGSHUNT_SQL_TYPE_H
#define PGSHUNT_SQL_TYPE_H

#include <stdbool.h>
#include <stdint.h>

enum type_oid {
    TYPE_NAME = 19,
    TYPE_INT8 = 20,
    TYPE_INT2 = 21,
    TYPE_INT4 = 23,
    TYPE_TEXT = 25,
    TYPE_UNKNOWN = 705,
    TYPE_BPCHAR = 1042,
    TYPE_VARCHAR = 1043,
    TYPE_NUMERIC = 1700,
    TYPE_UUID = 2950,
    TYPE_ENUM = 3500, /* anyenum: stands for every enum, whose own OIDs are each store's affair */
};

enum { TYPE_FIRST_OWN = 16384 /* FirstNormalObjectId of PostgreSQL: types from here on are the user's */ };

enum type_family { FAMILY_NONE, FAMILY_TEXT, FAMILY_UUID, FAMILY_INTEGER };

static inline enum type_family type_family(uint32_t type_oid)
{
    switch (type_oid) {
    case TYPE_NAME:
    case TYPE_TEXT:
    case TYPE_BPCHAR:
    case TYPE_VARCHAR:
    case TYPE_ENUM: /* a label is its text, in both formats */
        return FAMILY_TEXT;
    case TYPE_UUID:
        return FAMILY_UUID;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_NUMERIC:
        return FAMILY_INTEGER;
    default:
        return FAMILY_NONE;
    }
}

/* The element type of an array type; 0: it is no array of a type that a tenant may have. */
static inline uint32_t type_element(uint32_t array_oid)
{
    switch (array_oid) {
    case 1003:
        return TYPE_NAME;
    case 1005:
        return TYPE_INT2;
    case 1007:
        return TYPE_INT4;
    case 1009:
        return TYPE_TEXT;
    case 1014:
        return TYPE_BPCHAR;
    case 1015:
        return TYPE_VARCHAR;
    case 1016:
        return TYPE_INT8;
    case 1231:
        return TYPE_NUMERIC;
    case 2951:
        return TYPE_UUID;
    default:
        return 0;
    }
}

/* Is a value's canonical form the same in a column of the other type, cast or assigned? */
static inline bool type_writes_alike(uint32_t from, uint32_t to)
{
    enum type_family family = type_family(from);

    if (from == to)
        return true;
    if (from == TYPE_NUMERIC)
        return false; /* 2.0 */
    if (to == TYPE_TEXT)
        return family != FAMILY_NONE;
    return (family == FAMILY_INTEGER && type_family(to) == FAMILY_INTEGER) ||
           (to == TYPE_VARCHAR && (family == FAMILY_UUID || family == FAMILY_INTEGER));
}

#endif
