/* type.h - the types a tenant may have, by OID (pg_type.dat of PostgreSQL) and by name (private to sql).
 * Pure. */
#ifndef PGSHUNT_SQL_TYPE_H
#define PGSHUNT_SQL_TYPE_H

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
};

enum type_family { FAMILY_NONE, FAMILY_TEXT, FAMILY_UUID, FAMILY_INTEGER };

static inline enum type_family type_family(uint32_t type_oid)
{
    switch (type_oid) {
    case TYPE_NAME:
    case TYPE_TEXT:
    case TYPE_BPCHAR:
    case TYPE_VARCHAR:
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

#endif
